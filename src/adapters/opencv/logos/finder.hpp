#pragma once
/// From a picture and references to finds. Deterministic: the same picture gives the same answer on any number of threads.

#include <adapters/opencv/logos/align.hpp>
#include <adapters/opencv/logos/candidates.hpp>
#include <adapters/opencv/logos/reference.hpp>
#include <adapters/opencv/logos/scene.hpp>

#include <opencv2/core.hpp>

#include <array>
#include <vector>

namespace vidloom {
inline namespace v0 {
namespace logo_search {

/// How well the pixels agree at a place; all but stretch, size and inliers are 0 (chance) to 1.
struct Evidence {
  EdgeEvidence edges{};
  float ncc = 0;  ///< normalised cross-correlation over the whole mark; of flat marks without its sign
  using Windows = std::array<float, 3>;
  Windows windows{};  ///< the same in windows of 8 x 8 pixels of the patch: what 30, 50 and 70 % of them, by weight, do not exceed
  /// Direction and windows without the third, at one side, that looks most as if something hid it; else of the whole.
  float seen_direction = 0;
  Windows seen_windows{};
  float stretch = 1;  ///< how unequally it is scaled along two axes, 1: equally
  float size = 0;     ///< root of the area in pixels
  int inliers = 0;    ///< of features
};
constexpr std::array<double, 3> window_shares{0.3, 0.5, 0.7};

struct Find {
  std::size_t reference = 0;
  std::array<cv::Point2d, 4> corners{};  ///< of the visible part, clockwise from its upper left; pixels of the scene, centres whole
  Evidence evidence{};
  double confidence = 0;  ///< 0 to 1
};

Evidence weigh(const Scene& scene, const Reference& reference, const cv::Matx33d& scene_from_unit);
/// The evidence as a probability: a logistic fitted to composites (docs/reference/logos.md).
double confidence_of(const Reference& reference, const Evidence& evidence) noexcept;

/// Where it is worth to look closely, the likeliest first.
std::vector<Candidate> guesses(const Scene& scene, const Reference& reference);
/// From a guess to where the mark's edges or pixels agree best. \return false where they do not
bool place(const Scene& scene, const Reference& reference, const Candidate& candidate, cv::Matx33d& scene_from_unit);

/// All places of one reference that are worth a judgement, best first, without overlaps.
std::vector<Find> find_one(const Scene& scene, const Reference& reference, std::size_t index);

}  // namespace logo_search
}  // namespace v0
}  // namespace vidloom
