#include "detecting.hpp"

#include <doctest/doctest.h>
#include <support/clips.hpp>
#include <vidloom/adapters/motion.hpp>
#include <vidloom/contracts/pictures.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace vidloom;
using namespace vidloom::test;
using contracts::planar_frame;
using contracts::scene_frame;

namespace {

std::vector<Detections> watch(const AdapterSpec& spec, const std::vector<Frame>& frames) {
  const auto adapter = loaded(spec);
  const auto state = adapter->new_state();
  std::vector<Detections> found;
  for (const Frame& frame : frames) found.push_back(detect(*adapter, frame, state.get()).value());
  return found;
}

/// The suite's scene: a bright square of 45 pixels that moves by half its side from picture to picture.
std::vector<Frame> square_passing(std::size_t pictures, int degrees = 0) {
  std::vector<Frame> frames;
  for (std::size_t i = 0; i < pictures; ++i) frames.push_back(scene_frame({320, 180}, i, degrees));
  return frames;
}

}  // namespace

TEST_CASE("a passing square is one region where it is, and nothing moves while the background is learned") {
  const std::vector<Detections> found = watch(motion(), square_passing(8));
  for (std::size_t i = 0; i < 2; ++i) {
    CHECK(found[i].size() == 0);
    CHECK(number(found[i], "moving_fraction") == 0);
  }
  for (std::size_t i = 3; i < found.size(); ++i) {
    REQUIRE(found[i].size() >= 1);
    const float left = static_cast<float>(i) * 22;
    const auto hit = std::find_if(found[i].xyxy.begin(), found[i].xyxy.end(), [&](const Box& box) {
      return box.x1 <= left + 25 && box.x2 >= left + 44 && box.x2 <= left + 50 && box.y1 >= 40 && box.y2 <= 95;
    });
    CHECK(hit != found[i].xyxy.end());
  }
}

TEST_CASE("raw_score is the moving area in display pixels, and all of them make up moving_fraction") {
  for (const Detections& found : watch(motion(), square_passing(8))) {
    double area = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
      CHECK(std::isnan(found.confidence[i]));
      CHECK(found.class_name(found.class_id[i]) == "motion");
      CHECK(found.raw_score[i] <= found.xyxy[i].width() * found.xyxy[i].height() + 0.5F);
      area += static_cast<double>(found.raw_score[i]);
    }
    CHECK(number(found, "moving_fraction") == doctest::Approx(area / (320.0 * 180)).epsilon(1e-4));
  }
}

TEST_CASE("nothing moves in a picture that stands still") {
  std::vector<Frame> frames;
  for (std::size_t i = 0; i < 6; ++i) frames.push_back(scene_frame({320, 180}, 3));
  for (const Detections& found : watch(motion(), frames)) {
    CHECK(found.size() == 0);
    CHECK(number(found, "moving_fraction") == 0);
  }
}

TEST_CASE("boxes of a picture stored turned are display pixels") {
  const std::vector<Detections> upright = watch(motion(), square_passing(6)), turned = watch(motion(), square_passing(6, 90));
  REQUIRE(upright.back().size() >= 1);
  REQUIRE(turned.back().size() == upright.back().size());
  CHECK(std::abs(turned.back().xyxy[0].x1 - upright.back().xyxy[0].x1) <= 2);
  CHECK(std::abs(turned.back().xyxy[0].y1 - upright.back().xyxy[0].y1) <= 2);
}

TEST_CASE("a stream that changes its size is learned anew instead of moving all over") {
  std::vector<Frame> frames = square_passing(4);
  for (std::size_t i = 0; i < 4; ++i) frames.push_back(planar_frame({200, 120}, i));
  const std::vector<Detections> found = watch(motion(), frames);
  CHECK(found[3].size() >= 1);
  CHECK(found[4].size() == 0);
  CHECK(found[5].size() == 0);
  CHECK(found[7].size() >= 1);
  for (const Box& box : found[7].xyxy) CHECK(box.x2 <= 200);
}

TEST_CASE("a region limits what is answered and not what is learned") {
  const std::vector<Frame> frames = square_passing(6);
  const auto adapter = loaded(motion());
  const auto state = adapter->new_state();
  const Box left{0, 0, 40, 180}, everywhere{0, 0, 320, 180};
  for (std::size_t i = 0; i < 5; ++i) CHECK(detect(*adapter, frames[i], state.get(), {&left, 1}).value().size() <= 1);
  CHECK(detect(*adapter, frames[5], state.get(), {&everywhere, 1}).value().size() >= 1);
}

TEST_CASE("sensitivity and min_area decide how much moves on a street") {
  const std::string street = require_clip("vtest.avi");
  if (street.empty()) return;
  const std::vector<Frame> frames = frames_of(street, 5, 40);
  const auto moving = [&](const MotionOptions& options) {
    double sum = 0;
    for (const Detections& found : watch(motion(options), frames)) sum += number(found, "moving_fraction");
    return sum / static_cast<double>(frames.size());
  };
  const double usual = moving({});
  CHECK(usual > 0.005);
  CHECK(usual < 0.08);
  CHECK(moving({.sensitivity = 0.9}) > usual);
  CHECK(moving({.sensitivity = 0.1}) < usual);
  CHECK(moving({.min_area = 0.02}) < usual);
  CHECK(moving({.min_area = 1}) == 0);
}

TEST_CASE("a picture without the state of its stream is an error of that picture") {
  const auto adapter = loaded(motion());
  const auto result = detect(*adapter, scene_frame({64, 64}, 0));
  REQUIRE(!result);
  CHECK(result.error().code == Code::internal);
}
