#pragma once
/// What searches of an upright gray picture share: the picture itself, and the part of it that regions leave.

#include <support/opencv/gray.hpp>
#include <vidloom/detection_adapter.hpp>

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>

namespace vidloom {
inline namespace v0 {

/// A frame's luma, upright, at most `largest` pixels long (0: full size). The decoder's own plane where that serves as it is.
class GrayPicture {
 public:
  GrayPicture(const Frame& frame, int largest) {
    const Size size = fit_inside(frame.size(), largest);
    if (const PlaneView luma = frame.luma(); luma.size == size && frame.display_from_luma() == Affine{}) {
      pixels_ = matrix_of(luma);
    } else {
      image_ = frame.image({.size = size, .format = ImageSpec::Format::gray8});
      pixels_ = matrix_of({image_->bytes().data(), image_->stride(), image_->size()});
      display_from_here_ = image_->display_from_image();
    }
  }
  /// Borrowed: valid as long as this and its frame. Not to be written to.
  const cv::Mat& pixels() const noexcept { return pixels_; }
  const Affine& display_from_here() const noexcept { return display_from_here_; }
  Box to_display(const cv::Rect2d& box) const noexcept {
    return map_box(display_from_here_, {static_cast<float>(box.x), static_cast<float>(box.y), static_cast<float>(box.x + box.width),
                                        static_cast<float>(box.y + box.height)});
  }

  /// \return the part around all `regions` (display pixels), with room for a search window around each border: at least
  /// `window`, and a quarter of the part. Everything where there are no regions.
  cv::Rect part_around(std::span<const Box> regions, cv::Size window) const {
    const cv::Rect all({}, pixels_.size());
    if (regions.empty()) return all;
    const Affine here_from_display = inverse(display_from_here_);
    cv::Rect part;
    for (const Box& region : regions) {
      const Box box = clip(map_box(here_from_display, region), {all.width, all.height});
      const int x = static_cast<int>(std::floor(box.x1)), y = static_cast<int>(std::floor(box.y1));
      part |= cv::Rect(x, y, static_cast<int>(std::ceil(box.x2)) - x, static_cast<int>(std::ceil(box.y2)) - y);
    }
    const int side = std::max(window.width, part.width / 4), above = std::max(window.height, part.height / 4);
    return cv::Rect(part.x - side, part.y - above, part.width + 2 * side, part.height + 2 * above) & all;
  }

 private:
  std::optional<Image> image_;
  cv::Mat pixels_;
  Affine display_from_here_{};
};

/// Whether the centre of `box` is in one of `regions`, or there are none.
inline bool looked_for(std::span<const Box> regions, const Box& box) {
  const float x = (box.x1 + box.x2) / 2, y = (box.y1 + box.y2) / 2;
  return regions.empty() || std::ranges::any_of(regions, [x, y](const Box& region) {
           return x >= region.x1 && x < region.x2 && y >= region.y1 && y < region.y2;
         });
}

}  // namespace v0
}  // namespace vidloom
