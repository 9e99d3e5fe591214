#pragma once
/// Products of numbers narrower than float: pairs of bf16 or fours of 8 bits, summed in float or in whole numbers. What goes in and comes
/// out is float all the same, so that only the factors are rounded.

#include <adapters/clip/tower_kernels.hpp>

namespace vidloom {
inline namespace v0 {

/// Rows and panels hold whole lines of 64 bytes of a row's numbers; behind the last number stand zeros.
constexpr std::size_t words_in_line = 16;

/// What a row of 8-bit numbers stands for: step * number + least. Of no use to bf16.
struct RowScale {
  float step, least;
};

/// C (rows x columns) = act(A (rows x depth) * W^T + bias + residual), for one panel of columns.
struct NarrowProduct {
  const std::byte* a;  ///< rows, `a_stride` bytes apart, made by NarrowKernels::narrow
  std::size_t a_stride;
  const RowScale* a_scale;  ///< one a row; null for bf16
  const std::byte* panel;   ///< [words][panel_width] of 4 bytes each, made by NarrowKernels::pack
  const float* panel_scale;  ///< 2 * panel_width, made by NarrowKernels::pack; null for bf16
  std::size_t words;         ///< of a row: its depth in fours of bytes, filled up with zeros to whole lines of 64 bytes
  std::byte* c;              ///< rows, `c_stride` bytes apart, of float, or as `narrow_c` says
  std::size_t c_stride;
  std::size_t rows, columns;  ///< columns <= panel_width
  const float* bias;                ///< panel_width
  const float* residual = nullptr;  ///< floats laid out as c, may be c itself; null: none
  Activation activation = Activation::none;
  bool narrow_c = false;            ///< C is bf16, and has room for the whole panel; without residual
  const std::byte* next = nullptr;  ///< the panel that is wanted after this one, fetched from memory meanwhile; null: none
};

/// Softmax(Q K^T) V of some heads of one sequence. Heads lie side by side in each row, `size` numbers of bf16 each.
struct NarrowAttention {
  const std::byte* queries;  ///< rows, `query_stride` bytes apart; memory can be read up to a whole number of attention_rows
  std::size_t query_stride, rows;
  const std::byte *keys, *values;  ///< rows, `key_stride` bytes apart
  std::size_t key_stride, length;
  std::size_t size, heads;  ///< size: a multiple of attention_size
  std::byte* mixed;         ///< as many rows as queries, `mixed_stride` bytes apart, of bf16 too
  std::size_t mixed_stride;
  std::byte* scratch;  ///< attention_scratch(length, size) bytes
};
constexpr std::size_t attention_rows = 32, attention_size = 32;
constexpr std::size_t attention_scratch(std::size_t length, std::size_t size) noexcept {
  const std::size_t padded = (length + 31) / 32 * 32;
  // Keys and values as panels, scores as floats and as bf16, and what becomes of them.
  return padded * size * 4 + attention_rows * (padded * 6 + 2 * attention_size * 4);
}

struct NarrowKernels {
  const char* name;
  const char* precision;  ///< "bf16", "int8"
  std::size_t panel_width;
  std::size_t numbers_in_word;
  bool gives_narrow;  ///< whether a product may answer with what the next one takes
  std::size_t cached_bytes;  ///< of rows that go by a panel and another before they leave the second-level cache
  void (*multiply)(const NarrowProduct& product) noexcept;
  /// \param from  rows of `width` floats, `from_stride` floats apart
  /// \param to  rows `to_stride` bytes apart, which hold `width` numbers in whole lines of 64 bytes
  /// \param scales  one a row; null for bf16
  void (*narrow)(const float* from, std::size_t from_stride, std::size_t rows, std::size_t width, std::byte* to, std::size_t to_stride,
                 RowScale* scales) noexcept;
  /// \param rows  `count` rows of `width` floats, the weights of one output each; overwritten
  /// \param scales  2 * panel_width floats; null for bf16
  void (*pack)(float* rows, std::size_t count, std::size_t width, std::byte* panel, float* scales) noexcept;
  // As fast as such products want it; null: as TowerKernels do it, from floats to floats.
  void (*layer_norm)(const float* x, std::size_t rows, std::size_t width, const float* gain, const float* bias, float epsilon, float* out) noexcept = nullptr;
  void (*attend)(const NarrowAttention& attention) noexcept = nullptr;
  /// As `narrow`, from rows of bf16, `from_stride` bytes apart: of what `attend` answered, for kernels of 8 bits.
  void (*narrow_halves)(const std::byte* from, std::size_t from_stride, std::size_t rows, std::size_t width, std::byte* to, std::size_t to_stride,
                        RowScale* scales) noexcept = nullptr;
};

/// The fastest that this CPU runs; null where this CPU (or this build) has no such instructions.
VIDLOOM_API const NarrowKernels* bf16_kernels() noexcept;
VIDLOOM_API const NarrowKernels* int8_kernels() noexcept;
/// One set of instructions each, or null.
VIDLOOM_API const NarrowKernels* avx512_bf16_kernels() noexcept;
VIDLOOM_API const NarrowKernels* avx512_vnni_kernels() noexcept;
VIDLOOM_API const NarrowKernels* amx_bf16_kernels() noexcept;
VIDLOOM_API const NarrowKernels* amx_int8_kernels() noexcept;  ///< the same bits as avx512_vnni_kernels()

}  // namespace v0
}  // namespace vidloom
