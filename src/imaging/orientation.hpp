#pragma once
/// From the coded picture to the upright one: turned clockwise by a multiple of 90 degrees, then perhaps flipped left to right.

#include <vidloom/core/export.hpp>
#include <vidloom/core/geometry.hpp>

#include <cstddef>
#include <span>

namespace vidloom {
inline namespace v0 {

struct VIDLOOM_API Orientation {
  int degrees = 0;  ///< clockwise: 0, 90, 180 or 270
  bool mirrored = false;

  constexpr bool upright() const noexcept { return degrees == 0 && !mirrored; }
  constexpr bool swaps_sides() const noexcept { return degrees == 90 || degrees == 270; }
  /// \return the upright size of a coded one; its own inverse.
  constexpr Size turned(Size size) const noexcept { return swaps_sides() ? Size{size.height, size.width} : size; }
  /// \return upright pixels from coded pixels, for a coded picture of that size.
  Affine upright_from_coded(Size coded) const noexcept;

  /// How to read a packed coded picture in upright order: upright pixel (x, y) is coded pixel `first + x * right + y * down`.
  struct Walk {
    std::ptrdiff_t first = 0, right = 1, down = 0;
  };
  Walk walk(Size coded) const noexcept;

  /// Turns packed pixels of `channels` bytes. `upright` holds as many bytes as `picture` and does not overlap it.
  void turn(std::span<const std::byte> picture, Size coded, int channels, std::span<std::byte> upright_picture) const noexcept;
};

}  // namespace v0
}  // namespace vidloom
