#pragma once
/// Where a mark might be: many guesses, cheap and mostly wrong. Whoever takes them aligns and judges them.

#include <adapters/opencv/logos/reference.hpp>
#include <adapters/opencv/logos/scene.hpp>

#include <opencv2/core.hpp>

#include <vector>

namespace vidloom {
inline namespace v0 {
namespace logo_search {

struct Candidate {
  cv::Matx33d scene_from_unit;
  float agreement = 0;  ///< of the template or thumbnail, 0 to 1; 0 where it came by features
  int inliers = 0;      ///< features that agree on it; 0 where it came otherwise
};

/// By templates of edge directions: sizes from 26 pixels up, turned by up to 45 degrees. Best first, most of them wrong.
std::vector<Candidate> search_templates(const Scene& scene, const Reference& reference);

/// By normalised cross-correlation of thumbnails with the whole picture: prints of 38 pixels and more, turned by up to 45 degrees, in which
/// nothing stands out. Best first.
std::vector<Candidate> search_thumbnails(const Scene& scene, const Reference& reference);

/// By local features that agree on a place, size and angle (any angle). Most inliers first; then, without inliers, what any two of them say.
std::vector<Candidate> search_features(const Scene& scene, const Reference& reference, std::size_t most);

/// \return the map to scene pixels that puts the mark's middle there; radians, clockwise as seen.
cv::Matx33d similarity(double size, double angle, cv::Point2d middle, const Reference& reference) noexcept;
/// \return the root of the area of the mark in pixels.
double size_of(const cv::Matx33d& scene_from_unit, const Reference& reference) noexcept;
cv::Point2d map_point(const cv::Matx33d& map, double x, double y) noexcept;

}  // namespace logo_search
}  // namespace v0
}  // namespace vidloom
