#pragma once
/// Drawing on 4:2:0: each colour by the picture's own matrix and range, chroma by how much of its four pixels is covered.

#include <imaging/yuv_picture.hpp>
#include <vidloom/core/geometry.hpp>
#include <vidloom/render/annotate.hpp>

#include <cstdint>
#include <span>
#include <vector>

namespace vidloom {
inline namespace v0 {

/// A rectangle of whole pixels; right and bottom exclusive.
struct Area {
  int left = 0, top = 0, right = 0, bottom = 0;
  int width() const noexcept { return right - left; }
  int height() const noexcept { return bottom - top; }
  bool empty() const noexcept { return right <= left || bottom <= top; }
};

/// How much of each pixel is covered, 0 to 255; rows without padding.
struct Coverage {
  Size size{};
  std::vector<std::uint8_t> values{};
};

/// Everything is cut to the picture. One thread at a time.
class VIDLOOM_API Canvas {
 public:
  explicit Canvas(YuvPicture& picture) noexcept;

  Size size() const noexcept { return picture_.size(); }
  /// \param opacity  0 to 255.
  void fill(const Area& area, Rgb colour, int opacity = 255) noexcept;
  /// The outline of a box: lines inside it, `thickness` pixels.
  void outline(const Area& area, int thickness, Rgb colour) noexcept;
  /// A closed line along x0, y0, x1, y1, ..., smooth.
  void polygon(std::span<const float> points, float thickness, Rgb colour);
  void blend(const Coverage& mask, int left, int top, Rgb colour) noexcept;
  /// Blocks of one colour, an eighth of the shorter side wide, 8 pixels at least.
  void pixelate(const Area& area) noexcept;
  void blur(const Area& area);
  /// The pixels that a box touches, grown to whole chroma samples.
  Area covering(const Box& box) const noexcept;
  /// The nearest whole pixels.
  Area nearest(const Box& box) const noexcept;

 private:
  struct Colour {
    int y, u, v;
  };
  Colour colour_of(Rgb colour) const noexcept;
  Area cut(const Area& area) const noexcept;

  YuvPicture& picture_;
};

}  // namespace v0
}  // namespace vidloom
