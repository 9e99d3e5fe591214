#include <vidloom/detection_adapter.hpp>
#include <vidloom/execution_strategy.hpp>
#include <vidloom/results.hpp>
#include <vidloom/sink.hpp>

#include <vidloom/core/log.hpp>

#include <doctest/doctest.h>

#include <limits>
#include <stdexcept>

using namespace vidloom;

namespace {

Detections two_people() {
  Detections all;
  all.vocabulary = Vocabulary::of({"person", "car"});
  all.xyxy = {{0, 0, 10, 10}, {5, 5, 20, 20}};
  all.confidence = {0.9F, 0.8F};
  all.raw_score = {3, 2};
  all.class_id = {0, 1};
  all.tracker_id = {7, 8};
  all.text = {"one", "two"};
  all.mask_rle = {"m1", "m2"};
  all.polygon = {{0, 0, 1, 1}, {2, 2, 3, 3}};
  all.embedding = {1, 2, 3, 4, 5, 6};
  all.embedding_dim = 3;
  return all;
}

std::string problem_of(const Detections& all) {
  try {
    all.check();
  } catch (const Error& error) {
    CHECK(error.code == Code::model);
    return error.what();
  }
  return "";
}

Outcome answered(Outcome::Status status = Outcome::Status::ok) { return {Detections{}, {}, "object", status}; }
Outcome failed(Outcome::Status status = Outcome::Status::failed) { return {Error(Code::deadline, "late", true), {}, "object", status}; }

}  // namespace

TEST_CASE("equal names give equal vocabulary ids, whatever stands in them") {
  // echo -n '["Apple","Google"]' | sha256sum
  CHECK(Vocabulary::of({"Apple", "Google"})->id == "sha256:cb71deab3b53708bd7f387cc357236fe6b4dd140c6e14f90629d0dd8c6eec443");
  CHECK(Vocabulary::of({"a", "b"})->id == Vocabulary::of({"a", "b"})->id);
  CHECK(Vocabulary::of({"a", "b"})->id != Vocabulary::of({"b", "a"})->id);
  CHECK(Vocabulary::of({"a\",\"b"})->id != Vocabulary::of({"a", "b"})->id);
  CHECK(Vocabulary::of({})->id != Vocabulary::of({""})->id);
}

TEST_CASE("class names are those of the vocabulary, or nothing") {
  Detections all = two_people();
  CHECK(all.class_name(1) == "car");
  CHECK(all.class_name(2) == "");
  CHECK(all.class_name(-1) == "");
  all.vocabulary = nullptr;
  CHECK(all.class_name(0) == "");
}

TEST_CASE("detections that do not fit together are refused by the name of the column") {
  CHECK(problem_of(two_people()) == "");
  CHECK(problem_of(Detections{}) == "");
  const auto broken = [](auto change) {
    Detections all = two_people();
    change(all);
    return problem_of(all);
  };
  CHECK(broken([](Detections& d) { d.confidence.pop_back(); }).find("confidence has 1 entry, xyxy has 2") != std::string::npos);
  CHECK(broken([](Detections& d) { d.raw_score.push_back(1); }).find("raw_score has 3 entries") != std::string::npos);
  CHECK(broken([](Detections& d) { d.class_id.pop_back(); }).find("class_id") != std::string::npos);
  CHECK(broken([](Detections& d) { d.tracker_id.pop_back(); }).find("tracker_id") != std::string::npos);
  CHECK(broken([](Detections& d) { d.text.pop_back(); }).find("text") != std::string::npos);
  CHECK(broken([](Detections& d) { d.mask_rle.pop_back(); }).find("mask_rle") != std::string::npos);
  CHECK(broken([](Detections& d) { d.polygon.pop_back(); }).find("polygon") != std::string::npos);
  CHECK(broken([](Detections& d) { d.polygon[1].pop_back(); }).find("polygon 1 has an odd number") != std::string::npos);
  CHECK(broken([](Detections& d) { d.confidence[1] = 97; }).find("confidence 1 is 97; use 0 to 1") != std::string::npos);
  CHECK(broken([](Detections& d) { d.labels = {{.confidence = -1}}; }).find("confidence of label 0 is -1") != std::string::npos);
  CHECK(broken([](Detections& d) { d.confidence = {1.00001F, std::numeric_limits<float>::quiet_NaN()}; }) == "");
  CHECK(broken([](Detections& d) { d.class_id[1] = 2; }).find("class_id 1 is class 2 of a vocabulary of 2 names") != std::string::npos);
  CHECK(broken([](Detections& d) { d.class_id[0] = -1; }).find("class_id 0 is class -1") != std::string::npos);
  CHECK(broken([](Detections& d) { d.labels = {{.class_id = 9}}; }).find("label 0 is class 9") != std::string::npos);
  CHECK(broken([](Detections& d) { d.xyxy[1].y2 = std::numeric_limits<float>::quiet_NaN(); }).find("xyxy 1 is not finite") !=
        std::string::npos);
  CHECK(broken([](Detections& d) { d.embedding.pop_back(); }).find("embedding has 5 values") != std::string::npos);
  CHECK(broken([](Detections& d) { d.embedding_dim = 0; }).find("embedding") != std::string::npos);
  CHECK(broken([](Detections& d) {
          d.attributes = {{.name = "p", .value = std::vector<double>{1, 2}, .columns = 3}};
        }).find("attribute 'p'") != std::string::npos);
}

TEST_CASE("one embedding may be of the whole picture, and no vocabulary leaves classes free") {
  Detections all = two_people();
  all.embedding = {1, 2, 3};
  CHECK(problem_of(all) == "");
  all.vocabulary = nullptr;
  all.class_id = {900, -4};
  CHECK(problem_of(all) == "");
}

TEST_CASE("select keeps the same rows in every column") {
  Detections all = two_people();
  all.labels = {{.class_id = 1}};
  all.select({false, true});
  CHECK(problem_of(all) == "");
  REQUIRE(all.size() == 1);
  CHECK(all.xyxy[0] == Box{5, 5, 20, 20});
  CHECK(all.confidence == std::vector<float>{0.8F});
  CHECK(all.raw_score == std::vector<float>{2});
  CHECK(all.class_id == std::vector<std::int32_t>{1});
  CHECK(all.tracker_id == std::vector<std::int32_t>{8});
  CHECK(all.text == std::vector<std::string>{"two"});
  CHECK(all.mask_rle == std::vector<std::string>{"m2"});
  CHECK(all.polygon == std::vector<std::vector<float>>{{2, 2, 3, 3}});
  CHECK(all.embedding == std::vector<float>{4, 5, 6});
  CHECK(all.labels.size() == 1);
}

TEST_CASE("select leaves empty columns empty and a picture's embedding whole") {
  Detections all;
  all.xyxy = {{0, 0, 1, 1}, {0, 0, 2, 2}, {0, 0, 3, 3}};
  all.embedding = {1, 2};
  all.embedding_dim = 2;
  all.select({true, false, true});
  CHECK(all.xyxy == std::vector<Box>{{0, 0, 1, 1}, {0, 0, 3, 3}});
  CHECK(all.confidence.empty());
  CHECK(all.embedding == std::vector<float>{1, 2});
  all.select({false, false});
  CHECK(all.size() == 0);
  CHECK_THROWS_AS(all.select({true}), Error);
}

TEST_CASE("an outcome without detections throws its error and never gives an empty list") {
  const Outcome late = failed();
  CHECK_FALSE(late.answered());
  CHECK(late.error().code == Code::deadline);
  CHECK_THROWS_WITH_AS(late.detections(), "late", Error);
  CHECK(answered().answered());
  CHECK(answered().detections().size() == 0);
  CHECK_THROWS_AS(answered().error(), std::bad_variant_access);
}

TEST_CASE("a partial answer is a degraded outcome, and statuses fit what is held") {
  Detections some;
  some.partial = true;
  CHECK(Outcome(some, {}, "text").status() == Outcome::Status::degraded);
  CHECK(Outcome(some, {}, "text", Outcome::Status::stale).status() == Outcome::Status::stale);
  CHECK(answered().status() == Outcome::Status::ok);
  CHECK_THROWS_AS(answered(Outcome::Status::failed), Error);
  CHECK_THROWS_AS(failed(Outcome::Status::ok), Error);
  CHECK(to_string(Outcome::Status::stale) == "stale");
  CHECK(to_string(Outcome::Status::dropped) == "dropped");
}

TEST_CASE("a frame's outcome is found by name, and a name not due says what was") {
  FrameResult frame;
  frame.outcomes.emplace_back("people", answered());
  frame.outcomes.emplace_back("motion", failed());
  CHECK(frame["people"].answered());
  CHECK(frame.find("motion") == &frame.outcomes[1].second);
  CHECK(frame.find("logos") == nullptr);
  CHECK_THROWS_WITH_AS(frame["logos"], "no analysis 'logos' was due on this frame; due were: people, motion. find() asks without an error",
                       Error);
}

TEST_CASE("a report is ok, partial or failed by its outcomes") {
  Report report;
  CHECK(report.status() == Report::Status::ok);  // nothing was due
  report.counts = {{"people", {{"ok", 3}, {"degraded", 1}}}};
  CHECK(report.status() == Report::Status::ok);
  report.counts = {{"people", {{"ok", 3}}}, {"logos", {{"failed", 3}}}};
  CHECK(report.status() == Report::Status::partial);
  report.counts = {{"people", {{"dropped", 3}}}, {"logos", {{"failed", 3}}}};
  CHECK(report.status() == Report::Status::failed);
  report.counts = {{"people", {{"ok", 3}}}};
  report.cut_short = Error(Code::deadline, "out of time", true);
  CHECK(report.status() == Report::Status::partial);
  report.counts.clear();
  CHECK(report.status() == Report::Status::failed);
  CHECK(to_string(Report::Status::partial) == "partial");
}

TEST_CASE("adapters with equal options share a key, in whatever order they were written") {
  const auto with = [](const char* json) { return AdapterSpec{"people", std::make_shared<Value>(Value::parse(json))}; };
  CHECK(key_of(with(R"({"scale": 1.05, "stride": 8})")) == key_of(with(R"({"stride": 8.0, "scale": 1.05})")));
  CHECK(key_of(with(R"({"stride": 8})")) != key_of(with(R"({"stride": 16})")));
  CHECK(key_of({"people"}) == key_of(with("{}")));
  CHECK(key_of({"people"}) == key_of(with("null")));
  CHECK(key_of({"people"}) != key_of({"faces"}));
}

TEST_CASE("a completion answers exactly once") {
  int answers = 0;
  Completion first([&](Answer answer) {
    ++answers;
    CHECK(answer.detections);
  });
  Completion second(std::move(first));
  std::move(second)({.detections = Detections{}});
  CHECK(answers == 1);
  std::move(second)({.detections = Detections{}});
  CHECK(answers == 1);
}

TEST_CASE("a completion dropped unused answers that it was abandoned") {
  std::vector<std::string> answers;
  const auto note = [&](Answer answer) {
    REQUIRE_FALSE(answer.detections);
    CHECK(answer.detections.error().code == Code::internal);
    answers.push_back(answer.detections.error().what());
  };
  { const Completion dropped(note); }
  CHECK(answers.size() == 1);
  {
    Completion kept(note);
    kept = Completion(note);  // replaces, and so drops, the first
    CHECK(answers.size() == 2);
  }
  REQUIRE(answers.size() == 3);
  CHECK(answers[0].find("abandoned") != std::string::npos);
}

TEST_CASE("what the receiver of an answer throws is logged, and the host goes on") {
  take_log();
  Completion([](Answer) { throw std::runtime_error("receiver broke"); })({.detections = Detections{}});
  Completion([](Answer) { throw 5; })({.detections = Detections{}});
  Completion(std::function<void(Answer)>())({.detections = Detections{}});
  const auto records = take_log();
  REQUIRE(records.size() == 2);
  CHECK(records[0].level == LogLevel::error);
  CHECK(records[0].message.find("receiver broke") != std::string::npos);
}

TEST_CASE("what subclasses need not say has a default") {
  struct Quiet final : Sink {
    void write(const FrameResult&) override {}
  } sink;
  sink.open({}, {});
  sink.event({}, {});
  sink.close({});
  CHECK_FALSE(sink.info().pixels);
  CHECK_FALSE(sink.info().every_frame);

  struct Plain final : DetectionAdapter {
    AdapterInfo info() const override { return {}; }
    void detect(std::span<const Item>, std::span<Result<Detections>>, const BatchContext&) override {}
  } adapter;
  adapter.load();
  CHECK(adapter.new_state() == nullptr);
  CHECK(adapter.info().kind == "object");

  struct Nowhere final : ExecutionStrategy {
    std::unique_ptr<Execution> host(const AdapterSpec&, std::function<void()>) override { return nullptr; }
  } nowhere;
  nowhere.check({"people"});
  CHECK(nowhere.health() == Value::object());
}
