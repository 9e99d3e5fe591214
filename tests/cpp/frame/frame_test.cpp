#include <vidloom/core/error.hpp>
#include <vidloom/frame.hpp>

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

using namespace vidloom;

namespace {

/// A grey picture of `values`, row by row, in rows of `stride` bytes.
struct Grey {
  Size size;
  std::ptrdiff_t stride;
  std::vector<std::byte> bytes;

  Grey(Size picture, std::initializer_list<int> values, std::ptrdiff_t padding = 3)
      : size(picture), stride(picture.width + padding), bytes(static_cast<std::size_t>(stride * picture.height), std::byte{77}) {
    std::size_t at = 0;
    for (const int value : values) {
      const std::size_t x = at % static_cast<std::size_t>(size.width), y = at / static_cast<std::size_t>(size.width);
      bytes[y * static_cast<std::size_t>(stride) + x] = static_cast<std::byte>(value);
      ++at;
    }
  }
  Frame frame(const FrameInfo& info = {}) const {
    const PlaneView plane{bytes.data(), stride, size};
    return Frame::adopt({&plane, 1}, "gray", info, nullptr);
  }
};

std::vector<int> values_of(const Image& image) {
  std::vector<int> values;
  for (const std::byte value : image.bytes()) values.push_back(std::to_integer<int>(value));
  return values;
}
std::vector<int> values_of(const PlaneView& plane) {
  std::vector<int> values;
  for (int y = 0; y < plane.size.height; ++y) {
    for (int x = 0; x < plane.size.width; ++x) values.push_back(std::to_integer<int>(plane.data[y * plane.stride + x]));
  }
  return values;
}
std::vector<int> grey_values(const Frame& frame) { return values_of(frame.image({.format = ImageSpec::Format::gray8})); }

FrameInfo turned(int degrees, bool mirrored = false, Crop crop = {}) {
  FrameInfo info;
  info.rotation_degrees = degrees;
  info.mirrored = mirrored;
  info.crop = crop;
  return info;
}

Code code_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.code;
  }
  FAIL("nothing was thrown");
  return Code::internal;
}

std::vector<std::byte> ramp(std::size_t count) {
  std::vector<std::byte> bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(i * 7 % 251);
  return bytes;
}

}  // namespace

TEST_CASE("a picture is shown turned clockwise, then flipped") {
  // 1 2 3
  // 4 5 6
  const Grey picture({3, 2}, {1, 2, 3, 4, 5, 6});
  CHECK(grey_values(picture.frame(turned(0))) == std::vector{1, 2, 3, 4, 5, 6});
  CHECK(grey_values(picture.frame(turned(90))) == std::vector{4, 1, 5, 2, 6, 3});
  CHECK(grey_values(picture.frame(turned(180))) == std::vector{6, 5, 4, 3, 2, 1});
  CHECK(grey_values(picture.frame(turned(270))) == std::vector{3, 6, 2, 5, 1, 4});
  CHECK(grey_values(picture.frame(turned(0, true))) == std::vector{3, 2, 1, 6, 5, 4});
  CHECK(grey_values(picture.frame(turned(90, true))) == std::vector{1, 4, 2, 5, 3, 6});
  CHECK(grey_values(picture.frame(turned(180, true))) == std::vector{4, 5, 6, 1, 2, 3});
  CHECK(grey_values(picture.frame(turned(270, true))) == std::vector{6, 3, 5, 2, 4, 1});
  CHECK(picture.frame(turned(90)).size() == Size{2, 3});
  CHECK(picture.frame(turned(180)).size() == Size{3, 2});
  CHECK(picture.frame(turned(90)).coded_size() == Size{3, 2});
}

TEST_CASE("three channels stay together when a picture is turned") {
  const std::array<std::uint8_t, 6> rgb{10, 20, 30, 40, 50, 60};
  const PlaneView plane{reinterpret_cast<const std::byte*>(rgb.data()), 6, {2, 1}};
  const Frame frame = Frame::adopt({&plane, 1}, "rgb24", turned(90), nullptr);
  CHECK(values_of(frame.image()) == std::vector{10, 20, 30, 40, 50, 60});
  CHECK(frame.image().size() == Size{1, 2});
  CHECK(values_of(Frame::adopt({&plane, 1}, "rgb24", turned(180), nullptr).image({.format = ImageSpec::Format::bgr8})) ==
        std::vector{60, 50, 40, 30, 20, 10});
}

TEST_CASE("display_from_luma leads each luma pixel to where the upright picture shows it") {
  const Grey picture({4, 3}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  for (const bool mirrored : {false, true}) {
    for (const int degrees : {0, 90, 180, 270}) {
      for (const Crop crop : {Crop{}, Crop{.left = 1, .bottom = 1}}) {
        CAPTURE(degrees);
        CAPTURE(mirrored);
        const Frame frame = picture.frame(turned(degrees, mirrored, crop));
        const Image upright = frame.image({.format = ImageSpec::Format::gray8});
        REQUIRE(upright.size() == frame.size());
        const std::vector<int> shown = values_of(upright);
        const PlaneView luma = frame.luma();
        for (int y = 0; y < luma.size.height; ++y) {
          for (int x = 0; x < luma.size.width; ++x) {
            const Box box = map_box(frame.display_from_luma(),
                                    {static_cast<float>(x), static_cast<float>(y), static_cast<float>(x + 1), static_cast<float>(y + 1)});
            CHECK(box.width() == 1);
            CHECK(box.height() == 1);
            const std::size_t at = static_cast<std::size_t>(static_cast<int>(box.y1) * frame.size().width + static_cast<int>(box.x1));
            CHECK(shown.at(at) == std::to_integer<int>(luma.data[y * luma.stride + x]));
          }
        }
      }
    }
  }
}

TEST_CASE("cropped pixels are in no picture and in no box") {
  const Grey picture({4, 3}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  const Frame frame = picture.frame(turned(0, false, {.left = 1, .top = 1, .right = 2}));
  CHECK(frame.size() == Size{1, 2});
  CHECK(grey_values(frame) == std::vector{5, 9});
  CHECK(values_of(frame.luma()) == std::vector{5, 9});
  CHECK(frame.planes()[0].size == Size{4, 3});
}

TEST_CASE("the luma of a decoder's planes is not copied") {
  const std::vector<std::byte> y = ramp(8 * 4), u(4 * 2, std::byte{128}), v(4 * 2, std::byte{128});
  const std::array planes{PlaneView{y.data(), 8, {8, 4}}, PlaneView{u.data(), 4, {4, 2}}, PlaneView{v.data(), 4, {4, 2}}};
  for (const std::string format : {"yuv420p", "yuvj420p", "yuva420p", "yuv444p", "nv12", "nv21", "nv16", "gray"}) {
    CAPTURE(format);
    const Frame frame = Frame::adopt(planes, format, turned(90, false, {.left = 2, .top = 1}), nullptr);
    CHECK(frame.luma().data == y.data() + 8 + 2);
    CHECK(frame.luma().size == Size{6, 3});
    CHECK(frame.luma().stride == 8);
  }
}

TEST_CASE("luma of more than 8 bits keeps the upper eight, rounded") {
  const std::array<std::uint16_t, 4> ten{64, 66, 940, 1023};
  const PlaneView plane{reinterpret_cast<const std::byte*>(ten.data()), 8, {4, 1}};
  CHECK(values_of(Frame::adopt({&plane, 1}, "yuv420p10le", {}, nullptr).luma()) == std::vector{16, 17, 235, 255});
  const std::array<std::uint16_t, 4> upper{64 << 6, 66 << 6, 940 << 6, 1023 << 6};
  const PlaneView high{reinterpret_cast<const std::byte*>(upper.data()), 8, {4, 1}};
  CHECK(values_of(Frame::adopt({&high, 1}, "p010le", {}, nullptr).luma()) == std::vector{16, 17, 235, 255});
}

TEST_CASE("luma between chroma samples is picked out, crop included") {
  const std::array<std::uint8_t, 8> packed{1, 200, 2, 201, 3, 202, 4, 203};
  const PlaneView plane{reinterpret_cast<const std::byte*>(packed.data()), 8, {4, 1}};
  CHECK(values_of(Frame::adopt({&plane, 1}, "yuyv422", turned(0, false, {.left = 1}), nullptr).luma()) == std::vector{2, 3, 4});
  CHECK(values_of(Frame::adopt({&plane, 1}, "uyvy422", {}, nullptr).luma()) == std::vector{200, 201, 202, 203});
}

TEST_CASE("luma of RGB is made once and shared by copies") {
  const std::array<std::uint8_t, 12> rgb{255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255};
  const PlaneView plane{reinterpret_cast<const std::byte*>(rgb.data()), 12, {4, 1}};
  const Frame frame = Frame::copy_of(plane, {});
  CHECK(values_of(frame.luma()) == std::vector{76, 150, 29, 255});
  const Frame copy = frame;
  CHECK(copy.luma().data == frame.luma().data);
  FrameInfo info = frame.info();
  info.sequence = 9;
  CHECK(frame.with_info(info).luma().data == frame.luma().data);
  const Frame bgr = Frame::adopt({&plane, 1}, "bgr24", {}, nullptr);
  CHECK(values_of(bgr.luma()) == std::vector{29, 150, 76, 255});
}

TEST_CASE("a grey picture of limited-range video is stretched to 0..255") {
  const std::array<std::uint8_t, 5> luma{0, 16, 126, 235, 255};
  const std::array<std::uint8_t, 3> chroma{128, 128, 128};
  const auto* y = reinterpret_cast<const std::byte*>(luma.data());
  const auto* c = reinterpret_cast<const std::byte*>(chroma.data());
  const std::array planes{PlaneView{y, 5, {5, 1}}, PlaneView{c, 3, {3, 1}}, PlaneView{c, 3, {3, 1}}};
  CHECK(grey_values(Frame::adopt(planes, "yuv420p", {}, nullptr)) == std::vector{0, 0, 128, 255, 255});
  CHECK(grey_values(Frame::adopt(planes, "yuvj420p", {}, nullptr)) == std::vector{0, 16, 126, 235, 255});
  FrameInfo full;
  full.colour.range = Range::full;
  CHECK(grey_values(Frame::adopt(planes, "yuv420p", full, nullptr)) == std::vector{0, 16, 126, 235, 255});
}

TEST_CASE("copy_of copies, also upside down") {
  std::vector<std::byte> bytes = ramp(2 * 10);
  const PlaneView bottom_up{bytes.data() + 10, -10, {3, 2}};
  const Frame frame = Frame::copy_of(bottom_up, {});
  const std::byte first = bytes[10], last_row = bytes[0];
  std::ranges::fill(bytes, std::byte{0});
  CHECK(frame.image().bytes()[0] == first);
  CHECK(frame.image().bytes()[9] == last_row);
}

TEST_CASE("one picture per spec is made and shared by copies, threads and other infos") {
  const Size size{640, 480};
  const std::vector<std::byte> pixels = ramp(640 * 480 * 3);
  const PlaneView plane{pixels.data(), 640 * 3, size};
  for (int round = 0; round < 20; ++round) {
    const Frame frame = Frame::adopt({&plane, 1}, "bgr24", turned(90), nullptr);
    constexpr int count = 8;
    std::array<const std::byte*, count> rgb{}, grey{};
    std::atomic<int> waiting{count};
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < count; ++i) {
      threads.emplace_back([&, i] {
        FrameInfo info = frame.info();
        info.sequence = i;
        const Frame mine = frame.with_info(info);
        --waiting;
        while (waiting > 0) std::this_thread::yield();
        rgb[i] = mine.image().bytes().data();
        grey[i] = mine.image({.format = ImageSpec::Format::gray8}).bytes().data();
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (std::size_t i = 1; i < count; ++i) {
      CHECK(rgb[i] == rgb[0]);
      CHECK(grey[i] == grey[0]);
    }
    CHECK(rgb[0] != grey[0]);
    // Asking by the frame's own size is the same picture.
    CHECK(frame.image({.size = {480, 640}}).bytes().data() == rgb[0]);
    CHECK(frame.image().bytes()[0] == pixels[640 * 479 * 3 + 2]);
  }
}

TEST_CASE("with_info keeps the pixels and, under another rotation, makes its own pictures") {
  const Grey picture({3, 2}, {1, 2, 3, 4, 5, 6});
  const Frame frame = picture.frame();
  FrameInfo info;
  info.stream = StreamId{7};
  info.time.media_time = std::chrono::seconds(3);
  const Frame renamed = frame.with_info(info);
  CHECK(renamed.info().stream == StreamId{7});
  CHECK(renamed.planes()[0].data == frame.planes()[0].data);
  info.rotation_degrees = 180;
  CHECK(grey_values(frame.with_info(info)) == std::vector{6, 5, 4, 3, 2, 1});
  CHECK(grey_values(frame) == std::vector{1, 2, 3, 4, 5, 6});
}

TEST_CASE("the owner is released with the last copy") {
  const Grey picture({3, 2}, {1, 2, 3, 4, 5, 6});
  auto owner = std::make_shared<int>(1);
  const PlaneView plane{picture.bytes.data(), picture.stride, picture.size};
  std::optional<Frame> frame = Frame::adopt({&plane, 1}, "gray", {}, owner);
  std::optional<Frame> other = frame->with_info(turned(90));
  CHECK(owner.use_count() == 3);
  frame.reset();
  CHECK(owner.use_count() == 2);
  other.reset();
  CHECK(owner.use_count() == 1);
}

TEST_CASE("an image maps boxes to display pixels") {
  const Grey picture({4, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
  const Image image = Image::make({8, 1}, ImageSpec::Format::gray8, {{0.5F, 0, 0, 0, 2, 0}}, [](std::span<std::byte> out) {
    CHECK(out.size() == 8);
    std::ranges::fill(out, std::byte{1});
  });
  CHECK(image.to_display({2, 0, 6, 1}) == Box{1, 0, 3, 2});
  CHECK(picture.frame(turned(90)).image().display_from_image() == Affine{});
}

TEST_CASE("a set-up mistake names the field, the value and the fix") {
  const Grey picture({3, 2}, {1, 2, 3, 4, 5, 6});
  const PlaneView plane{picture.bytes.data(), picture.stride, picture.size};
  const auto message = [](const std::function<void()>& act) -> std::string {
    try {
      act();
    } catch (const Error& error) {
      CHECK(error.code == Code::config);
      return error.what();
    }
    return "nothing thrown";
  };
  CHECK(message([&] { picture.frame(turned(45)); }) == "FrameInfo.rotation_degrees is 45; use 0, 90, 180 or 270");
  CHECK(message([&] { picture.frame(turned(0, false, {.left = 2, .right = 1})); }).find("FrameInfo.crop leaves 0x2") != std::string::npos);
  CHECK(message([&] { picture.frame(turned(0, false, {.left = -1})); }).find("FrameInfo.crop") != std::string::npos);
  CHECK(message([&] { Frame::adopt({}, "gray", {}, nullptr); }).find("0 planes") != std::string::npos);
  CHECK(message([&] { Frame::adopt({&plane, 1}, "", {}, nullptr); }).find("pixel format") != std::string::npos);
  CHECK(message([&] {
          Frame::copy_of({picture.bytes.data(), 5, {2, 1}}, {});
        }).find("stride is 5 bytes; use 3 * width = 6") != std::string::npos);
  CHECK(message([&] { Frame::copy_of({picture.bytes.data(), 5, {0, 1}}, {}); }).find("0x1") != std::string::npos);
  CHECK(message([&] { picture.frame().image({.size = {-1, 5}}); }).find("-1x5") != std::string::npos);
  CHECK(message([&] { picture.frame().image({.size = {1 << 20, 1 << 20}}); }).find("at most") != std::string::npos);
  std::array<std::byte, 11> slot;
  CHECK(message([&] {
          picture.frame().write_tensor({.size = {2, 2}, .dtype = TensorSpec::DType::u8}, slot);
        }).find("needs 12") != std::string::npos);
  CHECK(message([&] { picture.frame().write_tensor({}, slot); }).find("TensorSpec.size is 0x0") != std::string::npos);
  CHECK(message([&] {
          picture.frame().write_tensor({.size = {1, 1}, .std = {1, 0, 1}, .dtype = TensorSpec::DType::f16}, slot);
        }).find("TensorSpec.std") != std::string::npos);
  CHECK(code_of([&] { picture.frame().write_tensor({.size = {1, 1}, .device = Device{0}}, slot); }) == Code::not_built);
}

TEST_CASE("unknown colour tags are filled in by size, known ones are kept") {
  CHECK(effective_colour({}, {1280, 720}).matrix == Matrix::bt709);
  CHECK(effective_colour({}, {1280, 719}).matrix == Matrix::bt601);
  CHECK(effective_colour({}, {1280, 719}).range == Range::limited);
  CHECK(effective_colour({.matrix = Matrix::bt2020, .range = Range::full}, {1, 1}).matrix == Matrix::bt2020);
  CHECK(effective_colour({.matrix = Matrix::bt2020, .range = Range::full}, {1, 1}).range == Range::full);
}
