#include <adapters/opencv/logos/candidates.hpp>

#include <opencv2/core/hal/intrin.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <tuple>

namespace vidloom {
inline namespace v0 {
namespace logo_search {
namespace {

// Share of the best possible agreement below which nothing is looked at. A print's edges are less sure than a silhouette's.
constexpr double least_of_flat = 0.65, least_of_print = 0.6;
const float largest_on_first_level = smallest_template * std::pow(template_ratio, static_cast<float>(template_scales_first_level) - 0.5F);
// Small marks are met by chance everywhere: without a share of their own the large ones would never have their turn.
constexpr std::size_t most_of_first_level = 48, most_of_level = 36;
constexpr int lanes = 64;

struct Hit {
  float agreement;
  std::size_t level;
  std::size_t which;
  int column, row;
};

/// Compares one template with all places of one level; `best` holds the best hit of each cell of 2 x 2 places.
void compare(const ResponseMaps& maps, const Template& mark, double least, std::size_t which, std::vector<std::pair<std::uint8_t, std::uint16_t>>& best,
             int cell_columns) {
  constexpr int step = ResponseMaps::step;
  int left = 0, right = 0, top = 0, bottom = 0;
  for (const TemplatePoint& point : mark.points) {
    left = std::min<int>(left, point.x), right = std::max<int>(right, point.x);
    top = std::min<int>(top, point.y), bottom = std::max<int>(bottom, point.y);
  }
  // Places at which all points are within the picture.
  const int first_column = (-left + step - 1) / step, last_column = (maps.columns() * step - 1 - right) / step;
  const int first_row = (-top + step - 1) / step, last_row = (maps.rows() * step - 1 - bottom) / step;
  if (first_column > last_column || first_row > last_row) return;
  std::array<const std::uint8_t*, template_points> runs{};
  const std::size_t count = mark.points.size();
  for (std::size_t i = 0; i < count; ++i) {
    runs[i] = maps.run(mark.points[i].bin, first_column * step + mark.points[i].x, first_row * step + mark.points[i].y);
  }
  const int full = static_cast<int>(4 * count), wanted = static_cast<int>(std::ceil(full * least));
  const int total = (last_row - first_row) * maps.columns() + (last_column - first_column) + 1;
  alignas(16) std::array<std::uint8_t, lanes> sums{};
  for (int begin = 0; begin < total; begin += lanes) {
    cv::v_uint8x16 a = cv::v_setzero_u8(), b = a, c = a, d = a;
    bool hopeful = true;
    for (std::size_t i = 0; i < count;) {
      const std::size_t stop = std::min(count, i + 16);
      for (; i < stop; ++i) {
        const std::uint8_t* const at = runs[i] + begin;
        a += cv::v_load(at), b += cv::v_load(at + 16), c += cv::v_load(at + 32), d += cv::v_load(at + 48);
      }
      const int must = wanted - static_cast<int>(4 * (count - i));
      if (must > 0 && !cv::v_check_any(cv::v_max(cv::v_max(a, b), cv::v_max(c, d)) >= cv::v_setall_u8(static_cast<std::uint8_t>(must)))) {
        hopeful = false;
        break;
      }
    }
    if (!hopeful) continue;
    cv::v_store(sums.data(), a), cv::v_store(sums.data() + 16, b), cv::v_store(sums.data() + 32, c), cv::v_store(sums.data() + 48, d);
    for (int lane = 0; lane < std::min(lanes, total - begin); ++lane) {
      const int sum = sums[static_cast<std::size_t>(lane)];
      if (sum < wanted) continue;
      const int place = begin + lane;
      const int column = first_column + place % maps.columns(), row = first_row + place / maps.columns();
      if (column > last_column) continue;
      auto& cell = best[static_cast<std::size_t>(row / 2 * cell_columns + column / 2)];
      const auto share = static_cast<std::uint8_t>(sum * 255 / full);
      if (share > cell.first) cell = {share, static_cast<std::uint16_t>(which << 2 | static_cast<std::size_t>((row & 1) << 1 | (column & 1)))};
    }
  }
}

}  // namespace

cv::Point2d map_point(const cv::Matx33d& map, double x, double y) noexcept {
  const double w = map(2, 0) * x + map(2, 1) * y + map(2, 2);
  return {(map(0, 0) * x + map(0, 1) * y + map(0, 2)) / w, (map(1, 0) * x + map(1, 1) * y + map(1, 2)) / w};
}

cv::Matx33d similarity(double size, double angle, cv::Point2d middle, const Reference& reference) noexcept {
  const double c = std::cos(angle) * size, s = std::sin(angle) * size;
  const double x = reference.extent.width / 2, y = reference.extent.height / 2;
  return {c, -s, middle.x - c * x + s * y, s, c, middle.y - s * x - c * y, 0, 0, 1};
}

double size_of(const cv::Matx33d& map, const Reference& reference) noexcept {
  const std::array<cv::Point2d, 4> p{map_point(map, 0, 0), map_point(map, reference.extent.width, 0),
                                     map_point(map, reference.extent.width, reference.extent.height), map_point(map, 0, reference.extent.height)};
  double twice = 0;
  for (std::size_t i = 0; i < 4; ++i) twice += p[i].x * p[(i + 1) % 4].y - p[(i + 1) % 4].x * p[i].y;
  return std::sqrt(std::abs(twice) / 2);
}

std::vector<Candidate> search_templates(const Scene& scene, const Reference& reference) {
  const double least = reference.look == Look::flat ? least_of_flat : least_of_print;
  std::vector<Hit> hits;
  for (std::size_t level = 0; level < scene.maps.size(); ++level) {
    const ResponseMaps& maps = scene.maps[level];
    const int cell_columns = maps.columns() / 2 + 1;
    std::vector<std::pair<std::uint8_t, std::uint16_t>> best(static_cast<std::size_t>(cell_columns * (maps.rows() / 2 + 1)));
    for (std::size_t which = 0; which < reference.templates.size(); ++which) {
      const Template& mark = reference.templates[which];
      if (level == 0 && mark.size > largest_on_first_level) continue;
      compare(maps, mark, least, which, best, cell_columns);
    }
    for (std::size_t cell = 0; cell < best.size(); ++cell) {
      if (best[cell].first == 0) continue;
      const int sub = best[cell].second & 3;
      hits.push_back({static_cast<float>(best[cell].first) / 255, level, static_cast<std::size_t>(best[cell].second >> 2),
                      static_cast<int>(cell) % cell_columns * 2 + (sub & 1), static_cast<int>(cell) / cell_columns * 2 + (sub >> 1)});
    }
  }
  std::sort(hits.begin(), hits.end(), [](const Hit& a, const Hit& b) {
    return std::tie(b.agreement, a.level, a.row, a.column, a.which) < std::tie(a.agreement, b.level, b.row, b.column, b.which);
  });
  struct Place { double x, y, size; };
  std::vector<Place> taken;
  std::vector<std::size_t> of_level(scene.maps.size());
  std::vector<Candidate> candidates;
  for (const Hit& hit : hits) {
    if (of_level[hit.level] == (hit.level == 0 ? most_of_first_level : most_of_level)) continue;
    const Template& mark = reference.templates[hit.which];
    const double factor = static_cast<double>(1 << hit.level);
    // Pixel centres: the middle of pixel x of a level is at (x + 0.5) * factor - 0.5 of the first.
    const Place place{(hit.column * ResponseMaps::step + 0.5) * factor - 0.5, (hit.row * ResponseMaps::step + 0.5) * factor - 0.5, mark.size * factor};
    const bool known = std::any_of(taken.begin(), taken.end(), [&](const Place& other) {
      return std::hypot(place.x - other.x, place.y - other.y) < 0.25 * std::min(place.size, other.size) &&
             std::max(place.size, other.size) < 1.35 * std::min(place.size, other.size);
    });
    if (known) continue;
    taken.push_back(place);
    ++of_level[hit.level];
    candidates.push_back({similarity(place.size, static_cast<double>(mark.angle), {place.x, place.y}, reference), hit.agreement, 0});
  }
  return candidates;
}

}  // namespace logo_search
}  // namespace v0
}  // namespace vidloom
