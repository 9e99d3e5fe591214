#include <vidloom/core/geometry.hpp>

#include <algorithm>
#include <cmath>

namespace vidloom {
inline namespace v0 {

namespace {

/// Sends NaN to 0 as well.
float between_0_and(float value, int limit) noexcept {
  const auto high = static_cast<float>(std::max(limit, 0));
  return value > 0 ? std::min(value, high) : 0.0F;
}

}  // namespace

Affine compose(const Affine& second, const Affine& first) noexcept {
  Affine result;
  for (int row = 0; row < 2; ++row) {
    const double a = second.m[3 * row], b = second.m[3 * row + 1], c = second.m[3 * row + 2];
    for (int column = 0; column < 3; ++column) {
      const double sum = a * first.m[column] + b * first.m[3 + column] + (column == 2 ? c : 0.0);
      result.m[3 * row + column] = static_cast<float>(sum);
    }
  }
  return result;
}

Affine inverse(const Affine& map) noexcept {
  const double a = map.m[0], b = map.m[1], c = map.m[2], d = map.m[3], e = map.m[4], f = map.m[5];
  const double determinant = a * e - b * d;
  if (determinant == 0 || !std::isfinite(determinant)) return {};
  return {{static_cast<float>(e / determinant), static_cast<float>(-b / determinant), static_cast<float>((b * f - c * e) / determinant),
           static_cast<float>(-d / determinant), static_cast<float>(a / determinant), static_cast<float>((c * d - a * f) / determinant)}};
}

Box map_box(const Affine& map, const Box& box) noexcept {
  const auto& m = map.m;
  const float xs[] = {box.x1, box.x2}, ys[] = {box.y1, box.y2};
  Box result{};
  bool first = true;
  for (const float x : xs) {
    for (const float y : ys) {
      const float px = m[0] * x + m[1] * y + m[2], py = m[3] * x + m[4] * y + m[5];
      result = first ? Box{px, py, px, py}
                     : Box{std::min(result.x1, px), std::min(result.y1, py), std::max(result.x2, px), std::max(result.y2, py)};
      first = false;
    }
  }
  return result;
}

Box clip(const Box& box, Size size) noexcept {
  Box result{between_0_and(box.x1, size.width), between_0_and(box.y1, size.height), between_0_and(box.x2, size.width),
             between_0_and(box.y2, size.height)};
  result.x2 = std::max(result.x1, result.x2);
  result.y2 = std::max(result.y1, result.y2);
  return result;
}

}  // namespace v0
}  // namespace vidloom
