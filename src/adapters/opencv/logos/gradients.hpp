#pragma once
/// Directions of brightness edges: the only thing a mark in unknown colours on an unknown ground has in common with itself.

#include <opencv2/core.hpp>

#include <cstdint>
#include <vector>

namespace vidloom {
inline namespace v0 {
namespace logo_search {

struct Gradient {
  cv::Mat x, y;  ///< CV_16S, Sobel's of the slightly smoothed picture: 4 per level of brightness and pixel
};
Gradient gradient_of(const cv::Mat& gray);
/// Of several views of one thing: at each pixel that with the larger magnitude.
Gradient strongest_gradient(const std::vector<cv::Mat>& views);

/// \return the direction modulo 180 degrees as one of 8 bins of 22.5 degrees around 0, 22.5, ...
std::uint8_t direction_bin(int x, int y) noexcept;

/// One picture, ready to be compared with templates: for each direction the agreement of the neighbourhood of each pixel, in
/// runs a template point can add (Hinterstoisser et al., Gradient Response Maps for Real-Time Detection of Textureless
/// Objects, PAMI 2012).
class ResponseMaps {
 public:
  static constexpr int step = 4;  ///< pixels between two places a template is tried at
  ResponseMaps() = default;
  explicit ResponseMaps(const cv::Mat& gray);
  int columns() const noexcept { return columns_; }
  int rows() const noexcept { return rows_; }
  /// Agreement (0, 2 or 4) of direction `bin` at pixel (x, y), then at (x + step, y), ..., row after row.
  /// \pre 0 <= x < columns() * step, 0 <= y < rows() * step
  const std::uint8_t* run(std::uint8_t bin, int x, int y) const noexcept {
    const int phase = (y % step) * step + x % step;
    return data_.data() + (static_cast<std::size_t>(bin) * step * step + static_cast<std::size_t>(phase)) * plane_ +
           static_cast<std::size_t>(y / step * columns_ + x / step);
  }

 private:
  int columns_ = 0, rows_ = 0;
  std::size_t plane_ = 0;  ///< bytes of one direction and phase, with room behind for whole vectors
  std::vector<std::uint8_t> data_{};
};

}  // namespace logo_search
}  // namespace v0
}  // namespace vidloom
