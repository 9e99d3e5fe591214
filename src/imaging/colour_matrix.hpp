#pragma once
/// From Y, U, V to R, G, B.

#include <vidloom/frame.hpp>

#include <imaging/pixel_layout.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

namespace vidloom {
inline namespace v0 {

/// What conversion of a format takes for granted, given its tags.
struct ResolvedColour {
  Matrix matrix = Matrix::bt601;
  bool full_range = false;
  float site_across = 0.5F, site_down = 0.5F;  ///< of the first chroma sample, in luma samples from the left and top edge
};

/// exact, fast: effective_colour(); chroma left unless tagged, centred in full range as JPEG has it.
/// opencv_compat: BT.601 whatever the tag. A full-range tag counts: FFmpeg's decoders name such pictures yuvj420p, which is how
/// cv2.VideoCapture comes to know.
ResolvedColour resolve_colour(const PixelLayout& layout, const ColourTags& tags, Size coded, ColourMode mode) noexcept;

/// Rows R, G, B (or grey alone); columns Y, U, V (or R, G, B), and what is added. In: 0..255 for any depth, a sample being
/// 2^(depth - 8) times as large; out: 0..255. ITU-R BT.601, BT.709, BT.2020 (non-constant luminance), SMPTE 240M, FCC 73.682.
using ColourMatrix = std::array<std::array<float, 4>, 3>;
ColourMatrix colour_matrix(const PixelLayout& layout, const ResolvedColour& colour, bool grey) noexcept;

/// The other way: 8-bit samples of R, G, B (0..255, gamma-coded), in fixed point, rounded.
class VIDLOOM_API YuvFromRgb {
 public:
  /// \param colour  matrix and range known: effective_colour().
  explicit YuvFromRgb(const ColourTags& colour) noexcept;
  int luma(int red, int green, int blue) const noexcept { return rounded(y_, red, green, blue, 1); }
  /// Of the sum over `count` pixels: their mean.
  std::pair<int, int> chroma(int red, int green, int blue, int count = 1) const noexcept {
    return {rounded(u_, red, green, blue, count), rounded(v_, red, green, blue, count)};
  }

 private:
  static constexpr int one = 1 << 16;
  using Row = std::array<std::int64_t, 4>;
  static int rounded(const Row& row, int red, int green, int blue, int count) noexcept {
    const std::int64_t sum = row[0] * red + row[1] * green + row[2] * blue + row[3] * count;
    return static_cast<int>(std::clamp<std::int64_t>((2 * sum + std::int64_t{one} * count) / (std::int64_t{2} * one * count), 0, 255));
  }
  Row y_{}, u_{}, v_{};
};

}  // namespace v0
}  // namespace vidloom
