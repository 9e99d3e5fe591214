#pragma once
/// One picture, prepared once for all references.

#include <adapters/opencv/logos/gradients.hpp>

#include <opencv2/core.hpp>

#include <vector>

namespace vidloom {
inline namespace v0 {
namespace logo_search {

struct Scene {
  std::vector<cv::Mat> levels{};       ///< CV_8U, each half as large as the one before
  std::vector<ResponseMaps> maps{};    ///< of each level; empty where no reference has templates
  std::vector<cv::Point2f> corners{};  ///< of local features, in pixels of level 0
  std::vector<float> corner_sizes{}, corner_angles{};  ///< pixels of level 0; degrees
  cv::Mat descriptors{};
};

/// \param gray  CV_8U; borrowed as long as the scene lives.
Scene make_scene(const cv::Mat& gray, bool templates, bool corners);

/// \return the brightness between pixels, by the four around; the border's beyond the border.
float sample(const cv::Mat& gray, float x, float y) noexcept;

}  // namespace logo_search
}  // namespace v0
}  // namespace vidloom
