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

/// One row of a picture at its own size, 8-bit YUV to packed RGB. Note [Full size]: each chroma line was filtered downwards already;
/// across, pixel 2 * i takes samples i - 2 ... i + 1 and pixel 2 * i + 1 samples i - 1 ... i + 2 (4:4:4: sample i alone). Arithmetic
/// is 16 bits wide with 5 to 7 fraction bits: within 0.15 of exact. Pixels whose windows reach over an edge are the caller's.
struct RgbRowTask {
  const std::byte* luma = nullptr;
  const std::int16_t* u = nullptr;  ///< lines; readable from 2 samples before to 32 behind
  const std::int16_t* v = nullptr;
  bool halved = true;               ///< half as many chroma samples as pixels; or as many
  bool bgr = false;
  std::array<std::int16_t, 4> even{}, odd{};  ///< 15 fraction bits; all 0: the pixel takes its own sample i
  /// A fourth of the matrix' numbers, 15 fraction bits; and what is added, 5 fraction bits, half a level included.
  std::int16_t luma_gain = 0, red_v = 0, green_u = 0, green_v = 0, blue_u = 0;
  std::array<std::int16_t, 3> offset{};
  std::size_t width = 0;            ///< 32 or more
  std::byte* out = nullptr;
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
  /// Samples offset, offset + step ... of a line. May write up to 32 samples more than `count`.
  void (*split)(const std::int16_t* line, int offset, int step, std::size_t count, std::int16_t* out);
  /// `lines` lines of 2 * pairs samples into a block. May read and write up to 32 samples of each line more.
  void (*interleave)(const std::int16_t* const* lines, std::size_t pairs, std::int16_t* block);
  void (*finish)(const FinishTask& task);
  /// Shortcuts; nullptr where a set has none and the general way serves.
  void (*rgb_row)(const RgbRowTask& task);
  void (*opencv_row)(const OpencvRowTask& task);
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
