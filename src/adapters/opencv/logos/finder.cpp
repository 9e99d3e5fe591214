#include <adapters/opencv/logos/finder.hpp>

#include <algorithm>
#include <cmath>
#include <utility>

namespace vidloom {
inline namespace v0 {
namespace logo_search {
namespace {

constexpr std::size_t most_by_features = 2;  // of each view
// Guesses that are looked at closely, and the rough likeness they must have.
constexpr std::size_t most_of_flat = 6, most_tried_of_flat = 12;
constexpr std::size_t most_of_print = 8, most_doubtful = 6, most_tried = 24;
constexpr std::size_t most_by_thumbnail = 5, most_doubtful_by_thumbnail = 4, most_tried_by_thumbnail = 16;
constexpr double least_rough_of_flat = 0.1, least_rough = 0.2, least_likeness = 0.4, hardly_doubtful = 0.65;
// Places below these are not worth the pixels' comparison.
// Sums of likeness and direction, 2 at most.
constexpr double worth_refining = 1.0, as_good_as_it_gets = 1.85;
constexpr float least_support = 0.35F, least_direction = 0.3F;

cv::Rect2d bounds(const Find& find) {
  double x1 = find.corners[0].x, x2 = x1, y1 = find.corners[0].y, y2 = y1;
  for (const cv::Point2d& p : find.corners) x1 = std::min(x1, p.x), x2 = std::max(x2, p.x), y1 = std::min(y1, p.y), y2 = std::max(y2, p.y);
  return {x1, y1, x2 - x1, y2 - y1};
}

/// The edges of a silhouette are its own, so that they have the last word.
bool place_flat(const Scene& scene, const Reference& reference, cv::Matx33d& map) {
  return settle(scene, reference, false, map) >= least_likeness && align(scene, reference, map);
}

/// Texture has edges everywhere, which lead astray, and pixels alone place it less exactly than edges: several ways are tried, and the one
/// after which both agree best is taken.
bool place_print(const Scene& scene, const Reference& reference, bool by_features, cv::Matx33d& map) {
  const cv::Matx33d guess = map;
  double best = -2;
  const auto consider = [&](const cv::Matx33d& tried) {
    const double worth = likeness(scene, reference, tried) + static_cast<double>(edge_evidence(scene, reference, tried).direction);
    if (worth > best) best = worth, map = tried;
  };
  cv::Matx33d aligned = guess;
  // Features place a mark within a few pixels.
  if (by_features && align(scene, reference, aligned)) consider(aligned);
  if (best > as_good_as_it_gets) return true;
  cv::Matx33d settled = guess;
  if (settle(scene, reference, false, settled) >= least_likeness) {
    consider(settled);
    if (align(scene, reference, settled)) consider(settled);
  }
  // What is nearly right is worth all eight degrees of freedom, and the edges' exactness after that.
  if (best > worth_refining) {
    cv::Matx33d refined = map;
    if (refine_by_pixels(scene, reference, refined)) {
      consider(refined);
      if (align(scene, reference, refined)) consider(refined);
    }
  }
  return best > 0;
}

using Ends = std::array<cv::Point2d, 2>;
Ends ends_of(const Reference& reference, const cv::Matx33d& map) { return {map_point(map, 0, 0), map_point(map, reference.extent.width, reference.extent.height)}; }
bool known(const std::vector<Ends>& taken, const Ends& ends, double near) {
  return std::any_of(taken.begin(), taken.end(), [&](const Ends& other) {
    const cv::Point2d a = ends[0] - other[0], b = ends[1] - other[1];
    return std::hypot(a.x, a.y) < near && std::hypot(b.x, b.y) < near;
  });
}

struct Climbed {
  double likeness;
  Candidate candidate;
};

/// The `most` guesses that are roughly likest, each moved to where it fits roughly.
std::vector<Climbed> climb(const Scene& scene, const Reference& reference, const std::vector<Candidate>& candidates, std::size_t most) {
  std::vector<Climbed> climbed;
  std::vector<std::pair<double, std::size_t>> ranked;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const double worth = rough_likeness(scene, reference, candidates[i].scene_from_unit);
    if (worth >= (reference.look == Look::flat ? least_rough_of_flat : least_rough)) ranked.emplace_back(-worth, i);
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<Ends> tried;
  for (const auto& [worth, i] : ranked) {
    Candidate candidate = candidates[i];
    const Ends ends = ends_of(reference, candidate.scene_from_unit);
    if (known(tried, ends, 0.06 * size_of(candidate.scene_from_unit, reference))) continue;
    tried.push_back(ends);
    cv::Matx33d map = candidate.scene_from_unit;
    const double likeness = settle(scene, reference, true, map);
    // What several features agree on is more exact than a coarse grid.
    if (candidate.inliers == 0) candidate.scene_from_unit = map;
    climbed.push_back({likeness, candidate});
    if (tried.size() == most) break;
  }
  return climbed;
}

/// Adds those worth a close look. \param doubtful  so many may be less likely
void add_best(const Reference& reference, std::vector<Climbed> climbed, std::size_t most, std::size_t doubtful, std::vector<Candidate>& best) {
  std::stable_sort(climbed.begin(), climbed.end(), [](const Climbed& a, const Climbed& b) { return a.likeness > b.likeness; });
  std::vector<Ends> taken;
  for (const Candidate& one : best) taken.push_back(ends_of(reference, one.scene_from_unit));
  std::size_t added = 0;
  for (const auto& [likeness, candidate] : climbed) {
    if (added == most || likeness < (added < doubtful ? least_likeness : hardly_doubtful)) break;
    const Ends ends = ends_of(reference, candidate.scene_from_unit);
    if (known(taken, ends, 0.08 * size_of(candidate.scene_from_unit, reference))) continue;
    taken.push_back(ends);
    best.push_back(candidate);
    ++added;
  }
}

}  // namespace

std::vector<Candidate> guesses(const Scene& scene, const Reference& reference) {
  const bool print = reference.look != Look::flat;
  std::vector<Candidate> candidates;
  if (reference.textured) candidates = search_features(scene, reference, most_by_features);
  if (!reference.templates.empty()) {
    const std::vector<Candidate> more = search_templates(scene, reference);
    candidates.insert(candidates.end(), more.begin(), more.end());
  }
  std::vector<Candidate> best;
  if (!print) {
    add_best(reference, climb(scene, reference, candidates, most_tried_of_flat), most_of_flat, most_of_flat, best);
    return best;
  }
  add_best(reference, climb(scene, reference, candidates, most_tried), most_of_print, most_doubtful, best);
  // Thumbnails are likest to their guesses by construction: among them the others, which may be more exact, would never have their turn.
  if (!reference.thumbnails.empty()) {
    add_best(reference, climb(scene, reference, search_thumbnails(scene, reference), most_tried_by_thumbnail), most_by_thumbnail, most_doubtful_by_thumbnail, best);
  }
  return best;
}

bool place(const Scene& scene, const Reference& reference, const Candidate& candidate, cv::Matx33d& map) {
  map = candidate.scene_from_unit;
  return reference.look == Look::flat ? place_flat(scene, reference, map) : place_print(scene, reference, candidate.inliers > 0, map);
}

std::vector<Find> find_one(const Scene& scene, const Reference& reference, std::size_t index) {
  std::vector<Find> finds;
  for (const Candidate& candidate : guesses(scene, reference)) {
    cv::Matx33d map;
    if (!place(scene, reference, candidate, map)) continue;
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
