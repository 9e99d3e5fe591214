#include <vidloom/results.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace vidloom;
using namespace std::chrono_literals;

namespace {

const float unknown_score = std::numeric_limits<float>::quiet_NaN();

/// Compares texts, so that the order of the keys and 692 against 692.0 count too; blanks do not.
void check_same(const Value& value, std::string_view expected) { CHECK(value.dump(1) == Value::parse(expected).dump(1)); }

std::shared_ptr<const Value> shared(std::string_view json) { return std::make_shared<const Value>(Value::parse(json)); }

WallTime analyzed() { return WallTime{} + 1795221989s + 120411us; }

FrameResult frame_45() {
  FrameResult frame;
  frame.info.sequence = 45;
  frame.info.time = {.pts = 45, .time_base = {1, 10}, .media_time = 4500ms};
  frame.frame_size = {768, 576};
  frame.stream = "street";
  frame.analyzed_at = analyzed();
  frame.context = shared(R"({"session_id": "s-17"})");

  Detections people;
  people.vocabulary = Vocabulary::of({"person"});
  people.xyxy = {{692, 253, 768, 408}, {560, 205, 629, 343}};
  people.class_id = {0, 0};
  people.confidence = {0.972F, 0.936F};
  people.raw_score = {3.531F, 2.684F};
  frame.outcomes.emplace_back("people", Outcome(people, {.where = "local", .ran = 70'200us}, "object"));

  Detections motion;
  motion.vocabulary = Vocabulary::of({"motion"});
  motion.xyxy = {{539, 228, 576, 317}};
  motion.class_id = {0};
  motion.confidence = {unknown_score};
  motion.raw_score = {1788};
  motion.attributes = {{.name = "moving_fraction", .value = 0.012}};
  frame.outcomes.emplace_back("motion", Outcome(motion, {.where = "local", .ran = 3100us}, "motion"));
  frame.outcomes.back().second.lists = {.attributes = true};

  Detections visual;
  visual.attributes = {{.name = "dominant_colors", .value = std::vector<double>{70, 85, 28, 192, 188, 181, 131, 127, 98}, .columns = 3},
                       {.name = "brightness_level", .value = 0.46732},
                       {.name = "contrast_level", .value = 0.20658},
                       {.name = "saturation_level", .value = 0.42361}};
  frame.outcomes.emplace_back("visual", Outcome(visual, {.where = "local", .ran = 1200us}, "visual"));
  frame.outcomes.back().second.lists = {.detections = false, .attributes = true};

  Detections brands;
  brands.vocabulary = Vocabulary::of({"Apple", "Google"});
  brands.labels = {{.class_id = 1, .confidence = 0.71F, .raw_score = 0.2873F, .margin = 0.031F}};
  frame.outcomes.emplace_back("brands", Outcome(brands, {.where = "local", .attempts = 2, .ran = 61ms}, "logo", Outcome::Status::degraded));
  frame.outcomes.back().second.lists = {.detections = false, .labels = true};

  frame.outcomes.emplace_back("logos", Outcome(Error(Code::deadline, "no answer from gpu1:8700 within 0.2 s", true),
                                               {.where = "lan", .endpoint = "gpu1:8700", .attempts = 2, .ran = 200'400us}, "logo"));
  return frame;
}

// The published example of schema vidloom/result/v1.
constexpr std::string_view record_45 = R"(
{"schema": "vidloom/result/v1", "type": "frame", "stream": "street", "epoch": 0, "sequence": 45,
 "pts": 45, "time_base": [1, 10], "media_time": 4.5, "captured_at": null, "clock": "none",
 "analyzed_at": "2026-11-21T00:46:29.120411Z", "frame_size": [768, 576], "health": "ok", "segment": null,
 "context": {"session_id": "s-17"},
 "analyses": {
  "people": {"kind": "object", "status": "ok", "trace": {"where": "local", "ran": 0.0702}, "detections": [
    {"class_id": 0, "class_name": "person", "confidence": 0.972, "raw_score": 3.531, "xyxy": [692, 253, 768, 408], "xyxyn": [0.901, 0.4392, 1.0, 0.7083], "tracker_id": null},
    {"class_id": 0, "class_name": "person", "confidence": 0.936, "raw_score": 2.684, "xyxy": [560, 205, 629, 343], "xyxyn": [0.7292, 0.3559, 0.819, 0.5955], "tracker_id": null}]},
  "motion": {"kind": "motion", "status": "ok", "trace": {"where": "local", "ran": 0.0031}, "detections": [
    {"class_id": 0, "class_name": "motion", "confidence": null, "raw_score": 1788, "xyxy": [539, 228, 576, 317], "xyxyn": [0.7018, 0.3958, 0.75, 0.5503], "tracker_id": null}],
   "attributes": {"moving_fraction": 0.012}},
  "visual": {"kind": "visual", "status": "ok", "trace": {"where": "local", "ran": 0.0012},
   "attributes": {"dominant_colors": [[70, 85, 28], [192, 188, 181], [131, 127, 98]], "brightness_level": 0.4673, "contrast_level": 0.2066, "saturation_level": 0.4236}},
  "brands": {"kind": "logo", "status": "degraded", "trace": {"where": "local", "attempts": 2, "ran": 0.061},
   "labels": [{"class_id": 1, "class_name": "Google", "confidence": 0.71, "raw_score": 0.2873, "margin": 0.031}]},
  "logos": {"kind": "logo", "status": "failed", "trace": {"where": "lan", "endpoint": "gpu1:8700", "attempts": 2, "ran": 0.2004},
   "error": {"code": "deadline", "message": "no answer from gpu1:8700 within 0.2 s", "retryable": true, "retry_after": null}}}})";

Outcome of(Detections detections, std::string kind) { return {std::move(detections), {.where = "local"}, std::move(kind)}; }

Detections labelled(std::vector<std::string> names, std::vector<float> confidences) {
  Detections all;
  all.vocabulary = Vocabulary::of(std::move(names));
  for (std::size_t i = 0; i < confidences.size(); ++i)
    all.labels.push_back({.class_id = static_cast<std::int32_t>(i), .confidence = confidences[i]});
  return all;
}

FrameResult with(std::vector<std::pair<std::string, Outcome>> outcomes) {
  FrameResult frame;
  frame.frame_size = {100, 50};
  frame.outcomes = std::move(outcomes);
  return frame;
}

}  // namespace

TEST_CASE("a frame's record is the published example, key by key") { check_same(to_value(frame_45()), record_45); }

TEST_CASE("a frame's legacy shape is the published example") {
  check_same(to_legacy(frame_45(), OnFailure::omit), R"(
{"objects": [{"label": "person", "confidence": 0.972, "bbox": {"x": 0.901, "y": 0.4392, "width": 0.099, "height": 0.2691}},
             {"label": "person", "confidence": 0.936, "bbox": {"x": 0.7292, "y": 0.3559, "width": 0.0898, "height": 0.2396}}],
 "logos": [{"label": "Google", "confidence": 0.71, "bbox": {"x": 0, "y": 0, "width": 1, "height": 1}}],
 "visual": {"dominant_colors": [[70, 85, 28], [192, 188, 181], [131, 127, 98]], "brightness_level": 0.4673, "contrast_level": 0.2066, "saturation_level": 0.4236},
 "errors": {"logos": "deadline"}})");
}

TEST_CASE("the legacy shape raises the stored error unless told to omit") {
  CHECK_THROWS_WITH_AS(to_legacy(frame_45()), "no answer from gpu1:8700 within 0.2 s", Error);
  FrameResult whole = frame_45();
  whole.outcomes.pop_back();
  CHECK(to_legacy(whole) == to_legacy(whole, OnFailure::omit));
  CHECK(to_legacy(whole).find("errors") == nullptr);
}

TEST_CASE("a record says when and in which segment the picture was taken") {
  FrameResult frame = frame_45();
  frame.outcomes.clear();
  frame.context = nullptr;
  frame.info.time.captured_at = analyzed() - 250ms;
  frame.info.time.clock = Clock::rtcp;
  frame.info.time.clock_error = 20ms;
  frame.info.health = Health::after_gap;
  frame.segment = SegmentRef{.uri = "https://cdn/7.ts?token=secret", .sequence = 7, .duration = 2s};
  check_same(to_value(frame), R"(
{"schema": "vidloom/result/v1", "type": "frame", "stream": "street", "epoch": 0, "sequence": 45,
 "pts": 45, "time_base": [1, 10], "media_time": 4.5, "captured_at": "2026-11-21T00:46:28.870411Z", "clock": "rtcp", "clock_error": 0.02,
 "analyzed_at": "2026-11-21T00:46:29.120411Z", "frame_size": [768, 576], "health": "after_gap",
 "segment": {"uri": "https://cdn/7.ts?token=***", "sequence": 7, "duration": 2.0}, "context": null, "analyses": {}})");
  frame.segment = SegmentRef{.uri = "/data/7.ts"};
  check_same(to_value(frame)["segment"], R"({"uri": "/data/7.ts", "sequence": null, "duration": null})");
}

TEST_CASE("an answered outcome lists what its adapter can produce, also when nothing was found") {
  Outcome nothing = of({}, "object");
  check_same(to_value(nothing, {100, 50}),
             R"({"kind": "object", "status": "ok", "trace": {"where": "local", "ran": 0.0}, "detections": []})");
  nothing.lists = {.detections = false, .labels = true, .attributes = true, .embedding = true};
  check_same(
      to_value(nothing, {100, 50}),
      R"({"kind": "object", "status": "ok", "trace": {"where": "local", "ran": 0.0}, "labels": [], "attributes": {}, "embedding": []})");
}

TEST_CASE("what was found stands in the record even where the adapter did not announce it") {
  Detections all = labelled({"beach"}, {0.5F});
  all.xyxy = {{0, 0, 10, 10}};
  all.attributes = {{.name = "mood", .value = std::string("calm")},
                    {.name = "odd", .value = std::nan("")},
                    {.name = "flat", .value = std::vector<double>{0.5, 1, 2.25}}};
  all.embedding = {0.1F, -0.25F};
  all.embedding_dim = 2;
  Outcome outcome = of(all, "scene");
  outcome.lists = {.detections = false};
  const Value value = to_value(outcome, {100, 50});
  check_same(value["labels"], R"([{"class_id": 0, "class_name": "beach", "confidence": 0.5, "raw_score": 0, "margin": 0.0}])");
  check_same(value["attributes"], R"({"mood": "calm", "odd": null, "flat": [0.5, 1, 2.25]})");
  check_same(value["embedding"], "[0.1, -0.25]");
  CHECK(value["detections"].size() == 1);
}

TEST_CASE("no number in a record is minus zero") {
  Detections all;
  all.xyxy = {{-0.001F, -0.0F, 10, 10}};
  all.attributes = {{.name = "change", .value = -0.00001}};
  CHECK(to_value(of(all, "object"), {100, 50}).dump().find("-0") == std::string::npos);
}

TEST_CASE("empty columns are null, and text, masks and polygons stand only where there are any") {
  Detections all;
  all.xyxy = {{0.126F, 1.5F, 10, 20.999F}};
  check_same(
      to_value(of(all, "object"), {100, 50})["detections"],
      R"([{"class_id": null, "class_name": null, "confidence": null, "raw_score": null, "xyxy": [0.13, 1.5, 10, 21], "xyxyn": [0.0013, 0.03, 0.1, 0.42], "tracker_id": null}])");
  all.class_id = {4};
  all.confidence = {1};
  all.raw_score = {std::numeric_limits<float>::infinity()};
  all.tracker_id = {12};
  all.text = {"EXIT"};
  all.mask_rle = {"3 4"};
  all.polygon = {{0, 0.5F, 10, 20}};
  check_same(
      to_value(of(all, "text"), {100, 50})["detections"],
      R"([{"class_id": 4, "class_name": null, "confidence": 1.0, "raw_score": null, "xyxy": [0.13, 1.5, 10, 21], "xyxyn": [0.0013, 0.03, 0.1, 0.42], "tracker_id": 12,
                  "text": "EXIT", "mask_rle": "3 4", "polygon": [0, 0.5, 10, 20]}])");
  check_same(to_value(of(all, "text"), {0, 0})["detections"].at(0)["xyxyn"], "[null, null, null, null]");
}

TEST_CASE("embeddings of boxes are rows") {
  Detections all;
  all.xyxy = {{0, 0, 1, 1}, {0, 0, 2, 2}};
  all.embedding = {1, 2, 3, 4.5F};
  all.embedding_dim = 2;
  check_same(to_value(of(all, "face"), {10, 10})["embedding"], "[[1.0, 2.0], [3.0, 4.5]]");
}

TEST_CASE("a trace tells queueing, and hides secrets of the endpoint") {
  const Outcome outcome(Detections{}, {.where = "cloud", .endpoint = "https://api/v1?key=abc", .attempts = 1, .queued = 1500us, .ran = 2ms},
                        "text");
  check_same(to_value(outcome, {10, 10})["trace"],
             R"({"where": "cloud", "endpoint": "https://api/v1?key=***", "queued": 0.0015, "ran": 0.002})");
}

TEST_CASE("an error's record says when to try again") {
  const Outcome outcome(Error(Code::overload, "busy", true, 1500ms), {.where = "lan"}, "object", Outcome::Status::dropped);
  const Value value = to_value(outcome, {10, 10});
  check_same(value["error"], R"({"code": "overload", "message": "busy", "retryable": true, "retry_after": 1.5})");
  CHECK(value["status"].as_string() == "dropped");
  CHECK(value.find("detections") == nullptr);
}

TEST_CASE("records survive damaged text from outside") {
  FrameResult frame = with({});
  frame.stream = "caf\xE9";
  CHECK(Value::parse(to_value(frame).dump())["stream"].as_string() == "caf\xEF\xBF\xBD");
}

TEST_CASE("legacy logos of several analyses are joined, best first, at most five") {
  const FrameResult frame = with({{"a", of(labelled({"A", "B", "C"}, {0.5F, 0.9F, unknown_score}), "logo")},
                                  {"b", of(labelled({"D", "E", "F"}, {0.7F, 0.5F, 0.1F}), "logo")}});
  std::string order;
  const Value legacy = to_legacy(frame);
  for (const Value& entry : legacy["logos"].as_array()) order += entry["label"].as_string();
  CHECK(order == "BDAEF");
  const FrameResult unknown = with({{"a", of(labelled({"A", "B"}, {unknown_score, 0.2F}), "logo")}});
  check_same(to_legacy(unknown), R"({"logos": [{"label": "B", "confidence": 0.2, "bbox": {"x": 0, "y": 0, "width": 1, "height": 1}},
                                               {"label": "A", "confidence": null, "bbox": {"x": 0, "y": 0, "width": 1, "height": 1}}]})");
}

TEST_CASE("legacy lists go by kind, motion is left out, and nothing found is an empty list") {
  Detections face;
  face.vocabulary = Vocabulary::of({"face"});
  face.xyxy = {{50, 25, 100, 50}};
  face.class_id = {0};
  Detections text;
  text.xyxy = {{0, 0, 50, 50}};
  text.text = {"EXIT"};
  text.confidence = {0.8F};
  const FrameResult frame = with({{"faces", of(face, "face")},
                                  {"people", of({}, "object")},
                                  {"brands", of({}, "logo")},
                                  {"ocr", of(text, "text")},
                                  {"place", of(labelled({"beach"}, {0.6F}), "scene")},
                                  {"motion", of(face, "motion")}});
  check_same(to_legacy(frame), R"({
    "objects": [{"label": "face", "confidence": null, "bbox": {"x": 0.5, "y": 0.5, "width": 0.5, "height": 0.5}}],
    "logos": [],
    "text": [{"text": "EXIT", "confidence": 0.8, "bbox": {"x": 0.0, "y": 0.0, "width": 0.5, "height": 1.0}}],
    "scene": [{"label": "beach", "confidence": 0.6, "bbox": {"x": 0, "y": 0, "width": 1, "height": 1}}]})");
  CHECK(to_legacy(with({})).dump() == "{}");
}

TEST_CASE("more than five objects all stay in the legacy shape") {
  CHECK(
      to_legacy(with({{"o", of(labelled({"1", "2", "3", "4", "5", "6", "7"}, {.1F, .2F, .3F, .4F, .5F, .6F, .7F}), "object")}}))["objects"]
          .size() == 7);
}

TEST_CASE("a report's record holds its frames, counts and what cut it short") {
  Report report;
  report.frames = {frame_45()};
  report.due = report.failed = 1;
  report.counts = {{"people", {{"ok", 1}}}, {"logos", {{"failed", 1}}}};
  report.stream = "street";
  report.segment = SegmentRef{.uri = "7.ts", .sequence = 7, .duration = 2s};
  report.duration = 2s;
  report.elapsed = 250ms;
  report.context = shared(R"({"session_id": 17})");
  report.cut_short = Error(Code::deadline, "out of time", true);
  const Value value = to_value(report);
  check_same(value["frames"].at(0), record_45);
  Value rest = value;
  rest.erase("frames");
  check_same(
      rest,
      R"({"schema": "vidloom/report/v1", "stream": "street", "segment": {"uri": "7.ts", "sequence": 7, "duration": 2.0}, "status": "partial",
    "due": 1, "answered": 0, "degraded": 0, "failed": 1,
    "cut_short": {"code": "deadline", "message": "out of time", "retryable": true, "retry_after": null},
    "counts": {"people": {"ok": 1}, "logos": {"failed": 1}}, "duration": 2.0, "elapsed": 0.25, "context": {"session_id": 17}})");

  check_same(to_value(Report{}),
             R"({"schema": "vidloom/report/v1", "stream": "", "segment": null, "status": "ok", "due": 0, "answered": 0, "degraded": 0,
    "failed": 0, "cut_short": null, "frames": [], "counts": {}, "duration": 0.0, "elapsed": 0.0, "context": null})");
}
