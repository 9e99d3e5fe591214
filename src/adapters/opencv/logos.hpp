#pragma once
#include <vidloom/detection_adapter.hpp>

namespace vidloom {
inline namespace v0 {
/// Throws Error(config) on a bad option, and where `references` names nothing that can be read.
std::unique_ptr<DetectionAdapter> make_logos(const Value& options);
}  // namespace v0
}  // namespace vidloom
