#pragma once
/// A frame made small for a page.

#include <vidloom/frame.hpp>

#include <cstddef>
#include <vector>

namespace vidloom {
inline namespace v0 {

/// One thread at a time.
class SmallPicture {
 public:
  /// \param longest  side in pixels; nothing is enlarged. Square pixels.
  SmallPicture(const Frame& frame, int longest);
  Size size() const noexcept { return size_; }
  /// Makes what lies in a box (display pixels of the frame) unrecognisable: blocks of one colour.
  void hide(const Box& box) noexcept;
  void hide_all() noexcept;
  /// Throws Error(output, not_built).
  std::vector<std::byte> jpeg() const;

 private:
  Size size_;
  Image image_;
  std::vector<std::byte> pixels_;
  double x_scale_, y_scale_;
};

}  // namespace v0
}  // namespace vidloom
