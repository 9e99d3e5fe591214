#pragma once
#include <vidloom/detection_adapter.hpp>

namespace vidloom {
inline namespace v0 {
/// Throws Error(config) on a bad option.
std::unique_ptr<DetectionAdapter> make_clip(const Value& options);
}  // namespace v0
}  // namespace vidloom
