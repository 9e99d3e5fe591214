#include <vidloom/core/schema.hpp>
#include <vidloom/sinks/lines.hpp>
#include <vidloom/sinks/null.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <vector>

using namespace vidloom;

namespace {

FrameResult at(double time) {
  FrameResult frame;
  frame.info.time.media_time = from_seconds(time);
  frame.frame_size = {100, 100};
  frame.stream = "gate";
  return frame;
}

Detections people(std::vector<float> confidences) {
  Detections found;
  found.vocabulary = Vocabulary::of({"person"});
  for (const float confidence : confidences) {
    found.xyxy.push_back({0, 0, 10, 10});
    found.class_id.push_back(0);
    found.confidence.push_back(confidence);
  }
  return found;
}

}  // namespace

TEST_CASE("a line says when, and per analysis what was found") {
  FrameResult frame = at(4.5);
  frame.outcomes.emplace_back("people", Outcome(people({0.936F, 0.972F}), {}, "object"));
  Detections moving;
  moving.xyxy = {{0, 0, 1, 1}, {2, 2, 3, 3}, {4, 4, 5, 5}};
  moving.attributes = {{.name = "moving_fraction", .value = 0.012}};
  frame.outcomes.emplace_back("motion", Outcome(std::move(moving), {}, "motion"));
  Detections visual;
  visual.attributes = {{.name = "brightness_level", .value = 0.4673},
                       {.name = "dominant_colors", .value = std::vector<double>{70, 85, 28, 192, 188, 181}, .unit = "", .columns = 3}};
  Outcome looks(std::move(visual), {}, "visual");
  looks.lists = {.detections = false, .labels = false, .attributes = true};
  frame.outcomes.emplace_back("visual", std::move(looks));
  CHECK(to_line(frame) ==
        "   4.50 s  people: 2 person (0.97, 0.94)   motion: 3 regions, 1.2 % moving   visual: brightness 0.47, colors #46551c #c0bcb5");
}

TEST_CASE("nothing found and not known read differently") {
  FrameResult frame = at(1);
  frame.outcomes.emplace_back("people", Outcome(people({}), {}, "object"));
  frame.outcomes.emplace_back("faces", Outcome(Error(Code::deadline, "no answer within 0.2 s"), {}, "face"));
  frame.outcomes.emplace_back("motion", Outcome(Error(Code::unhealthy, "damaged"), {}, "motion", Outcome::Status::dropped));
  CHECK(to_line(frame) ==
        "   1.00 s  people: none   faces: failed (deadline): no answer within 0.2 s   motion: dropped (unhealthy): damaged");
}

TEST_CASE("many scores are cut short, missing ones left out, degraded answers marked") {
  FrameResult frame = at(100);
  frame.outcomes.emplace_back("people", Outcome(people({.1F, .2F, .3F, .4F, .5F, .6F}), {}, "object", Outcome::Status::degraded));
  frame.outcomes.emplace_back("hats", Outcome(people({std::numeric_limits<float>::quiet_NaN()}), {}, "object"));
  CHECK(to_line(frame) == " 100.00 s  people: 6 person (0.60, 0.50, 0.40, 0.30, 0.20, ...) (degraded)   hats: 1 person");
}

TEST_CASE("a label without a score is its name") {
  FrameResult frame = at(2);
  Detections found;
  found.vocabulary = Vocabulary::of({"street", "day"});
  constexpr float none = std::numeric_limits<float>::quiet_NaN();
  found.labels = {{.class_id = 0, .confidence = none, .raw_score = none, .margin = none},
                  {.class_id = 1, .confidence = .5F, .raw_score = none, .margin = none}};
  Outcome scene(std::move(found), {}, "scene");
  scene.lists = {.detections = false, .labels = true};
  frame.outcomes.emplace_back("scene", std::move(scene));
  CHECK(to_line(frame) == "   2.00 s  scene: street, day 0.50");
}

TEST_CASE("text of a picture cannot steer the terminal") {
  FrameResult frame = at(0);
  frame.outcomes.emplace_back("text", Outcome(Error(Code::model, "bad\x1b[2Jmodel\r\n\xc2\x9b"), {}, "text"));
  CHECK(to_line(frame) == "   0.00 s  text: failed (model): bad?[2Jmodel? ?");
}

TEST_CASE("each result is one line, under its stream's name where there are several") {
  std::string text;
  const auto sink = lines([&text](std::string_view line) { text += line; }, true);
  FrameResult frame = at(2);
  frame.outcomes.emplace_back("people", Outcome(people({}), {}, "object"));
  SourceInfo info;
  info.stream = "gate";
  sink->open(StreamId{1}, info);
  sink->write(frame);
  sink->event(StreamId{1}, {.kind = StreamEvent::Kind::gap, .detail = "3 pictures lost"});
  sink->event(StreamId{1}, {.kind = StreamEvent::Kind::ended});
  sink->close(StreamId{1});
  CHECK(text == "gate            2.00 s  people: none\ngate                    [gap] 3 pictures lost\n");
  CHECK_THROWS_AS(lines({}), Error);
}

TEST_CASE("the null sink takes everything") {
  const auto sink = null_sink();
  CHECK_FALSE(sink->info().pixels);
  sink->open(StreamId{0}, {});
  CHECK_NOTHROW(sink->write(at(0)));
  sink->close(StreamId{0});
}

TEST_CASE("the schemas are JSON, and an unknown one names the nearest") {
  for (const char* name : {"result", "report", "analyses"}) {
    const Value schema = Value::parse(schema_text(name));
    CHECK(schema["$schema"] == Value("https://json-schema.org/draft/2020-12/schema"));
    CHECK(schema["$defs"].size() > 0);
  }
  CHECK_THROWS_WITH_AS(schema_text("reslut"), doctest::Contains("result"), Error);
}
