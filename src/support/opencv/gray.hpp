#pragma once
/// Frames as OpenCV matrices. OpenCV is given borrowed memory to read and never writes to it.

#include <vidloom/frame.hpp>

#include <opencv2/core.hpp>

#include <algorithm>
#include <cmath>
#include <utility>

namespace vidloom {
inline namespace v0 {

/// \return the rows of `plane`, borrowed; a copy where they are stored bottom up, which OpenCV does not know.
inline cv::Mat matrix_of(const PlaneView& plane) {
  const auto rows = [&plane](const std::byte* top, std::ptrdiff_t stride) {
    return cv::Mat(plane.size.height, plane.size.width, CV_8UC1, const_cast<std::byte*>(top), static_cast<std::size_t>(stride));
  };
  if (plane.stride > 0) return rows(plane.data, plane.stride);
  cv::Mat upright;
  cv::flip(rows(plane.data + plane.stride * (plane.size.height - 1), -plane.stride), upright, 0);
  return upright;
}

/// \return `size` with its longest side cut down to `largest`, each side at least 1; `size` itself where it is not longer.
inline Size fit_inside(Size size, int largest) {
  const int longest = std::max(size.width, size.height);
  if (largest <= 0 || longest <= largest) return size;
  const double factor = static_cast<double>(largest) / longest;
  const auto scaled = [factor](int side) { return std::max(1, static_cast<int>(std::lround(side * factor))); };
  return {scaled(size.width), scaled(size.height)};
}

}  // namespace v0
}  // namespace vidloom
