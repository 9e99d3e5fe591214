#include <adapters/opencv/logos/finder.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

namespace vidloom {
inline namespace v0 {
namespace logo_search {
namespace {

constexpr int window = 8, hop = 4;

/// From benchmarks/logos/fit.py, rounded; the constants are moved so that 0.5 lies above the strongest wrong guess of all composites seen.
struct Weights {
  double support, direction, ncc, blocks, constant;
};
constexpr Weights flat_weights{0, 12, 2, 18, -23.6};
constexpr Weights print_weights{1.4, 15.2, 8.9, 27.1, -31.2};
// Marks of few details are met by chance, smooth pictures above all.
constexpr double plain_flat_penalty = 3, plain_print_penalty = 8;
// So are small ones: few pixels agree with much by chance.
constexpr double small_size = 44, small_penalty = 5;  // pixels; for each halving below

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

struct Sums {
  double n = 0, a = 0, b = 0, aa = 0, bb = 0, ab = 0;
  void add(double p, double q) { n += 1, a += p, b += q, aa += p * p, bb += q * q, ab += p * q; }
  double variance_a() const { return n > 0 ? aa / n - a * a / n / n : 0; }
  double variance_b() const { return n > 0 ? bb / n - b * b / n / n : 0; }
  /// Noise of some levels keeps flat ground from counting as likeness.
  double correlation() const {
    const double va = variance_a(), vb = variance_b();
    return va <= 0 ? 0 : (ab / n - a * b / n / n) / std::sqrt(va * (std::max(0.0, vb) + 4));
  }
};

Sums sums_over(const cv::Mat& reference, const cv::Mat& seen, const cv::Mat& weights, const cv::Rect& part) {
  Sums sums;
  for (int y = part.y; y < part.y + part.height; ++y) {
    const auto* r = reference.ptr<float>(y);
    const auto* s = seen.ptr<float>(y);
    const auto* w = weights.ptr<std::uint8_t>(y);
    for (int x = part.x; x < part.x + part.width; ++x) {
      if (w[x]) sums.add(static_cast<double>(r[x]), static_cast<double>(s[x]));
    }
  }
  return sums;
}

float median(std::vector<float>& values) {
  if (values.empty()) return 0;
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

/// One brightness within, others around it: what a silhouette is.
void weigh_silhouette(const Patch& patch, const cv::Mat& seen, Evidence& evidence) {
  std::vector<float> inside, around;
  for (int y = 0; y < seen.rows; ++y) {
    for (int x = 0; x < seen.cols; ++x) {
      if (patch.inside.at<std::uint8_t>(y, x)) {
        inside.push_back(seen.at<float>(y, x));
      } else if (patch.weights.at<std::uint8_t>(y, x) && patch.values.at<float>(y, x) < 40) {
        around.push_back(seen.at<float>(y, x));
      }
    }
  }
  if (inside.empty() || around.empty()) return;
  const float within = median(inside), beside = median(around);
  const float half = std::max(4.0F, 0.4F * std::abs(within - beside));
  const auto near = [&](const std::vector<float>& values) {
    return static_cast<float>(std::count_if(values.begin(), values.end(), [&](float v) { return std::abs(v - within) < half; })) / static_cast<float>(values.size());
  };
  evidence.uniform = near(inside);
  evidence.apart = 1 - near(around);
}

}  // namespace

Evidence weigh(const Scene& scene, const Reference& reference, const cv::Matx33d& map) {
  Evidence evidence;
  const double size = size_of(map, reference);
  evidence.size = static_cast<float>(size);
  evidence.edges = edge_evidence(scene, reference, map);
  const Patch& patch = reference.patch;
  const cv::Mat seen = patch_under(scene, patch, map, size);
  const double whole = sums_over(patch.values, seen, patch.weights, {0, 0, seen.cols, seen.rows}).correlation();
  const double sign = reference.look == Look::flat && whole < 0 ? -1 : 1;
  evidence.ncc = static_cast<float>(sign * whole);
  double sum = 0;
  int count = 0, agreeing = 0;
  for (int y = 0; y + window <= seen.rows; y += hop) {
    for (int x = 0; x + window <= seen.cols; x += hop) {
      const Sums sums = sums_over(patch.values, seen, patch.weights, {x, y, window, window});
      if (sums.n < 0.5 * window * window || sums.variance_a() < 12 * 12) continue;
      const double here = sign * sums.correlation();
      ++count;
      sum += std::max(0.0, here);
      agreeing += here >= 0.6 ? 1 : 0;
    }
  }
  if (count > 0) {
    evidence.blocks = static_cast<float>(sum / count);
    evidence.agreeing = static_cast<float>(agreeing) / static_cast<float>(count);
  }
  if (reference.look == Look::flat) weigh_silhouette(patch, seen, evidence);
  const cv::Point2d middle = map_point(map, reference.extent.width / 2, reference.extent.height / 2);
  const cv::Point2d right = map_point(map, reference.extent.width / 2 + 0.1, reference.extent.height / 2) - middle;
  const cv::Point2d down = map_point(map, reference.extent.width / 2, reference.extent.height / 2 + 0.1) - middle;
  // Ratio of the singular values of the map at the middle.
  const double e = (right.x + down.y) / 2, f = (right.x - down.y) / 2, g = (right.y + down.x) / 2, h = (right.y - down.x) / 2;
  const double q = std::hypot(e, h), r = std::hypot(f, g);
  evidence.stretch = static_cast<float>((q + r) / std::max(1e-6, std::abs(q - r)));
  return evidence;
}

double confidence_of(const Reference& reference, const Evidence& e) noexcept {
  const auto support = static_cast<double>(e.edges.support), direction = static_cast<double>(e.edges.direction);
  const auto ncc = static_cast<double>(e.ncc), blocks = static_cast<double>(e.blocks);
  const Weights& w = reference.look == Look::flat ? flat_weights : print_weights;
  const double penalty = !reference.plain ? 0 : reference.look == Look::flat ? plain_flat_penalty : plain_print_penalty;
  const double z = w.support * support + w.direction * direction + w.ncc * ncc + w.blocks * blocks + w.constant - penalty -
                   small_penalty * std::max(0.0, std::log2(small_size / std::max(1.0, static_cast<double>(e.size))));
  return 1 / (1 + std::exp(-z));
}

}  // namespace logo_search
}  // namespace v0
}  // namespace vidloom
