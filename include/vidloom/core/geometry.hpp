#pragma once
/// Plane geometry in pixels. Plain structs: they cross library and language borders by value.

#include <vidloom/core/export.hpp>

namespace vidloom {
inline namespace v0 {

struct Size {
  int width = 0, height = 0;
  constexpr bool empty() const noexcept { return width <= 0 || height <= 0; }
  friend constexpr bool operator==(const Size&, const Size&) = default;
};

/// Axis-parallel box in display pixels of its frame, origin top left; x2 and y2 are exclusive.
struct Box {
  float x1 = 0, y1 = 0, x2 = 0, y2 = 0;
  constexpr float width() const noexcept { return x2 - x1; }
  constexpr float height() const noexcept { return y2 - y1; }
  friend constexpr bool operator==(const Box&, const Box&) = default;
};

/// 2x3 affine map, row by row: x' = m0 x + m1 y + m2, y' = m3 x + m4 y + m5. Named to_from: `display_from_luma`.
struct Affine {
  float m[6] = {1, 0, 0, 0, 1, 0};
  friend constexpr bool operator==(const Affine&, const Affine&) = default;
};

/// \return the map that applies `second` after `first`: compose(c_from_b, b_from_a) is c_from_a.
VIDLOOM_API Affine compose(const Affine& second, const Affine& first) noexcept;

/// \return the inverse; the identity when `map` is singular.
VIDLOOM_API Affine inverse(const Affine& map) noexcept;

/// \return the axis-parallel box around the four mapped corners.
VIDLOOM_API Box map_box(const Affine& map, const Box& box) noexcept;

/// \return `box` cut to 0..size; an empty box at the border when nothing is left.
VIDLOOM_API Box clip(const Box& box, Size size) noexcept;

}  // namespace v0
}  // namespace vidloom
