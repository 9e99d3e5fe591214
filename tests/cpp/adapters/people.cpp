#include "detecting.hpp"

#include <doctest/doctest.h>
#include <support/clips.hpp>
#include <vidloom/adapters/people.hpp>
#include <vidloom/contracts/pictures.hpp>

#include <algorithm>
#include <cmath>
#include <thread>

using namespace vidloom;
using namespace vidloom::test;

namespace {

float overlap(const Box& a, const Box& b) {
  const float width = std::min(a.x2, b.x2) - std::max(a.x1, b.x1), height = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  if (width <= 0 || height <= 0) return 0;
  return width * height / (a.width() * a.height() + b.width() * b.height() - width * height);
}

}  // namespace

TEST_CASE("people are found in nearly every picture of a street, with a margin and its logistic as confidence") {
  const std::string street = require_clip("vtest.avi");
  if (street.empty()) return;
  const auto adapter = loaded(people());
  const std::vector<Frame> frames = frames_of(street, 20);  // every 2 s
  REQUIRE(frames.size() == 40);
  std::size_t with_people = 0;
  for (const Frame& frame : frames) {
    const Detections found = detect(*adapter, frame).value();
    found.check();
    with_people += found.size() > 0;
    REQUIRE(found.raw_score.size() == found.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      CHECK(found.class_name(found.class_id[i]) == "person");
      CHECK(found.raw_score[i] > 0);
      CHECK(found.confidence[i] == doctest::Approx(1 / (1 + std::exp(-found.raw_score[i]))));
      CHECK(found.xyxy[i].height() > found.xyxy[i].width());  // upright
    }
    CHECK(std::is_sorted(found.raw_score.rbegin(), found.raw_score.rend()));
  }
  CHECK(with_people >= 37);
}

TEST_CASE("at 4.5 s of the street the two people known from the reference are where they stand") {
  const std::string street = require_clip("vtest.avi");
  if (street.empty()) return;
  const Frame frame = frames_of(street, 45, 2).back();
  const Detections found = detect(*loaded(people()), frame).value();
  // Measured by eye: the man at the right border, the woman left of him.
  const std::pair<Box, float> known[] = {{{708, 268, 746, 386}, 3.5F}, {{574, 222, 614, 324}, 2.7F}};
  for (const auto& [box, margin] : known) {
    std::size_t best = found.size();
    for (std::size_t i = 0; i < found.size(); ++i)
      if (overlap(found.xyxy[i], box) > 0.5F) best = i;
    REQUIRE(best < found.size());
    CHECK(found.raw_score[best] == doctest::Approx(margin).epsilon(0.05));
  }
}

TEST_CASE("the same picture gives the same people, in two replicas that look at the same time") {
  const std::string street = require_clip("vtest.avi");
  if (street.empty()) return;
  const Frame frame = frames_of(street, 1, 1).front();
  Detections first, second;
  std::thread other([&] { first = detect(*loaded(people()), frame).value(); });
  second = detect(*loaded(people()), frame).value();
  other.join();
  REQUIRE(first.size() > 0);
  CHECK(first.xyxy == second.xyxy);
  CHECK(first.raw_score == second.raw_score);
}

TEST_CASE("the search runs on a smaller picture with largest, and boxes come back in display pixels") {
  const std::string street = require_clip("vtest.avi");
  if (street.empty()) return;
  test::Folder folder;
  const std::string big = folder.make("big.mkv", "-i " + quoted(street) + " -frames:v 46 -vf scale=1536:1152 -c:v ffv1");
  const Detections small = detect(*loaded(people()), frames_of(street, 45, 2).back()).value();
  const Detections found = detect(*loaded(people({.largest = 768})), frames_of(big, 45, 2).back()).value();
  REQUIRE(small.size() > 0);
  std::size_t again = 0;
  for (const Box& box : small.xyxy) {
    const Box twice{box.x1 * 2, box.y1 * 2, box.x2 * 2, box.y2 * 2};
    again += std::any_of(found.xyxy.begin(), found.xyxy.end(), [&](const Box& other) { return overlap(twice, other) > 0.6F; });
  }
  CHECK(again + 1 >= small.size());
}

TEST_CASE("only people whose middle is in a region are answered") {
  const std::string street = require_clip("vtest.avi");
  if (street.empty()) return;
  const Frame frame = frames_of(street, 45, 2).back();
  const auto adapter = loaded(people());
  const Box right{640, 200, 768, 480};
  const Detections found = detect(*adapter, frame, nullptr, {&right, 1}).value();
  REQUIRE(found.size() == 1);
  CHECK(found.raw_score[0] == doctest::Approx(3.5).epsilon(0.1));
  const Box sky{0, 0, 200, 60};
  CHECK(detect(*adapter, frame, nullptr, {&sky, 1}).value().size() == 0);
  const Box outside{2000, 2000, 2100, 2100};
  CHECK(detect(*adapter, frame, nullptr, {&outside, 1}).value().size() == 0);
}

TEST_CASE("a picture smaller than a person's window holds nobody") {
  const Detections found = detect(*loaded(people()), contracts::scene_frame({32, 32}, 0)).value();
  CHECK(found.size() == 0);
}

TEST_CASE("options of people out of range are refused with field, value and fix") {
  const auto message = [](const char* options) {
    try {
      make_adapter({"people", std::make_shared<const Value>(Value::parse(options))});
    } catch (const Error& error) {
      CHECK(error.code == Code::config);
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  CHECK(message(R"({"stride": 8, "scale": 1.1, "largest": 640})") == "accepted");
  for (const char* options : {R"({"scale": 1})", R"({"scale": "fast"})", R"({"stride": 12})", R"({"stride": 0})", R"({"largest": -1})"}) {
    const std::string text = message(options);
    const std::string field = Value::parse(options).as_object().front().first;
    INFO(text);
    CHECK(text.find(field) != std::string::npos);
    CHECK(text != "accepted");
  }
}

TEST_CASE("specs that mean the same have the same key") {
  CHECK(key_of(people()) == key_of(people({.scale = 1.05})));
  CHECK(key_of(people({.stride = 16})) != key_of(people()));
  CHECK(people({.stride = 16}).options->dump() == R"({"stride":16})");
}
