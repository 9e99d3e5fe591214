// Products of 8-bit numbers by AVX512_VNNI: fours of products, summed in 32 bits. Weights have a step for each output; rows a step and
// a least value of their own, found when they are made, so that no calibration is needed.
#include <adapters/clip/narrow_kernels.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>

#if defined(__x86_64__)

#include <immintrin.h>

namespace vidloom {
inline namespace v0 {
namespace {

#define VIDLOOM_KERNEL __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma")))
constexpr std::size_t vector_floats = 16;
#include <adapters/clip/tower_vectors.inl>

using Sums = __m512i;
constexpr __mmask16 all_sums = 0xFFFF;  // see all16
/// By its name, for GCC 12 copies the sums of the intrinsic to memory and back at each step.
VIDLOOM_KERNEL inline Sums add(Sums sums, __m512i word, __m512i columns) noexcept {
  asm("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(word), "v"(columns));
  return sums;
}
/// A row is step * u + least and a weight scale * w, so that their product is step * scale * (u w) + least * scale * (w), each summed.
VIDLOOM_KERNEL inline Vector finished(Sums sums, const NarrowProduct& p, std::size_t row, std::size_t column) noexcept {
  const Vector products = static_cast<Vector>(_mm512_maskz_cvtepi32_ps(all_sums, sums)) * load(p.panel_scale + column);
  return products * p.a_scale[row].step + load(p.panel_scale + 2 * vector_floats + column) * p.a_scale[row].least;
}
// The next product's step is that of a whole row, which is not known yet.
VIDLOOM_KERNEL inline bool stored_narrow(const NarrowProduct&, std::byte*, Vector, Vector) noexcept { return false; }

#include <adapters/clip/narrow_kernels.inl>

VIDLOOM_KERNEL inline __mmask16 first_of(std::size_t count) noexcept { return static_cast<__mmask16>(count >= 16 ? 0xFFFFU : (1U << count) - 1); }

VIDLOOM_KERNEL void narrow(const float* from, std::size_t from_stride, std::size_t rows, std::size_t width, std::byte* to, std::size_t to_stride,
                           RowScale* scales) noexcept {
  for (std::size_t row = 0; row < rows; ++row, from += from_stride, to += to_stride) {
    const __m512 start = _mm512_set1_ps(from[0]);
    __m512 least = start, most = start;
    for (std::size_t i = 0; i < width; i += 16) {
      const __m512 value = _mm512_mask_loadu_ps(start, first_of(width - i), from + i);
      least = _mm512_maskz_min_ps(all16, least, value), most = _mm512_maskz_max_ps(all16, most, value);
    }
    alignas(64) float lows[16], highs[16];
    _mm512_store_ps(lows, least), _mm512_store_ps(highs, most);
    const float low = *std::min_element(lows, lows + 16), range = *std::max_element(highs, highs + 16) - low;
    const float step = range > 0 ? range / 255 : 1;  // of infinity the step is that too, and so is what comes of it
    scales[row] = {step, low};
    const __m512 offset = _mm512_set1_ps(low), factor = _mm512_set1_ps(1 / step);
    const std::size_t whole = (width + 63) / 64 * 64;
    for (std::size_t i = 0; i < whole; i += 16) {
      const __mmask16 there = i < width ? first_of(width - i) : __mmask16{0};
      const __m512 value = _mm512_mul_ps(_mm512_sub_ps(_mm512_mask_loadu_ps(offset, there, from + i), offset), factor);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), _mm512_maskz_cvtusepi32_epi8(all16, _mm512_maskz_cvtps_epi32(all16, value)));
    }
  }
}

VIDLOOM_KERNEL void pack(float* rows, std::size_t count, std::size_t width, std::byte* panel, float* scales) noexcept {
  const std::size_t words = (width + 3) / 4;
  std::byte* const narrowed = reinterpret_cast<std::byte*>(rows);
  std::fill_n(scales, 2 * panel_width, 0.0F);
  for (std::size_t j = 0; j < count; ++j) {
    const float* const from = rows + j * width;
    float largest = 0;
    for (std::size_t i = 0; i < width; ++i) largest = std::max(largest, std::abs(from[i]));
    const float scale = largest > 0 ? largest / 127 : 1;
    std::int32_t total = 0;
    // Into its own place: four bytes are written when the numbers that stood there have been read.
    for (std::size_t i = 0; i < width; i += 4) {
      std::int8_t four[4] = {};
      for (std::size_t k = 0; k < std::min<std::size_t>(4, width - i); ++k) {
        four[k] = static_cast<std::int8_t>(std::lrint(from[i + k] / scale));
        total += four[k];
      }
      std::memcpy(narrowed + (j * words + i / 4) * 4, four, 4);
    }
    scales[j] = scale;
    scales[panel_width + j] = scale * static_cast<float>(total);
  }
  to_panel(narrowed, count, words, panel);
}

}  // namespace

const NarrowKernels* int8_kernels() noexcept {
  static constexpr NarrowKernels set{"avx512_vnni", "int8", panel_width, 4, false, multiply, narrow, pack};
  static const bool usable = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
                             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
  return usable ? &set : nullptr;
}

}  // namespace v0
}  // namespace vidloom

#else

namespace vidloom {
inline namespace v0 {
const NarrowKernels* int8_kernels() noexcept { return nullptr; }
}  // namespace v0
}  // namespace vidloom

#endif
