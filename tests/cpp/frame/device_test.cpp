// What goes to a GPU, and the arithmetic that is done with it there, run here on the CPU: the same source as the kernel.
#include <vidloom/frame.hpp>

#include <imaging/device_plan.hpp>

#include <support/planes.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

using namespace vidloom;
using test::FormatShape;

namespace {

/// Tensors of the frames that a device reads, R, G, B in 0..1, by the kernel's own functions.
std::vector<std::vector<float>> by_kernel(std::span<const Frame> frames, const TensorSpec& spec, std::vector<std::size_t>& others) {
  DevicePlans plans;
  const DeviceBatch batch(frames, spec, plans, others);
  std::vector<std::vector<float>> tensors(frames.size());
  if (batch.empty()) return tensors;
  // Exactly as large as it says, so that AddressSanitizer sees whoever reads or writes beside it.
  const std::unique_ptr<std::byte, decltype(&std::free)> block(static_cast<std::byte*>(std::aligned_alloc(64, batch.block_bytes())),
                                                               &std::free);
  batch.fill({block.get(), batch.block_bytes()});
  const auto* bytes = reinterpret_cast<const unsigned char*>(block.get());
  std::vector<float> narrowed(batch.narrowed_floats());
  for (std::size_t i = 0; i < batch.pictures().size(); ++i) {
    const auto& picture = reinterpret_cast<const vidloom_device::Picture*>(bytes)[i];
    for (int c = 0; c < picture.components; ++c)
      for (int row = 0; row < picture.component[c].rows; ++row)
        for (int column = 0; column < picture.columns; ++column)
          narrowed[static_cast<std::size_t>(picture.component[c].narrowed + row * picture.columns + column)] =
              vidloom_device::narrowed_sample(bytes, picture, c, row, column);
    std::vector<float>& tensor = tensors[batch.frame_of(i)];
    const auto plane = static_cast<std::size_t>(spec.size.width * spec.size.height);
    tensor.resize(3 * plane);
    for (int y = 0; y < spec.size.height; ++y)
      for (int x = 0; x < spec.size.width; ++x) {
        float rgb[3];
        vidloom_device::tensor_pixel(bytes, narrowed.data(), picture, x, y, rgb);
        for (std::size_t c = 0; c < 3; ++c) tensor[c * plane + static_cast<std::size_t>(y * spec.size.width + x)] = rgb[c];
      }
  }
  return tensors;
}

std::vector<float> by_cpu(const Frame& frame, TensorSpec spec) {
  spec.dtype = TensorSpec::DType::f32;
  std::vector<float> tensor(slot_bytes(spec) / sizeof(float));
  (void)frame.write_tensor(spec, std::as_writable_bytes(std::span(tensor)));
  return tensor;
}

float furthest(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  float most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] - b[i]));
  return most;
}

/// The two agree, and it is a picture that they agree about.
void compare(const Frame& frame, const TensorSpec& spec) {
  std::vector<std::size_t> others;
  const std::vector<float> made = by_kernel({&frame, 1}, spec, others).front();
  REQUIRE(others.empty());
  const auto [least, most] = std::ranges::minmax(made);
  CHECK(most - least > 0.2F);
  CHECK(furthest(made, by_cpu(frame, spec)) <= 1.0F / 255);
}

using Fit = TensorSpec::Fit;

}  // namespace

TEST_CASE("a device makes the CPU's tensors of every format, range and fit") {
  for (const FormatShape& format : test::device_formats()) {
    CAPTURE(std::string(format.name));
    for (const Fit fit : {Fit::stretch, Fit::letterbox, Fit::centre_crop}) {
      CAPTURE(static_cast<int>(fit));
      compare(test::detailed_frame(format, {161, 91}), {.size = {48, 48}, .fit = fit});
    }
    FrameInfo info;
    info.colour = {Matrix::bt709, Range::full, Transfer::unknown, ChromaSite::unknown};
    compare(test::detailed_frame(format, {90, 162}, info), {.size = {40, 56}, .fit = Fit::centre_crop});
  }
}

TEST_CASE("a device makes the CPU's tensors of turned and cropped pictures") {
  for (const std::string_view name : {"yuv420p", "nv12", "yuv420p10le", "rgb24"}) {
    const FormatShape& format = *std::ranges::find(test::device_formats(), name, &FormatShape::name);
    CAPTURE(std::string(name));
    for (const int degrees : {0, 90, 180, 270}) {
      for (const bool mirrored : {false, true}) {
        CAPTURE(degrees);
        CAPTURE(mirrored);
        FrameInfo info;
        info.rotation_degrees = degrees;
        info.mirrored = mirrored;
        for (const Crop crop : {Crop{}, Crop{4, 2, 6, 8}, Crop{3, 5, 0, 1}}) {
          info.crop = crop;
          const Frame frame = test::detailed_frame(format, {130, 98}, info);
          compare(frame, {.size = {33, 48}, .fit = Fit::centre_crop});
          compare(frame, {.size = {48, 31}, .fit = Fit::letterbox});
        }
      }
    }
  }
}

TEST_CASE("a device makes the CPU's tensors by every filter, mode, matrix and chroma site, larger and smaller") {
  const FormatShape& format = test::device_formats().front();
  for (const Filter filter : {Filter::bicubic, Filter::bilinear}) {
    for (const ColourMode mode : {ColourMode::exact, ColourMode::fast}) {
      CAPTURE(static_cast<int>(filter));
      CAPTURE(static_cast<int>(mode));
      for (const Size size : {Size{20, 20}, Size{64, 48}, Size{200, 170}})
        compare(test::detailed_frame(format, {100, 76}), {.size = size, .filter = filter, .mode = mode});
    }
  }
  FrameInfo info;
  for (const Matrix matrix : {Matrix::bt601, Matrix::bt709, Matrix::bt2020, Matrix::smpte240m, Matrix::fcc}) {
    info.colour.matrix = matrix;
    for (const ChromaSite site : {ChromaSite::left, ChromaSite::centre, ChromaSite::top_left, ChromaSite::top, ChromaSite::bottom}) {
      info.colour.chroma_site = site;
      CAPTURE(std::string(to_string(matrix)));
      CAPTURE(std::string(to_string(site)));
      compare(test::detailed_frame(format, {100, 76}, info), {.size = {32, 32}});
    }
  }
}

TEST_CASE("pictures one sample wide or high reach a device too") {
  for (const Size size : {Size{1, 1}, Size{1, 40}, Size{40, 1}, Size{2, 3}}) {
    CAPTURE(size.width);
    CAPTURE(size.height);
    for (const int degrees : {0, 90, 180, 270}) {
      FrameInfo info;
      info.rotation_degrees = degrees;
      for (const Size slot : {Size{1, 1}, Size{1, 9}, Size{9, 1}, Size{7, 5}}) {
        const Frame frame = test::detailed_frame(test::device_formats().front(), size, info);
        const TensorSpec spec{.size = slot, .fit = Fit::letterbox};
        std::vector<std::size_t> others;
        CHECK(furthest(by_kernel({&frame, 1}, spec, others).front(), by_cpu(frame, spec)) <= 1.0F / 255);
      }
    }
  }
}

TEST_CASE("frames of different kinds go up together; what a device cannot read is named") {
  std::vector<Frame> frames;
  for (const FormatShape& format : test::device_formats()) frames.push_back(test::detailed_frame(format, {70, 50}));
  frames.push_back(test::detailed_frame(test::device_formats().front(), {90, 51}));
  const PlaneView packed{frames[0].planes()[0].data, frames[0].planes()[0].stride, {30, 50}};
  frames.insert(frames.begin() + 3, Frame::adopt({&packed, 1}, "yuyv422", {}, nullptr));
  std::vector<std::size_t> others;
  const TensorSpec spec{.size = {32, 24}};
  const auto tensors = by_kernel(frames, spec, others);
  CHECK(others == std::vector<std::size_t>{3});
  for (std::size_t i = 0; i < frames.size(); ++i) {
    if (i == 3) continue;
    CAPTURE(std::string(frames[i].pixel_format()));
    CHECK(furthest(tensors[i], by_cpu(frames[i], spec)) <= 1.0F / 255);
  }
}

TEST_CASE("only the part of a picture that a tensor shows goes up") {
  const Frame wide = test::detailed_frame(test::device_formats().front(), {640, 360});
  const auto bytes = [&](Fit fit) {
    DevicePlans plans;
    std::vector<std::size_t> others;
    return DeviceBatch({&wide, 1}, {.size = {224, 224}, .fit = fit}, plans, others).block_bytes();
  };
  CHECK(bytes(Fit::stretch) > 640 * 360 * 3 / 2);
  CHECK(bytes(Fit::centre_crop) < bytes(Fit::stretch) * 3 / 4);  // 360 of 640 columns, and the tables
}

TEST_CASE("planes smaller than their format needs are left to the CPU, which says so") {
  const Frame good = test::detailed_frame(test::device_formats().front(), {64, 64});
  std::vector<PlaneView> planes(good.planes().begin(), good.planes().end());
  planes[2].size.height = 20;
  const Frame bad = Frame::adopt(planes, "yuv420p", {}, nullptr);
  std::vector<std::size_t> others;
  (void)by_kernel({&bad, 1}, {.size = {32, 32}}, others);
  CHECK(others == std::vector<std::size_t>{0});
}
