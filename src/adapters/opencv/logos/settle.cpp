#include <adapters/opencv/logos/align.hpp>

#include <adapters/opencv/logos/candidates.hpp>

#include <opencv2/video/tracking.hpp>

#include <algorithm>
#include <array>
#include <cmath>

namespace vidloom {
inline namespace v0 {
namespace logo_search {
namespace {

// Likeness after the first moves below which a guess was wrong.
constexpr double least_at_first = 0.25;
constexpr int longest_walk = 24, longest_rough_walk = 8;

struct Sums {
  double n = 0, a = 0, b = 0, aa = 0, bb = 0, ab = 0;
  Sums& operator+=(const Sums& other) {
    n += other.n, a += other.a, b += other.b, aa += other.aa, bb += other.bb, ab += other.ab;
    return *this;
  }
  /// Normalised cross-correlation; noise of some levels keeps flat ground from counting as likeness.
  double correlation() const {
    if (n < 16) return 0;
    const double va = aa / n - a * a / n / n, vb = bb / n - b * b / n / n;
    return va <= 0 ? 0 : (ab / n - a * b / n / n) / std::sqrt(va * (std::max(0.0, vb) + 4));
  }
};

/// Pixels of a reference's grid against the scene: normalised cross-correlation of the whole, or of it without a third at one of its sides, which something
/// may hide.
class Likeness {
 public:
  /// \param grid  root of the area of the patch's mark, in its pixels. \param stride  2: every second pixel, of every second row
  Likeness(const Scene& scene, const Patch& patch, double size, double grid, int stride) : patch_(patch), stride_(stride), mark_(cv::boundingRect(patch.weights)) {
    std::size_t level = 0;
    while (size / factor_ > 1.5 * grid && level + 1 < scene.levels.size()) factor_ *= 2, ++level;
    gray_ = scene.levels[level];
    share_ = 1 / factor_;
  }
  double at(const cv::Matx33d& map) const {
    std::array<std::array<Sums, 3>, 3> parts{};  // thirds: by rows, then by columns
    for (int y = mark_.y; y < mark_.y + mark_.height; y += stride_) {
      auto& row = parts[static_cast<std::size_t>(3 * (y - mark_.y) / mark_.height)];
      for (int third = 0; third < 3; ++third) add_run(map, y, mark_.x + mark_.width * third / 3, mark_.x + mark_.width * (third + 1) / 3, row[static_cast<std::size_t>(third)]);
    }
    const auto without = [&parts](std::size_t row, std::size_t column) {
      Sums sums;
      for (std::size_t i = 0; i < 3; ++i) {
        for (std::size_t j = 0; j < 3; ++j) {
          if (i != row && j != column) sums += parts[i][j];
        }
      }
      return sums.correlation();
    };
    constexpr std::size_t none = 3;
    const double most = std::max({without(0, none), without(2, none), without(none, 0), without(none, 2)});
    return std::max(without(none, none), most - when_hidden);
  }

 private:
  static constexpr double when_hidden = 0.1;  // two thirds are alike by chance more often than the whole

  void add_run(const cv::Matx33d& map, int y, int begin, int end, Sums& sums) const {
    const bool affine = map(2, 0) == 0 && map(2, 1) == 0;
    const double step = static_cast<double>(patch_.step), left = static_cast<double>(patch_.origin.x), v = static_cast<double>(patch_.origin.y) + y * step;
    const double row_x = map(0, 1) * v + map(0, 2), row_y = map(1, 1) * v + map(1, 2), row_w = map(2, 1) * v + map(2, 2);
    const auto* values = patch_.values.ptr<float>(y);
    const auto* weights = patch_.weights.ptr<std::uint8_t>(y);
    Sums run;
    for (int x = begin + (begin + y / stride_) % stride_; x < end; x += stride_) {
      if (!weights[x]) continue;
      const double u = left + x * step, w = affine ? map(2, 2) : map(2, 0) * u + row_w;
      const double scale = w == 1 ? 1 : 1 / w;
      const double place_x = (map(0, 0) * u + row_x) * scale, place_y = (map(1, 0) * u + row_y) * scale;
      const double p = static_cast<double>(values[x]);
      const double q = static_cast<double>(sample(gray_, static_cast<float>((place_x + 0.5) * share_ - 0.5), static_cast<float>((place_y + 0.5) * share_ - 0.5)));
      run.n += 1, run.a += p, run.b += q, run.aa += p * p, run.bb += q * q, run.ab += p * q;
    }
    sums += run;
  }

  const Patch& patch_;
  int stride_;
  cv::Rect mark_;  ///< of the grid what belongs to the mark
  cv::Mat gray_;
  double factor_ = 1, share_ = 1;  ///< scene pixels in one of `gray_`'s; the other way round
};

}  // namespace

double likeness(const Scene& scene, const Reference& reference, const cv::Matx33d& map) {
  return Likeness(scene, reference.patch, size_of(map, reference), patch_size, 2).at(map);
}

double rough_likeness(const Scene& scene, const Reference& reference, const cv::Matx33d& map) {
  return Likeness(scene, reference.coarse, size_of(map, reference), coarse_patch_size, 1).at(map);
}

double settle_by_pixels(const Scene& scene, const Reference& reference, bool roughly, cv::Matx33d& map) {
  const double size = size_of(map, reference);
  const Likeness likeness(scene, roughly ? reference.coarse : reference.patch, size, roughly ? coarse_patch_size : patch_size, roughly ? 1 : 2);
  const cv::Point2d centre = map_point(map, reference.extent.width / 2, reference.extent.height / 2);
  const cv::Matx33d to(1 / size, 0, -centre.x / size, 0, 1 / size, -centre.y / size, 0, 0, 1), back(size, 0, centre.x, 0, size, centre.y, 0, 0, 1);
  double best = likeness.at(map);
  double step = 1;
  for (int walk = 0; walk < (roughly ? longest_rough_walk : longest_walk) && step > (roughly ? 0.3 : 0.1); ++walk) {
    bool better = false;
    // Shift right and down, size, angle; later also stretch and shear. In shares of the mark's size, and radians.
    for (int which = 0; which < (walk < 3 ? 4 : 6); ++which) {
      for (const double sign : {1.0, -1.0}) {
        const double d = sign * step;
        cv::Matx33d move = cv::Matx33d::eye();
        switch (which) {
          case 0: move(0, 2) = 0.05 * d; break;
          case 1: move(1, 2) = 0.05 * d; break;
          case 2: move(0, 0) = move(1, 1) = 1 + 0.08 * d; break;
          case 3: move(0, 0) = move(1, 1) = std::cos(0.09 * d), move(1, 0) = std::sin(0.09 * d), move(0, 1) = -std::sin(0.09 * d); break;
          case 4: move(0, 0) = 1 + 0.06 * d, move(1, 1) = 1 / (1 + 0.06 * d); break;
          default: move(0, 1) = move(1, 0) = 0.06 * d; break;
        }
        const cv::Matx33d tried = back * move * to * map;
        const double here = likeness.at(tried);
        if (here <= best) continue;
        best = here, map = tried, better = true;
        break;
      }
    }
    if (walk == 1 && best < least_at_first) break;
    if (!better) step /= 2;
  }
  return best;
}

bool refine_by_pixels(const Scene& scene, const Reference& reference, cv::Matx33d& map) {
  constexpr double most_change = 0.25;  // of the mark's size, at any corner
  if (reference.look != Look::opaque) return false;
  const double size = size_of(map, reference);
  double factor = 1;
  std::size_t level = 0;
  while (size / factor > 1.5 * patch_size && level + 1 < scene.levels.size()) factor *= 2, ++level;
  const cv::Mat& gray = scene.levels[level];
  const auto corners = [&reference](const cv::Matx33d& from_unit) {
    const double w = reference.extent.width, h = reference.extent.height;
    return std::array<cv::Point2d, 4>{map_point(from_unit, 0, 0), map_point(from_unit, w, 0), map_point(from_unit, w, h), map_point(from_unit, 0, h)};
  };
  const cv::Matx33d level_from_scene(1 / factor, 0, 0.5 / factor - 0.5, 0, 1 / factor, 0.5 / factor - 0.5, 0, 0, 1);
  std::vector<cv::Point2f> outline;
  for (const cv::Point2d& corner : corners(level_from_scene * map)) outline.emplace_back(corner);
  const int margin = static_cast<int>(std::lround(0.3 * size / factor));
  cv::Rect around = cv::boundingRect(outline);
  around = cv::Rect(around.x - margin, around.y - margin, around.width + 2 * margin, around.height + 2 * margin) & cv::Rect({}, gray.size());
  if (around.width < 16 || around.height < 16) return false;
  cv::Mat part;
  gray(around).convertTo(part, CV_32F);
  const Patch& patch = reference.patch;
  const cv::Rect whole = cv::boundingRect(patch.weights);  // the grid reaches beyond the mark
  const double step = static_cast<double>(patch.step);
  const cv::Matx33d unit_from_patch(step, 0, static_cast<double>(patch.origin.x) + step * whole.x, 0, step, static_cast<double>(patch.origin.y) + step * whole.y, 0, 0, 1);
  const cv::Matx33d part_from_level(1, 0, -around.x, 0, 1, -around.y, 0, 0, 1);
  const cv::Matx33d to_part = part_from_level * level_from_scene;
  const cv::Matx33d start = to_part * map * unit_from_patch;
  cv::Mat warp(start * (1 / start(2, 2)));
  warp.convertTo(warp, CV_32F);
  try {
    cv::findTransformECC(patch.values(whole), part, warp, cv::MOTION_HOMOGRAPHY, {cv::TermCriteria::COUNT + cv::TermCriteria::EPS, 16, 1e-4}, cv::noArray(), 3);
  } catch (const cv::Exception&) {  // that is how it says that it does not converge
    return false;
  }
  cv::Mat found;
  warp.convertTo(found, CV_64F);
  cv::Matx33d refined = to_part.inv() * cv::Matx33d(found.ptr<double>()) * unit_from_patch.inv();
  refined *= 1 / refined(2, 2);
  const auto before = corners(map), after = corners(refined);
  for (std::size_t i = 0; i < before.size(); ++i) {
    const cv::Point2d moved = after[i] - before[i];
    if (!(std::hypot(moved.x, moved.y) < most_change * size)) return false;
  }
  map = refined;
  return true;
}

}  // namespace logo_search
}  // namespace v0
}  // namespace vidloom
