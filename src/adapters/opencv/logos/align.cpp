#include <adapters/opencv/logos/align.hpp>

#include <adapters/opencv/logos/candidates.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace vidloom {
inline namespace v0 {
namespace logo_search {
namespace {

constexpr float faintest = 4;  // levels of brightness an edge must have

/// What is compared: a level of the picture, and the reference's edges as seen at about the same size.
struct View {
  const cv::Mat& gray;
  const std::vector<EdgePoint>& edges;
  cv::Matx33d map;  // unit -> pixels of `gray`
  double size;      // of the mark there
  std::size_t level;
};

/// \return maps pixels of a level to pixels of the first. Pixel centres are whole numbers.
cv::Matx33d scene_from_level(std::size_t level) {
  const double factor = static_cast<double>(1 << level), shift = 0.5 * factor - 0.5;
  return {factor, 0, shift, 0, factor, shift, 0, 0, 1};
}

View view_of(const Scene& scene, const Reference& reference, const cv::Matx33d& map) {
  constexpr double largest = 230;  // size in pixels above which the next smaller level of the picture is taken
  double size = size_of(map, reference);
  std::size_t level = 0;
  while (size > largest && level + 1 < scene.levels.size()) size /= 2, ++level;
  const std::size_t which = size < 56 ? 0U : size < 113 ? 1U : 2U;
  return {scene.levels[level], reference.edges[which], scene_from_level(level).inv() * map, size, level};
}

/// Where an edge point and its normal come to lie.
struct Ray {
  cv::Point2d at, normal;
};

Ray ray_of(const cv::Matx33d& map, const EdgePoint& edge) {
  const double x = edge.at.x, y = edge.at.y, w = map(2, 0) * x + map(2, 1) * y + map(2, 2);
  const cv::Point2d at((map(0, 0) * x + map(0, 1) * y + map(0, 2)) / w, (map(1, 0) * x + map(1, 1) * y + map(1, 2)) / w);
  const double jxx = (map(0, 0) - at.x * map(2, 0)) / w, jxy = (map(0, 1) - at.x * map(2, 1)) / w;
  const double jyx = (map(1, 0) - at.y * map(2, 0)) / w, jyy = (map(1, 1) - at.y * map(2, 1)) / w;
  // The tangent is mapped, and the normal is what stands upright on it.
  const double tx = -jxx * edge.normal.y + jxy * edge.normal.x, ty = -jyx * edge.normal.y + jyy * edge.normal.x;
  const double length = std::max(1e-9, std::hypot(tx, ty));
  return {at, {ty / length, -tx / length}};
}

struct Observed {
  double offset = 0;    // along the normal, pixels
  double strength = 0;  // signed
  bool seen = false;
};

/// The strongest edge along a ray, those near the middle preferred. \param sign  0: whichever way it goes
Observed look_along(const cv::Mat& gray, const Ray& ray, int reach, int sign) {
  std::array<float, 32> profile{};
  const int count = 2 * reach + 3;
  const double outside = 2;
  const double ex = ray.at.x, ey = ray.at.y;
  if (ex < -outside || ey < -outside || ex > gray.cols + outside || ey > gray.rows + outside) return {};
  for (int k = 0; k < count; ++k) {
    const double along = k - reach - 1;
    profile[static_cast<std::size_t>(k)] = sample(gray, static_cast<float>(ex + along * ray.normal.x), static_cast<float>(ey + along * ray.normal.y));
  }
  const auto slope = [&](int k) { return (profile[static_cast<std::size_t>(k + 1)] - profile[static_cast<std::size_t>(k - 1)]) / 2; };
  int best = -1;
  float most = 0;
  for (int k = 1; k + 1 < count; ++k) {
    const float s = slope(k);
    if (sign != 0 && (s > 0) != (sign > 0)) continue;
    const float worth = std::abs(s) * (1 - 0.6F * static_cast<float>(std::abs(k - reach - 1)) / static_cast<float>(reach + 1));
    if (worth > most) most = worth, best = k;
  }
  if (best < 0 || std::abs(slope(best)) < faintest / 2) return {};
  Observed observed{static_cast<double>(best - reach - 1), slope(best), true};
  if (best >= 2 && best + 2 < count) {
    const float before = std::abs(slope(best - 1)), here = std::abs(slope(best)), after = std::abs(slope(best + 1));
    const float bend = before - 2 * here + after;
    if (bend < -1e-3F) observed.offset += std::clamp(0.5 * static_cast<double>((before - after) / bend), -0.5, 0.5);
  }
  return observed;
}

/// Which way the mark's edges go here: as in the reference, the other way, or (0) this way here and that way there.
int polarity_of(const View& view, const Reference& reference) {
  if (reference.look == Look::opaque) return 1;
  if (reference.look == Look::cutout) return 0;
  double up = 0, down = 0;
  for (const EdgePoint& edge : view.edges) {
    const Observed observed = look_along(view.gray, ray_of(view.map, edge), 2, 0);
    if (observed.seen) (observed.strength > 0 ? up : down) += std::min(20.0, std::abs(observed.strength));
  }
  return up > 3 * down ? 1 : down > 3 * up ? -1 : 0;
}

/// How well the gradient there points along the normal: 1, or -1 across it; 0 where there is none.
double direction_at(const cv::Mat& gray, const Ray& ray) {
  const auto x = static_cast<float>(ray.at.x), y = static_cast<float>(ray.at.y);
  const double gx = sample(gray, x + 1, y) - sample(gray, x - 1, y), gy = sample(gray, x, y + 1) - sample(gray, x, y - 1);
  const double length = std::hypot(gx, gy);
  if (length < faintest) return 0;
  const double along = (gx * ray.normal.x + gy * ray.normal.y) / length;
  return 2 * along * along - 1;
}

bool believable(const cv::Matx33d& map, const Reference& reference, double size_before) {
  const double w = reference.extent.width, h = reference.extent.height;
  const std::array<cv::Point2d, 4> p{map_point(map, 0, 0), map_point(map, w, 0), map_point(map, w, h), map_point(map, 0, h)};
  for (std::size_t i = 0; i < 4; ++i) {
    const cv::Point2d a = p[(i + 1) % 4] - p[i], b = p[(i + 2) % 4] - p[(i + 1) % 4];
    if (!std::isfinite(a.x) || !std::isfinite(a.y) || !(a.cross(b) > 0.15 * std::hypot(a.x, a.y) * std::hypot(b.x, b.y))) return false;
  }
  const double size = size_of(map, reference);
  return size > 0.5 * size_before && size < 2 * size_before && size >= 14;
}

/// One round. \param unknowns  6: affine; 8: with perspective
bool step(View& view, int reach, int sign, int unknowns) {
  const double size = view.size;
  cv::Point2d middle(0, 0);
  std::vector<Ray> rays;
  for (const EdgePoint& edge : view.edges) rays.push_back(ray_of(view.map, edge)), middle += rays.back().at;
  middle *= 1.0 / static_cast<double>(std::max<std::size_t>(1, rays.size()));
  cv::Matx<double, 8, 8> a = cv::Matx<double, 8, 8>::zeros();
  cv::Matx<double, 8, 1> b = cv::Matx<double, 8, 1>::zeros();
  double weights = 0;
  for (const Ray& ray : rays) {
    const Observed observed = look_along(view.gray, ray, reach, sign);
    if (!observed.seen) continue;
    const double x = (ray.at.x - middle.x) / size, y = (ray.at.y - middle.y) / size, nx = ray.normal.x, ny = ray.normal.y;
    // Displacement of (x, y): shift, scale, turn, stretch, shear, perspective; seen along the normal only.
    const std::array<double, 8> row{nx, ny, nx * x + ny * y, ny * x - nx * y, nx * x - ny * y, nx * y + ny * x, (nx * x + ny * y) * x, (nx * x + ny * y) * y};
    const double d = observed.offset / size, scatter = (0.4 + 0.25 * reach) / size;
    const double weight = std::min(1.0, std::abs(observed.strength) / 10) / (1 + d * d / (scatter * scatter));
    for (int i = 0; i < 8; ++i) {
      for (int j = 0; j < 8; ++j) a(i, j) += weight * row[static_cast<std::size_t>(i)] * row[static_cast<std::size_t>(j)];
      b(i) += weight * row[static_cast<std::size_t>(i)] * d;
    }
    weights += weight;
  }
  if (weights < 5) return false;
  constexpr std::array<double, 8> stiffness{1e-4, 1e-4, 1e-4, 1e-4, 2e-3, 2e-3, 2e-3, 2e-3};
  for (int i = 0; i < 8; ++i) {
    if (i >= unknowns) {
      for (int j = 0; j < 8; ++j) a(i, j) = a(j, i) = 0;
      a(i, i) = 1, b(i) = 0;
    } else {
      a(i, i) += stiffness[static_cast<std::size_t>(i)] * weights;
    }
  }
  cv::Matx<double, 8, 1> q;
  if (!cv::solve(a, b, q, cv::DECOMP_CHOLESKY)) return false;
  const cv::Matx33d change(1 + q(2) + q(4), q(5) - q(3), q(0), q(3) + q(5), 1 + q(2) - q(4), q(1), -q(6), -q(7), 1);
  const cv::Matx33d to(1 / size, 0, -middle.x / size, 0, 1 / size, -middle.y / size, 0, 0, 1), back(size, 0, middle.x, 0, size, middle.y, 0, 0, 1);
  view.map = back * change * to * view.map;
  return true;
}

}  // namespace

bool align(const Scene& scene, const Reference& reference, cv::Matx33d& map) {
  constexpr int rounds = 4, widest = 3, narrowest = 2;  // pixels
  const double before = size_of(map, reference);
  View view = view_of(scene, reference, map);
  if (view.edges.size() < 12) return false;
  const int sign = polarity_of(view, reference);
  for (int round = 0; round < rounds; ++round) {
    const double done = static_cast<double>(round) / (rounds - 1);
    if (!step(view, static_cast<int>(std::lround(widest * (1 - done) + narrowest * done)), sign, round < 1 ? 6 : 8)) return false;
    const cv::Matx33d now = scene_from_level(view.level) * view.map;
    if (!believable(now, reference, before)) return false;
    map = now * (1 / now(2, 2));
  }
  return true;
}

bool in_third(Side side, cv::Point2f place, const Reference& reference) noexcept {
  const float third = 1.0F / 3, across = place.x / reference.extent.width, down = place.y / reference.extent.height;
  switch (side) {
    case Side::left: return across < third;
    case Side::right: return across > 1 - third;
    case Side::upper: return down < third;
    default: return down > 1 - third;
  }
}

EdgeEvidence edge_evidence(const Scene& scene, const Reference& reference, const cv::Matx33d& map) {
  constexpr std::size_t least_edges = 8;  // of a part
  const View view = view_of(scene, reference, map);
  EdgeEvidence evidence;
  if (view.edges.empty()) return evidence;
  struct Mean {
    double sum = 0;
    std::size_t count = 0;
    float value() const { return count == 0 ? 0.0F : static_cast<float>(sum / static_cast<double>(count)); }
  };
  Mean whole;
  std::array<Mean, sides.size()> without;
  std::vector<double> strengths;
  std::vector<Observed> all;
  for (const EdgePoint& edge : view.edges) {
    const Ray ray = ray_of(view.map, edge);
    all.push_back(look_along(view.gray, ray, 3, 0));
    if (all.back().seen) strengths.push_back(std::abs(all.back().strength));
    const double direction = direction_at(view.gray, ray);
    whole.sum += direction, ++whole.count;
    for (std::size_t i = 0; i < sides.size(); ++i) {
      if (!in_third(sides[i], edge.at, reference)) without[i].sum += direction, ++without[i].count;
    }
  }
  evidence.direction = whole.value();
  for (std::size_t i = 0; i < sides.size(); ++i) evidence.without[i] = without[i].count < least_edges ? -1.0F : without[i].value();
  if (strengths.empty()) return evidence;
  std::nth_element(strengths.begin(), strengths.begin() + static_cast<std::ptrdiff_t>(strengths.size() / 2), strengths.end());
  const double median = strengths[strengths.size() / 2];
  std::size_t near = 0, exact = 0;
  for (const Observed& observed : all) {
    if (!observed.seen || std::abs(observed.strength) < 0.3 * median) continue;
    if (std::abs(observed.offset) <= 1.5) ++near;
    if (std::abs(observed.offset) <= 0.75) ++exact;
  }
  evidence.support = static_cast<float>(near) / static_cast<float>(view.edges.size());
  evidence.exact = static_cast<float>(exact) / static_cast<float>(view.edges.size());
  return evidence;
}

}  // namespace logo_search
}  // namespace v0
}  // namespace vidloom
