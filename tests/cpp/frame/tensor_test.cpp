#include <vidloom/frame.hpp>
#include <vidloom/source.hpp>

#include <imaging/half.hpp>
#include <imaging/slot.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

using namespace vidloom;

namespace {

/// rgb24 whose pixel (x, y) is {x, y, 100 + x + 10 y}.
Frame coordinates(Size size, const FrameInfo& info = {}) {
  std::vector<std::byte> bytes;
  for (int y = 0; y < size.height; ++y) {
    for (int x = 0; x < size.width; ++x) {
      for (const int value : {x, y, 100 + x + 10 * y}) bytes.push_back(static_cast<std::byte>(value));
    }
  }
  return Frame::copy_of({bytes.data(), std::ptrdiff_t{3} * size.width, size}, info);
}

double value_of_half(std::uint16_t half) {
  const int exponent = half >> 10 & 31;
  const int mantissa = half & 1023;
  const double size = exponent == 31  ? (mantissa ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity())
                      : exponent == 0 ? std::ldexp(mantissa, -24)
                                      : std::ldexp(1024 + mantissa, exponent - 25);
  return half & 0x8000 ? -size : size;
}
float value_of_bfloat(std::uint16_t value) { return std::bit_cast<float>(std::uint32_t{value} << 16); }

}  // namespace

TEST_CASE("centre_crop takes the middle, offset floored, channels first") {
  std::array<std::uint8_t, 3 * 4 * 4> slot{};
  // 7 wide: 3 pixels too many, 1 of them left of the crop.
  const Frame frame = coordinates({7, 4});
  const Affine map = frame.write_tensor({.size = {4, 4}, .dtype = TensorSpec::DType::u8}, std::as_writable_bytes(std::span(slot)));
  for (std::size_t y = 0; y < 4; ++y) {
    for (std::size_t x = 0; x < 4; ++x) {
      CHECK(slot[y * 4 + x] == x + 1);
      CHECK(slot[16 + y * 4 + x] == y);
      CHECK(slot[32 + y * 4 + x] == 101 + x + 10 * y);
    }
  }
  CHECK(map_box(map, {0, 0, 4, 4}) == Box{1, 0, 5, 4});
}

TEST_CASE("letterbox keeps the whole picture and pads with 114") {
  std::array<std::uint8_t, 3 * 6 * 7> slot{};
  const Frame frame = coordinates({6, 4});
  const Affine map = frame.write_tensor({.size = {6, 7}, .fit = TensorSpec::Fit::letterbox, .dtype = TensorSpec::DType::u8},
                                        std::as_writable_bytes(std::span(slot)));
  for (std::size_t channel = 0; channel < 3; ++channel) {
    for (std::size_t x = 0; x < 6; ++x) {
      CHECK(slot[channel * 42 + x] == 114);
      CHECK(slot[channel * 42 + 5 * 6 + x] == 114);
      CHECK(slot[channel * 42 + 6 * 6 + x] == 114);
    }
  }
  CHECK(slot[6] == 0);
  CHECK(slot[6 + 5] == 5);
  CHECK(slot[42 + 4 * 6] == 3);
  CHECK(map_box(map, {0, 1, 6, 5}) == Box{0, 0, 6, 4});
}

TEST_CASE("a turned picture is upright in its slot, and boxes find back") {
  for (const bool mirrored : {false, true}) {
    for (const int degrees : {0, 90, 180, 270}) {
      CAPTURE(degrees);
      CAPTURE(mirrored);
      FrameInfo info;
      info.rotation_degrees = degrees;
      info.mirrored = mirrored;
      info.crop = {.left = 1, .bottom = 1};
      const Frame frame = coordinates({8, 6}, info);  // 7 x 5 cropped
      const Image upright = frame.image();
      std::array<std::uint8_t, 3 * 5 * 5> slot{};
      const Affine map = frame.write_tensor({.size = {5, 5}, .dtype = TensorSpec::DType::u8}, std::as_writable_bytes(std::span(slot)));
      for (int y = 0; y < 5; ++y) {
        for (int x = 0; x < 5; ++x) {
          const Box box =
              map_box(map, {static_cast<float>(x), static_cast<float>(y), static_cast<float>(x + 1), static_cast<float>(y + 1)});
          for (int c = 0; c < 3; ++c) {
            const auto at = static_cast<std::size_t>((static_cast<int>(box.y1) * frame.size().width + static_cast<int>(box.x1)) * 3 + c);
            CHECK(slot[static_cast<std::size_t>((c * 5 + y) * 5 + x)] == std::to_integer<int>(upright.bytes()[at]));
          }
        }
      }
    }
  }
}

TEST_CASE("float slots hold (v / 255 - mean) / std, at any alignment") {
  const Frame frame = coordinates({2, 2});
  std::array<std::byte, 12 * 4 + 1> bytes;
  const TensorSpec spec{.size = {2, 2}, .mean = {0.5F, 0.25F, 0.1F}, .std = {0.5F, 2, 0.2F}};
  frame.write_tensor(spec, std::span(bytes).subspan(1));
  std::array<float, 12> values;
  std::memcpy(values.data(), bytes.data() + 1, sizeof values);
  CHECK(values[1] == (1.0F / 255.0F - 0.5F) / 0.5F);
  CHECK(values[4 + 2] == (1.0F / 255.0F - 0.25F) / 2);
  CHECK(values[8 + 3] == doctest::Approx((111.0F / 255.0F - 0.1F) / 0.2F).epsilon(1e-6));

  std::array<std::uint16_t, 12> halves{}, bfloats{};
  TensorSpec half = spec, bfloat = spec;
  half.dtype = TensorSpec::DType::f16;
  bfloat.dtype = TensorSpec::DType::bf16;
  frame.write_tensor(half, std::as_writable_bytes(std::span(halves)));
  frame.write_tensor(bfloat, std::as_writable_bytes(std::span(bfloats)));
  for (std::size_t i = 0; i < 12; ++i) {
    CHECK(value_of_half(halves[i]) == doctest::Approx(values[i]).epsilon(1.0 / 2048));
    CHECK(value_of_bfloat(bfloats[i]) == doctest::Approx(values[i]).epsilon(1.0 / 256));
  }
}

TEST_CASE("the place of a picture in its slot") {
  const auto place = [](Size picture, Size slot, TensorSpec::Fit fit) { return place_in_slot(picture, {.size = slot, .fit = fit}); };
  const auto equal = [](const SlotPlace& a, Size resized, int x, int y) { return a.resized == resized && a.x == x && a.y == y; };
  using Fit = TensorSpec::Fit;
  // Hugging Face: 224 * 1920 / 1080 = 398.2, cut to 398; (398 - 224) / 2 = 87.
  CHECK(equal(place({1920, 1080}, {224, 224}, Fit::centre_crop), {398, 224}, -87, 0));
  CHECK(equal(place({1080, 1920}, {224, 224}, Fit::centre_crop), {224, 398}, 0, -87));
  CHECK(equal(place({768, 576}, {224, 224}, Fit::centre_crop), {298, 224}, -37, 0));
  CHECK(equal(place({854, 480}, {224, 224}, Fit::centre_crop), {398, 224}, -87, 0));
  CHECK(equal(place({853, 480}, {225, 225}, Fit::centre_crop), {399, 225}, -87, 0));
  CHECK(equal(place({100, 100}, {224, 224}, Fit::centre_crop), {224, 224}, 0, 0));
  // Not square: covered, and no larger than that takes.
  CHECK(equal(place({1920, 1080}, {200, 100}, Fit::centre_crop), {200, 112}, 0, -6));
  CHECK(equal(place({1920, 1080}, {100, 200}, Fit::centre_crop), {355, 200}, -127, 0));
  CHECK(equal(place({1920, 1080}, {640, 640}, Fit::letterbox), {640, 360}, 0, 140));
  CHECK(equal(place({1080, 1920}, {640, 640}, Fit::letterbox), {360, 640}, 140, 0));
  CHECK(equal(place({10000, 1}, {64, 64}, Fit::letterbox), {64, 1}, 0, 31));
  CHECK(equal(place({1920, 1080}, {224, 100}, Fit::stretch), {224, 100}, 0, 0));
  for (int width = 1; width < 60; ++width) {
    for (int height = 1; height < 60; ++height) {
      const SlotPlace covering = place({width, height}, {31, 17}, Fit::centre_crop);
      CHECK((covering.resized.width >= 31 && covering.resized.height >= 17));
      CHECK((covering.resized.width == 31 || covering.resized.height == 17));
    }
  }
}

TEST_CASE("halves are the nearest ones, ties to even") {
  CHECK(to_half(0.0F) == 0);
  CHECK(to_half(-0.0F) == 0x8000);
  CHECK(to_half(1.0F) == 0x3C00);
  CHECK(to_half(65504.0F) == 0x7BFF);
  CHECK(to_half(65519.996F) == 0x7BFF);
  CHECK(to_half(65520.0F) == 0x7C00);
  CHECK(to_half(std::numeric_limits<float>::infinity()) == 0x7C00);
  CHECK(std::isnan(value_of_half(to_half(std::numeric_limits<float>::quiet_NaN()))));
  // Every half and every middle between two, which goes to the even one.
  for (std::uint16_t half = 0; half < 0x7C00; ++half) {
    const double value = value_of_half(half);
    REQUIRE(to_half(static_cast<float>(value)) == half);
    REQUIRE(to_half(static_cast<float>(-value)) == (half | 0x8000));
    if (half == 0x7BFF) break;
    const double middle = (value + value_of_half(static_cast<std::uint16_t>(half + 1))) / 2;
    const std::uint16_t even = half & 1 ? static_cast<std::uint16_t>(half + 1) : half;
    REQUIRE(to_half(static_cast<float>(middle)) == even);
    const float above = std::nextafter(static_cast<float>(middle), 1e9F), below = std::nextafter(static_cast<float>(middle), -1.0F);
    REQUIRE(to_half(above) == half + 1);
    REQUIRE(to_half(below) == half);
  }
}

TEST_CASE("bfloat16 are the nearest ones, ties to even") {
  CHECK(to_bfloat16(1.0F) == 0x3F80);
  CHECK(to_bfloat16(std::bit_cast<float>(0x3F808000U)) == 0x3F80);
  CHECK(to_bfloat16(std::bit_cast<float>(0x3F818000U)) == 0x3F82);
  CHECK(to_bfloat16(std::bit_cast<float>(0x3F808001U)) == 0x3F81);
  CHECK(to_bfloat16(std::numeric_limits<float>::max()) == 0x7F80);
  CHECK(std::isnan(value_of_bfloat(to_bfloat16(std::bit_cast<float>(0x7F800001U)))));
}

TEST_CASE("a resized slot is the middle of the picture resized whole") {
  const auto source = open_source("test:size=641x361,frames=1");
  SourceContext context{.cpu = CpuGate::process()};
  source->open(context);
  for (const int degrees : {0, 90, 180, 270}) {
    CAPTURE(degrees);
    source->seek(Nanos{0});
    FrameInfo info = std::get<Frame>(source->read()).info();
    source->seek(Nanos{0});
    info.rotation_degrees = degrees;
    const Frame frame = std::get<Frame>(source->read()).with_info(info);
    const TensorSpec spec{.size = {96, 96}, .dtype = TensorSpec::DType::u8};
    std::vector<std::uint8_t> slot(slot_bytes(spec));
    const Affine map = frame.write_tensor(spec, std::as_writable_bytes(std::span(slot)));
    const SlotPlace place = place_in_slot(frame.size(), spec);
    const Image whole = frame.image({.size = place.resized});
    std::size_t unequal = 0, distinct = 0;
    for (int c = 0; c < 3; ++c) {
      for (int y = 0; y < 96; ++y) {
        for (int x = 0; x < 96; ++x) {
          const auto at = static_cast<std::size_t>(((y - place.y) * place.resized.width + x - place.x) * 3 + c);
          const std::uint8_t value = slot[static_cast<std::size_t>((c * 96 + y) * 96 + x)];
          unequal += value != std::to_integer<int>(whole.bytes()[at]);
          distinct += value != slot[0];
        }
      }
    }
    CHECK(unequal == 0);
    CHECK(distinct > 1000);
    // The shorter side is covered from edge to edge.
    const Box seen = map_box(map, {0, 0, 96, 96});
    const float shorter = static_cast<float>(std::min(frame.size().width, frame.size().height));
    CHECK((degrees % 180 == 0 ? seen.height() : seen.width()) == doctest::Approx(shorter));
  }
}

TEST_CASE("a resized picture turned by the frame is the turned resized picture") {
  const auto source = open_source("test:size=320x180,frames=1");
  SourceContext context{.cpu = CpuGate::process()};
  source->open(context);
  const Frame straight = std::get<Frame>(source->read());
  FrameInfo info = straight.info();
  info.rotation_degrees = 90;
  const Image turned = straight.with_info(info).image({.size = {50, 90}});
  const Image plain = straight.image({.size = {90, 50}});
  std::size_t unequal = 0;
  for (std::size_t y = 0; y < 90; ++y) {
    for (std::size_t x = 0; x < 50; ++x) {
      for (std::size_t c = 0; c < 3; ++c) unequal += turned.bytes()[(y * 50 + x) * 3 + c] != plain.bytes()[((49 - x) * 90 + y) * 3 + c];
    }
  }
  CHECK(unequal == 0);
}
