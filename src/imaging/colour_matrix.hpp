#pragma once
/// From Y, U, V to R, G, B.

#include <vidloom/frame.hpp>

#include <imaging/pixel_layout.hpp>

#include <array>

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

}  // namespace v0
}  // namespace vidloom
