#pragma once
/// People standing or walking, by histograms of oriented gradients and a linear SVM (Dalal & Triggs, CVPR 2005; OpenCV's
/// default people detector). Component: opencv.

#include <vidloom/detection_adapter.hpp>

namespace vidloom {
inline namespace v0 {

struct PeopleOptions {
  double scale = 1.05;  ///< step between pyramid levels; more is faster and coarser; above 1
  int stride = 8;       ///< window step in pixels; a multiple of 8
  int largest = 0;      ///< longest side of the picture the search runs on, in pixels; 0: full size
};
/// class_id 0 "person"; raw_score is the SVM margin, confidence calibrated from it (docs/reference/adapters.md).
VIDLOOM_API AdapterSpec people(const PeopleOptions& options = {});

}  // namespace v0
}  // namespace vidloom
