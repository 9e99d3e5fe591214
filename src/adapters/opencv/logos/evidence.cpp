#include <adapters/opencv/logos/finder.hpp>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <tuple>
#include <vector>

namespace vidloom {
inline namespace v0 {
namespace logo_search {
namespace {

/// From benchmarks/logos/fit.py, rounded; the constants are moved so that 0.5 lies above the strongest wrong guess of the composites it was fitted to.
/// `bends` of flat marks is raised by hand (from 0.56): the composites have too few discs and frames to tell what those deserve.
struct Weights {
  double direction, low, middle, high, whole_low, exact, small, plain, bends, stretch, constant;
};
constexpr Weights flat_weights{0.88, 0.58, 1.49, 0.82, 3.18, 2.81, -1.22, -2.68, 0.80, -6.71, -14.43};
constexpr Weights print_weights{9.58, 2.25, 1.66, 1.02, 0, 0, -2.16, -2.49, 0, -6.01, -8.42};
// Small marks are met by chance: few pixels agree with much.
constexpr double small_size = 80;  // pixels
constexpr double least_bends = 0.05;  // which an outline without any is taken for

/// The scene under the reference's grid.
cv::Mat patch_under(const Scene& scene, const Patch& patch, const cv::Matx33d& map, double size) {
  std::size_t level = 0;
  double factor = 1;
  while (size / factor > 1.5 * patch_size && level + 1 < scene.levels.size()) factor *= 2, ++level;
  const cv::Mat& gray = scene.levels[level];
  cv::Mat seen(patch.values.size(), CV_32F);
  for (int y = 0; y < seen.rows; ++y) {
    auto* row = seen.ptr<float>(y);
    for (int x = 0; x < seen.cols; ++x) {
      const cv::Point2d at = map_point(map, patch.origin.x + static_cast<float>(x) * patch.step, patch.origin.y + static_cast<float>(y) * patch.step);
      row[x] = sample(gray, static_cast<float>((at.x + 0.5) / factor - 0.5), static_cast<float>((at.y + 0.5) / factor - 0.5));
    }
  }
  return seen;
}

/// Normalised cross-correlation of a part; noise of some levels keeps flat ground from counting as likeness.
double correlation(const Patch& patch, const cv::Mat& seen, const cv::Rect& part) {
  double n = 0, a = 0, b = 0, aa = 0, bb = 0, ab = 0;
  for (int y = part.y; y < part.y + part.height; ++y) {
    const auto *expected = patch.values.ptr<float>(y), *found = seen.ptr<float>(y);
    const auto* weights = patch.weights.ptr<std::uint8_t>(y);
    for (int x = part.x; x < part.x + part.width; ++x) {
      if (!weights[x]) continue;
      const auto p = static_cast<double>(expected[x]), q = static_cast<double>(found[x]);
      n += 1, a += p, b += q, aa += p * p, bb += q * q, ab += p * q;
    }
  }
  if (n == 0) return 0;
  const double variance = aa / n - a * a / n / n, theirs = bb / n - b * b / n / n;
  return variance <= 0 ? 0 : (ab / n - a * b / n / n) / std::sqrt(variance * (std::max(0.0, theirs) + 4));
}

/// -log(1 - share): from 0.9 to 0.99 is as far as from 0 to 0.9. It ends at 0.98, beyond which coding decides.
double nearness(float share) { return -std::log(1.02 - std::clamp(static_cast<double>(share), 0.0, 1.0)); }

/// A window's correlation.
struct Likely {
  double correlation, weight;
  cv::Point2f middle;  // unit space
};

double weight_of(const std::vector<Likely>& windows) {
  double weight = 0;
  for (const Likely& window : windows) weight += window.weight;
  return weight;
}

/// \pre  in order
Evidence::Windows shares_of(const std::vector<Likely>& windows) {
  Evidence::Windows shares{};
  const double total = weight_of(windows);
  double below = 0;
  std::size_t next = 0;
  for (const Likely& window : windows) {
    below += window.weight;
    while (next < window_shares.size() && below >= window_shares[next] * total) shares[next++] = static_cast<float>(window.correlation);
  }
  return shares;
}

/// What the logistic gives for direction and windows.
double worth(const Weights& w, float direction, const Evidence::Windows& windows) noexcept {
  return w.direction * static_cast<double>(direction) + w.low * nearness(windows[0]) + w.middle * nearness(windows[1]) + w.high * nearness(windows[2]);
}

/// Ratio of the singular values of the map at the mark's middle.
float stretch_of(const cv::Matx33d& map, const Reference& reference) {
  const cv::Point2d middle = map_point(map, reference.extent.width / 2, reference.extent.height / 2);
  const cv::Point2d right = map_point(map, reference.extent.width / 2 + 0.1, reference.extent.height / 2) - middle;
  const cv::Point2d down = map_point(map, reference.extent.width / 2, reference.extent.height / 2 + 0.1) - middle;
  const double e = (right.x + down.y) / 2, f = (right.x - down.y) / 2, g = (right.y + down.x) / 2, h = (right.y - down.x) / 2;
  const double q = std::hypot(e, h), r = std::hypot(f, g);
  return static_cast<float>((q + r) / std::max(1e-6, std::abs(q - r)));
}

}  // namespace

Evidence weigh(const Scene& scene, const Reference& reference, const cv::Matx33d& map) {
  constexpr std::size_t least_windows = 4;
  constexpr double least_weight = 0.4;  // of the windows that a part must have to stand for the whole
  Evidence evidence;
  const double size = size_of(map, reference);
  evidence.size = static_cast<float>(size);
  evidence.edges = edge_evidence(scene, reference, map);
  const Patch& patch = reference.patch;
  const cv::Mat seen = patch_under(scene, patch, map, size);
  const double whole = correlation(patch, seen, {0, 0, seen.cols, seen.rows});
  const double sign = reference.look == Look::flat && whole < 0 ? -1 : 1;
  evidence.ncc = static_cast<float>(sign * whole);
  std::vector<Likely> windows;
  for (const Window& window : patch.windows) {
    const cv::Point2f middle = cv::Point2f(window.at.tl()) + cv::Point2f(window.at.size()) / 2;
    windows.push_back({sign * correlation(patch, seen, window.at), window.weight, patch.origin + middle * patch.step});
  }
  std::sort(windows.begin(), windows.end(), [](const Likely& a, const Likely& b) { return std::tie(a.correlation, a.weight) < std::tie(b.correlation, b.weight); });
  evidence.windows = evidence.seen_windows = shares_of(windows);
  evidence.seen_direction = evidence.edges.direction;
  if (reference.look == Look::flat) {
    double best = worth(flat_weights, evidence.seen_direction, evidence.seen_windows);
    for (std::size_t i = 0; i < sides.size(); ++i) {
      std::vector<Likely> rest;
      std::copy_if(windows.begin(), windows.end(), std::back_inserter(rest), [&](const Likely& one) { return !in_third(sides[i], one.middle, reference); });
      if (rest.size() < least_windows || weight_of(rest) < least_weight * weight_of(windows)) continue;
      const Evidence::Windows shares = shares_of(rest);
      const double here = worth(flat_weights, evidence.edges.without[i], shares);
      if (here > best) best = here, evidence.seen_direction = evidence.edges.without[i], evidence.seen_windows = shares;
    }
  }
  evidence.stretch = stretch_of(map, reference);
  return evidence;
}

double confidence_of(const Reference& reference, const Evidence& e) noexcept {
  const Weights& w = reference.look == Look::flat ? flat_weights : print_weights;
  const double halvings = std::max(0.0, std::log2(small_size / std::max(1.0, static_cast<double>(e.size))));
  const double z = worth(w, e.seen_direction, e.seen_windows) + w.whole_low * nearness(e.windows[0]) + w.exact * nearness(e.edges.exact) + w.small * halvings +
                   w.plain * (reference.plain ? 1 : 0) + w.bends * std::log(least_bends + reference.bends) + w.stretch * std::log(static_cast<double>(e.stretch)) + w.constant;
  return 1 / (1 + std::exp(-z));
}

}  // namespace logo_search
}  // namespace v0
}  // namespace vidloom
