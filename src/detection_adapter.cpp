#include <vidloom/detection_adapter.hpp>

namespace vidloom {
inline namespace v0 {

std::string key_of(const AdapterSpec& spec) {
  const bool plain = !spec.options || spec.options->is_null();  // no options and an empty object mean the same
  return spec.adapter + (plain ? "{}" : spec.options->canonical());
}

StreamState::~StreamState() = default;

DetectionAdapter::~DetectionAdapter() = default;
void DetectionAdapter::load() {}
std::unique_ptr<StreamState> DetectionAdapter::new_state() { return nullptr; }

ServiceCodec::~ServiceCodec() = default;

}  // namespace v0
}  // namespace vidloom
