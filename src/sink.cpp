#include <vidloom/sink.hpp>

namespace vidloom {
inline namespace v0 {

Sink::~Sink() = default;
SinkInfo Sink::info() const { return {}; }
void Sink::open(StreamId, const SourceInfo&) {}
void Sink::event(StreamId, const StreamEvent&) {}
void Sink::close(StreamId) noexcept {}

}  // namespace v0
}  // namespace vidloom
