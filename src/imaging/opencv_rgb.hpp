#pragma once
/// R, G, B as cv2.VideoCapture has them: what swscale's unscaled YUV converter computes on x86, truncations included.

#include <imaging/pixel_layout.hpp>

#include <vidloom/frame.hpp>

#include <array>
#include <cstdint>
#include <span>

namespace vidloom {
inline namespace v0 {

/// One row of a YUV picture into planar bytes, `count` pixels from `left` on. BT.601; each chroma sample serves all its pixels.
void opencv_rgb_row(std::span<const PlaneView> planes, const PixelLayout& layout, bool full_range, int y, int left, int count,
                    const std::array<std::uint8_t*, 3>& out) noexcept;

}  // namespace v0
}  // namespace vidloom
