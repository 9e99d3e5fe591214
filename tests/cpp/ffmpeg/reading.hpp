#pragma once
/// Reads a source to its end.

#include <vidloom/core/error.hpp>
#include <vidloom/source.hpp>

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace vidloom::test {

struct Read {
  SourceInfo info;
  std::vector<Frame> frames;
  std::vector<StreamEvent> events;
  SourceStats stats;
};

inline void read_rest(Source& source, Read& all) {
  for (;;) {
    ReadResult next = source.read();
    if (std::holds_alternative<End>(next)) break;
    if (auto* frame = std::get_if<Frame>(&next)) all.frames.push_back(*frame);
    if (auto* event = std::get_if<StreamEvent>(&next)) all.events.push_back(*event);
  }
  all.stats = source.stats();
}

inline Read read_all(Source& source) {
  SourceContext context{.stream = StreamId{7}, .cpu = CpuGate::process()};
  Read all;
  all.info = source.open(context);
  read_rest(source, all);
  source.close();
  return all;
}

inline Read read_all(const std::string& uri, const Value& options = {}) { return read_all(*open_source(uri, options)); }

/// The error that opening and reading gives; Error(internal, "no error") when there is none.
inline Error error_of(const std::string& uri, const Value& options = {}) {
  try {
    const Read all = read_all(uri, options);
    return Error(Code::internal, "no error, but " + std::to_string(all.frames.size()) + " frames");
  } catch (const Error& error) {
    return error;
  }
}

}  // namespace vidloom::test
