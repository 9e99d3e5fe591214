#include "detecting.hpp"

#include <doctest/doctest.h>
#include <support/clips.hpp>
#include <vidloom/adapters/visual.hpp>
#include <vidloom/contracts/pictures.hpp>

#include <array>
#include <cmath>
#include <functional>
#include <numeric>

using namespace vidloom;
using namespace vidloom::test;

namespace {

using Rgb = std::array<int, 3>;

Frame painted(Size size, const std::function<Rgb(int x, int y)>& colour) {
  std::vector<std::byte> rgb;
  for (int y = 0; y < size.height; ++y) {
    for (int x = 0; x < size.width; ++x) {
      for (const int channel : colour(x, y)) rgb.push_back(static_cast<std::byte>(channel));
    }
  }
  return Frame::copy_of({rgb.data(), std::ptrdiff_t{3} * size.width, size}, {});
}

/// A gray picture of one luma value, in planes with the given range.
Frame flat_luma(int value, Range range) {
  const auto bytes = std::make_shared<std::vector<std::byte>>(64 * 64 * 3, std::byte{128});
  std::fill_n(bytes->begin(), 64 * 64, static_cast<std::byte>(value));
  std::array<PlaneView, 3> planes;
  for (std::size_t p = 0; p < 3; ++p) planes[p] = {bytes->data() + p * 64 * 64, 64, {64, 64}};
  FrameInfo info;
  info.colour.range = range;
  return Frame::adopt(planes, "yuv444p", info, bytes);
}

Detections look(const Frame& frame, const VisualOptions& options = {}, std::span<const Box> regions = {}) {
  return detect(*loaded(visual(options)), frame, nullptr, regions).value();
}

std::vector<Rgb> palette(const Detections& found) {
  const Attribute& attribute = found.attributes.front();
  CHECK(attribute.name == "dominant_colors");
  CHECK(attribute.columns == 3);
  std::vector<Rgb> rows;
  const auto& values = std::get<std::vector<double>>(attribute.value);
  for (std::size_t i = 0; i + 2 < values.size(); i += 3) {
    rows.push_back({static_cast<int>(values[i]), static_cast<int>(values[i + 1]), static_cast<int>(values[i + 2])});
  }
  return rows;
}

}  // namespace

TEST_CASE("dominant colours are the picture's colours, most frequent first") {
  const Frame frame = painted({80, 60}, [](int x, int) {
    return x < 40 ? Rgb{200, 30, 20} : x < 64 ? Rgb{20, 60, 220} : Rgb{250, 250, 250};
  });
  CHECK(palette(look(frame)) == std::vector<Rgb>{{200, 30, 20}, {20, 60, 220}, {250, 250, 250}});
  CHECK(palette(look(frame, {.colors = 1})).size() == 1);
  CHECK(palette(look(frame, {.colors = 16})).size() == 3);  // no colour is made up
}

TEST_CASE("levels of known pictures follow their formulas") {
  const Detections half = look(painted({80, 60}, [](int x, int) { return x < 40 ? Rgb{0, 0, 0} : Rgb{255, 255, 255}; }));
  CHECK(number(half, "brightness_level") == doctest::Approx(0.5).epsilon(1e-3));
  CHECK(number(half, "contrast_level") == doctest::Approx(0.5).epsilon(1e-3));
  CHECK(number(half, "saturation_level") == doctest::Approx(0));
  const Detections red = look(painted({80, 60}, [](int, int) { return Rgb{255, 0, 0}; }));
  CHECK(number(red, "brightness_level") == doctest::Approx(0.299).epsilon(0.01));
  CHECK(number(red, "contrast_level") == doctest::Approx(0).epsilon(1e-6));
  CHECK(number(red, "saturation_level") == doctest::Approx(1));
}

TEST_CASE("brightness knows the range of the luma plane") {
  CHECK(number(look(flat_luma(16, Range::limited)), "brightness_level") == 0);
  CHECK(number(look(flat_luma(235, Range::limited)), "brightness_level") == 1);
  CHECK(number(look(flat_luma(235, Range::unknown)), "brightness_level") == 1);  // video is limited unless it says otherwise
  CHECK(number(look(flat_luma(235, Range::full)), "brightness_level") == doctest::Approx(235.0 / 255));
}

TEST_CASE("regions limit what is looked at") {
  const Frame frame = painted({80, 60}, [](int x, int) { return x < 40 ? Rgb{0, 0, 0} : Rgb{255, 255, 255}; });
  const Box right{40, 0, 80, 60};
  const std::array<Box, 2> overlapping{right, Box{50, 10, 70, 50}};
  for (const Detections& found : {look(frame, {}, {&right, 1}), look(frame, {}, overlapping)}) {
    CHECK(number(found, "brightness_level") == doctest::Approx(1));
    CHECK(palette(found) == std::vector<Rgb>{{255, 255, 255}});
  }
  const Box nowhere{500, 500, 600, 600};
  const Detections nothing = look(frame, {}, {&nowhere, 1});
  CHECK(std::isnan(number(nothing, "brightness_level")));
  CHECK(palette(nothing).empty());
}

TEST_CASE("on the street at 4.5 s the levels are near the published example") {
  const std::string street = require_clip("vtest.avi");
  if (street.empty()) return;
  const Frame frame = frames_of(street, 45, 2).back();
  const Detections found = look(frame);
  CHECK(number(found, "brightness_level") == doctest::Approx(0.4673).epsilon(0.015));
  CHECK(number(found, "contrast_level") == doctest::Approx(0.2066).epsilon(0.015));
  CHECK(number(found, "saturation_level") == doctest::Approx(0.4236).epsilon(0.04));
  const std::vector<Rgb> example{{70, 85, 28}, {192, 188, 181}, {131, 127, 98}}, colours = palette(found);
  REQUIRE(colours.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t c = 0; c < 3; ++c) CHECK(std::abs(colours[i][c] - example[i][c]) <= 10);
  }

  double sum = 0;
  const PlaneView luma = frame.luma();
  for (int y = 0; y < luma.size.height; ++y) {
    for (int x = 0; x < luma.size.width; ++x) {
      sum += std::clamp((std::to_integer<int>(luma.data[y * luma.stride + x]) - 16) / 219.0, 0.0, 1.0);
    }
  }
  CHECK(number(found, "brightness_level") == doctest::Approx(sum / (luma.size.width * luma.size.height)).epsilon(1e-12));
}

TEST_CASE("a number of colours out of range is refused") {
  for (const int colors : {0, 17, -3}) {
    CHECK_THROWS_AS(make_adapter({"visual", std::make_shared<const Value>(Value::object().set("colors", colors))}), Error);
  }
}
