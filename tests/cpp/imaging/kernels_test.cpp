#include "pictures.hpp"

#include <imaging/kernels.hpp>
#include <imaging/taps.hpp>
#include <vidloom/imaging/imaging_stats.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <numeric>
#include <vector>

using namespace vidloom;
using namespace vidloom::test;

namespace {

/// The sets of this machine beside the portable one.
std::vector<const Kernels*> vector_kernels() {
  std::vector<const Kernels*> sets;
  for (const Kernels* set : {avx2_kernels(), avx512_kernels()})
    if (set) sets.push_back(set);
  if (!avx2_kernels()) MESSAGE("skipped: this processor has no AVX2");
  if (!avx512_kernels()) MESSAGE("skipped: this processor has no AVX-512 with VBMI and VNNI");
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

namespace {

/// Rows of random bytes, each with memory of its own: a byte read too much shows under AddressSanitizer.
struct Rows {
  Rows(std::size_t count, std::size_t bytes, std::mt19937& random) {
    for (std::size_t row = 0; row < count; ++row) {
      memory.push_back(std::make_unique<std::byte[]>(bytes));
      for (std::size_t i = 0; i < bytes; ++i) memory.back()[i] = static_cast<std::byte>(random() % 3 == 0 ? random() % 2 * 255 : random());
    }
  }
  std::vector<std::unique_ptr<std::byte[]>> memory;
};

constexpr std::int16_t untouched = 0x5A5A;
constexpr std::size_t room = 64;

/// \return the first `count`; what lies further than kernels may write must be as it was.
std::vector<std::int16_t> checked(const std::vector<std::int16_t>& line, std::size_t count) {
  CHECK(std::all_of(line.begin() + static_cast<std::ptrdiff_t>(count + room), line.end(), [](std::int16_t value) { return value == untouched; }));
  return {line.begin(), line.begin() + static_cast<std::ptrdiff_t>(count)};
}

}  // namespace

TEST_CASE("the lines of a block are those that single windows give, wherever these begin") {
  std::mt19937 random(13);
  for (const Kernels* set : vector_kernels()) {
    REQUIRE((set->lines_8 != nullptr));
    CAPTURE(set->name);
    for (int round = 0; round < 150; ++round) {
      const int pairs = round % 3 == 0 ? 1 + static_cast<int>(random() % (LinesTask::most_rows / 2)) : 1 + static_cast<int>(random() % 14);
      const std::size_t count = 1 + random() % 200;
      const int lines = 1 + static_cast<int>(random() % set->lines), row_count = 1 + static_cast<int>(random() % 600);
      // Rows one behind the other, the last with nothing behind it.
      const auto stride = static_cast<std::ptrdiff_t>(count + random() % 3);
      std::vector<std::byte> bytes(static_cast<std::size_t>(stride * (row_count - 1)) + count);
      for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
      std::vector<std::int32_t> first(static_cast<std::size_t>(lines));
      std::vector<std::int16_t> weights(static_cast<std::size_t>(lines * 2 * pairs));
      for (std::size_t line = 0; line < first.size(); ++line) {
        first[line] = static_cast<int>(random() % static_cast<unsigned>(row_count));
        for (int tap = 0; tap < 2 * pairs; ++tap) {
          if (first[line] + tap >= row_count) continue;
          const int most = Taps::one / (1 + pairs / 2), weight = static_cast<int>(random() % static_cast<unsigned>(most)) - most / 3;
          weights[line * static_cast<std::size_t>(2 * pairs) + static_cast<std::size_t>(tap)] = static_cast<std::int16_t>(weight);
        }
      }
      std::vector<std::vector<std::int16_t>> out(first.size(), std::vector<std::int16_t>(count + room + 8, untouched));
      std::vector<std::int16_t*> to;
      for (auto& line : out) to.push_back(line.data());
      set->lines_8({.rows = bytes.data(), .stride = stride, .row_count = row_count, .first = first.data(), .weights = weights.data(), .pairs = pairs,
                    .lines = lines, .count = count, .out = to.data()});
      CAPTURE(pairs);
      CAPTURE(count);
      CAPTURE(lines);
      for (std::size_t line = 0; line < first.size(); ++line) {
        std::vector<const std::byte*> rows;
        for (int tap = 0; tap < 2 * pairs; ++tap) rows.push_back(bytes.data() + std::min(first[line] + tap, row_count - 1) * stride);
        std::vector<std::int16_t> expected(count);
        portable_kernels().vertical_8(rows.data(), weights.data() + line * static_cast<std::size_t>(2 * pairs), pairs, count, expected.data());
        CHECK(checked(out[line], count) == expected);
      }
    }
  }
}

TEST_CASE("single lines of 8 and more bits are the same integers under every instruction set, and no byte beyond is read") {
  std::mt19937 random(14);
  for (const Kernels* set : vector_kernels()) {
    CAPTURE(set->name);
    for (std::size_t count = 1; count < 150; count += count < 70 ? 1 : 7) {
      const int pairs = 1 + static_cast<int>(random() % 9);
      const bool wide = random() % 2, copies = random() % 4 == 0;
      const Rows rows(static_cast<std::size_t>(2 * pairs), wide ? 2 * count : count, random);
      std::vector<const std::byte*> at;
      for (const auto& row : rows.memory) at.push_back(row.get());
      std::vector<std::int16_t> weights(at.size());
      for (std::int16_t& weight : weights) weight = static_cast<std::int16_t>(copies ? 0 : static_cast<int>(random() % 9000) - 3000);
      if (copies) weights[0] = Taps::one;
      const int unused = static_cast<int>(1 + random() % 6), depth = 16 - unused;
      const auto line_of = [&](const Kernels& kernels) {
        std::vector<std::int16_t> out(count + room + 8, untouched);
        if (wide) kernels.vertical_16(at.data(), weights.data(), pairs, count, unused, depth, out.data());
        else kernels.vertical_8(at.data(), weights.data(), pairs, count, out.data());
        CHECK(std::all_of(out.begin() + static_cast<std::ptrdiff_t>(count), out.end(), [](std::int16_t value) { return value == untouched; }));
        return checked(out, count);
      };
      CAPTURE(count);
      CAPTURE(wide);
      CHECK(line_of(*set) == line_of(portable_kernels()));
    }
  }
}

TEST_CASE("chroma lines are their weighted sums, not rounded, from rows of any length") {
  std::mt19937 random(15);
  // Sites in the middle between two lines of luma and on one of them; and a copy, as far as a signed byte goes.
  const std::vector<std::array<std::array<std::int8_t, 4>, 2>> pairs{{{{-9, 111, 29, -3}, {-3, 29, 111, -9}}}, {{{-8, 72, 72, -8}, {0, 0, 1, 127}}}};
  for (const Kernels* set : vector_kernels()) {
    REQUIRE((set->chroma_lines != nullptr));
    REQUIRE((set->chroma_copy != nullptr));
    CAPTURE(set->name);
    for (std::size_t count = 32; count < 300; count += count < 140 ? 1 : 13) {
      const Rows rows(4, count, random);
      CAPTURE(count);
      for (const auto& weights : pairs) {
        for (const bool both : {true, false}) {
          std::array<std::vector<std::int16_t>, 2> out;
          for (auto& line : out) line.assign(count + room + 8, untouched);
          set->chroma_lines({.rows = {rows.memory[0].get(), rows.memory[1].get(), rows.memory[2].get(), rows.memory[3].get()},
                             .weights = weights, .count = count,
                             .out = {out[0].data(), both ? out[1].data() : nullptr}, .ahead = rows.memory[0].get()});
          for (std::size_t line = 0; line < (both ? 2U : 1U); ++line) {
            std::vector<std::int16_t> expected(count);
            for (std::size_t i = 0; i < count; ++i) {
              int sum = -128 * 128;
              for (std::size_t row = 0; row < 4; ++row) sum += weights[line][row] * std::to_integer<int>(rows.memory[row][i]);
              expected[i] = static_cast<std::int16_t>(sum);
            }
            CHECK(checked(out[line], count) == expected);
          }
        }
      }
      std::vector<std::int16_t> copied(count + room + 8, untouched), expected(count);
      set->chroma_copy(rows.memory[0].get(), count, copied.data());
      for (std::size_t i = 0; i < count; ++i) expected[i] = static_cast<std::int16_t>(128 * (std::to_integer<int>(rows.memory[0][i]) - 128));
      CHECK(checked(copied, count) == expected);
    }
  }
}

TEST_CASE("channels of any length are packed, and nothing beyond is read or written") {
  std::mt19937 random(16);
  for (const Kernels* set : vector_kernels()) {
    REQUIRE((set->pack != nullptr));
    CAPTURE(set->name);
    for (std::size_t count = 1; count < 200; ++count) {
      const Rows rows(3, count, random);
      const auto out = std::make_unique<std::byte[]>(3 * count);
      set->pack({rows.memory[0].get(), rows.memory[1].get(), rows.memory[2].get()}, count, out.get());
      bool right = true;
      for (std::size_t i = 0; i < 3 * count; ++i) right = right && out[i] == rows.memory[i % 3][i / 3];
      CAPTURE(count);
      CHECK(right);
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
