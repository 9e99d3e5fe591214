#pragma once
/// Regions: the parts of a picture an analysis is about.

#include <vidloom/core/geometry.hpp>
#include <vidloom/core/value.hpp>

#include <string>
#include <vector>

namespace vidloom {
inline namespace v0 {

/// A polygon in shares of the upright picture, 0..1, origin top left: the same in every size a stream comes in.
struct Region {
  struct Corner {
    float x = 0, y = 0;
    friend bool operator==(const Corner&, const Corner&) = default;
  };
  std::vector<Corner> corners;  ///< 3 or more; the last joins the first; crossing edges: even-odd

  static Region box(float x1, float y1, float x2, float y2) { return {{{x1, y1}, {x2, y1}, {x2, y2}, {x1, y2}}}; }
  /// Edges belong to the region at its left and top, not at its right and bottom.
  VIDLOOM_API bool contains(float x, float y) const noexcept;
  friend bool operator==(const Region&, const Region&) = default;
};

/// An analysis with regions answers with the boxes whose centre lies in one of `include` and in none of `exclude`. Adapters
/// look only near `include` (Item::regions), so a small region is also quicker. Answers for the whole picture (labels,
/// attributes) are of the boxes around `include`; masks do not change them.
struct Regions {
  std::vector<Region> include;  ///< empty: everywhere
  std::vector<Region> exclude;  ///< masks: a clock burnt into the picture, a tree in the wind

  bool empty() const noexcept { return include.empty() && exclude.empty(); }
  /// Whether a box of a picture of `size` counts, by its centre.
  VIDLOOM_API bool contains(const Box& box, Size size) const noexcept;
  /// \return the boxes around `include` in display pixels, grown outwards to whole pixels; those without area left out.
  VIDLOOM_API std::vector<Box> boxes(Size size) const;
  friend bool operator==(const Regions&, const Regions&) = default;
};

/// From JSON: a list of shapes, or {"include": [...], "exclude": [...]}. A shape is [left, top, right, bottom] or a polygon
/// [[x, y], [x, y], [x, y], ...], in shares 0..1. \param field  named in the Error(config) that a mistake throws.
VIDLOOM_API Regions regions_from(const Value& value, const std::string& field = "regions");
/// The same back, as {"include": [polygons], "exclude": [polygons]}, empty lists left out.
VIDLOOM_API Value value_of(const Regions& regions);

}  // namespace v0
}  // namespace vidloom
