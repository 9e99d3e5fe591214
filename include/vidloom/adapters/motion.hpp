#pragma once
/// What moves against a learned background (Zivkovic's adaptive mixture of Gaussians, OpenCV's MOG2) on the luma plane.
/// State per stream. Component: opencv.

#include <vidloom/detection_adapter.hpp>

namespace vidloom {
inline namespace v0 {

struct MotionOptions {
  int history = 120;         ///< analysed pictures the background is learned over; 1 or more
  double sensitivity = 0.5;  ///< 0..1: smaller changes count as it grows
  double min_area = 0.0005;  ///< smallest region, as a share of the picture; 0..1
};
/// class_id 0 "motion", one box per region; raw_score is its area in display pixels, confidence NaN; attribute
/// `moving_fraction` 0..1.
VIDLOOM_API AdapterSpec motion(const MotionOptions& options = {});

}  // namespace v0
}  // namespace vidloom
