// The kernels for x86-64 with AVX-512 as processors have it since Ice Lake and Zen 4. As in kernels_avx2.cpp, functions carry their
// target themselves.
//
// Note [Sums of bytes]. VNNI multiplies four unsigned bytes by four signed ones and adds the products to a 32-bit sum. A weight has 16
// bits, so each is cut in two, weight = 256 * high + low, and there are two sums; as lines leave out the sum's 8 lowest bits, the line is
// high + ((low + 128) >> 8), to the bit what 16-bit weights give. Rows are laid out four by four, beginning with rows 0, 4, 8 ..., once for
// all lines of the block; the weights of a window that begins between are moved behind zeros.
#include <imaging/kernels.hpp>
#include <imaging/taps.hpp>

#if defined(__x86_64__)

// GCC bug 105593: its own headers leave a register uninitialised on purpose, and it warns of that.
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#define VIDLOOM_AVX512_TARGET "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx512vnni"
#define VIDLOOM_AVX512 __attribute__((target(VIDLOOM_AVX512_TARGET)))
#define VIDLOOM_AVX512_INLINE VIDLOOM_AVX512 inline __attribute__((always_inline))

namespace vidloom {
inline namespace v0 {
namespace {

constexpr std::size_t lines_of_block = 16;
static_assert(lines_of_block <= most_lines);

VIDLOOM_AVX512_INLINE __m512i load(const void* at) { return _mm512_loadu_si512(at); }
VIDLOOM_AVX512_INLINE void store(void* at, __m512i value) { _mm512_storeu_si512(at, value); }
VIDLOOM_AVX512_INLINE __m512i four_bytes(const void* at) {
  std::int32_t all;
  std::memcpy(&all, at, sizeof all);
  return _mm512_set1_epi32(all);
}
/// The first `count` of 64 bytes, of 32 words.
VIDLOOM_AVX512_INLINE __mmask64 bytes_mask(std::size_t count) { return count >= 64 ? ~0ULL : (1ULL << count) - 1; }
VIDLOOM_AVX512_INLINE __mmask32 words_mask(std::size_t count) { return count >= 32 ? ~0U : (1U << count) - 1; }

// ── vertical ────────────────────────────────────────────────────────────────────────────────────────────────────────────

constexpr int shift_8 = Taps::fraction_bits - line_fraction_bits;
static_assert(shift_8 == 8, "Note [Sums of bytes]");

constexpr std::size_t strip = 64;
constexpr int strip_rows = LinesTask::most_rows + 16;
constexpr int most_quads = strip_rows / 4;

/// What a line takes of a strip.
struct LineWeights {
  std::size_t first_quad = 0;  // of the strip
  int quads = 0;
  alignas(64) std::int8_t low[strip_rows + 64], high[strip_rows + 64];
};

/// 2 * pairs weights behind `before` zeros, cut in two bytes each, up to whole quads.
VIDLOOM_AVX512 void cut_weights(const std::int16_t* weights, int pairs, int before, LineWeights& out) {
  const std::size_t count = static_cast<std::size_t>(before + 2 * pairs);
  for (std::size_t at = 0; at < count; at += 32) {
    __mmask32 some = words_mask(count - at);
    if (at == 0) some &= ~words_mask(static_cast<std::size_t>(before));
    const __m512i whole = _mm512_maskz_loadu_epi16(some, weights + at - before);
    const __m256i low = _mm512_cvtepi16_epi8(whole);
    const __m512i rest = _mm512_sub_epi16(whole, _mm512_cvtepi8_epi16(low));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out.low + at), low);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out.high + at), _mm512_cvtepi16_epi8(_mm512_srai_epi16(rest, 8)));
  }
  out.quads = static_cast<int>((count + 3) / 4);
}

/// 64 samples of four rows become 64 groups of four bytes: 0-3 16-19 32-35 48-51, 4-7 20-23 ..., 8-11 ..., 12-15 ...
VIDLOOM_AVX512_INLINE void lay_out(const std::byte* const rows[4], __mmask64 some, std::byte* out) {
  const __m512i a = _mm512_maskz_loadu_epi8(some, rows[0]), b = _mm512_maskz_loadu_epi8(some, rows[1]);
  const __m512i c = _mm512_maskz_loadu_epi8(some, rows[2]), d = _mm512_maskz_loadu_epi8(some, rows[3]);
  const __m512i ab_low = _mm512_unpacklo_epi8(a, b), ab_high = _mm512_unpackhi_epi8(a, b);
  const __m512i cd_low = _mm512_unpacklo_epi8(c, d), cd_high = _mm512_unpackhi_epi8(c, d);
  _mm512_store_si512(out, _mm512_unpacklo_epi16(ab_low, cd_low));
  _mm512_store_si512(out + 64, _mm512_unpackhi_epi16(ab_low, cd_low));
  _mm512_store_si512(out + 128, _mm512_unpacklo_epi16(ab_high, cd_high));
  _mm512_store_si512(out + 192, _mm512_unpackhi_epi16(ab_high, cd_high));
}

/// 64 samples of one line.
VIDLOOM_AVX512_INLINE void sum_up(const std::byte* laid_out, const LineWeights& weights, std::int16_t* out) {
  const std::byte* from = laid_out + weights.first_quad * 4 * strip;
  __m512i low[4], high[4];
  for (int i = 0; i < 4; ++i) {
    low[i] = _mm512_set1_epi32(1 << (shift_8 - 1));
    high[i] = _mm512_setzero_si512();
  }
  for (int quad = 0; quad < weights.quads; ++quad, from += 4 * strip) {
    const __m512i low_weights = four_bytes(weights.low + 4 * quad), high_weights = four_bytes(weights.high + 4 * quad);
    for (int i = 0; i < 4; ++i) {
      const __m512i bytes = _mm512_load_si512(from + 64 * i);
      low[i] = _mm512_dpbusd_epi32(low[i], bytes, low_weights);
      high[i] = _mm512_dpbusd_epi32(high[i], bytes, high_weights);
    }
  }
  for (int i = 0; i < 4; ++i) high[i] = _mm512_add_epi32(high[i], _mm512_srai_epi32(low[i], shift_8));
  const __m512i first = _mm512_packs_epi32(high[0], high[1]), second = _mm512_packs_epi32(high[2], high[3]);
  store(out, _mm512_permutex2var_epi64(first, _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11), second));
  store(out + 32, _mm512_permutex2var_epi64(first, _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15), second));
}

VIDLOOM_AVX512 void lines_8(const LinesTask& task) {
  alignas(64) std::byte laid_out[static_cast<std::size_t>(most_quads) * 4 * strip];
  LineWeights weights[lines_of_block];
  for (int begin = 0, end = 0; begin < task.lines; begin = end) {
    // As many lines as the memory takes the rows of: all sixteen but for pictures that shrink thirteen times or more.
    int lowest = task.first[begin], highest = lowest, first_row = 0, row_count = 0;
    for (end = begin; end < task.lines; ++end) {
      lowest = std::min(lowest, task.first[end]);
      highest = std::max(highest, task.first[end]);
      const int from = lowest & ~3, count = (highest + 2 * task.pairs - from + 3) & ~3;
      if (count > 4 * most_quads) break;
      first_row = from;
      row_count = count;
    }
    for (int line = begin; line < end; ++line) {
      LineWeights& one = weights[line - begin];
      const int before = task.first[line] % 4;
      one.first_quad = static_cast<std::size_t>(task.first[line] - before - first_row) / 4;
      cut_weights(task.weights + std::ptrdiff_t{line} * 2 * task.pairs, task.pairs, before, one);
    }
    for (std::size_t at = 0; at < task.count; at += strip) {
      const __mmask64 some = bytes_mask(task.count - at);
      for (int row = 0; row < row_count; row += 4) {
        const std::byte* four[4];
        for (int i = 0; i < 4; ++i) four[i] = task.rows + std::min(first_row + row + i, task.row_count - 1) * task.stride + at;
        for (const std::byte* one : four) __builtin_prefetch(one + 2 * strip);
        lay_out(four, some, laid_out + static_cast<std::size_t>(row) * strip);
      }
      for (int line = begin; line < end; ++line) sum_up(laid_out, weights[line - begin], task.out[line] + at);
    }
  }
}

/// 32 samples of two rows of 16 bits, as their products with two weights want them; the order is undone by packing.
VIDLOOM_AVX512_INLINE __m512i vertical_16_part(const std::byte* const* rows, const std::int16_t* weights, int pairs, std::size_t at, __mmask32 some,
                                               __m128i in, __m128i by, __m512i half) {
  __m512i low = half, high = half;
  for (int pair = 0; pair < pairs; ++pair) {
    const __m512i above = _mm512_srl_epi16(_mm512_maskz_loadu_epi16(some, rows[2 * pair] + 2 * at), in);
    const __m512i below = _mm512_srl_epi16(_mm512_maskz_loadu_epi16(some, rows[2 * pair + 1] + 2 * at), in);
    const __m512i both = four_bytes(weights + 2 * pair);
    low = _mm512_dpwssd_epi32(low, _mm512_unpacklo_epi16(above, below), both);
    high = _mm512_dpwssd_epi32(high, _mm512_unpackhi_epi16(above, below), both);
  }
  return _mm512_packs_epi32(_mm512_sra_epi32(low, by), _mm512_sra_epi32(high, by));
}

VIDLOOM_AVX512 void vertical_16(const std::byte* const* rows, const std::int16_t* weights, int pairs, std::size_t count, int shift_in, int depth,
                                std::int16_t* out) {
  const int shift = Taps::fraction_bits - line_fraction_bits + depth - 8;
  const __m128i in = _mm_cvtsi32_si128(shift_in), by = _mm_cvtsi32_si128(shift);
  const __m512i half = _mm512_set1_epi32(1 << (shift - 1));
  std::size_t at = 0;
  for (; at + 32 <= count; at += 32) store(out + at, vertical_16_part(rows, weights, pairs, at, ~0U, in, by, half));
  if (at == count) return;
  const __mmask32 rest = words_mask(count - at);
  _mm512_mask_storeu_epi16(out + at, rest, vertical_16_part(rows, weights, pairs, at, rest, in, by, half));
}

/// 32 samples of a row as words, times 64.
VIDLOOM_AVX512 void copy_8(const std::byte* row, std::size_t count, std::int16_t* out) {
  for (std::size_t at = 0; at < count; at += 32) {
    const __mmask32 some = words_mask(count - at);
    const __m256i bytes = _mm256_maskz_loadu_epi8(some, row + at);
    _mm512_mask_storeu_epi16(out + at, some, _mm512_slli_epi16(_mm512_cvtepu8_epi16(bytes), line_fraction_bits));
  }
}

/// Single lines, where no block is made. The same sums of 16-bit products, as there is nothing to lay out for.
VIDLOOM_AVX512 void vertical_8(const std::byte* const* rows, const std::int16_t* weights, int pairs, std::size_t count, std::int16_t* out) {
  if (pairs == 1 && weights[0] == Taps::one && weights[1] == 0) return copy_8(rows[0], count, out);
  for (std::size_t at = 0; at < count; at += 32) {
    const __mmask32 some = words_mask(count - at);
    __m512i low = _mm512_set1_epi32(1 << (shift_8 - 1)), high = low;
    for (int pair = 0; pair < pairs; ++pair) {
      const __m512i above = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(some, rows[2 * pair] + at));
      const __m512i below = _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(some, rows[2 * pair + 1] + at));
      const __m512i both = four_bytes(weights + 2 * pair);
      low = _mm512_dpwssd_epi32(low, _mm512_unpacklo_epi16(above, below), both);
      high = _mm512_dpwssd_epi32(high, _mm512_unpackhi_epi16(above, below), both);
    }
    _mm512_mask_storeu_epi16(out + at, some, _mm512_packs_epi32(_mm512_srai_epi32(low, shift_8), _mm512_srai_epi32(high, shift_8)));
  }
}

// ── lines to blocks ─────────────────────────────────────────────────────────────────────────────────────────────────────

VIDLOOM_AVX512 void split(const std::int16_t* line, int offset, int step, std::size_t count, std::int16_t* out) {
  if (step != 2) return portable_kernels().split(line, offset, step, count, out);
  const __m128i down = _mm_cvtsi32_si128(offset == 0 ? 0 : 16);
  for (std::size_t i = 0; i < count; i += 16)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), _mm512_cvtepi32_epi16(_mm512_srl_epi32(load(line + 2 * i), down)));
}

/// Sixteen rows of sixteen 32-bit numbers become sixteen columns.
VIDLOOM_AVX512_INLINE void transpose(__m512i v[16]) {
  __m512i t[16], u[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    u[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    u[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    u[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    u[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  // u[4 * g + c] has in lane l, of rows 4 * g ... 4 * g + 3, column 4 * l + c.
  for (int c = 0; c < 4; ++c) {
    const __m512i low01 = _mm512_shuffle_i32x4(u[c], u[4 + c], 0x88), odd01 = _mm512_shuffle_i32x4(u[c], u[4 + c], 0xDD);
    const __m512i low23 = _mm512_shuffle_i32x4(u[8 + c], u[12 + c], 0x88), odd23 = _mm512_shuffle_i32x4(u[8 + c], u[12 + c], 0xDD);
    v[c] = _mm512_shuffle_i32x4(low01, low23, 0x88);
    v[8 + c] = _mm512_shuffle_i32x4(low01, low23, 0xDD);
    v[4 + c] = _mm512_shuffle_i32x4(odd01, odd23, 0x88);
    v[12 + c] = _mm512_shuffle_i32x4(odd01, odd23, 0xDD);
  }
}

VIDLOOM_AVX512 void interleave(const std::int16_t* const* lines, std::size_t pairs, std::int16_t* block) {
  for (std::size_t pair = 0; pair < pairs; pair += 16) {
    __m512i v[16];
    for (std::size_t line = 0; line < 16; ++line) v[line] = load(lines[line] + 2 * pair);
    transpose(v);
    for (std::size_t i = 0; i < 16; ++i) store(block + (pair + i) * 32, v[i]);
  }
}

// ── horizontal, matrix, store ───────────────────────────────────────────────────────────────────────────────────────────

/// One column of `count` components that have the same weights, all lines.
template <std::size_t count>
VIDLOOM_AVX512_INLINE void horizontal(const FinishInput* inputs, std::size_t column, __m512* out) {
  const std::int16_t* weights = inputs->weights + column * 2 * static_cast<std::size_t>(inputs->pairs);
  const std::size_t first = static_cast<std::size_t>(inputs->first[column]) * lines_of_block;
  const std::int16_t* samples[count];
  __m512i even[count], odd[count];
  for (std::size_t i = 0; i < count; ++i) {
    samples[i] = inputs[i].block + first;
    even[i] = odd[i] = _mm512_setzero_si512();
  }
  const auto add = [&](__m512i* sums, int pair) __attribute__((always_inline, target(VIDLOOM_AVX512_TARGET))) {
    const __m512i both = four_bytes(weights + 2 * pair);
    for (std::size_t i = 0; i < count; ++i) sums[i] = _mm512_dpwssd_epi32(sums[i], both, load(samples[i] + 32 * pair));
  };
  int pairs = inputs->pairs;
  for (; pairs > 8; pairs -= 2, weights += 4) {
    add(even, 0);
    add(odd, 1);
    for (const std::int16_t*& one : samples) one += 64;
  }
  switch (pairs) {  // one jump, the same for all columns
    case 8: add(odd, 7); [[fallthrough]];
    case 7: add(even, 6); [[fallthrough]];
    case 6: add(odd, 5); [[fallthrough]];
    case 5: add(even, 4); [[fallthrough]];
    case 4: add(odd, 3); [[fallthrough]];
    case 3: add(even, 2); [[fallthrough]];
    case 2: add(odd, 1); [[fallthrough]];
    default: add(even, 0);
  }
  for (std::size_t i = 0; i < count; ++i) out[i] = _mm512_cvtepi32_ps(_mm512_add_epi32(even[i], odd[i]));
}

/// The first of sixteen numbers as `dtype`.
template <FinishTask::DType dtype>
VIDLOOM_AVX512_INLINE void store_as(__m512 values, __mmask16 some, std::byte* out) {
  if constexpr (dtype == FinishTask::DType::f32) {
    _mm512_mask_storeu_ps(out, some, values);
  } else if constexpr (dtype == FinishTask::DType::f16) {
    _mm256_mask_storeu_epi16(out, some, _mm512_cvtps_ph(values, _MM_FROUND_TO_NEAREST_INT));
  } else if constexpr (dtype == FinishTask::DType::bf16) {
    const __m512i bits = _mm512_castps_si512(values);
    const __m512i even = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i upper = _mm512_srli_epi32(_mm512_add_epi32(bits, _mm512_add_epi32(even, _mm512_set1_epi32(0x7FFF))), 16);
    _mm256_mask_storeu_epi16(out, some, _mm512_cvtepi32_epi16(upper));
  } else {
    const __m512i whole = _mm512_cvttps_epi32(_mm512_add_ps(values, _mm512_set1_ps(0.5F)));
    _mm_mask_storeu_epi8(out, some, _mm512_cvtepi32_epi8(whole));
  }
}

constexpr std::size_t bytes_of(FinishTask::DType dtype) {
  return dtype == FinishTask::DType::u8 ? 1 : dtype == FinishTask::DType::f32 ? 4 : 2;
}

template <FinishTask::DType dtype, std::size_t inputs, std::size_t outputs>
VIDLOOM_AVX512 void finish_as(const FinishTask& task) {
  const std::size_t columns = static_cast<std::size_t>(task.columns), lines = static_cast<std::size_t>(task.lines);
  constexpr std::size_t element = bytes_of(dtype);
  const __m512 nothing = _mm512_setzero_ps(), most = _mm512_set1_ps(255);
  __m512 matrix[outputs][4], scale[outputs], bias[outputs];
#pragma GCC unroll 3
  for (std::size_t channel = 0; channel < outputs; ++channel) {
#pragma GCC unroll 4
    for (std::size_t i = 0; i < 4; ++i) matrix[channel][i] = _mm512_set1_ps(task.matrix[channel][i]);
    scale[channel] = _mm512_set1_ps(task.scale[channel]);
    bias[channel] = _mm512_set1_ps(task.bias[channel]);
  }
  alignas(64) float tile[outputs][16][16];  // channel, column, line
  for (std::size_t column = 0; column < columns; column += 16) {
    for (std::size_t i = 0; i < 16; ++i) {  // the tables go on beyond the last column
      __m512 in[inputs];
      horizontal<1>(task.inputs.data(), column + i, in);
      if constexpr (inputs == 3) horizontal<2>(task.inputs.data() + 1, column + i, in + 1);
#pragma GCC unroll 3
      for (std::size_t channel = 0; channel < outputs; ++channel) {
        __m512 value = _mm512_fmadd_ps(in[0], matrix[channel][0], matrix[channel][3]);
        if constexpr (inputs == 3) {
          value = _mm512_fmadd_ps(in[1], matrix[channel][1], value);
          value = _mm512_fmadd_ps(in[2], matrix[channel][2], value);
        }
        value = _mm512_min_ps(_mm512_max_ps(value, nothing), most);
        if constexpr (dtype != FinishTask::DType::u8) value = _mm512_fmadd_ps(value, scale[channel], bias[channel]);
        _mm512_store_ps(tile[channel][i], value);
      }
    }
    const __mmask16 some = columns - column >= 16 ? 0xFFFF : static_cast<__mmask16>((1U << (columns - column)) - 1);
    for (std::size_t channel = 0; channel < outputs; ++channel) {
      __m512i v[16];
      for (std::size_t i = 0; i < 16; ++i) v[i] = _mm512_load_si512(tile[channel][i]);
      transpose(v);
      std::byte* out = task.out[channel] + column * element;
      for (std::size_t line = 0; line < lines; ++line, out += task.out_stride) store_as<dtype>(_mm512_castsi512_ps(v[line]), some, out);
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

/// Where the bytes of 64 pixels of packed RGB come from, in blocks of 64: first out of red and green, then blue is put in. Pixels lie in
/// their channels' vectors as one of these:
enum Order : std::size_t {
  in_order,      // of the pixels
  halves,        // 0 to 31 and 32 to 63 were packed of words, lane by lane: eight bytes of the one, eight of the other
  even_and_odd,  // the same of even and odd ones
};
struct PackTables {
  alignas(64) std::uint8_t two[3][3][64];  // [order][block]
  alignas(64) std::uint8_t three[3][3][64];
};
constexpr PackTables make_pack_tables() {
  PackTables tables{};
  for (const std::size_t order : {in_order, halves, even_and_odd}) {
    for (std::size_t block = 0; block < 3; ++block) {
      for (std::size_t i = 0; i < 64; ++i) {
        const std::size_t pixel = (64 * block + i) / 3, channel = (64 * block + i) % 3;
        const std::size_t half = order == halves ? pixel / 32 : pixel % 2, word = order == halves ? pixel % 32 : pixel / 2;
        const std::size_t at = order == in_order ? pixel : word / 8 * 16 + half * 8 + word % 8;
        tables.two[order][block][i] = static_cast<std::uint8_t>(channel == 1 ? 64 + at : at);
        tables.three[order][block][i] = static_cast<std::uint8_t>(channel == 2 ? 64 + at : i);
      }
    }
  }
  return tables;
}
constexpr PackTables pack_tables = make_pack_tables();

/// What packing pixels of one order takes, in registers.
struct Packing {
  __m512i two[3], three[3];
};
VIDLOOM_AVX512_INLINE Packing packing_of(Order order) {
  Packing packing;
  for (std::size_t block = 0; block < 3; ++block) {
    packing.two[block] = _mm512_load_si512(pack_tables.two[order][block]);
    packing.three[block] = _mm512_load_si512(pack_tables.three[order][block]);
  }
  return packing;
}
VIDLOOM_AVX512_INLINE __m512i packed_block(const Packing& packing, const __m512i channels[3], std::size_t block) {
  const __m512i two = _mm512_permutex2var_epi8(channels[0], packing.two[block], channels[1]);
  return _mm512_permutex2var_epi8(two, packing.three[block], channels[2]);
}

struct Weights4 {
  __m512i w[4];
};
VIDLOOM_AVX512_INLINE Weights4 weights_of(const std::array<std::int16_t, 4>& weights) {
  Weights4 result;
  for (std::size_t i = 0; i < 4; ++i) result.w[i] = _mm512_set1_epi16(weights[i]);
  return result;
}

/// 32 pixels' chroma. \param at  the first of the four samples of the first pixel.
VIDLOOM_AVX512_INLINE __m512i raised(const std::int16_t* at, const Weights4& weights) {
  const __m512i outer = _mm512_add_epi16(_mm512_mulhrs_epi16(load(at), weights.w[0]), _mm512_mulhrs_epi16(load(at + 3), weights.w[3]));
  const __m512i inner = _mm512_add_epi16(_mm512_mulhrs_epi16(load(at + 1), weights.w[1]), _mm512_mulhrs_epi16(load(at + 2), weights.w[2]));
  return _mm512_add_epi16(outer, inner);
}

struct RowMatrix {
  __m512i luma_gain, red_v, green_u, green_v, blue_u, offset;
};

/// 32 pixels; luma with 7 fraction bits in, 0..255 not yet clamped out.
VIDLOOM_AVX512_INLINE void to_rgb(const RowMatrix& m, __m512i luma, __m512i u, __m512i v, __m512i rgb[3]) {
  const __m512i grey = _mm512_add_epi16(_mm512_mulhrs_epi16(luma, m.luma_gain), m.offset);
  const __m512i red = _mm512_mulhrs_epi16(v, m.red_v), blue = _mm512_mulhrs_epi16(u, m.blue_u);
  const __m512i green = _mm512_add_epi16(_mm512_mulhrs_epi16(u, m.green_u), _mm512_mulhrs_epi16(v, m.green_v));
  rgb[0] = _mm512_srai_epi16(_mm512_adds_epi16(grey, red), 5);
  rgb[1] = _mm512_srai_epi16(_mm512_adds_epi16(grey, green), 5);
  rgb[2] = _mm512_srai_epi16(_mm512_adds_epi16(grey, blue), 5);
}

template <bool halved, bool copies_even>
VIDLOOM_AVX512 void rgb_row_as(const RgbRowTask& task) {
  const RowMatrix matrix{_mm512_set1_epi16(task.luma_gain), _mm512_set1_epi16(task.red_v),  _mm512_set1_epi16(task.green_u),
                         _mm512_set1_epi16(task.green_v),   _mm512_set1_epi16(task.blue_u), _mm512_set1_epi16(task.offset)};
  const Weights4 even = weights_of(task.even), odd = weights_of(task.odd);
  const __m512i high = _mm512_set1_epi16(0x7F80);
  const Packing packing = packing_of(halved ? even_and_odd : halves);
  for (std::size_t at = 0;;) {
    __builtin_prefetch(task.ahead + at);
    __m512i first[3], second[3];
    if constexpr (halved) {
      const __m512i luma = load(task.luma + at);
      const std::int16_t* u = task.u + at / 2;
      const std::int16_t* v = task.v + at / 2;
      const __m512i u_even = copies_even ? load(u) : raised(u - 2, even), v_even = copies_even ? load(v) : raised(v - 2, even);
      to_rgb(matrix, _mm512_and_si512(_mm512_slli_epi16(luma, 7), high), u_even, v_even, first);
      to_rgb(matrix, _mm512_and_si512(_mm512_srli_epi16(luma, 1), high), raised(u - 1, odd), raised(v - 1, odd), second);
    } else {
      const auto words = [&](std::size_t from) __attribute__((always_inline, target(VIDLOOM_AVX512_TARGET))) {
        const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(task.luma + from));
        return _mm512_slli_epi16(_mm512_cvtepu8_epi16(bytes), 7);
      };
      to_rgb(matrix, words(at), load(task.u + at), load(task.v + at), first);
      to_rgb(matrix, words(at + 32), load(task.u + at + 32), load(task.v + at + 32), second);
    }
    __m512i channels[3];
    for (int c = 0; c < 3; ++c) channels[task.bgr ? 2 - c : c] = _mm512_packus_epi16(first[c], second[c]);
    for (std::size_t block = 0; block < 3; ++block) {
      std::byte* const out = task.out + 3 * at + 64 * block;
      __builtin_prefetch(out + 3 * task.width, 1);  // where the next row goes: a picture's memory is seldom in the cache
      store(out, packed_block(packing, channels, block));
    }
    if (at + 65 >= task.width) break;
    at = std::min(at + 64, (task.width - 64) & ~std::size_t{1});
  }
}

void rgb_row(const RgbRowTask& task) {
  const bool copies_even = std::ranges::all_of(task.even, [](std::int16_t weight) { return weight == 0; });
  if (!task.halved) rgb_row_as<false, true>(task);
  else if (copies_even) rgb_row_as<true, true>(task);
  else rgb_row_as<true, false>(task);
}

VIDLOOM_AVX512_INLINE __m512i pair_of_bytes(const std::int8_t* weights) {
  std::int16_t both;
  std::memcpy(&both, weights, sizeof both);
  return _mm512_set1_epi16(both);
}

/// Sums of 16 bits wrap around on their way and come back: what remains, less the middle, has room.
VIDLOOM_AVX512_INLINE __m512i less_middle(__m512i above, __m512i below, __m512i above_weights, __m512i below_weights) {
  const __m512i sum = _mm512_add_epi16(_mm512_maddubs_epi16(above, above_weights), _mm512_maddubs_epi16(below, below_weights));
  return _mm512_sub_epi16(sum, _mm512_set1_epi16(128 * 128));
}

template <bool both_lines>
VIDLOOM_AVX512 void chroma_lines_as(const ChromaLinesTask& task) {
  __m512i weights[2][2];
  for (std::size_t line = 0; line < 2; ++line)
    for (std::size_t half = 0; half < 2; ++half) weights[line][half] = pair_of_bytes(task.weights[line].data() + 2 * half);
  alignas(64) static constexpr auto turns = [] {
    std::array<std::array<std::uint8_t, 64>, 2> table{};
    for (std::size_t half = 0; half < 2; ++half)
      for (std::size_t i = 0; i < 64; ++i) table[half][i] = static_cast<std::uint8_t>(32 * half + i / 2 + i % 2 * 64);
    return table;
  }();
  const __m512i turn[2] = {_mm512_load_si512(turns[0].data()), _mm512_load_si512(turns[1].data())};
  for (std::size_t at = 0; at < task.count; at += 64) {
    const __mmask64 some = bytes_mask(task.count - at);
    __m512i rows[4];
    for (std::size_t i = 0; i < 4; ++i) rows[i] = _mm512_maskz_loadu_epi8(some, task.rows[i] + at);
    __builtin_prefetch(task.ahead + at);
    for (std::size_t half = 0; half < 2; ++half) {
      const __m512i above = _mm512_permutex2var_epi8(rows[0], turn[half], rows[1]), below = _mm512_permutex2var_epi8(rows[2], turn[half], rows[3]);
      store(task.out[0] + at + 32 * half, less_middle(above, below, weights[0][0], weights[0][1]));
      if constexpr (both_lines) store(task.out[1] + at + 32 * half, less_middle(above, below, weights[1][0], weights[1][1]));
    }
  }
}

void chroma_lines(const ChromaLinesTask& task) {
  if (task.out[1]) chroma_lines_as<true>(task);
  else chroma_lines_as<false>(task);
}

VIDLOOM_AVX512 void chroma_copy(const std::byte* row, std::size_t count, std::int16_t* out) {
  for (std::size_t at = 0; at < count; at += 32) {
    const __m256i bytes = _mm256_maskz_loadu_epi8(words_mask(count - at), row + at);
    store(out + at, _mm512_slli_epi16(_mm512_sub_epi16(_mm512_cvtepu8_epi16(bytes), _mm512_set1_epi16(128)), 7));
  }
}

VIDLOOM_AVX512 void pack(const std::array<const std::byte*, 3>& channels, std::size_t count, std::byte* out) {
  const Packing packing = packing_of(in_order);
  for (std::size_t at = 0; at < count; at += 64) {
    const std::size_t left = 3 * (count - at);
    __m512i all[3];
    for (std::size_t i = 0; i < 3; ++i) all[i] = _mm512_maskz_loadu_epi8(bytes_mask(count - at), channels[i] + at);
    for (std::size_t block = 0; block < 3 && 64 * block < left; ++block)
      _mm512_mask_storeu_epi8(out + 3 * at + 64 * block, bytes_mask(left - 64 * block), packed_block(packing, all, block));
  }
}

}  // namespace

const Kernels* avx512_kernels() noexcept {
  static const Kernels* const narrower = avx2_kernels();
  static const bool usable = narrower && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni");
  if (!usable) return nullptr;
  // cv2's rows wait for memory: wider vectors won nothing there.
  static const Kernels set{.name = "avx512", .lines = lines_of_block, .vertical_8 = vertical_8, .vertical_16 = vertical_16,
                           .lines_8 = lines_8, .split = split, .interleave = interleave, .finish = finish, .rgb_row = rgb_row,
                           .chroma_lines = chroma_lines, .chroma_copy = chroma_copy, .opencv_row = narrower->opencv_row, .pack = pack};
  return &set;
}

}  // namespace v0
}  // namespace vidloom

#else

namespace vidloom {
inline namespace v0 {
const Kernels* avx512_kernels() noexcept { return nullptr; }
}  // namespace v0
}  // namespace vidloom

#endif
