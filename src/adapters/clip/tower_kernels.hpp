#pragma once
/// The arithmetic of a transformer tower on a CPU: products with packed weights, layer norm, attention. One set for each
/// instruction set, chosen at run time; all give the same up to rounding.

#include <vidloom/core/export.hpp>

#include <cstddef>
#include <cstdint>

namespace vidloom {
inline namespace v0 {

enum class Activation : std::uint8_t { none, quick_gelu, gelu };

/// C (rows x columns) = act(A (rows x depth) * W^T + bias + residual), for one panel of columns, `width` wide.
struct Product {
  const float* a;           ///< rows, `a_stride` floats apart
  std::size_t a_stride;
  const float* panel;       ///< [depth][width], columns beyond `columns` are zero
  std::size_t depth;
  float* c;                 ///< rows, `c_stride` floats apart
  std::size_t c_stride;
  std::size_t rows, columns;  ///< columns <= width
  const float* bias = nullptr;      ///< columns; null: none
  const float* residual = nullptr;  ///< laid out as c, may be c itself; null: none
  Activation activation = Activation::none;
  std::size_t panel_stride = 0;  ///< floats from one line of the panel to the next; 0: width
  const float* next = nullptr;  ///< the panel that is wanted after this one, fetched from memory meanwhile; null: none
};

struct TowerKernels {
  const char* name;
  std::size_t panel_width;
  /// Of panels `panel_width` wide, which weights are packed into.
  void (*multiply)(const Product& product) noexcept;
  std::size_t small_width;
  /// Of panels `small_width` wide, for products of few columns.
  void (*multiply_small)(const Product& product) noexcept;
  /// out = (x - mean) / sqrt(variance + epsilon) * gain + bias, row by row; x and out are `width` apart.
  void (*layer_norm)(const float* x, std::size_t rows, std::size_t width, const float* gain, const float* bias, float epsilon,
                     float* out) noexcept;
  /// to[column * to_stride + row] = from[row * from_stride + column]
  void (*transpose)(const float* from, std::size_t from_stride, std::size_t rows, std::size_t columns, float* to, std::size_t to_stride) noexcept;
  /// Softmax of the first `valid` of `width` numbers in place; the rest becomes 0.
  void (*softmax)(float* row, std::size_t valid, std::size_t width) noexcept;
};

/// The fastest that this CPU runs.
VIDLOOM_API const TowerKernels& tower_kernels() noexcept;
VIDLOOM_API const TowerKernels& portable_tower_kernels() noexcept;
/// Null where this CPU (or this build) has no such instructions.
VIDLOOM_API const TowerKernels* avx2_tower_kernels() noexcept;
VIDLOOM_API const TowerKernels* avx512_tower_kernels() noexcept;

}  // namespace v0
}  // namespace vidloom
