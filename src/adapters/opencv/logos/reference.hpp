#pragma once
/// A brand's reference picture, prepared for the search: what it looks like at each size, and how much it can be trusted.
///
/// Made once at load, immutable afterwards, shared by all replicas and threads.
///
/// Spaces. `unit`: the reference's visible part, from (0, 0) to `extent`, scaled so that its area is 1. A find is a
/// homography from unit to the searched picture, so the square root of its determinant is the mark's size in pixels
/// (root of its area), whatever its aspect.

#include <opencv2/core.hpp>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace vidloom {
inline namespace v0 {
namespace logo_search {

/// What a picture's pixels say of the mark.
enum class Look : std::uint8_t {
  flat,    ///< a silhouette in one colour, on anything, in any colours
  cutout,  ///< several colours, on anything
  opaque   ///< every pixel of the rectangle belongs to it
};

/// A point of an edge and its unit normal, in unit space.
struct EdgePoint {
  cv::Point2f at, normal;
};

/// One orientation at one place, relative to the mark's middle.
struct TemplatePoint {
  std::int16_t x, y;
  std::uint8_t bin;  ///< direction of the gradient modulo 180 degrees, in steps of 22.5
};

/// The mark at one size and angle, as the search compares it.
struct Template {
  float size = 0, angle = 0;  ///< root of the area in pixels; radians, clockwise as seen
  std::vector<TemplatePoint> points{};
};

/// A part of a Patch that has an edge, and how much it says.
struct Window {
  cv::Rect at;    ///< 8 x 8
  double weight;  ///< 0.1: a straight edge, which is on everything; 1: edges of all directions
};

/// Known pixels of a Patch for quick comparisons, by ninths of the mark: what may be hidden is left out by thirds.
struct Samples {
  struct Pixel {
    float u, v;   ///< unit space
    float value;  ///< about `middle`
  };
  struct Ninth {
    std::size_t end = 0;              ///< of its pixels, which begin where those of the ninth before end
    double count = 0, sum = 0, squares = 0;  ///< of the values
  };
  static constexpr float middle = 128;
  std::vector<Pixel> pixels{};
  std::array<Ninth, 9> ninths{};  ///< row by row
  cv::Rect2f around{};  ///< of all pixels, in unit space: around a silhouette reaches beyond the mark
};

/// The mark resampled to a small grid, for comparison pixel by pixel.
struct Patch {
  cv::Mat values{};   ///< CV_32F
  cv::Mat weights{};  ///< CV_8U: 255 where `values` says what is there
  cv::Point2f origin{};  ///< of the grid's first pixel, in unit space
  float step = 0;        ///< of the grid, in unit space
  std::vector<Window> windows{};
  Samples samples{};
};

/// The mark so small that a whole picture can be compared with it, turned by some angle.
struct Thumbnail {
  float angle = 0;        ///< radians, clockwise as seen
  cv::Point2f middle{};   ///< of the mark, in pixels of the thumbnail
  cv::Mat weights{};      ///< CV_16S, an even number of columns: brightness about its mean, 0 where `known` is
  cv::Mat known{};        ///< CV_8U: 255 where `weights` says what is there
  float scale = 0;        ///< times the sum of products with a picture, over the spread of that: their correlation
};

/// Local features of the mark as one view shows it: squeezed along one direction, as what is seen askew, or (the first) as it is.
struct Corners {
  cv::Matx33d view_from_unit = cv::Matx33d::eye();
  std::vector<cv::Point2f> at{};            ///< in the view, of which 1 is as long as in unit space
  std::vector<float> sizes{}, angles{};     ///< in the view; degrees
  cv::Mat descriptors{};                    ///< a row each
  std::size_t fine = 0;                     ///< so many, the first, are those of a large picture of the mark
};

struct Reference {
  std::string file{};
  int brand = 0;
  Look look = Look::opaque;
  cv::Size2f extent{};     ///< the visible part in unit space: area 1
  std::string weakness{};  ///< why it cannot be told from other things; empty: it can
  bool hopeless = false;   ///< nothing to look for at all
  bool plain = false;      ///< so simple that only a very good match counts
  double bends = 0;        ///< how much of a silhouette's outline bends both ways: its length, in roots of the area
  bool textured = false;   ///< enough corners for local features
  std::vector<Template> templates{};
  std::array<std::vector<EdgePoint>, 3> edges{};  ///< as seen at `edge_sizes`
  Patch patch{}, coarse{};
  std::vector<Thumbnail> thumbnails{};  ///< of prints
  std::vector<Corners> corners{};  ///< at least one; more where it is textured
};

/// Sizes (root of the area, pixels) at which edges are taken.
constexpr std::array<float, 3> edge_sizes{40, 80, 160};
/// Templates cover an octave and a half of sizes; the pyramid does the others. Large marks are so seen by two of its levels. On the
/// largest level, where time goes, only the first octave is tried.
constexpr float smallest_template = 26, template_ratio = 1.149F;
constexpr int template_scales = 8, template_scales_first_level = 5;
constexpr int template_points = 63;  ///< 4 points each at most: their sum fits a byte
constexpr float patch_size = 44, coarse_patch_size = 20;  ///< root of the area of a Patch's mark, in its pixels

constexpr float thumbnail_size = 12;  ///< root of the area of a Thumbnail's mark, in its pixels

/// Which ways are taken to find a mark.
enum class Method : std::uint8_t { automatic, features, shape };

/// \param bgr  CV_8UC3. \param alpha  CV_8U of the same size, or empty: all of it is seen.
/// A picture without alpha whose border has one colour is taken for a mark on that colour.
/// Deterministic. Never throws but for memory (and cv::Exception on wrong types).
Reference make_reference(const cv::Mat& bgr, const cv::Mat& alpha, Method method);

}  // namespace logo_search
}  // namespace v0
}  // namespace vidloom
