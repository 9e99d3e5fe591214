// Rows P1, P2, P3: decoded planes to model input and to full-size RGB, in every mode and with every set of kernels, beside swscale. Pictures
// are taken in turns from a ring larger than the second-level cache, as a decoder leaves them. The times alone: tests/cpp/imaging judges the
// results, and the same rows of the side-by-side runs have a gate and a limit.
#include <benchmark/benchmark.h>

#include <vidloom/vidloom.hpp>

#include <imaging/kernels.hpp>

extern "C" {
#include <libavutil/opt.h>
#include <libavutil/pixfmt.h>
#include <libswscale/swscale.h>
}

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <vector>

namespace {

using namespace vidloom;

constexpr Size hd{1920, 1080};

struct Planes {
  std::vector<std::byte> bytes;
  std::array<PlaneView, 3> views{};
};

/// Smooth shapes and noise; rows 64 bytes longer than the picture, as FFmpeg's are.
std::shared_ptr<Planes> make_planes(unsigned seed) {
  std::mt19937 random(seed);
  auto planes = std::make_shared<Planes>();
  constexpr std::size_t luma = 1984, chroma = 1024;
  planes->bytes.resize(luma * 1080 + 2 * chroma * 540);
  const auto fill = [&](std::size_t offset, std::size_t stride, int width, int height, double middle) {
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        const double wave = 60 * std::sin(x * 0.01 + seed) * std::cos(y * 0.013);
        planes->bytes[offset + static_cast<std::size_t>(y) * stride + static_cast<std::size_t>(x)] =
            static_cast<std::byte>(middle + wave + static_cast<double>(random() % 9));
      }
    }
  };
  fill(0, luma, 1920, 1080, 120);
  fill(luma * 1080, chroma, 960, 540, 124);
  fill(luma * 1080 + chroma * 540, chroma, 960, 540, 124);
  const std::byte* data = planes->bytes.data();
  planes->views = {PlaneView{data, luma, hd}, PlaneView{data + luma * 1080, chroma, {960, 540}},
                   PlaneView{data + luma * 1080 + chroma * 540, chroma, {960, 540}}};
  return planes;
}

class Ring {
 public:
  Ring() {
    for (unsigned i = 0; i < 6; ++i) all_.push_back(make_planes(i));
  }
  /// A frame of its own each time: pictures are memoised per frame.
  Frame next() {
    const auto& planes = all_[at_++ % all_.size()];
    return Frame::adopt(planes->views, "yuv420p", {}, planes);
  }

 private:
  std::vector<std::shared_ptr<Planes>> all_;
  std::size_t at_ = 0;
};
Ring& ring() {
  static Ring one;
  return one;
}

TensorSpec clip_input(ColourMode mode) {
  return {.size = {224, 224}, .mean = {0.48145466F, 0.4578275F, 0.40821073F}, .std = {0.26862954F, 0.26130258F, 0.27577711F}, .mode = mode};
}
TensorSpec yolo_input(ColourMode mode) { return {.size = {640, 640}, .fit = TensorSpec::Fit::letterbox, .mode = mode}; }

void tensor(benchmark::State& state, const TensorSpec& spec) {
  std::vector<std::byte> slot(slot_bytes(spec));
  for (auto _ : state) {
    ring().next().write_tensor(spec, slot);
    benchmark::ClobberMemory();
  }
}

void P1_clip_224(benchmark::State& state, ColourMode mode) { tensor(state, clip_input(mode)); }
BENCHMARK_CAPTURE(P1_clip_224, exact, ColourMode::exact)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(P1_clip_224, fast, ColourMode::fast)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(P1_clip_224, opencv_compat, ColourMode::opencv_compat)->Unit(benchmark::kMicrosecond);

void P2_letterbox_640(benchmark::State& state, ColourMode mode) { tensor(state, yolo_input(mode)); }
BENCHMARK_CAPTURE(P2_letterbox_640, exact, ColourMode::exact)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(P2_letterbox_640, fast, ColourMode::fast)->Unit(benchmark::kMicrosecond);

void P3_full_rgb(benchmark::State& state, ColourMode mode) {
  const ImageSpec spec{.format = ImageSpec::Format::rgb8, .mode = mode};
  for (auto _ : state) benchmark::DoNotOptimize(ring().next().image(spec).bytes().data());
}
BENCHMARK_CAPTURE(P3_full_rgb, exact, ColourMode::exact)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(P3_full_rgb, fast, ColourMode::fast)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(P3_full_rgb, opencv_compat, ColourMode::opencv_compat)->Unit(benchmark::kMicrosecond);

/// Each set of kernels by itself, whatever the processor would choose.
void with_kernels(benchmark::State& state, void (*row)(benchmark::State&, ColourMode), const Kernels* set) {
  if (!set) return state.SkipWithError("not on this processor");
  use_kernels(set);
  row(state, ColourMode::exact);
  use_kernels(nullptr);
}
BENCHMARK_CAPTURE(with_kernels, P1_portable, P1_clip_224, &portable_kernels())->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(with_kernels, P1_avx2, P1_clip_224, avx2_kernels())->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(with_kernels, P1_avx512, P1_clip_224, avx512_kernels())->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(with_kernels, P2_avx2, P2_letterbox_640, avx2_kernels())->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(with_kernels, P2_avx512, P2_letterbox_640, avx512_kernels())->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(with_kernels, P3_avx2, P3_full_rgb, avx2_kernels())->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(with_kernels, P3_avx512, P3_full_rgb, avx512_kernels())->Unit(benchmark::kMicrosecond);

void swscale(benchmark::State& state, int flags, Size to, AVPixelFormat format) {
  const std::unique_ptr<SwsContext, void (*)(SwsContext*)> scaler(
      sws_getContext(hd.width, hd.height, AV_PIX_FMT_YUV420P, to.width, to.height, format, flags, nullptr, nullptr, nullptr), sws_freeContext);
  const int stride = 3 * ((to.width + 31) / 32 * 32);
  std::vector<std::uint8_t> out(static_cast<std::size_t>(stride) * static_cast<std::size_t>(to.height) + 64);
  for (auto _ : state) {
    const Frame frame = ring().next();
    std::array<const std::uint8_t*, 4> data{};
    std::array<int, 4> strides{};
    for (std::size_t i = 0; i < 3; ++i) {
      data[i] = reinterpret_cast<const std::uint8_t*>(frame.planes()[i].data);
      strides[i] = static_cast<int>(frame.planes()[i].stride);
    }
    std::uint8_t* const target[4] = {out.data(), nullptr, nullptr, nullptr};
    const int target_strides[4] = {stride, 0, 0, 0};
    if (sws_scale(scaler.get(), data.data(), strides.data(), 0, hd.height, target, target_strides) != to.height) state.SkipWithError("no picture");
    benchmark::ClobberMemory();
  }
}
constexpr int accurate = SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT;
/// To uint8 only, the whole width, without normalising: less than a model's input is.
BENCHMARK_CAPTURE(swscale, P1_one_pass_398x224_accurate, accurate, Size{398, 224}, AV_PIX_FMT_RGB24)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(swscale, P2_one_pass_640x360_accurate, accurate, Size{640, 360}, AV_PIX_FMT_RGB24)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(swscale, P3_fast, SWS_BICUBIC, hd, AV_PIX_FMT_RGB24)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(swscale, P3_accurate, accurate, hd, AV_PIX_FMT_RGB24)->Unit(benchmark::kMicrosecond);

}  // namespace
