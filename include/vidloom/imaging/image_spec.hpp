#pragma once
/// What packed picture somebody wants of a Frame.

#include <vidloom/core/geometry.hpp>

#include <cstdint>

namespace vidloom {
inline namespace v0 {

/// How planes become R, G, B. What each costs and how far it is from exact arithmetic: docs/concepts/colour.md.
enum class ColourMode : std::uint8_t {
  exact,         ///< tagged matrix, range and chroma site; subsampled chroma raised by bicubic (a = -0.5); rounded once
  fast,          ///< as exact, but subsampled chroma is resized on its own grid instead of being raised first
  opencv_compat  ///< what cv2.VideoCapture and cv2.resize make of it: BT.601 always, nearest chroma, no antialias
};
/// Antialiased as in Pillow: the support widens as the picture gets smaller. Edges: cut off and renormalised.
/// In opencv_compat cv2's INTER_CUBIC (a = -0.75) and INTER_LINEAR, which have no antialias.
enum class Filter : std::uint8_t { bicubic, bilinear };

struct ImageSpec {
  enum class Format : std::uint8_t { gray8, rgb8, bgr8 };
  Size size{};  ///< pixels; empty: the frame's display size. The picture is stretched to it.
  Format format = Format::rgb8;
  Filter filter = Filter::bicubic;
  ColourMode mode = ColourMode::exact;
  friend constexpr bool operator==(const ImageSpec&, const ImageSpec&) = default;
};

/// \return bytes a pixel: 1 for gray8, else 3.
constexpr int channels(ImageSpec::Format format) noexcept { return format == ImageSpec::Format::gray8 ? 1 : 3; }

}  // namespace v0
}  // namespace vidloom
