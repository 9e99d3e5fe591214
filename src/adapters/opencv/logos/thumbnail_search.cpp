#include <adapters/opencv/logos/candidates.hpp>

#include <opencv2/core/hal/intrin.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <tuple>
#include <vector>

namespace vidloom {
inline namespace v0 {
namespace logo_search {
namespace {

constexpr float least_likeness = 0.35F;
constexpr std::size_t most_hits = 6000, most_candidates = 60;
constexpr double noise = 4;  // variance in levels of brightness that flat ground is given, so that it is like nothing
constexpr int lanes = 16;

struct Hit {
  float likeness;
  std::size_t level, which;
  int column, row;  // of the thumbnail's first pixel
};

/// One over the spread of brightness in a box of the mark's extent around each pixel: what is under a turned thumbnail spreads about as much.
cv::Mat one_over_spread(const SmallScene& scene, cv::Size2f extent) {
  constexpr float within = 0.9F;
  const int width = std::max(3, cvRound(within * extent.width * thumbnail_size)), height = std::max(3, cvRound(within * extent.height * thumbnail_size));
  cv::Mat out = cv::Mat::zeros(scene.size.height, scene.pixels.cols, CV_32F);
  for (int y = 0; y < scene.size.height; ++y) {
    const int top = std::max(0, y - height / 2), bottom = std::min(scene.size.height, y - height / 2 + height);
    const auto *upper = scene.sums.ptr<int>(top), *lower = scene.sums.ptr<int>(bottom);
    const auto *upper_squares = scene.squares.ptr<double>(top), *lower_squares = scene.squares.ptr<double>(bottom);
    auto* const row = out.ptr<float>(y);
    for (int x = 0; x < scene.size.width; ++x) {
      const int left = std::max(0, x - width / 2), right = std::min(scene.size.width, x - width / 2 + width);
      const double n = (bottom - top) * (right - left), mean = (lower[right] - lower[left] - upper[right] + upper[left]) / n;
      const double square = (lower_squares[right] - lower_squares[left] - upper_squares[right] + upper_squares[left]) / n;
      row[x] = static_cast<float>(1 / std::sqrt(square - mean * mean + noise));
    }
  }
  return out;
}

/// Adds the places of one level that are roughly like one thumbnail.
void compare(const SmallScene& scene, const cv::Mat& one_over_spreads, const Thumbnail& mark, std::size_t level, std::size_t which, std::vector<Hit>& hits) {
  struct Pair {
    std::ptrdiff_t offset;
    cv::v_int16x8 weights;
  };
  std::vector<Pair> pairs;
  for (int y = 0; y < mark.weights.rows; ++y) {
    for (int x = 0; x < mark.weights.cols; x += 2) {
      const short a = mark.weights.at<short>(y, x), b = mark.weights.at<short>(y, x + 1);
      if (a != 0 || b != 0) pairs.push_back({y * static_cast<std::ptrdiff_t>(scene.pixels.step1()) + x, {a, b, a, b, a, b, a, b}});
    }
  }
  const int middle_x = cvRound(mark.middle.x), middle_y = cvRound(mark.middle.y);
  const int columns = scene.size.width - mark.weights.cols + 1, rows = scene.size.height - mark.weights.rows + 1;
  const cv::v_float32x4 scale = cv::v_setall_f32(mark.scale), least = cv::v_setall_f32(least_likeness);
  alignas(16) std::array<float, lanes> found{};
  for (int row = 0; row < rows; ++row) {
    const float* const spreads = one_over_spreads.ptr<float>(row + middle_y) + middle_x;
    for (int column = 0; column < columns; column += lanes) {
      const short* const at = scene.pixels.ptr<short>(row) + column;
      // Sums of places at even and at odd distances: no pixel has to be moved within its vector.
      cv::v_int32x4 even = cv::v_setzero_s32(), odd = even, later_even = even, later_odd = even;
      for (const Pair& pair : pairs) {
        const short* const from = at + pair.offset;
        even = cv::v_dotprod(cv::v_load(from), pair.weights, even), odd = cv::v_dotprod(cv::v_load(from + 1), pair.weights, odd);
        later_even = cv::v_dotprod(cv::v_load(from + 8), pair.weights, later_even), later_odd = cv::v_dotprod(cv::v_load(from + 9), pair.weights, later_odd);
      }
      std::array<cv::v_float32x4, 4> likeness;
      cv::v_zip(cv::v_cvt_f32(even), cv::v_cvt_f32(odd), likeness[0], likeness[1]);
      cv::v_zip(cv::v_cvt_f32(later_even), cv::v_cvt_f32(later_odd), likeness[2], likeness[3]);
      bool any = false;
      for (int k = 0; k < 4; ++k) {
        auto& one = likeness[static_cast<std::size_t>(k)];
        one = one * scale * cv::v_load(spreads + column + 4 * k);
        any = any || cv::v_check_any(one >= least);
        cv::v_store(found.data() + 4 * k, one);
      }
      for (int lane = 0; any && lane < std::min(lanes, columns - column); ++lane) {
        const float value = found[static_cast<std::size_t>(lane)];
        if (value >= least_likeness) hits.push_back({value, level, which, column + lane, row});
      }
    }
  }
}

/// Of each 2 x 2 places of a level only the best hit is kept.
void thin_out(std::vector<Hit>& hits, std::size_t first, const SmallScene& scene, const std::vector<Thumbnail>& thumbnails) {
  const int columns = scene.size.width / 2 + 1;
  std::vector<Hit> best(static_cast<std::size_t>(columns * (scene.size.height / 2 + 1)), Hit{});
  for (std::size_t i = first; i < hits.size(); ++i) {
    const cv::Point2f middle = thumbnails[hits[i].which].middle;
    const int x = hits[i].column + cvRound(middle.x), y = hits[i].row + cvRound(middle.y);
    Hit& cell = best[static_cast<std::size_t>(y / 2 * columns + x / 2)];
    if (hits[i].likeness > cell.likeness) cell = hits[i];
  }
  hits.resize(first);
  std::copy_if(best.begin(), best.end(), std::back_inserter(hits), [](const Hit& hit) { return hit.likeness > 0; });
}

/// Normalised cross-correlation with exactly the pixels under the thumbnail.
float likeness_at(const SmallScene& scene, const Thumbnail& mark, int column, int row) {
  double n = 0, sum = 0, squares = 0, both = 0;
  for (int y = 0; y < mark.weights.rows; ++y) {
    const auto *weights = mark.weights.ptr<short>(y), *seen = scene.pixels.ptr<short>(row + y) + column;
    const auto* known = mark.known.ptr<std::uint8_t>(y);
    for (int x = 0; x < mark.weights.cols; ++x) {
      if (!known[x]) continue;
      n += 1, sum += seen[x], squares += seen[x] * seen[x], both += seen[x] * weights[x];
    }
  }
  return static_cast<float>(both * static_cast<double>(mark.scale) / std::sqrt(squares / n - sum * sum / n / n + noise));
}

}  // namespace

std::vector<Candidate> search_thumbnails(const Scene& scene, const Reference& reference) {
  std::vector<Hit> hits;
  for (std::size_t level = 0; level < scene.small.size(); ++level) {
    const cv::Mat spreads = one_over_spread(scene.small[level], reference.extent);
    const std::size_t first = hits.size();
    for (std::size_t which = 0; which < reference.thumbnails.size(); ++which) compare(scene.small[level], spreads, reference.thumbnails[which], level, which, hits);
    thin_out(hits, first, scene.small[level], reference.thumbnails);
  }
  const auto better = [](const Hit& a, const Hit& b) {
    return std::tie(b.likeness, a.level, a.row, a.column, a.which) < std::tie(a.likeness, b.level, b.row, b.column, b.which);
  };
  if (hits.size() > most_hits) {
    std::nth_element(hits.begin(), hits.begin() + most_hits, hits.end(), better);
    hits.resize(most_hits);
  }
  for (Hit& hit : hits) hit.likeness = likeness_at(scene.small[hit.level], reference.thumbnails[hit.which], hit.column, hit.row);
  std::sort(hits.begin(), hits.end(), better);
  struct Place { double x, y, size, angle; };
  std::vector<Place> taken;
  std::vector<Candidate> candidates;
  for (const Hit& hit : hits) {
    if (candidates.size() == most_candidates || hit.likeness < least_likeness) break;
    const SmallScene& small = scene.small[hit.level];
    const Thumbnail& mark = reference.thumbnails[hit.which];
    const cv::Point2d at = cv::Point2d(hit.column, hit.row) + cv::Point2d(mark.middle);
    const Place place{(at.x + 0.5) * small.factor.x - 0.5, (at.y + 0.5) * small.factor.y - 0.5, small.mark_size, static_cast<double>(mark.angle)};
    const bool known = std::any_of(taken.begin(), taken.end(), [&](const Place& other) {
      return std::hypot(place.x - other.x, place.y - other.y) < 0.25 * std::min(place.size, other.size) &&
             std::max(place.size, other.size) < 1.35 * std::min(place.size, other.size) && std::abs(place.angle - other.angle) < 0.3;
    });
    if (known) continue;
    taken.push_back(place);
    candidates.push_back({similarity(place.size, place.angle, {place.x, place.y}, reference), hit.likeness, 0});
  }
  return candidates;
}

}  // namespace logo_search
}  // namespace v0
}  // namespace vidloom
