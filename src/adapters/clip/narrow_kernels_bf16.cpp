// Products of bf16 by AVX512_BF16: pairs of products, summed in float.
#include <adapters/clip/amx.hpp>
#include <adapters/clip/narrow_kernels.hpp>
#include <adapters/clip/tile_attention.hpp>

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

#define VIDLOOM_KERNEL __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512bf16,fma")))
#define VIDLOOM_TILE_KERNEL __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512bf16,fma,amx-tile,amx-bf16")))
constexpr std::size_t vector_floats = 16;
#include <adapters/clip/tower_vectors.inl>

using Sums = __m512;
VIDLOOM_KERNEL inline Sums add(Sums sums, __m512i word, __m512i columns) noexcept {
  return _mm512_dpbf16_ps(sums, reinterpret_cast<__m512bh>(word), reinterpret_cast<__m512bh>(columns));
}
VIDLOOM_KERNEL inline Vector finished(Sums sums, const NarrowProduct&, std::size_t, std::size_t) noexcept { return static_cast<Vector>(sums); }
/// 32 numbers; a rounded half goes to the even one.
VIDLOOM_KERNEL inline void store_narrow(std::byte* to, Vector first, Vector second) noexcept {
  _mm512_storeu_si512(to, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(static_cast<__m512>(second), static_cast<__m512>(first))));
}

VIDLOOM_KERNEL inline bool stored_narrow(const NarrowProduct& p, std::byte* to, Vector first, Vector second) noexcept {
  if (p.narrow_c) store_narrow(to, first, second);
  return p.narrow_c;
}

#include <adapters/clip/narrow_kernels.inl>

#define VIDLOOM_ADD_TILES(c, a, b) _tile_dpbf16ps(c, a, b)
#include <adapters/clip/narrow_tiles.inl>

VIDLOOM_KERNEL void narrow_row(const float* from, std::size_t width, std::byte* to) noexcept {
  for (std::size_t i = 0; i < width; i += 32) {
    const std::size_t left = width - i;
    const auto first = static_cast<__mmask16>(left >= 16 ? 0xFFFFU : (1U << left) - 1);
    const auto second = static_cast<__mmask16>(left >= 32 ? 0xFFFFU : left <= 16 ? 0U : (1U << (left - 16)) - 1);
    store_narrow(to + i * 2, static_cast<Vector>(_mm512_maskz_loadu_ps(first, from + i)),
                 static_cast<Vector>(second ? _mm512_maskz_loadu_ps(second, from + i + 16) : _mm512_setzero_ps()));
  }
}

VIDLOOM_KERNEL void narrow(const float* from, std::size_t from_stride, std::size_t rows, std::size_t width, std::byte* to, std::size_t to_stride,
                           RowScale*) noexcept {
  for (std::size_t row = 0; row < rows; ++row) narrow_row(from + row * from_stride, width, to + row * to_stride);
}

VIDLOOM_KERNEL void pack(float* rows, std::size_t count, std::size_t width, std::byte* panel, float*) noexcept {
  // Each row in its own place: 32 numbers are read before the half of their room is written, and rows to come lie behind.
  const std::size_t words = (width + 1) / 2;
  std::byte* const narrowed = reinterpret_cast<std::byte*>(rows);
  for (std::size_t j = 0; j < count; ++j) {
    const float* const from = rows + j * width;
    alignas(64) std::byte line[64];
    std::byte* const to = narrowed + j * words * 4;
    for (std::size_t i = 0; i < width; i += 32) {
      narrow_row(from + i, std::min<std::size_t>(32, width - i), line);
      std::memcpy(to + i * 2, line, std::min<std::size_t>(64, (words - i / 2) * 4));
    }
  }
  to_panel(narrowed, count, words, panel);
}

}  // namespace

const NarrowKernels* avx512_bf16_kernels() noexcept {
  static constexpr NarrowKernels set{"avx512_bf16", "bf16", panel_width, 2, true, cached_bytes, multiply, narrow, pack};
  static const bool usable = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
                             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bf16");
  return usable ? &set : nullptr;
}

const NarrowKernels* amx_bf16_kernels() noexcept {
  static const NarrowKernels set{"amx_bf16", "bf16", panel_width, 2, true, tile_cached_bytes, multiply_by_tiles, narrow, pack, layer_norm_by_fours, tile_attention()};
  return avx512_bf16_kernels() && usable_amx().bf16 ? &set : nullptr;
}

const NarrowKernels* bf16_kernels() noexcept {
  const NarrowKernels* const tiles = amx_bf16_kernels();
  return tiles ? tiles : avx512_bf16_kernels();
}

}  // namespace v0
}  // namespace vidloom

#else

namespace vidloom {
inline namespace v0 {
const NarrowKernels* avx512_bf16_kernels() noexcept { return nullptr; }
const NarrowKernels* amx_bf16_kernels() noexcept { return nullptr; }
const NarrowKernels* bf16_kernels() noexcept { return nullptr; }
}  // namespace v0
}  // namespace vidloom

#endif
