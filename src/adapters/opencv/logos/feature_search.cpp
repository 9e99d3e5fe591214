#include <adapters/opencv/logos/candidates.hpp>

#include <opencv2/calib3d.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>
#include <tuple>

namespace vidloom {
inline namespace v0 {
namespace logo_search {
namespace {

constexpr int farthest = 72;       // of 256 bits
constexpr float ratio = 0.88F;     // to the best at another place of the reference
constexpr double same_place = 0.08;  // unit space
constexpr std::size_t least_votes = 6, most_votes = 250, least_for_homography = 8, most_pairs = 60;

/// One feature that looks like one of the reference's, and the mark it would be part of.
struct Vote {
  int distance;
  std::size_t scene, reference;
  double x, y, size, angle;  ///< of the mark's middle in scene pixels; radians
};

constexpr std::size_t descriptor_bytes = 32;

/// Bits in which a descriptor differs from each of `rows`. \return which of them differs least
[[gnu::always_inline]] inline std::size_t count_bits(const std::uint8_t* mine, const std::uint8_t* rows, std::size_t count, int* distances) noexcept {
  std::uint64_t a[4];
  std::memcpy(a, mine, descriptor_bytes);
  std::size_t nearest = 0;
  int least = 1000;
  for (std::size_t i = 0; i < count; ++i) {
    std::uint64_t b[4];
    std::memcpy(b, rows + i * descriptor_bytes, descriptor_bytes);
    const int distance = std::popcount(a[0] ^ b[0]) + std::popcount(a[1] ^ b[1]) + std::popcount(a[2] ^ b[2]) + std::popcount(a[3] ^ b[3]);
    distances[i] = distance;
    if (distance < least) least = distance, nearest = i;
  }
  return nearest;
}

std::size_t count_portable(const std::uint8_t* mine, const std::uint8_t* rows, std::size_t count, int* distances) noexcept { return count_bits(mine, rows, count, distances); }

#if defined(__x86_64__)
// The instruction is in every x86-64 processor since 2009, but not in what compilers take for granted: 10 times as fast.
[[gnu::target("popcnt")]] std::size_t count_popcnt(const std::uint8_t* mine, const std::uint8_t* rows, std::size_t count, int* distances) noexcept {
  return count_bits(mine, rows, count, distances);
}
const auto count_differences = __builtin_cpu_supports("popcnt") ? &count_popcnt : &count_portable;
#else
constexpr auto count_differences = &count_portable;
#endif

std::vector<Vote> match(const Scene& scene, const Corners& corners, cv::Point2d middle) {
  std::vector<Vote> votes;
  std::vector<int> distances(static_cast<std::size_t>(corners.descriptors.rows));
  for (std::size_t i = 0; i < scene.corners.size(); ++i) {
    const auto* mine = scene.descriptors.ptr<std::uint8_t>(static_cast<int>(i));
    const std::size_t chosen = count_differences(mine, corners.descriptors.ptr<std::uint8_t>(), distances.size(), distances.data());
    const int best = distances[chosen];
    if (best > farthest) continue;
    int second = 1000;
    for (std::size_t j = 0; j < distances.size(); ++j) {
      const cv::Point2f apart = corners.at[j] - corners.at[chosen];
      if (distances[j] < second && std::hypot(apart.x, apart.y) > same_place) second = distances[j];
    }
    if (static_cast<float>(best) > ratio * static_cast<float>(second)) continue;
    const double size = scene.corner_sizes[i] / corners.sizes[chosen];
    const double angle = (scene.corner_angles[i] - corners.angles[chosen]) * CV_PI / 180;
    const double dx = (middle.x - corners.at[chosen].x) * size, dy = (middle.y - corners.at[chosen].y) * size;
    votes.push_back({best, i, chosen, scene.corners[i].x + std::cos(angle) * dx - std::sin(angle) * dy,
                     scene.corners[i].y + std::sin(angle) * dx + std::cos(angle) * dy, size, angle});
  }
  std::stable_sort(votes.begin(), votes.end(), [](const Vote& a, const Vote& b) { return a.distance < b.distance; });
  return votes;
}

bool agree(const Vote& a, const Vote& b) {
  const double x = a.x - b.x, y = a.y - b.y;
  if (x * x + y * y > 0.16 * a.size * b.size || std::max(a.size, b.size) > 1.7 * std::min(a.size, b.size)) return false;
  return std::abs(std::remainder(a.angle - b.angle, 2 * CV_PI)) < 0.5;
}

bool sane(const cv::Matx33d& map, const Reference& reference) {
  const double w = reference.extent.width, h = reference.extent.height;
  const cv::Point2d p[4] = {map_point(map, 0, 0), map_point(map, w, 0), map_point(map, w, h), map_point(map, 0, h)};
  for (int i = 0; i < 4; ++i) {
    const cv::Point2d a = p[(i + 1) % 4] - p[i], b = p[(i + 2) % 4] - p[(i + 1) % 4];
    if (!std::isfinite(a.x + a.y) || !(a.cross(b) > 0)) return false;
    const double longer = std::hypot(a.x, a.y), other = std::hypot(p[(i + 3) % 4].x - p[(i + 2) % 4].x, p[(i + 3) % 4].y - p[(i + 2) % 4].y);
    if (longer > 3 * other) return false;
  }
  const double size = size_of(map, reference);
  return size > 16 && size < 4000;
}

/// Adds the maps most of these votes lie on: a similarity, and with many votes a homography, which fits a mark seen askew but goes astray where
/// its few votes lie in one part of the mark.
void fit(const Scene& scene, const Reference& reference, const Corners& corners, const std::vector<Vote>& votes, std::vector<Candidate>& candidates) {
  std::vector<cv::Point2f> from, to;
  for (const Vote& vote : votes) {
    from.push_back(corners.at[vote.reference]);
    to.push_back(scene.corners[vote.scene]);
  }
  const double tolerance = std::clamp(0.03 * votes.front().size, 2.0, 6.0);
  const auto add = [&](const cv::Matx33d& map, std::size_t least) {
    std::size_t inliers = 0;
    for (std::size_t i = 0; i < from.size(); ++i) {
      const cv::Point2d at = map_point(map, static_cast<double>(from[i].x), static_cast<double>(from[i].y));
      inliers += std::hypot(at.x - static_cast<double>(to[i].x), at.y - static_cast<double>(to[i].y)) <= 1.5 * tolerance ? 1 : 0;
    }
    const cv::Matx33d scene_from_unit = map * corners.view_from_unit;
    if (inliers >= least && sane(scene_from_unit, reference)) candidates.push_back({scene_from_unit * (1 / scene_from_unit(2, 2)), 0, static_cast<int>(inliers)});
  };
  // Both are random samplings with a generator of their own that starts the same way each time.
  const cv::Mat similar = cv::estimateAffinePartial2D(from, to, cv::noArray(), cv::RANSAC, 2 * tolerance, 150, 0.99, 5);
  if (!similar.empty()) {
    const auto* const m = similar.ptr<double>();
    add({m[0], m[1], m[2], m[3], m[4], m[5], 0, 0, 1}, least_votes);
  }
  if (votes.size() < least_for_homography) return;
  const cv::Mat found = cv::findHomography(from, to, cv::RANSAC, tolerance, cv::noArray(), 300, 0.99);
  if (!found.empty()) add(cv::Matx33d(found.ptr<double>()), least_for_homography);
}

/// What two votes say by their places alone, which is more exact than their sizes and angles; these must not contradict.
void add_pairs(const Scene& scene, const Reference& reference, const Corners& corners, const std::vector<Vote>& votes, const std::vector<std::vector<std::size_t>>& friends,
               std::vector<Candidate>& candidates) {
  constexpr double least_apart = 0.12, most_contradiction = 1.5, most_turn = 0.4;
  std::size_t added = 0;
  for (std::size_t i = 0; i < votes.size(); ++i) {
    for (const std::size_t j : friends[i]) {
      if (j < i || added == most_pairs) continue;
      const cv::Point2d here = corners.at[votes[j].reference] - corners.at[votes[i].reference], there = scene.corners[votes[j].scene] - scene.corners[votes[i].scene];
      const double long_here = std::hypot(here.x, here.y), long_there = std::hypot(there.x, there.y);
      if (long_here < least_apart || long_there < 4) continue;
      const double size = long_there / long_here, said = std::sqrt(votes[i].size * votes[j].size);
      if (std::max(size, said) > most_contradiction * std::min(size, said)) continue;
      const double angle = std::atan2(there.y, there.x) - std::atan2(here.y, here.x);
      if (std::abs(std::remainder(angle - votes[i].angle, 2 * CV_PI)) > most_turn || std::abs(std::remainder(angle - votes[j].angle, 2 * CV_PI)) > most_turn) continue;
      const double c = size * std::cos(angle), s = size * std::sin(angle);
      const cv::Point2d a = corners.at[votes[i].reference], b = scene.corners[votes[i].scene];
      const cv::Matx33d map = cv::Matx33d(c, -s, b.x - c * a.x + s * a.y, s, c, b.y - s * a.x - c * a.y, 0, 0, 1) * corners.view_from_unit;
      if (!sane(map, reference)) continue;
      candidates.push_back({map, 0, 0});
      ++added;
    }
  }
}

void search_view(const Scene& scene, const Reference& reference, const Corners& corners, std::size_t most, std::vector<Candidate>& candidates) {
  if (corners.descriptors.empty()) return;
  const cv::Point2d middle = map_point(corners.view_from_unit, reference.extent.width / 2, reference.extent.height / 2);
  std::vector<Vote> votes = match(scene, corners, middle);
  if (votes.size() > most_votes) votes.erase(votes.begin() + static_cast<std::ptrdiff_t>(most_votes), votes.end());
  const std::size_t count = votes.size();
  std::vector<std::vector<std::size_t>> friends(count);
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t j = i + 1; j < count; ++j) {
      if (agree(votes[i], votes[j])) friends[i].push_back(j), friends[j].push_back(i);
    }
  }
  add_pairs(scene, reference, corners, votes, friends, candidates);
  std::vector<bool> used(count);
  // The group around each vote, the largest first; its members are taken away before the next.
  for (std::size_t round = 0; round < most; ++round) {
    std::size_t seed = count, largest = least_votes - 1;
    for (std::size_t i = 0; i < count; ++i) {
      if (used[i]) continue;
      const auto group = 1 + static_cast<std::size_t>(std::count_if(friends[i].begin(), friends[i].end(), [&used](std::size_t j) { return !used[j]; }));
      if (group > largest) largest = group, seed = i;
    }
    if (seed == count) break;
    std::vector<Vote> group{votes[seed]};
    for (const std::size_t j : friends[seed]) {
      if (!used[j]) group.push_back(votes[j]);
      used[j] = true;
    }
    used[seed] = true;
    fit(scene, reference, corners, group, candidates);
  }
}

}  // namespace

std::vector<Candidate> search_features(const Scene& scene, const Reference& reference, std::size_t most) {
  std::vector<Candidate> candidates;
  if (scene.descriptors.empty()) return candidates;
  // Views from the side mostly find nothing, and a second group there is chance.
  for (const Corners& corners : reference.corners) search_view(scene, reference, corners, &corners == &reference.corners.front() ? most : 1, candidates);
  std::stable_sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) { return a.inliers > b.inliers; });
  return candidates;
}

}  // namespace logo_search
}  // namespace v0
}  // namespace vidloom
