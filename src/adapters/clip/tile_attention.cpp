#include <adapters/clip/tile_attention.hpp>

#include <adapters/clip/amx.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>

#if defined(__x86_64__)

#include <immintrin.h>

namespace vidloom {
inline namespace v0 {
namespace {

#define VIDLOOM_KERNEL __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512bf16,fma")))
#define VIDLOOM_TILE_KERNEL __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,avx512bf16,fma,amx-tile,amx-bf16")))
constexpr std::size_t vector_floats = 16;
#include <adapters/clip/tower_vectors.inl>

#include <adapters/clip/narrow_vectors.inl>

#include <adapters/clip/tile_shapes.inl>

constexpr std::size_t line = 2 * tile_rows * 4;  // a tile pair's columns of one word

/// The products of up to 32 rows with 32 columns, as floats in lines of 128 bytes.
/// \param panel  words of columns, `panel_stride` bytes from one to the next; 32 numbers deep with each step
template <bool lower_too>
VIDLOOM_TILE_KERNEL inline void products(const std::byte* rows, std::size_t row_stride, const std::byte* panel, std::size_t panel_stride, std::size_t steps,
                                         float* sums, std::size_t sums_stride) noexcept {
  _tile_zero(0);
  _tile_zero(1);
  if constexpr (lower_too) {
    _tile_zero(2);
    _tile_zero(3);
  }
  for (std::size_t step = 0; step < steps; ++step, rows += 64, panel += tile_rows * panel_stride) {
    _tile_loadd(6, panel, panel_stride);
    _tile_loadd(4, rows, row_stride);
    _tile_loadd(7, panel + 64, panel_stride);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    if constexpr (lower_too) {
      _tile_loadd(5, rows + tile_rows * row_stride, row_stride);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, sums, sums_stride);
  _tile_stored(1, sums + vector_floats, sums_stride);
  if constexpr (lower_too) {
    float* const lower = sums + tile_rows * sums_stride / sizeof(float);
    _tile_stored(2, lower, sums_stride);
    _tile_stored(3, lower + vector_floats, sums_stride);
  }
}

/// Keys as columns: pairs of numbers, 32 keys side by side, blocks of 32 keys one behind the other.
VIDLOOM_KERNEL void pack_keys(const NarrowAttention& p, const std::byte* keys, std::byte* panels) noexcept {
  const std::size_t words = p.size / 2;
  for (std::size_t key = 0; key < p.length; key += attention_rows) {
    // What stands in columns behind the last key is of no matter: the softmax puts zeros in place of their scores.
    transpose(reinterpret_cast<const float*>(keys + key * p.key_stride), p.key_stride / sizeof(float), std::min(attention_rows, p.length - key), words,
              reinterpret_cast<float*>(panels + key * words * 4), attention_rows);
  }
}

/// Values as they lie, but those of two keys side by side; behind the last key zeros.
VIDLOOM_KERNEL void pack_values(const NarrowAttention& p, const std::byte* values, std::byte* panel) noexcept {
  alignas(64) static constexpr std::uint16_t first[32] = {0, 32, 1, 33, 2, 34, 3, 35, 4, 36, 5, 37, 6, 38, 7, 39, 8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
  const __m512i low = _mm512_load_si512(first), high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
  const std::size_t padded = (p.length + attention_rows - 1) / attention_rows * attention_rows;
  for (std::size_t key = 0; key < padded; key += 2) {
    for (std::size_t d = 0; d < p.size; d += 32, panel += line) {
      const __m512i one = key < p.length ? _mm512_loadu_si512(values + key * p.key_stride + d * 2) : _mm512_setzero_si512();
      const __m512i other = key + 1 < p.length ? _mm512_loadu_si512(values + (key + 1) * p.key_stride + d * 2) : _mm512_setzero_si512();
      _mm512_store_si512(panel, _mm512_permutex2var_epi16(one, low, other));
      _mm512_store_si512(panel + 64, _mm512_permutex2var_epi16(one, high, other));
    }
  }
}

/// e^score less the largest, as bf16. \return what to multiply by so that they add up to 1
VIDLOOM_KERNEL inline float weigh(const float* scores, std::size_t length, std::size_t padded, std::byte* weights) noexcept {
  const __m512 lowest = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
  __m512 most = lowest;
  for (std::size_t i = 0; i < length; i += vector_floats) most = _mm512_maskz_max_ps(all16, most, _mm512_mask_loadu_ps(lowest, first_of(length - i), scores + i));
  constexpr float log2_e = 1.44269504088896341F;
  const __m512 scale = _mm512_set1_ps(log2_e), offset = _mm512_set1_ps(largest(static_cast<Vector>(most)) * log2_e);
  __m512 sums = _mm512_setzero_ps();
  for (std::size_t i = 0; i < padded; i += 2 * vector_floats) {
    __m512 two[2];
    for (std::size_t j = 0; j < 2; ++j) {
      const std::size_t at = i + j * vector_floats;
      const __mmask16 there = at < length ? first_of(length - at) : __mmask16{0};
      const __m512 score = _mm512_mask_loadu_ps(lowest, there, scores + at);
      two[j] = _mm512_maskz_mov_ps(there, nearly_two_to_the(_mm512_fmsub_ps(score, scale, offset)));
      sums = _mm512_add_ps(sums, two[j]);
    }
    _mm512_store_si512(weights + i * 2, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(two[1], two[0])));
  }
  return 1 / sum_by_halves(static_cast<Vector>(sums));
}

VIDLOOM_TILE_KERNEL void attend(const NarrowAttention& p) noexcept {
  const std::size_t padded = (p.length + attention_rows - 1) / attention_rows * attention_rows, words = p.size / 2;
  std::byte* const key_panels = p.scratch;
  std::byte* const value_panel = key_panels + padded * p.size * 2;
  float* const scores = reinterpret_cast<float*>(value_panel + padded * p.size * 2);
  std::byte* const weights = reinterpret_cast<std::byte*>(scores + attention_rows * padded);
  float* const sums = reinterpret_cast<float*>(weights + attention_rows * padded * 2);
  shape_tiles(tile_rows, tile_rows);
  for (std::size_t head = 0; head < p.heads; ++head) {
    const std::size_t column = head * p.size * 2;
    pack_keys(p, p.keys + column, key_panels);
    pack_values(p, p.values + column, value_panel);
    for (std::size_t row = 0; row < p.rows; row += attention_rows) {
      const std::size_t rows = std::min(attention_rows, p.rows - row);
      const auto multiply = rows > tile_rows ? products<true> : products<false>;
      const std::byte* const queries = p.queries + row * p.query_stride + column;
      for (std::size_t key = 0; key < p.length; key += attention_rows) {
        multiply(queries, p.query_stride, key_panels + key * words * 4, line, words / tile_rows, scores + key, padded * sizeof(float));
      }
      float scale[attention_rows];
      for (std::size_t i = 0; i < rows; ++i) scale[i] = weigh(scores + i * padded, p.length, padded, weights + i * padded * 2);
      for (std::size_t d = 0; d < p.size; d += attention_size) {
        multiply(weights, padded * 2, value_panel + d * 4, p.size * 4, padded / attention_rows, sums, line);
        for (std::size_t i = 0; i < rows; ++i) {
          const __m512 factor = _mm512_set1_ps(scale[i]);
          const __m512 left = _mm512_mul_ps(_mm512_load_ps(sums + i * 32), factor), right = _mm512_mul_ps(_mm512_load_ps(sums + i * 32 + vector_floats), factor);
          _mm512_storeu_si512(p.mixed + (row + i) * p.mixed_stride + (head * p.size + d) * 2, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(right, left)));
        }
      }
    }
  }
  _tile_release();
}

}  // namespace

NarrowAttend tile_attention() noexcept { return avx512_bf16_kernels() && usable_amx().bf16 ? attend : nullptr; }

}  // namespace v0
}  // namespace vidloom

#else

namespace vidloom {
inline namespace v0 {
NarrowAttend tile_attention() noexcept { return nullptr; }
}  // namespace v0
}  // namespace vidloom

#endif
