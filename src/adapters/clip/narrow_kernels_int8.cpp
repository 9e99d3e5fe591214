// Products of 8-bit numbers by AVX512_VNNI: fours of products, summed in 32 bits. Weights have a step for each output; rows a step and
// a least value of their own, found when they are made, so that no calibration is needed.
#include <adapters/clip/amx.hpp>
#include <adapters/clip/narrow_kernels.hpp>
#include <adapters/clip/tile_attention.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#if defined(__x86_64__)

#include <immintrin.h>

namespace vidloom {
inline namespace v0 {
namespace {

#define VIDLOOM_KERNEL __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma")))
#define VIDLOOM_TILE_KERNEL __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512vnni,fma,amx-tile,amx-int8")))
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
/// As bf16, a rounded half to the even one; by whole numbers, for not each processor with the instructions of this file has those of bf16.
VIDLOOM_KERNEL inline void store_bf16(std::byte* to, Vector value) noexcept {
  using Bits = std::uint32_t __attribute__((vector_size(64)));
  using Halves = std::uint16_t __attribute__((vector_size(32)));
  const Bits bits = reinterpret_cast<Bits>(value);
  const Halves halves = __builtin_convertvector((bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16, Halves);
  std::memcpy(to, &halves, sizeof halves);
}
/// For attention alone: the next product's step is that of a whole row, which is not known yet.
VIDLOOM_KERNEL inline bool stored_narrow(const NarrowProduct& p, std::byte* to, Vector first, Vector second) noexcept {
  if (!p.narrow_c) return false;
  store_bf16(to, first);
  store_bf16(to + 32, second);
  return true;
}

#include <adapters/clip/narrow_kernels.inl>

#define VIDLOOM_ADD_TILES(c, a, b) _tile_dpbusd(c, a, b)
#include <adapters/clip/narrow_tiles.inl>

/// A row's numbers, 16 at a time: where a mask says no stands `otherwise`.
struct Floats {
  const float* from;
  VIDLOOM_KERNEL Vector at(std::size_t i, __mmask16 there, Vector otherwise) const noexcept {
    return static_cast<Vector>(_mm512_mask_loadu_ps(static_cast<__m512>(otherwise), there, from + i));
  }
};
struct Halves {  // of bf16
  const std::byte* from;
  VIDLOOM_KERNEL Vector at(std::size_t i, __mmask16 there, Vector otherwise) const noexcept {
    const __m512i wide = _mm512_maskz_cvtepu16_epi32(all16, _mm256_maskz_loadu_epi16(there, from + i * 2));
    return static_cast<Vector>(_mm512_mask_mov_ps(static_cast<__m512>(otherwise), there, reinterpret_cast<__m512>(_mm512_maskz_slli_epi32(all16, wide, 16))));
  }
};

template <class Numbers>
VIDLOOM_KERNEL inline RowScale narrow_row(const Numbers& row, std::size_t width, std::byte* to) noexcept {
  const Vector start = all(row.at(0, 1, Vector{})[0]);
  Vector least[2] = {start, start}, most[2] = {start, start};
  for (std::size_t i = 0; i < width; i += 32) {
    const std::size_t left = width - i;
    const Vector one = row.at(i, first_of(left), start), other = row.at(i + 16, left > 16 ? first_of(left - 16) : __mmask16{0}, start);
    least[0] = smaller(least[0], one), most[0] = larger(most[0], one);
    least[1] = smaller(least[1], other), most[1] = larger(most[1], other);
  }
  const float low = smallest(smaller(least[0], least[1])), range = largest(larger(most[0], most[1])) - low;
  const float step = range > 0 ? range / 255 : 1;  // of infinity the step is that too, and so is what comes of it
  const Vector offset = all(low), factor = all(1 / step);
  const std::size_t whole = (width + 63) / 64 * 64;
  for (std::size_t i = 0; i < whole; i += 16) {
    const Vector value = (row.at(i, i < width ? first_of(width - i) : __mmask16{0}, offset) - offset) * factor;
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), _mm512_maskz_cvtusepi32_epi8(all16, _mm512_maskz_cvtps_epi32(all16, static_cast<__m512>(value))));
  }
  return {step, low};
}

VIDLOOM_KERNEL void narrow(const float* from, std::size_t from_stride, std::size_t rows, std::size_t width, std::byte* to, std::size_t to_stride,
                           RowScale* scales) noexcept {
  for (std::size_t row = 0; row < rows; ++row) scales[row] = narrow_row(Floats{from + row * from_stride}, width, to + row * to_stride);
}

VIDLOOM_KERNEL void narrow_halves(const std::byte* from, std::size_t from_stride, std::size_t rows, std::size_t width, std::byte* to, std::size_t to_stride,
                                  RowScale* scales) noexcept {
  for (std::size_t row = 0; row < rows; ++row) scales[row] = narrow_row(Halves{from + row * from_stride}, width, to + row * to_stride);
}

VIDLOOM_KERNEL void pack(float* rows, std::size_t count, std::size_t width, std::byte* panel, float* scales) noexcept {
  const std::size_t words = (width + 3) / 4;
  std::byte* const narrowed = reinterpret_cast<std::byte*>(rows);
  std::fill_n(scales, 2 * panel_width, 0.0F);
  for (std::size_t j = 0; j < count; ++j) {
    const float* const from = rows + j * width;
    Vector most{};
    for (std::size_t i = 0; i < width; i += 16) {
      const __m512 magnitude = _mm512_abs_ps(_mm512_maskz_loadu_ps(first_of(width - i), from + i));
      most = larger(most, static_cast<Vector>(magnitude));
    }
    const float above = largest(most), scale = above > 0 ? above / 127 : 1;
    __m512i sums = _mm512_setzero_si512();
    // Into its own place: sixteen bytes are written when the numbers that stood there have been read.
    for (std::size_t i = 0; i < width; i += 16) {
      const __mmask16 there = first_of(width - i);
      const __m512 steps = _mm512_div_ps(_mm512_maskz_loadu_ps(there, from + i), _mm512_set1_ps(scale));
      const __m512i rounded = _mm512_maskz_cvtps_epi32(there, steps);
      sums = _mm512_add_epi32(sums, rounded);
      _mm_mask_storeu_epi8(narrowed + j * words * 4 + i, first_of(words * 4 - i), _mm512_maskz_cvtsepi32_epi8(all16, rounded));
    }
    alignas(64) std::int32_t parts[16];
    _mm512_store_si512(parts, sums);
    const std::int32_t total = std::accumulate(parts, parts + 16, 0);
    scales[j] = scale;
    scales[panel_width + j] = scale * static_cast<float>(total);
  }
  to_panel(narrowed, count, words, panel);
}

}  // namespace

const NarrowKernels* avx512_vnni_kernels() noexcept {
  static constexpr NarrowKernels set{"avx512_vnni", "int8", panel_width, 4, false, cached_bytes, multiply, narrow, pack};
  static const bool usable = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
                             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
  return usable ? &set : nullptr;
}

const NarrowKernels* amx_int8_kernels() noexcept {
  static const NarrowKernels set{"amx_int8", "int8", panel_width, 4, false, tile_cached_bytes, multiply_by_tiles, narrow, pack, layer_norm_by_fours, tile_attention(), narrow_halves};
  return avx512_vnni_kernels() && usable_amx().int8 ? &set : nullptr;
}

const NarrowKernels* int8_kernels() noexcept {
  const NarrowKernels* const tiles = amx_int8_kernels();
  return tiles ? tiles : avx512_vnni_kernels();
}

}  // namespace v0
}  // namespace vidloom

#else

namespace vidloom {
inline namespace v0 {
const NarrowKernels* avx512_vnni_kernels() noexcept { return nullptr; }
const NarrowKernels* amx_int8_kernels() noexcept { return nullptr; }
const NarrowKernels* int8_kernels() noexcept { return nullptr; }
}  // namespace v0
}  // namespace vidloom

#endif
