#pragma once
/// Dominant colours, brightness, contrast and saturation of the whole picture. In libvidloom itself.

#include <vidloom/detection_adapter.hpp>

namespace vidloom {
inline namespace v0 {

struct VisualOptions {
  int colors = 3;  ///< dominant colours; 1 to 16
};
/// Attributes `dominant_colors` ([R, G, B] rows, most frequent first), `brightness_level`, `contrast_level`,
/// `saturation_level` (0..1; formulas in docs/reference/adapters.md).
VIDLOOM_API AdapterSpec visual(const VisualOptions& options = {});

}  // namespace v0
}  // namespace vidloom
