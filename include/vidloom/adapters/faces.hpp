#pragma once
/// Faces seen from the front, by a cascade of boosted classifiers (Viola & Jones, CVPR 2001; OpenCV's cascades, which Debian
/// has in its package opencv-data). Component: opencv.

#include <vidloom/detection_adapter.hpp>

#include <string>

namespace vidloom {
inline namespace v0 {

struct FacesOptions {
  double scale = 1.05;  ///< step between sizes looked for; more is faster and misses faces between two sizes; above 1
  int stride = 8;       ///< a multiple of 8: faces from 3 x stride pixels on are looked for, in steps of at least stride / 4
  int largest = 0;      ///< longest side of the picture the search runs on, in pixels; 0: full size
  std::string model{};  ///< a cascade's XML file, used alone; "": OpenCV's frontal faces, a find of one confirmed by another
};
/// class_id 0 "face"; raw_score is the sum of the last stage (no unit), confidence calibrated from it
/// (docs/reference/adapters.md). Loading throws Error(model) where the cascades are not to be found.
VIDLOOM_API AdapterSpec faces(const FacesOptions& options = {});

}  // namespace v0
}  // namespace vidloom
