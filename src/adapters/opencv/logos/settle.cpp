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

/// sample() for who knows that the place is within the picture.
float sample_within(const cv::Mat& gray, float x, float y) noexcept {
  const int left = static_cast<int>(x), top = static_cast<int>(y);
  const float fx = x - static_cast<float>(left), fy = y - static_cast<float>(top);
  const auto *upper = gray.ptr<std::uint8_t>(top) + left, *lower = upper + gray.step[0];
  const float a = static_cast<float>(upper[0]) + fx * static_cast<float>(upper[1] - upper[0]);
  const float b = static_cast<float>(lower[0]) + fx * static_cast<float>(lower[1] - lower[0]);
  return a + fy * (b - a);
}

/// Pixels of a reference's grid against the scene: normalised cross-correlation of the whole, or of it without a third at one of its sides, which something
/// may hide.
class Likeness {
 public:
  /// \param grid  root of the area of the patch's mark, in its pixels
  Likeness(const Scene& scene, const Reference& reference, const Patch& patch, double size, double grid) : samples_(patch.samples), either_way_(reference.look == Look::flat) {
    std::size_t level = 0;
    double factor = 1;
    while (size / factor > 1.5 * grid && level + 1 < scene.levels.size()) factor *= 2, ++level;
    gray_ = scene.levels[level];
    level_from_scene_ = {1 / factor, 0, 0.5 / factor - 0.5, 0, 1 / factor, 0.5 / factor - 0.5, 0, 0, 1};
  }
  double at(const cv::Matx33d& scene_from_unit) const {
    const cv::Matx33d map = level_from_scene_ * scene_from_unit;
    const bool within = lies_within(map);
    if (map(2, 0) != 0 || map(2, 1) != 0) return compare([&map](float u, float v) { return cv::Point2f(map_point(map, static_cast<double>(u), static_cast<double>(v))); }, within);
    const cv::Matx23f affine = (map * (1 / map(2, 2))).get_minor<2, 3>(0, 0);
    return compare([affine](float u, float v) { return cv::Point2f(affine(0, 0) * u + affine(0, 1) * v + affine(0, 2), affine(1, 0) * u + affine(1, 1) * v + affine(1, 2)); }, within);
  }

 private:
  static constexpr double when_hidden = 0.1;  // two thirds are alike by chance more often than the whole

  bool lies_within(const cv::Matx33d& map) const {
    const double left = samples_.around.x, top = samples_.around.y, right = left + samples_.around.width, bottom = top + samples_.around.height;
    for (const cv::Point2d& corner : {map_point(map, left, top), map_point(map, right, top), map_point(map, right, bottom), map_point(map, left, bottom)}) {
      if (!(corner.x >= 1 && corner.y >= 1 && corner.x < gray_.cols - 2 && corner.y < gray_.rows - 2)) return false;
    }
    return true;
  }
  template <class Place>
  double compare(const Place& place, bool within) const {
    return within ? compare_with(place, sample_within) : compare_with(place, sample);
  }
  template <class Place, class Look>
  double compare_with(const Place& place, const Look& look) const {
    std::array<Sums, 9> parts;
    std::size_t begin = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const Samples::Ninth& ninth = samples_.ninths[i];
      float b = 0, bb = 0, ab = 0;
      for (std::size_t k = begin; k < ninth.end; ++k) {
        const Samples::Pixel& pixel = samples_.pixels[k];
        const cv::Point2f at = place(pixel.u, pixel.v);
        const float seen = look(gray_, at.x, at.y) - Samples::middle;
        b += seen, bb += seen * seen, ab += seen * pixel.value;
      }
      begin = ninth.end;
      parts[i] = {ninth.count, ninth.sum, static_cast<double>(b), ninth.squares, static_cast<double>(bb), static_cast<double>(ab)};
    }
    const auto without = [this, &parts](std::size_t row, std::size_t column) {
      Sums sums;
      for (std::size_t i = 0; i < parts.size(); ++i) {
        if (i / 3 != row && i % 3 != column) sums += parts[i];
      }
      const double all = sums.correlation();
      return either_way_ ? std::abs(all) : all;
    };
    constexpr std::size_t none = 3;
    const double most = std::max({without(0, none), without(2, none), without(none, 0), without(none, 2)});
    return std::max(without(none, none), most - when_hidden);
  }

  const Samples& samples_;
  bool either_way_;  // a silhouette is brighter or darker than what is around it
  cv::Mat gray_;
  cv::Matx33d level_from_scene_;
};

}  // namespace

double likeness(const Scene& scene, const Reference& reference, const cv::Matx33d& map) {
  return Likeness(scene, reference, reference.patch, size_of(map, reference), static_cast<double>(patch_size)).at(map);
}

double rough_likeness(const Scene& scene, const Reference& reference, const cv::Matx33d& map) {
  return Likeness(scene, reference, reference.coarse, size_of(map, reference), static_cast<double>(coarse_patch_size)).at(map);
}

double settle(const Scene& scene, const Reference& reference, bool roughly, cv::Matx33d& map) {
  const double size = size_of(map, reference);
  const Likeness likeness(scene, reference, roughly ? reference.coarse : reference.patch, size, static_cast<double>(roughly ? coarse_patch_size : patch_size));
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
