#pragma once
/// The inner loops of conversion, one set per instruction set. All sets give the same integers up to the last step, which is
/// float: their results differ by less than 0.001 of 255.
///
/// Note [Planes first]. Resizing and the colour matrix are both linear, so the planes are resized as they are and only what
/// comes out is turned into R, G, B. In blocks of `rows` output rows:
///
///     source rows --vertical--> Lines (one per output row) --interleave--> Block --finish--> slot
///
/// A Line holds 8-bit values times 64 in 16 bits. A Block holds the lines of one component side by side, two samples of a
/// line next to each other: [sample / 2][line][2], so that a multiply-add of pairs serves all lines with one weight.

#include <vidloom/core/export.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace vidloom {
inline namespace v0 {

inline constexpr int line_fraction_bits = 6;
inline constexpr std::size_t most_lines = 16;

/// What horizontal filtering needs of one component.
struct FinishInput {
  const std::int16_t* block = nullptr;
  const std::int32_t* first = nullptr;     ///< by column; even
  const std::int16_t* weights = nullptr;   ///< 2 * pairs by column
  int pairs = 1;
};

/// Output samples: R, G, B planes (or one plane) of `dtype`.
struct FinishTask {
  enum class DType : std::uint8_t { u8, f16, bf16, f32 };
  std::array<FinishInput, 3> inputs{};
  int input_count = 3, output_count = 3;
  std::array<std::array<float, 4>, 3> matrix{};  ///< out = sum of matrix[out][in] * (value of 20 fraction bits) + matrix[out][3]
  std::array<float, 3> scale{1, 1, 1}, bias{};   ///< after clamping to 0..255; not for u8, which is rounded
  DType dtype = DType::f32;
  int columns = 0, lines = 0;
  std::array<std::byte*, 3> out{};
  std::ptrdiff_t out_stride = 0;  ///< bytes from line to line
};

struct Kernels {
  const char* name;
  std::size_t lines;  ///< that a block has

  /// One line: out[i] = sum over 2 * pairs rows of weight * sample, `shift` bits to the right, rounded and saturated.
  /// Reads `count` samples of each row, no byte more.
  void (*vertical_8)(const std::byte* const* rows, const std::int16_t* weights, int pairs, std::size_t count, std::int16_t* out);
  /// Samples of 2 bytes, shifted right by `shift_in` first. Depth bits in, 8-bit values times 64 out.
  void (*vertical_16)(const std::byte* const* rows, const std::int16_t* weights, int pairs, std::size_t count, int shift_in, int depth,
                      std::int16_t* out);
  /// Samples offset, offset + step ... of a line. May write up to 32 samples more than `count`.
  void (*split)(const std::int16_t* line, int offset, int step, std::size_t count, std::int16_t* out);
  /// `lines` lines of 2 * pairs samples into a block. May read and write up to 32 samples of each line more.
  void (*interleave)(const std::int16_t* const* lines, std::size_t pairs, std::int16_t* block);
  void (*finish)(const FinishTask& task);
};

VIDLOOM_API const Kernels& portable_kernels() noexcept;
/// \return nullptr where the processor or the build has no AVX2, FMA and F16C.
VIDLOOM_API const Kernels* avx2_kernels() noexcept;

/// The fastest set this processor runs; what use_kernels() chose.
VIDLOOM_API const Kernels& kernels() noexcept;
/// For tests: makes all threads use that set from now on; nullptr: the fastest.
VIDLOOM_API void use_kernels(const Kernels* chosen) noexcept;

}  // namespace v0
}  // namespace vidloom
