#include <adapters/opencv/logos/finder.hpp>

#include <algorithm>
#include <cmath>

namespace vidloom {
inline namespace v0 {
namespace logo_search {
namespace {

constexpr std::size_t most_by_features = 4;
// Places below these are not worth the pixels' comparison.
// Sums of likeness and direction, 2 at most.
constexpr double worth_refining = 0.9, as_good_as_it_gets = 1.85;
constexpr float least_support = 0.5F, least_direction = 0.35F;

cv::Rect2d bounds(const Find& find) {
  double x1 = find.corners[0].x, x2 = x1, y1 = find.corners[0].y, y2 = y1;
  for (const cv::Point2d& p : find.corners) x1 = std::min(x1, p.x), x2 = std::max(x2, p.x), y1 = std::min(y1, p.y), y2 = std::max(y2, p.y);
  return {x1, y1, x2 - x1, y2 - y1};
}

bool place_by_edges(const Scene& scene, const Reference& reference, cv::Matx33d& map) {
  return settle(scene, reference, map) && align(scene, reference, map, false);
}

/// Texture has edges everywhere, which lead astray, and pixels alone place it less exactly than edges: several ways are tried, and the one
/// after which both agree best is taken.
bool place_by_pixels(const Scene& scene, const Reference& reference, bool by_features, cv::Matx33d& map) {
  const cv::Matx33d guess = map;
  double best = -2;
  const auto consider = [&](const cv::Matx33d& tried) {
    const double worth = likeness(scene, reference, tried) + static_cast<double>(edge_evidence(scene, reference, tried).direction);
    if (worth > best) best = worth, map = tried;
  };
  cv::Matx33d aligned = guess;
  // Features place a mark within a few pixels.
  if (by_features && align(scene, reference, aligned, true)) consider(aligned);
  if (best > as_good_as_it_gets) return true;
  cv::Matx33d settled = guess;
  if (settle_by_pixels(scene, reference, settled)) {
    consider(settled);
    if (align(scene, reference, settled, true)) consider(settled);
  }
  // What is nearly right is worth all eight degrees of freedom, and the edges' exactness after that.
  if (best > worth_refining) {
    cv::Matx33d refined = map;
    if (refine_by_pixels(scene, reference, refined)) {
      consider(refined);
      if (align(scene, reference, refined, true)) consider(refined);
    }
  }
  return best > 0;
}

}  // namespace

std::vector<Find> find_one(const Scene& scene, const Reference& reference, std::size_t index) {
  std::vector<Candidate> candidates;
  if (reference.textured) candidates = search_features(scene, reference, most_by_features);
  if (!reference.templates.empty()) {
    const std::vector<Candidate> more = search_templates(scene, reference);
    candidates.insert(candidates.end(), more.begin(), more.end());
  }
  std::vector<Find> finds;
  for (const Candidate& candidate : candidates) {
    cv::Matx33d map = candidate.scene_from_unit;
    if (!(reference.look == Look::flat ? place_by_edges(scene, reference, map) : place_by_pixels(scene, reference, candidate.inliers > 0, map))) continue;
    const EdgeEvidence edges = edge_evidence(scene, reference, map);
    if (edges.support < least_support || edges.direction < least_direction) continue;
    Find find;
    find.reference = index;
    find.evidence = weigh(scene, reference, map);
    find.evidence.inliers = candidate.inliers;
    const double w = reference.extent.width, h = reference.extent.height;
    find.corners = {map_point(map, 0, 0), map_point(map, w, 0), map_point(map, w, h), map_point(map, 0, h)};
    find.confidence = confidence_of(reference, find.evidence);
    finds.push_back(find);
  }
  std::stable_sort(finds.begin(), finds.end(), [](const Find& a, const Find& b) { return a.confidence > b.confidence; });
  std::vector<Find> kept;
  for (const Find& find : finds) {
    const cv::Rect2d box = bounds(find);
    const bool known = std::any_of(kept.begin(), kept.end(), [&](const Find& other) {
      const cv::Rect2d theirs = bounds(other);
      return (box & theirs).area() > 0.4 * std::min(box.area(), theirs.area());
    });
    if (!known) kept.push_back(find);
  }
  return kept;
}

}  // namespace logo_search
}  // namespace v0
}  // namespace vidloom
