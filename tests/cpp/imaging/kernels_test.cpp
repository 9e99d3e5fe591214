#include "pictures.hpp"

#include <imaging/kernels.hpp>
#include <imaging/taps.hpp>
#include <vidloom/imaging/imaging_stats.hpp>

#include <doctest/doctest.h>

#include <numeric>
#include <vector>

using namespace vidloom;
using namespace vidloom::test;

namespace {

/// The sets of this machine beside the portable one.
std::vector<const Kernels*> vector_kernels() {
  std::vector<const Kernels*> sets;
  for (const Kernels* set : {avx2_kernels()})
    if (set) sets.push_back(set);
  if (sets.empty()) MESSAGE("skipped: this processor has no AVX2");
  return sets;
}

/// Uses a set until the end of the scope.
struct Using {
  explicit Using(const Kernels* set) { use_kernels(set); }
  Using(const Using&) = delete;
  Using& operator=(const Using&) = delete;
  ~Using() { use_kernels(nullptr); }
};

}  // namespace

TEST_CASE("every instruction set gives the same tensor within a thousandth of a level") {
  std::mt19937 random(11);
  for (const Kernels* set : vector_kernels()) {
    CAPTURE(set->name);
    for (const Format& format : formats()) {
      for (int round = 0; round < 12; ++round) {
        const Size size{static_cast<int>(1 + random() % 150), static_cast<int>(1 + random() % 60)};
        FrameInfo info;
        info.colour.range = round % 2 ? Range::full : Range::limited;
        info.rotation_degrees = static_cast<int>(random() % 4) * 90;
        info.mirrored = random() % 2;
        if (size.width > 12 && size.height > 12) info.crop = {static_cast<int>(random() % 5), static_cast<int>(random() % 5), static_cast<int>(random() % 5), static_cast<int>(random() % 5)};
        const Frame frame = picture(format, size, info, random);
        const TensorSpec spec{.size = {static_cast<int>(1 + random() % 90), static_cast<int>(1 + random() % 40)},
                              .fit = static_cast<TensorSpec::Fit>(random() % 3),
                              .mean = {0.5F, 0.4F, 0.3F},
                              .std = {0.2F, 0.25F, 0.3F},
                              .dtype = static_cast<TensorSpec::DType>(random() % 4),
                              .filter = random() % 2 ? Filter::bilinear : Filter::bicubic,
                              .mode = static_cast<ColourMode>(random() % 3)};
        CAPTURE(format.name);
        CAPTURE(size.width);
        CAPTURE(size.height);
        CAPTURE(static_cast<int>(spec.dtype));
        std::vector<double> portable, vectors;
        {
          const Using here(&portable_kernels());
          portable = tensor_levels(frame, spec);
        }
        {
          const Using here(set);
          vectors = tensor_levels(frame, spec);
        }
        double largest = 0;
        for (std::size_t i = 0; i < portable.size(); ++i) largest = std::max(largest, std::abs(portable[i] - vectors[i]));
        // Where a number lies between two of the type, either may be taken.
        const double step = spec.dtype == TensorSpec::DType::u8 ? 1 : spec.dtype == TensorSpec::DType::bf16 ? 1.2 : spec.dtype == TensorSpec::DType::f16 ? 0.15 : 1e-3;
        CHECK(largest <= step);
      }
    }
  }
}

TEST_CASE("a picture's bytes are the same under every instruction set but for ties") {
  std::mt19937 random(12);
  for (const Kernels* set : vector_kernels()) {
    for (const Format& format : formats()) {
      for (int width = 1; width <= 150; width += width < 30 ? 3 : 11) {
        const Frame frame = picture(format, {width, static_cast<int>(1 + random() % 20)}, {}, random);
        for (const ImageSpec::Format to : {ImageSpec::Format::rgb8, ImageSpec::Format::bgr8, ImageSpec::Format::gray8}) {
          const auto bytes_under = [&](const Kernels* chosen, ColourMode mode) {
            const Using here(chosen);
            const Image image = Frame::adopt(frame.planes(), frame.pixel_format(), frame.info(), std::make_shared<Frame>(frame)).image({.format = to, .mode = mode});
            return std::vector<std::byte>(image.bytes().begin(), image.bytes().end());
          };
          for (const ColourMode mode : {ColourMode::exact, ColourMode::fast, ColourMode::opencv_compat}) {
            const auto portable = bytes_under(&portable_kernels(), mode), vectors = bytes_under(set, mode);
            REQUIRE(portable.size() == vectors.size());
            int largest = 0;
            for (std::size_t i = 0; i < portable.size(); ++i) largest = std::max(largest, std::abs(std::to_integer<int>(portable[i]) - std::to_integer<int>(vectors[i])));
            CAPTURE(format.name);
            CAPTURE(width);
            CHECK(largest <= 1);
          }
        }
      }
    }
  }
}

TEST_CASE("conversion allocates no pixel buffer in steady state, and counts what it makes") {
  const Frame frame = street_frame();
  const auto convert = [&](int rounds) {
    for (int round = 0; round < rounds; ++round) {
      const Frame fresh = Frame::adopt(frame.planes(), frame.pixel_format(), frame.info(), std::make_shared<Frame>(frame));
      for (const ColourMode mode : {ColourMode::exact, ColourMode::fast, ColourMode::opencv_compat}) {
        tensor_levels(fresh, {.size = {224, 224}, .mode = mode});
        tensor_levels(fresh, {.size = {320, 320}, .fit = TensorSpec::Fit::letterbox, .dtype = TensorSpec::DType::f16, .mode = mode});
      }
      static_cast<void>(fresh.image({.size = {320, 240}}));
      static_cast<void>(fresh.image({.size = {320, 240}}));
      static_cast<void>(fresh.image());
    }
  };
  convert(2);
  const ImagingStats before = imaging_stats();
  convert(20);
  const ImagingStats after = imaging_stats();
  CHECK(after.buffers_allocated == before.buffers_allocated);
  CHECK(after.converted - before.converted == 20 * 8);
  CHECK(after.rgb_full_size - before.rgb_full_size == 20);
}

TEST_CASE("weights of every output add up to one, whatever the scale") {
  for (const int length : {1, 2, 3, 7, 100, 1080, 70000}) {
    for (const int resized : {1, 2, 5, 224, 999}) {
      for (const Filter filter : {Filter::bicubic, Filter::bilinear}) {
        for (const ColourMode mode : {ColourMode::exact, ColourMode::fast, ColourMode::opencv_compat}) {
          for (const int ratio : {0, 1}) {
            if (ratio == 1 && mode == ColourMode::opencv_compat) continue;
            const Taps taps = make_taps({.length = length, .resized = resized, .begin = 0, .end = resized, .log2_ratio = ratio, .site = 0.5F, .filter = filter, .mode = mode, .pairs_aligned = true});
            CAPTURE(length);
            CAPTURE(resized);
            bool right = taps.first_sample >= 0 && taps.last_sample <= (length + (1 << ratio) - 1) >> ratio;
            for (std::size_t i = 0; i < taps.first.size(); ++i) {
              const auto row = taps.weights.begin() + static_cast<std::ptrdiff_t>(i) * 2 * taps.pairs;
              right = right && std::accumulate(row, row + 2 * taps.pairs, 0) == Taps::one && taps.first[i] % 2 == 0;
            }
            CHECK(right);
          }
        }
      }
    }
  }
}
