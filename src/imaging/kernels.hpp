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

/// The lines of a block out of rows of 8 bits, the integers of vertical_8. Made strip by strip: the rows of a strip are laid out once, in
/// memory of the first cache, and each line takes its sums from there. A strip's rows are as many streams, which processors do not follow
/// by themselves: those of the strip after the next are asked for meanwhile.
struct LinesTask {
  /// Rows that the window of one line may have.
  static constexpr int most_rows = 240;
  const std::byte* rows = nullptr;        ///< the first sample of row 0
  std::ptrdiff_t stride = 0;
  int row_count = 1;                      ///< no others are read
  const std::int32_t* first = nullptr;    ///< by line: the first row of its window
  const std::int16_t* weights = nullptr;  ///< 2 * pairs by line; 0 where a window reaches over the last row
  int pairs = 1, lines = 1;
  std::size_t count = 0;                  ///< samples of a row
  std::int16_t* const* out = nullptr;     ///< by line; may be written up to 64 samples more
};

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
  std::array<FinishInput, 3> inputs{};  ///< the third has the tables of the second
  int input_count = 3, output_count = 3;
  std::array<std::array<float, 4>, 3> matrix{};  ///< out = sum of matrix[out][in] * (value of 20 fraction bits) + matrix[out][3]
  std::array<float, 3> scale{1, 1, 1}, bias{};   ///< after clamping to 0..255; not for u8, which is rounded
  DType dtype = DType::f32;
  int columns = 0, lines = 0;
  std::array<std::byte*, 3> out{};
  std::ptrdiff_t out_stride = 0;  ///< bytes from line to line
};

/// One or two lines of chroma for rgb_row, from the same four rows: line k = the sum of weights[k][i] * row i over 128, less 128.
/// Seven fraction bits, nothing rounded: chroma raised by two around any site takes weights that are whole 128ths.
struct ChromaLinesTask {
  std::array<const std::byte*, 4> rows{};
  /// Of rows 0 and 1, and of 2 and 3, within 128 together; those above 0 within 192: then 16 bits suffice.
  std::array<std::array<std::int8_t, 4>, 2> weights{};
  std::size_t count = 0;                 ///< samples of each row, 32 or more; no byte more is read
  std::array<std::int16_t*, 2> out{};    ///< the second may be nullptr; may be written up to 64 samples more
  const std::byte* ahead = nullptr;      ///< a row that is asked for meanwhile, as a later call reads it
};

/// One row of a picture at its own size, 8-bit YUV to packed RGB. Note [Full size]: each chroma line was filtered downwards already;
/// across, pixel 2 * i takes samples i - 2 ... i + 1 and pixel 2 * i + 1 samples i - 1 ... i + 2 (4:4:4: sample i alone). Arithmetic
/// is 16 bits wide with 5 to 7 fraction bits: within 0.15 of exact. Pixels whose windows reach over an edge are the caller's.
struct RgbRowTask {
  const std::byte* luma = nullptr;
  const std::int16_t* u = nullptr;  ///< as ChromaLinesTask makes them; readable from 2 samples before to 64 behind
  const std::int16_t* v = nullptr;
  bool halved = true;               ///< half as many chroma samples as pixels; or as many
  bool bgr = false;
  std::array<std::int16_t, 4> even{}, odd{};  ///< 15 fraction bits; all 0: the pixel takes its own sample i
  /// A fourth of the matrix' numbers, 15 fraction bits; and what is added, 5 fraction bits, half a level included.
  std::int16_t luma_gain = 0, red_v = 0, green_u = 0, green_v = 0, blue_u = 0, offset = 0;
  std::size_t width = 0;            ///< 64 or more
  std::byte* out = nullptr;
  const std::byte* ahead = nullptr; ///< a row of luma that is asked for meanwhile, as a later call reads it
};

/// One row as cv2.VideoCapture has it, see opencv_rgb.hpp: chroma half as wide as luma, one sample for two pixels.
struct OpencvRowTask {
  const std::byte* luma = nullptr;
  const std::byte* u = nullptr;
  const std::byte* v = nullptr;
  std::int16_t luma_zero = 0, luma_gain = 0, red_v = 0, green_u = 0, green_v = 0, blue_u = 0;
  std::size_t width = 0;                 ///< 32 or more, even
  std::array<std::uint8_t*, 3> out{};    ///< R, G, B planes
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
  /// The lines of a block at once. nullptr: line by line.
  void (*lines_8)(const LinesTask& task);
  /// Samples offset, offset + step ... of a line. May write up to 32 samples more than `count`.
  void (*split)(const std::int16_t* line, int offset, int step, std::size_t count, std::int16_t* out);
  /// `lines` lines of 2 * pairs samples into a block. May read and write up to 32 samples of each line more.
  void (*interleave)(const std::int16_t* const* lines, std::size_t pairs, std::int16_t* block);
  void (*finish)(const FinishTask& task);
  /// Shortcuts; nullptr where a set has none and the general way serves. A set has all three of `rgb_row` or none.
  void (*rgb_row)(const RgbRowTask& task);
  void (*chroma_lines)(const ChromaLinesTask& task);
  /// The same of one row as it is. May write up to 64 samples more than `count`.
  void (*chroma_copy)(const std::byte* row, std::size_t count, std::int16_t* out);
  void (*opencv_row)(const OpencvRowTask& task);
  /// Three rows of `count` bytes to packed pixels; 3 * count bytes are written, no more.
  void (*pack)(const std::array<const std::byte*, 3>& channels, std::size_t count, std::byte* out);
};

VIDLOOM_API const Kernels& portable_kernels() noexcept;
/// \return nullptr where the processor or the build has no AVX2, FMA and F16C.
VIDLOOM_API const Kernels* avx2_kernels() noexcept;
/// \return nullptr where the processor, the system or the build has no AVX-512 with F, BW, DQ, VL, VBMI and VNNI.
VIDLOOM_API const Kernels* avx512_kernels() noexcept;

/// The fastest set this processor runs; what use_kernels() chose.
VIDLOOM_API const Kernels& kernels() noexcept;
/// For tests: makes all threads use that set from now on; nullptr: the fastest.
VIDLOOM_API void use_kernels(const Kernels* chosen) noexcept;

}  // namespace v0
}  // namespace vidloom
