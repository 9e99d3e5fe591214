// The kernels for x86-64 with AVX2, FMA and F16C. The file is compiled for the baseline: functions carry their target themselves, so
// that no inline function of a header is emitted with instructions the processor may not have.
#include <imaging/kernels.hpp>
#include <imaging/taps.hpp>

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#include <algorithm>
#include <cstring>

#define VIDLOOM_AVX2 __attribute__((target("avx2,fma,f16c")))
#define VIDLOOM_AVX2_INLINE VIDLOOM_AVX2 inline __attribute__((always_inline))

namespace vidloom {
inline namespace v0 {
namespace {

constexpr std::size_t lines_of_block = 16;  // two vectors: a weight once loaded serves both

VIDLOOM_AVX2_INLINE __m256i load(const void* at) { return _mm256_loadu_si256(static_cast<const __m256i*>(at)); }
VIDLOOM_AVX2_INLINE void store(void* at, __m256i value) { _mm256_storeu_si256(static_cast<__m256i*>(at), value); }
VIDLOOM_AVX2_INLINE __m256i pair_of_weights(const std::int16_t* weights) {
  std::int32_t both;
  std::memcpy(&both, weights, sizeof both);
  return _mm256_set1_epi32(both);
}

// ── vertical ────────────────────────────────────────────────────────────────────────────────────────────────────────────

/// Adds two rows of 32 bytes to sums whose order is that of unpacking: 0-3 and 16-19, 4-7 and 20-23, 8-11 and 24-27, 12-15 and 28-31.
VIDLOOM_AVX2_INLINE void add_rows(__m256i sums[4], __m256i above, __m256i below, __m256i weights) {
  const __m256i zero = _mm256_setzero_si256();
  const __m256i low = _mm256_unpacklo_epi8(above, below), high = _mm256_unpackhi_epi8(above, below);
  sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(_mm256_unpacklo_epi8(low, zero), weights));
  sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(_mm256_unpackhi_epi8(low, zero), weights));
  sums[2] = _mm256_add_epi32(sums[2], _mm256_madd_epi16(_mm256_unpacklo_epi8(high, zero), weights));
  sums[3] = _mm256_add_epi32(sums[3], _mm256_madd_epi16(_mm256_unpackhi_epi8(high, zero), weights));
}

/// 32 sums in that order, shifted, to 32 numbers in order.
VIDLOOM_AVX2_INLINE void store_sums(const __m256i sums[4], int shift, std::int16_t* out) {
  const __m128i by = _mm_cvtsi32_si128(shift);
  const __m256i first = _mm256_packs_epi32(_mm256_sra_epi32(sums[0], by), _mm256_sra_epi32(sums[1], by));
  const __m256i second = _mm256_packs_epi32(_mm256_sra_epi32(sums[2], by), _mm256_sra_epi32(sums[3], by));
  store(out, _mm256_permute2x128_si256(first, second, 0x20));
  store(out + 16, _mm256_permute2x128_si256(first, second, 0x31));
}

constexpr int shift_8 = Taps::fraction_bits - line_fraction_bits;

template <int blocks>
VIDLOOM_AVX2_INLINE void vertical_8_part(const std::byte* const* rows, const std::int16_t* weights, int pairs, std::size_t at, std::int16_t* out) {
  __m256i sums[4 * blocks];
  for (__m256i& sum : sums) sum = _mm256_set1_epi32(1 << (shift_8 - 1));
  for (int pair = 0; pair < pairs; ++pair) {
    const std::byte* above = rows[2 * pair] + at;
    const std::byte* below = rows[2 * pair + 1] + at;
    const __m256i both = pair_of_weights(weights + 2 * pair);
    for (int block = 0; block < blocks; ++block) add_rows(sums + 4 * block, load(above + 32 * block), load(below + 32 * block), both);
  }
  for (int block = 0; block < blocks; ++block) store_sums(sums + 4 * block, shift_8, out + at + 32 * static_cast<std::size_t>(block));
}

VIDLOOM_AVX2_INLINE void copy_16_of_8(const std::byte* from, std::int16_t* to) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  store(to, _mm256_slli_epi16(_mm256_cvtepu8_epi16(bytes), line_fraction_bits));
}

VIDLOOM_AVX2 void copy_8(const std::byte* row, std::size_t count, std::int16_t* out) {
  for (std::size_t i = 0; i + 16 <= count; i += 16) copy_16_of_8(row + i, out + i);
  if (count % 16 != 0) copy_16_of_8(row + count - 16, out + count - 16);
}

VIDLOOM_AVX2 void vertical_8(const std::byte* const* rows, const std::int16_t* weights, int pairs, std::size_t count, std::int16_t* out) {
  if (count < 32) return portable_kernels().vertical_8(rows, weights, pairs, count, out);
  if (pairs == 1 && weights[0] == Taps::one && weights[1] == 0) return copy_8(rows[0], count, out);
  std::size_t at = 0;
  for (; at + 64 <= count; at += 64) vertical_8_part<2>(rows, weights, pairs, at, out);
  for (; at + 32 <= count; at += 32) vertical_8_part<1>(rows, weights, pairs, at, out);
  if (at < count) vertical_8_part<1>(rows, weights, pairs, count - 32, out);
}

constexpr std::size_t strip = 32;
constexpr int strip_rows = LinesTask::most_rows + 16;

/// 32 samples of two rows become 32 pairs of words: 0-3 8-11, 4-7 12-15, and so on for 16 to 31; packing puts them in order.
VIDLOOM_AVX2_INLINE void lay_out(const std::byte* above, const std::byte* below, std::byte* out) {
  for (int half = 0; half < 2; ++half) {
    const __m256i a = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(above + 16 * half)));
    const __m256i b = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(below + 16 * half)));
    _mm256_store_si256(reinterpret_cast<__m256i*>(out + 64 * half), _mm256_unpacklo_epi16(a, b));
    _mm256_store_si256(reinterpret_cast<__m256i*>(out + 64 * half + 32), _mm256_unpackhi_epi16(a, b));
  }
}

/// 32 samples of one line.
VIDLOOM_AVX2_INLINE void sum_up(const std::byte* from, const std::int16_t* weights, int pairs, std::int16_t* out) {
  __m256i sums[4];
  for (__m256i& sum : sums) sum = _mm256_set1_epi32(1 << (shift_8 - 1));
  for (int pair = 0; pair < pairs; ++pair, from += 4 * strip) {
    const __m256i both = pair_of_weights(weights + 2 * pair);
    for (int i = 0; i < 4; ++i) {
      const __m256i words = _mm256_load_si256(reinterpret_cast<const __m256i*>(from + 32 * i));
      sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(words, both));
    }
  }
  for (__m256i& sum : sums) sum = _mm256_srai_epi32(sum, shift_8);
  store(out, _mm256_packs_epi32(sums[0], sums[1]));
  store(out + 16, _mm256_packs_epi32(sums[2], sums[3]));
}

VIDLOOM_AVX2 void lines_8(const LinesTask& task) {
  if (task.count < strip) {
    for (int line = 0; line < task.lines; ++line) {
      const std::byte* rows[LinesTask::most_rows];
      for (int i = 0; i < 2 * task.pairs; ++i) rows[i] = task.rows + std::min(task.first[line] + i, task.row_count - 1) * task.stride;
      portable_kernels().vertical_8(rows, task.weights + std::ptrdiff_t{line} * 2 * task.pairs, task.pairs, task.count, task.out[line]);
    }
    return;
  }
  alignas(32) std::byte laid_out[static_cast<std::size_t>(strip_rows) * 2 * strip];
  alignas(32) std::int16_t weights[lines_of_block][strip_rows];
  for (int begin = 0, end = 0; begin < task.lines; begin = end) {
    // As many lines as the memory takes the rows of: all sixteen but for pictures that shrink thirteen times or more.
    int lowest = task.first[begin], highest = lowest, first_row = 0, row_count = 0;
    for (end = begin; end < task.lines; ++end) {
      lowest = std::min(lowest, task.first[end]);
      highest = std::max(highest, task.first[end]);
      const int from = lowest & ~1, count = (highest + 2 * task.pairs - from + 1) & ~1;
      if (count > strip_rows) break;
      first_row = from;
      row_count = count;
    }
    const int pairs = task.pairs + 1;  // rows are laid out two by two: the weights of a window that begins between go behind a zero
    for (int line = begin; line < end; ++line) {
      std::int16_t* const to = weights[line - begin];
      std::fill_n(to, 2 * pairs, std::int16_t{0});
      std::copy_n(task.weights + std::ptrdiff_t{line} * 2 * task.pairs, 2 * task.pairs, to + task.first[line] % 2);
    }
    const std::byte* rows[strip_rows];
    for (int row = 0; row < row_count; ++row) rows[row] = task.rows + std::min(first_row + row, task.row_count - 1) * task.stride;
    for (std::size_t next = 0; next < task.count; next += strip) {
      const std::size_t at = std::min(next, task.count - strip);
      for (int row = 0; row < row_count; row += 2) {
        if (next % 64 == 0) {
          __builtin_prefetch(rows[row] + at + 128);
          __builtin_prefetch(rows[row + 1] + at + 128);
        }
        lay_out(rows[row] + at, rows[row + 1] + at, laid_out + static_cast<std::size_t>(row) * 2 * strip);
      }
      for (int line = begin; line < end; ++line) {
        const int before = task.first[line] % 2;
        const std::byte* const from = laid_out + static_cast<std::size_t>(task.first[line] - before - first_row) * 2 * strip;
        sum_up(from, weights[line - begin], task.pairs + before, task.out[line] + at);
      }
    }
  }
}

VIDLOOM_AVX2_INLINE void vertical_16_part(const std::byte* const* rows, const std::int16_t* weights, int pairs, std::size_t at, int shift_in,
                                          int shift, std::int16_t* out) {
  const __m128i in = _mm_cvtsi32_si128(shift_in), by = _mm_cvtsi32_si128(shift);
  __m256i low = _mm256_set1_epi32(1 << (shift - 1)), high = low;
  for (int pair = 0; pair < pairs; ++pair) {
    const __m256i above = _mm256_srl_epi16(load(rows[2 * pair] + 2 * at), in), below = _mm256_srl_epi16(load(rows[2 * pair + 1] + 2 * at), in);
    const __m256i both = pair_of_weights(weights + 2 * pair);
    low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_unpacklo_epi16(above, below), both));
    high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_unpackhi_epi16(above, below), both));
  }
  store(out + at, _mm256_packs_epi32(_mm256_sra_epi32(low, by), _mm256_sra_epi32(high, by)));
}

VIDLOOM_AVX2 void vertical_16(const std::byte* const* rows, const std::int16_t* weights, int pairs, std::size_t count, int shift_in, int depth,
                              std::int16_t* out) {
  if (count < 16) return portable_kernels().vertical_16(rows, weights, pairs, count, shift_in, depth, out);
  const int shift = Taps::fraction_bits - line_fraction_bits + depth - 8;
  std::size_t at = 0;
  for (; at + 16 <= count; at += 16) vertical_16_part(rows, weights, pairs, at, shift_in, shift, out);
  if (at < count) vertical_16_part(rows, weights, pairs, count - 16, shift_in, shift, out);
}

// ── lines to blocks ─────────────────────────────────────────────────────────────────────────────────────────────────────

VIDLOOM_AVX2 void split(const std::int16_t* line, int offset, int step, std::size_t count, std::int16_t* out) {
  if (step != 2) return portable_kernels().split(line, offset, step, count, out);
  const __m128i up = _mm_cvtsi32_si128(offset == 0 ? 16 : 0);
  for (std::size_t i = 0; i < count; i += 16) {
    const __m256i first = _mm256_srai_epi32(_mm256_sll_epi32(load(line + 2 * i), up), 16);
    const __m256i second = _mm256_srai_epi32(_mm256_sll_epi32(load(line + 2 * i + 16), up), 16);
    store(out + i, _mm256_permute4x64_epi64(_mm256_packs_epi32(first, second), 0xD8));
  }
}

/// Eight rows of eight 32-bit numbers become eight columns.
VIDLOOM_AVX2_INLINE void transpose(__m256i v[8]) {
  __m256i t[8];
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_epi32(v[i], v[i + 1]);
    t[i + 1] = _mm256_unpackhi_epi32(v[i], v[i + 1]);
  }
  __m256i u[8];
  for (int i = 0; i < 8; i += 4) {
    u[i] = _mm256_unpacklo_epi64(t[i], t[i + 2]);
    u[i + 1] = _mm256_unpackhi_epi64(t[i], t[i + 2]);
    u[i + 2] = _mm256_unpacklo_epi64(t[i + 1], t[i + 3]);
    u[i + 3] = _mm256_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    v[i] = _mm256_permute2x128_si256(u[i], u[i + 4], 0x20);
    v[i + 4] = _mm256_permute2x128_si256(u[i], u[i + 4], 0x31);
  }
}

VIDLOOM_AVX2 void interleave(const std::int16_t* const* lines, std::size_t pairs, std::int16_t* block) {
  for (std::size_t pair = 0; pair < pairs; pair += 8) {
    for (std::size_t half = 0; half < 2; ++half) {
      __m256i v[8];
      for (std::size_t line = 0; line < 8; ++line) v[line] = load(lines[8 * half + line] + 2 * pair);
      transpose(v);
      for (std::size_t i = 0; i < 8; ++i) store(block + (pair + i) * 2 * lines_of_block + 16 * half, v[i]);
    }
  }
}

// ── horizontal, matrix, store ───────────────────────────────────────────────────────────────────────────────────────────

/// One column of `count` components that have the same weights, all lines.
template <std::size_t count>
VIDLOOM_AVX2_INLINE void horizontal(const FinishInput* inputs, std::size_t column, __m256 out[][2]) {
  const std::int16_t* weights = inputs->weights + column * 2 * static_cast<std::size_t>(inputs->pairs);
  std::size_t at = static_cast<std::size_t>(inputs->first[column]) * lines_of_block;
  __m256i low[count], high[count];
  for (std::size_t i = 0; i < count; ++i) low[i] = high[i] = _mm256_setzero_si256();
  for (int pair = 0; pair < inputs->pairs; ++pair, weights += 2, at += 2 * lines_of_block) {
    const __m256i both = pair_of_weights(weights);
    for (std::size_t i = 0; i < count; ++i) {
      low[i] = _mm256_add_epi32(low[i], _mm256_madd_epi16(load(inputs[i].block + at), both));
      high[i] = _mm256_add_epi32(high[i], _mm256_madd_epi16(load(inputs[i].block + at + 16), both));
    }
  }
  for (std::size_t i = 0; i < count; ++i) {
    out[i][0] = _mm256_cvtepi32_ps(low[i]);
    out[i][1] = _mm256_cvtepi32_ps(high[i]);
  }
}

/// Eight numbers as `dtype`. \return how many bytes of `out` count.
template <FinishTask::DType dtype>
VIDLOOM_AVX2_INLINE void store_as(__m256 values, std::byte* out) {
  if constexpr (dtype == FinishTask::DType::f32) {
    _mm256_storeu_ps(reinterpret_cast<float*>(out), values);
  } else if constexpr (dtype == FinishTask::DType::f16) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm256_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT));
  } else if constexpr (dtype == FinishTask::DType::bf16) {
    const __m256i bits = _mm256_castps_si256(values);
    const __m256i even = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i upper = _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(even, _mm256_set1_epi32(0x7FFF))), 16);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out),
                     _mm_packus_epi32(_mm256_castsi256_si128(upper), _mm256_extracti128_si256(upper, 1)));
  } else {
    const __m256i whole = _mm256_cvttps_epi32(_mm256_add_ps(values, _mm256_set1_ps(0.5F)));
    const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out), _mm_packus_epi16(words, words));
  }
}

constexpr std::size_t bytes_of(FinishTask::DType dtype) {
  return dtype == FinishTask::DType::u8 ? 1 : dtype == FinishTask::DType::f32 ? 4 : 2;
}

template <FinishTask::DType dtype, std::size_t inputs, std::size_t outputs>
VIDLOOM_AVX2 void finish_as(const FinishTask& task) {
  const std::size_t columns = static_cast<std::size_t>(task.columns), lines = static_cast<std::size_t>(task.lines);
  constexpr std::size_t element = bytes_of(dtype);
  const __m256 nothing = _mm256_setzero_ps(), most = _mm256_set1_ps(255);
  alignas(32) float tile[outputs][2][8][8];  // channel, half of the lines, column, line
  for (std::size_t column = 0; column < columns; column += 8) {
    for (std::size_t i = 0; i < 8; ++i) {  // the tables go on beyond the last column
      __m256 in[inputs][2];
      horizontal<1>(task.inputs.data(), column + i, in);
      if constexpr (inputs == 3) horizontal<2>(task.inputs.data() + 1, column + i, in + 1);
#pragma GCC unroll 3
      for (std::size_t channel = 0; channel < outputs; ++channel) {
        const float* row = task.matrix[channel].data();
#pragma GCC unroll 2
        for (std::size_t half = 0; half < 2; ++half) {
          __m256 value = _mm256_fmadd_ps(in[0][half], _mm256_broadcast_ss(row), _mm256_broadcast_ss(row + 3));
          if constexpr (inputs == 3) {
            value = _mm256_fmadd_ps(in[1][half], _mm256_broadcast_ss(row + 1), value);
            value = _mm256_fmadd_ps(in[2][half], _mm256_broadcast_ss(row + 2), value);
          }
          value = _mm256_min_ps(_mm256_max_ps(value, nothing), most);
          if constexpr (dtype != FinishTask::DType::u8)
            value = _mm256_fmadd_ps(value, _mm256_broadcast_ss(&task.scale[channel]), _mm256_broadcast_ss(&task.bias[channel]));
          _mm256_store_ps(tile[channel][half][i], value);
        }
      }
    }
    const std::size_t count = std::min<std::size_t>(8, columns - column);
    for (std::size_t channel = 0; channel < outputs; ++channel) {
      std::byte* out = task.out[channel] + column * element;
      for (std::size_t half = 0; 8 * half < lines; ++half) {
        __m256i v[8];
        for (std::size_t i = 0; i < 8; ++i) v[i] = _mm256_load_si256(reinterpret_cast<const __m256i*>(tile[channel][half][i]));
        transpose(v);
        const std::size_t here = std::min<std::size_t>(8, lines - 8 * half);
        if (count == 8) {
          for (std::size_t line = 0; line < here; ++line, out += task.out_stride) store_as<dtype>(_mm256_castsi256_ps(v[line]), out);
        } else {
          alignas(32) std::byte rest[32];
          for (std::size_t line = 0; line < here; ++line, out += task.out_stride) {
            store_as<dtype>(_mm256_castsi256_ps(v[line]), rest);
            std::memcpy(out, rest, count * element);
          }
        }
      }
    }
  }
}

template <FinishTask::DType dtype>
void finish_inputs(const FinishTask& task) {
  if (task.input_count == 3) task.output_count == 3 ? finish_as<dtype, 3, 3>(task) : finish_as<dtype, 3, 1>(task);
  else task.output_count == 3 ? finish_as<dtype, 1, 3>(task) : finish_as<dtype, 1, 1>(task);
}

void finish(const FinishTask& task) {
  switch (task.dtype) {
    case FinishTask::DType::u8: return finish_inputs<FinishTask::DType::u8>(task);
    case FinishTask::DType::f16: return finish_inputs<FinishTask::DType::f16>(task);
    case FinishTask::DType::bf16: return finish_inputs<FinishTask::DType::bf16>(task);
    case FinishTask::DType::f32: return finish_inputs<FinishTask::DType::f32>(task);
  }
}

// ── full size ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/// Bytes of 16 pixels of one channel to where the three blocks of 16 bytes of packed RGB want them. Byte i of block k belongs to
/// channel (16 * k + i) % 3, pixel (16 * k + i) / 3; as 16 % 3 is 1, each byte of a channel's vector serves exactly one block.
struct PackTables {
  alignas(16) std::uint8_t pixel[2][3][16];   // [pixels in order / even ones first][channel]
  alignas(16) std::uint8_t channel[3][2][16]; // [block][is it the second / the third channel]
};
constexpr PackTables make_pack_tables() {
  PackTables tables{};
  for (int channel = 0; channel < 3; ++channel) {
    for (int i = 0; i < 16; ++i) {
      const int block = (channel - i % 3 + 3) % 3;
      const int pixel = (16 * block + i) / 3;
      tables.pixel[0][channel][i] = static_cast<std::uint8_t>(pixel);
      tables.pixel[1][channel][i] = static_cast<std::uint8_t>(pixel / 2 + pixel % 2 * 8);
    }
  }
  for (int block = 0; block < 3; ++block) {
    for (int i = 0; i < 16; ++i) {
      tables.channel[block][0][i] = (16 * block + i) % 3 == 1 ? 0x80 : 0;
      tables.channel[block][1][i] = (16 * block + i) % 3 == 2 ? 0x80 : 0;
    }
  }
  return tables;
}
constexpr PackTables pack_tables = make_pack_tables();

VIDLOOM_AVX2_INLINE __m256i both_lanes(const std::uint8_t* table) {
  return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(table)));
}

/// 32 pixels, each lane 16 of them in the order of `pixels`, to 96 bytes.
VIDLOOM_AVX2_INLINE void store_packed(const __m256i channels[3], const std::uint8_t pixels[3][16], std::byte* out) {
  __m256i placed[3];
  for (int c = 0; c < 3; ++c) placed[c] = _mm256_shuffle_epi8(channels[c], both_lanes(pixels[c]));
  for (int block = 0; block < 3; ++block) {
    const __m256i two = _mm256_blendv_epi8(placed[0], placed[1], both_lanes(pack_tables.channel[block][0]));
    const __m256i three = _mm256_blendv_epi8(two, placed[2], both_lanes(pack_tables.channel[block][1]));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 16 * block), _mm256_castsi256_si128(three));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 48 + 16 * block), _mm256_extracti128_si256(three, 1));
  }
}

struct Weights4 {
  __m256i w[4];
  bool copies;
};
VIDLOOM_AVX2_INLINE Weights4 weights_of(const std::array<std::int16_t, 4>& weights) {
  Weights4 result;
  result.copies = true;
  for (std::size_t i = 0; i < 4; ++i) {
    result.w[i] = _mm256_set1_epi16(weights[i]);
    result.copies = result.copies && weights[i] == 0;
  }
  return result;
}

/// 16 pixels' chroma. \param at  the first of the four samples of the first pixel.
VIDLOOM_AVX2_INLINE __m256i raised(const std::int16_t* at, const Weights4& weights) {
  __m256i sum = _mm256_mulhrs_epi16(load(at), weights.w[0]);
  sum = _mm256_add_epi16(sum, _mm256_mulhrs_epi16(load(at + 1), weights.w[1]));
  sum = _mm256_add_epi16(sum, _mm256_mulhrs_epi16(load(at + 2), weights.w[2]));
  return _mm256_add_epi16(sum, _mm256_mulhrs_epi16(load(at + 3), weights.w[3]));
}

struct RowMatrix {
  __m256i luma_gain, red_v, green_u, green_v, blue_u, offset;
};

/// 16 pixels; luma with 7 fraction bits in, 0..255 not yet clamped out.
VIDLOOM_AVX2_INLINE void to_rgb(const RowMatrix& m, __m256i luma, __m256i u, __m256i v, __m256i rgb[3]) {
  const __m256i grey = _mm256_add_epi16(_mm256_mulhrs_epi16(luma, m.luma_gain), m.offset);
  const __m256i red = _mm256_mulhrs_epi16(v, m.red_v), blue = _mm256_mulhrs_epi16(u, m.blue_u);
  const __m256i green = _mm256_add_epi16(_mm256_mulhrs_epi16(u, m.green_u), _mm256_mulhrs_epi16(v, m.green_v));
  rgb[0] = _mm256_srai_epi16(_mm256_adds_epi16(grey, red), 5);
  rgb[1] = _mm256_srai_epi16(_mm256_adds_epi16(grey, green), 5);
  rgb[2] = _mm256_srai_epi16(_mm256_adds_epi16(grey, blue), 5);
}

template <bool halved, bool copies_even>
VIDLOOM_AVX2 void rgb_row_as(const RgbRowTask& task) {
  const RowMatrix matrix{_mm256_set1_epi16(task.luma_gain), _mm256_set1_epi16(task.red_v), _mm256_set1_epi16(task.green_u),
                         _mm256_set1_epi16(task.green_v), _mm256_set1_epi16(task.blue_u), _mm256_set1_epi16(task.offset)};
  const Weights4 even = weights_of(task.even), odd = weights_of(task.odd);
  const __m256i high = _mm256_set1_epi16(0x7F80), zero = _mm256_setzero_si256();
  for (std::size_t at = 0;;) {
    __builtin_prefetch(task.ahead + at);
    const __m256i luma = load(task.luma + at);
    __m256i first[3], second[3];
    if constexpr (halved) {
      const std::int16_t* u = task.u + at / 2;
      const std::int16_t* v = task.v + at / 2;
      const __m256i u_even = copies_even ? load(u) : raised(u - 2, even), v_even = copies_even ? load(v) : raised(v - 2, even);
      to_rgb(matrix, _mm256_and_si256(_mm256_slli_epi16(luma, 7), high), u_even, v_even, first);
      to_rgb(matrix, _mm256_and_si256(_mm256_srli_epi16(luma, 1), high), raised(u - 1, odd), raised(v - 1, odd), second);
    } else {
      const __m256i u0 = load(task.u + at), u1 = load(task.u + at + 16), v0 = load(task.v + at), v1 = load(task.v + at + 16);
      to_rgb(matrix, _mm256_slli_epi16(_mm256_unpacklo_epi8(luma, zero), 7), _mm256_permute2x128_si256(u0, u1, 0x20),
             _mm256_permute2x128_si256(v0, v1, 0x20), first);
      to_rgb(matrix, _mm256_slli_epi16(_mm256_unpackhi_epi8(luma, zero), 7), _mm256_permute2x128_si256(u0, u1, 0x31),
             _mm256_permute2x128_si256(v0, v1, 0x31), second);
    }
    __m256i channels[3];
    for (int c = 0; c < 3; ++c) channels[task.bgr ? 2 - c : c] = _mm256_packus_epi16(first[c], second[c]);
    store_packed(channels, pack_tables.pixel[halved ? 1 : 0], task.out + 3 * at);
    if (at + 33 >= task.width) break;
    at = std::min(at + 32, (task.width - 32) & ~std::size_t{1});
  }
}

void rgb_row(const RgbRowTask& task) {
  const bool copies_even = std::ranges::all_of(task.even, [](std::int16_t weight) { return weight == 0; });
  if (!task.halved) rgb_row_as<false, true>(task);
  else if (copies_even) rgb_row_as<true, true>(task);
  else rgb_row_as<true, false>(task);
}

VIDLOOM_AVX2_INLINE __m256i pair_of_bytes(const std::int8_t* weights) {
  std::int16_t both;
  std::memcpy(&both, weights, sizeof both);
  return _mm256_set1_epi16(both);
}

/// Sums of 16 bits wrap around on their way and come back: what remains, less the middle, has room.
VIDLOOM_AVX2_INLINE __m256i less_middle(__m256i above, __m256i below, __m256i above_weights, __m256i below_weights) {
  const __m256i sum = _mm256_add_epi16(_mm256_maddubs_epi16(above, above_weights), _mm256_maddubs_epi16(below, below_weights));
  return _mm256_sub_epi16(sum, _mm256_set1_epi16(128 * 128));
}

template <bool both_lines>
VIDLOOM_AVX2 void chroma_lines_as(const ChromaLinesTask& task) {
  __m256i weights[2][2];
  for (std::size_t line = 0; line < 2; ++line)
    for (std::size_t half = 0; half < 2; ++half) weights[line][half] = pair_of_bytes(task.weights[line].data() + 2 * half);
  for (std::size_t next = 0; next < task.count; next += 32) {
    const std::size_t at = std::min(next, task.count - 32);
    __builtin_prefetch(task.ahead + at);
    __m256i rows[4];
    for (std::size_t i = 0; i < 4; ++i) rows[i] = _mm256_permute4x64_epi64(load(task.rows[i] + at), 0xD8);
    const __m256i above[2] = {_mm256_unpacklo_epi8(rows[0], rows[1]), _mm256_unpackhi_epi8(rows[0], rows[1])};
    const __m256i below[2] = {_mm256_unpacklo_epi8(rows[2], rows[3]), _mm256_unpackhi_epi8(rows[2], rows[3])};
    for (std::size_t half = 0; half < 2; ++half) {
      store(task.out[0] + at + 16 * half, less_middle(above[half], below[half], weights[0][0], weights[0][1]));
      if constexpr (both_lines) store(task.out[1] + at + 16 * half, less_middle(above[half], below[half], weights[1][0], weights[1][1]));
    }
  }
}

void chroma_lines(const ChromaLinesTask& task) {
  if (task.out[1]) chroma_lines_as<true>(task);
  else chroma_lines_as<false>(task);
}

VIDLOOM_AVX2 void chroma_copy(const std::byte* row, std::size_t count, std::int16_t* out) {
  for (std::size_t next = 0; next < count; next += 16) {
    const std::size_t at = std::min(next, count - 16);
    const __m256i words = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(row + at)));
    store(out + at, _mm256_slli_epi16(_mm256_sub_epi16(words, _mm256_set1_epi16(128)), 7));
  }
}

/// 16 chroma samples for 32 pixels, as swscale centres them.
VIDLOOM_AVX2_INLINE __m256i opencv_chroma(const std::byte* from) {
  const __m256i words = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  return _mm256_sub_epi16(_mm256_slli_epi16(words, 3), _mm256_set1_epi16(1024));
}

VIDLOOM_AVX2 void opencv_row(const OpencvRowTask& task) {
  const __m256i zero = _mm256_set1_epi16(task.luma_zero), gain = _mm256_set1_epi16(task.luma_gain), low = _mm256_set1_epi16(0x00FF);
  const __m256i red_v = _mm256_set1_epi16(task.red_v), green_u = _mm256_set1_epi16(task.green_u);
  const __m256i green_v = _mm256_set1_epi16(task.green_v), blue_u = _mm256_set1_epi16(task.blue_u);
  const __m256i order = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15));
  for (std::size_t at = 0;;) {
    const __m256i luma = load(task.luma + at);
    const __m256i u = opencv_chroma(task.u + at / 2), v = opencv_chroma(task.v + at / 2);
    const __m256i added[3] = {_mm256_mulhi_epi16(v, red_v), _mm256_add_epi16(_mm256_mulhi_epi16(u, green_u), _mm256_mulhi_epi16(v, green_v)),
                              _mm256_mulhi_epi16(u, blue_u)};
    const __m256i even = _mm256_mulhi_epi16(_mm256_sub_epi16(_mm256_slli_epi16(_mm256_and_si256(luma, low), 3), zero), gain);
    const __m256i odd = _mm256_mulhi_epi16(_mm256_sub_epi16(_mm256_slli_epi16(_mm256_srli_epi16(luma, 8), 3), zero), gain);
    for (std::size_t c = 0; c < 3; ++c) {
      const __m256i both = _mm256_packus_epi16(_mm256_add_epi16(even, added[c]), _mm256_add_epi16(odd, added[c]));
      store(task.out[c] + at, _mm256_shuffle_epi8(both, order));
    }
    if (at + 32 >= task.width) break;
    at = std::min(at + 32, task.width - 32);
  }
}

VIDLOOM_AVX2 void pack(const std::array<const std::byte*, 3>& channels, std::size_t count, std::byte* out) {
  if (count < 32) {
    for (std::size_t i = 0; i < count; ++i)
      for (const std::byte* channel : channels) *out++ = channel[i];
    return;
  }
  for (std::size_t next = 0; next < count; next += 32) {
    const std::size_t at = std::min(next, count - 32);
    const __m256i all[3] = {load(channels[0] + at), load(channels[1] + at), load(channels[2] + at)};
    store_packed(all, pack_tables.pixel[0], out + 3 * at);
  }
}

bool has_f16c() noexcept {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

}  // namespace

const Kernels* avx2_kernels() noexcept {
  static constexpr Kernels set{.name = "avx2", .lines = lines_of_block, .vertical_8 = vertical_8, .vertical_16 = vertical_16,
                               .lines_8 = lines_8, .split = split, .interleave = interleave, .finish = finish,
                               .rgb_row = rgb_row, .chroma_lines = chroma_lines, .chroma_copy = chroma_copy, .opencv_row = opencv_row, .pack = pack};
  static const bool usable = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
  return usable ? &set : nullptr;
}

}  // namespace v0
}  // namespace vidloom

#else

namespace vidloom {
inline namespace v0 {
const Kernels* avx2_kernels() noexcept { return nullptr; }
}  // namespace v0
}  // namespace vidloom

#endif
