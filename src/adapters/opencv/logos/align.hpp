#pragma once
/// From a guess to the place where the mark's edges lie on the picture's, to a fraction of a pixel.

#include <adapters/opencv/logos/reference.hpp>
#include <adapters/opencv/logos/scene.hpp>

#include <opencv2/core.hpp>

namespace vidloom {
inline namespace v0 {
namespace logo_search {

/// How well the edges agree at a place.
struct EdgeEvidence {
  float support = 0;    ///< share of the mark's edge points with an edge of the picture within 1.5 pixels
  float direction = 0;  ///< how well the picture's gradients there point the mark's way: 1 all, 0 as chance has it
};

/// A template's guess may be off by a step of size, angle and place: moves the map to the best of the steps around it.
/// \return false where none of them has the mark's edges.
bool settle(const Scene& scene, const Reference& reference, cv::Matx33d& scene_from_unit);

/// The same for marks whose pixels say more than their edges, and for guesses by features: climbs the correlation of the pixels, in similarity
/// moves first, then affine ones.
/// \param roughly  few steps on a grid so coarse that a guess need not be exact
/// \return the correlation that it reached, -1 to 1.
double settle_by_pixels(const Scene& scene, const Reference& reference, bool roughly, cv::Matx33d& scene_from_unit);

/// Of an opaque reference that lies nearly right: all eight degrees of freedom at once, by the enhanced correlation coefficient (Evangelidis
/// & Psarakis, TPAMI 2008).
/// \return false where it ran away; the map is then as it was.
bool refine_by_pixels(const Scene& scene, const Reference& reference, cv::Matx33d& scene_from_unit);

/// \return the normalised cross-correlation of every second pixel of the mark's small picture with the scene, -1 to 1.
double likeness(const Scene& scene, const Reference& reference, const cv::Matx33d& scene_from_unit);

/// The same on so coarse a grid that a guess need not be exact: tells which ones are worth more.
double rough_likeness(const Scene& scene, const Reference& reference, const cv::Matx33d& scene_from_unit);

/// Searches along the normals of the mark's edges and moves the map there: similarity first, then affine, then perspective.
/// \return false where it got lost: no edges there, or the mark turned inside out, shrank or grew beyond belief.
/// \param settled  the guess is within a few pixels already.
bool align(const Scene& scene, const Reference& reference, cv::Matx33d& scene_from_unit, bool settled);

EdgeEvidence edge_evidence(const Scene& scene, const Reference& reference, const cv::Matx33d& scene_from_unit);

}  // namespace logo_search
}  // namespace v0
}  // namespace vidloom
