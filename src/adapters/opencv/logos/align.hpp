#pragma once
/// From a guess to the place where the mark's edges lie on the picture's, to a fraction of a pixel.

#include <adapters/opencv/logos/reference.hpp>
#include <adapters/opencv/logos/scene.hpp>

#include <opencv2/core.hpp>

#include <array>
#include <cstdint>

namespace vidloom {
inline namespace v0 {
namespace logo_search {

/// A side of the mark, whose third something may hide.
enum class Side : std::uint8_t { left, right, upper, lower };
constexpr std::array<Side, 4> sides{Side::left, Side::right, Side::upper, Side::lower};
/// \return whether a place of the mark, in unit space, lies in the third at that side.
bool in_third(Side side, cv::Point2f place, const Reference& reference) noexcept;

/// How well the edges agree at a place.
struct EdgeEvidence {
  float support = 0;    ///< share of the mark's edge points with an edge of the picture within 1.5 pixels
  float exact = 0;      ///< the same within 0.75 pixels
  float direction = 0;  ///< how well the picture's gradients there point the mark's way: 1 all, 0 as chance has it
  std::array<float, 4> without{};  ///< the same of those that do not lie in the third at each of the `sides`; -1: too few to tell
};

/// A guess may be off by a step of size, angle and place: climbs the correlation of the pixels, in similarity moves first, then affine ones.
/// \param roughly  few steps on a grid so coarse that a guess need not be exact
/// \return the correlation that it reached, see likeness().
double settle(const Scene& scene, const Reference& reference, bool roughly, cv::Matx33d& scene_from_unit);

/// Of an opaque reference that lies nearly right: all eight degrees of freedom at once, by the enhanced correlation coefficient (Evangelidis
/// & Psarakis, TPAMI 2008).
/// \return false where it ran away; the map is then as it was.
bool refine_by_pixels(const Scene& scene, const Reference& reference, cv::Matx33d& scene_from_unit);

/// \return the normalised cross-correlation of every second pixel of the mark's small picture with the scene, -1 to 1; of flat marks, which may be
/// brighter or darker than what is around them, without its sign.
double likeness(const Scene& scene, const Reference& reference, const cv::Matx33d& scene_from_unit);

/// The same on so coarse a grid that a guess need not be exact: tells which ones are worth more.
double rough_likeness(const Scene& scene, const Reference& reference, const cv::Matx33d& scene_from_unit);

/// From within a few pixels: searches along the normals of the mark's edges and moves the map there, in affine moves first, then with perspective.
/// \return false where it got lost: no edges there, or the mark turned inside out, shrank or grew beyond belief.
bool align(const Scene& scene, const Reference& reference, cv::Matx33d& scene_from_unit);

EdgeEvidence edge_evidence(const Scene& scene, const Reference& reference, const cv::Matx33d& scene_from_unit);

}  // namespace logo_search
}  // namespace v0
}  // namespace vidloom
