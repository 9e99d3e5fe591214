#include <vidloom/core/error.hpp>
#include <vidloom/regions.hpp>

#include <algorithm>
#include <cmath>

namespace vidloom {
inline namespace v0 {

bool Region::contains(float x, float y) const noexcept {
  bool inside = false;
  for (std::size_t i = 0, before = corners.size() - 1; i < corners.size(); before = i++) {
    const Corner &a = corners[i], &b = corners[before];
    if ((a.y > y) != (b.y > y) && x < (b.x - a.x) * (y - a.y) / (b.y - a.y) + a.x) inside = !inside;
  }
  return inside;
}

bool Regions::contains(const Box& box, Size size) const noexcept {
  if (size.empty()) return false;
  const float x = (box.x1 + box.x2) / 2 / static_cast<float>(size.width), y = (box.y1 + box.y2) / 2 / static_cast<float>(size.height);
  const auto holds = [x, y](const Region& region) { return region.contains(x, y); };
  return (include.empty() || std::ranges::any_of(include, holds)) && std::ranges::none_of(exclude, holds);
}

std::vector<Box> Regions::boxes(Size size) const {
  std::vector<Box> found;
  for (const Region& region : include) {
    if (region.corners.empty()) continue;
    const auto [left, right] = std::ranges::minmax(region.corners, {}, &Region::Corner::x);
    const auto [top, bottom] = std::ranges::minmax(region.corners, {}, &Region::Corner::y);
    const float width = static_cast<float>(size.width), height = static_cast<float>(size.height);
    const Box box = clip({std::floor(left.x * width), std::floor(top.y * height), std::ceil(right.x * width), std::ceil(bottom.y * height)}, size);
    if (box.width() > 0 && box.height() > 0) found.push_back(box);
  }
  return found;
}

namespace {

constexpr const char* shape_wanted = "use [left, top, right, bottom] or a polygon [[x, y], [x, y], [x, y], ...] in shares of the picture, 0 to 1";

float share_from(const Value& value, const std::string& field) {
  if (value.is_number() && value.as_real() > 1) {
    throw Error(Code::config, field + " is " + value.dump() + "; use shares of the picture, 0 to 1: pixels divided by its width or height");
  }
  if (!value.is_number() || !(value.as_real() >= 0)) throw Error(Code::config, field + " is " + value.dump() + "; use a number from 0 to 1");
  return static_cast<float>(value.as_real());
}

Region region_from(const Value& value, const std::string& field) {
  const auto refuse = [&](const std::string& what) { throw Error(Code::config, field + " " + what + "; " + shape_wanted); };
  if (!value.is_array() || value.size() < 3) refuse("is " + value.dump());
  std::vector<float> numbers;
  Region region;
  if (value.at(0).is_array()) {
    for (std::size_t i = 0; i < value.size(); ++i) {
      const std::string corner = field + "[" + std::to_string(i) + "]";
      const Value& pair = value.at(i);
      if (!pair.is_array() || pair.size() != 2) refuse("holds " + pair.dump() + ", which is no corner [x, y]");
      region.corners.push_back({share_from(pair.at(0), corner + "[0]"), share_from(pair.at(1), corner + "[1]")});
    }
  } else {
    if (value.size() != 4) refuse("is " + value.dump());
    for (std::size_t i = 0; i < 4; ++i) numbers.push_back(share_from(value.at(i), field + "[" + std::to_string(i) + "]"));
    if (numbers[0] >= numbers[2] || numbers[1] >= numbers[3]) refuse("is " + value.dump() + ", which is empty: left and top come first");
    region = Region::box(numbers[0], numbers[1], numbers[2], numbers[3]);
  }
  const auto [left, right] = std::ranges::minmax(region.corners, {}, &Region::Corner::x);
  const auto [top, bottom] = std::ranges::minmax(region.corners, {}, &Region::Corner::y);
  if (left.x == right.x || top.y == bottom.y) refuse("is " + value.dump() + ", which has no area");
  return region;
}

std::vector<Region> shapes_from(const Value& value, const std::string& field) {
  if (!value.is_array() || value.size() == 0) throw Error(Code::config, field + " is " + value.dump() + "; use a list of shapes, or leave it out");
  std::vector<Region> shapes;
  for (std::size_t i = 0; i < value.size(); ++i) shapes.push_back(region_from(value.at(i), field + "[" + std::to_string(i) + "]"));
  return shapes;
}

Value value_of(const std::vector<Region>& regions) {
  Value shapes = Value::array();
  for (const Region& region : regions) {
    Value polygon = Value::array();
    // 0.6F reads 0.6, not 0.60000002
    const auto tidy = [](float share) { return Value(std::round(static_cast<double>(share) * 1e6) / 1e6); };
    for (const Region::Corner& corner : region.corners) polygon.push_back(Value::array().push_back(tidy(corner.x)).push_back(tidy(corner.y)));
    shapes.push_back(std::move(polygon));
  }
  return shapes;
}

}  // namespace

Regions regions_from(const Value& value, const std::string& field) {
  if (value.is_array()) return {.include = shapes_from(value, field), .exclude = {}};
  if (!value.is_object() || value.size() == 0) {
    throw Error(Code::config, field + " is " + value.dump() + R"(; use a list of shapes, or {"include": [...], "exclude": [...]})");
  }
  Regions regions;
  for (const auto& [key, shapes] : value.as_object()) {
    if (key == "include") regions.include = shapes_from(shapes, field + ".include");
    else if (key == "exclude") regions.exclude = shapes_from(shapes, field + ".exclude");
    else throw Error(Code::config, field + "." + key + " is not known; known are include, exclude");
  }
  return regions;
}

Value value_of(const Regions& regions) {
  Value made = Value::object();
  if (!regions.include.empty()) made.set("include", value_of(regions.include));
  if (!regions.exclude.empty()) made.set("exclude", value_of(regions.exclude));
  return made;
}

}  // namespace v0
}  // namespace vidloom
