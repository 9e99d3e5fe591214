#pragma once
/// One picture, prepared once for all references.

#include <adapters/opencv/logos/gradients.hpp>

#include <opencv2/core.hpp>

#include <vector>

namespace vidloom {
inline namespace v0 {
namespace logo_search {

/// The picture so small that marks of one size are as large as thumbnails.
struct SmallScene {
  double mark_size = 0;  ///< root of the area, pixels of the picture
  cv::Size size{};
  cv::Point2d factor{};  ///< pixels of the picture in one of these
  cv::Mat pixels{};      ///< CV_16S, with room at the right and below for whole vectors
  cv::Mat sums{}, squares{};  ///< of all pixels above and to the left, CV_32S and CV_64F
};

struct Scene {
  std::vector<cv::Mat> levels{};       ///< CV_8U, each half as large as the one before
  std::vector<ResponseMaps> maps{};    ///< of each level; empty where no reference has templates
  std::vector<SmallScene> small{};     ///< for marks of 38 pixels and more, in steps of a fifth; empty where no reference has thumbnails
  std::vector<cv::Point2f> corners{};  ///< of local features, in pixels of level 0
  std::vector<float> corner_sizes{}, corner_angles{};  ///< pixels of level 0; degrees
  cv::Mat descriptors{};
};

/// \param gray  CV_8U; borrowed as long as the scene lives.
struct Needs {
  bool templates = true, thumbnails = true, corners = true;
};
/// \param needs  what any reference compares the picture with
Scene make_scene(const cv::Mat& gray, Needs needs);

/// \return the brightness between pixels, by the four around; the border's beyond the border.
float sample(const cv::Mat& gray, float x, float y) noexcept;

}  // namespace logo_search
}  // namespace v0
}  // namespace vidloom
