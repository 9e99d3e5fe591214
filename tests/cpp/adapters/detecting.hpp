#pragma once
/// Runs one adapter by hand, without an execution: for tests.

#include <vidloom/registry.hpp>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace vidloom::test {

inline std::unique_ptr<DetectionAdapter> loaded(const AdapterSpec& spec) {
  auto adapter = make_adapter(spec);
  adapter->load();
  return adapter;
}

inline Result<Detections> detect(DetectionAdapter& adapter, const Frame& frame, StreamState* state = nullptr,
                                 std::span<const Box> regions = {}) {
  std::vector<Result<Detections>> out{Error(Code::internal, "no answer")};
  const Item item{frame, state, regions};
  adapter.detect({&item, 1}, out, {.deadline = SteadyTime::max(), .stop = {}});
  return std::move(out.front());
}

inline double number(const Detections& found, std::string_view name) {
  for (const Attribute& attribute : found.attributes)
    if (attribute.name == name) return std::get<double>(attribute.value);
  throw std::out_of_range("no attribute " + std::string(name));
}

/// Each `step`-th frame of a file, at most `most` of them.
inline std::vector<Frame> frames_of(const std::string& path, std::size_t step, std::size_t most = 1000) {
  const auto source = open_source(path);
  SourceContext context{.stream = StreamId{1}, .cpu = CpuGate::process()};
  source->open(context);
  std::vector<Frame> frames;
  for (std::size_t i = 0; frames.size() < most;) {
    ReadResult next = source->read();
    if (std::holds_alternative<End>(next)) break;
    if (auto* frame = std::get_if<Frame>(&next); frame && i++ % step == 0) frames.push_back(std::move(*frame));
  }
  source->close();
  return frames;
}

}  // namespace vidloom::test
