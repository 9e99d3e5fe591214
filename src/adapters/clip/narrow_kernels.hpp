#pragma once
/// Products of numbers narrower than float: pairs of bf16 or fours of 8 bits, summed in float or in whole numbers. What goes in and comes
/// out is float all the same, so that only the factors are rounded.

#include <adapters/clip/tower_kernels.hpp>

namespace vidloom {
inline namespace v0 {

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
  std::size_t words;         ///< of a row: its depth in fours of bytes, the last filled up with zeros
  std::byte* c;              ///< rows, `c_stride` bytes apart, of float, or as `narrow_c` says
  std::size_t c_stride;
  std::size_t rows, columns;  ///< columns <= panel_width
  const float* bias;                ///< panel_width
  const float* residual = nullptr;  ///< floats laid out as c, may be c itself; null: none
  Activation activation = Activation::none;
  bool narrow_c = false;            ///< C is bf16, and has room for the whole panel; without residual
  const std::byte* next = nullptr;  ///< the panel that is wanted after this one, fetched from memory meanwhile; null: none
};

struct NarrowKernels {
  const char* name;
  const char* precision;  ///< "bf16", "int8"
  std::size_t panel_width;
  std::size_t numbers_in_word;
  bool gives_narrow;  ///< whether a product may answer with what the next one takes
  void (*multiply)(const NarrowProduct& product) noexcept;
  /// \param from  rows of `width` floats, `from_stride` floats apart
  /// \param to  rows `to_stride` bytes apart, which hold `width` numbers in whole lines of 64 bytes
  /// \param scales  one a row; null for bf16
  void (*narrow)(const float* from, std::size_t from_stride, std::size_t rows, std::size_t width, std::byte* to, std::size_t to_stride,
                 RowScale* scales) noexcept;
  /// \param rows  `count` rows of `width` floats, the weights of one output each; overwritten
  /// \param scales  2 * panel_width floats; null for bf16
  void (*pack)(float* rows, std::size_t count, std::size_t width, std::byte* panel, float* scales) noexcept;
};

/// Null where this CPU (or this build) has no such instructions.
VIDLOOM_API const NarrowKernels* bf16_kernels() noexcept;
VIDLOOM_API const NarrowKernels* int8_kernels() noexcept;

}  // namespace v0
}  // namespace vidloom
