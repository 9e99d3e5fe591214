#pragma once
/// One JSON line per record, schema vidloom/result/v1: `start`, `frame`s and `event`s, `end`. Each line is written with one
/// call and flushed, so a killed run lacks only `end` and a full disk leaves whole lines only.

#include <vidloom/sink.hpp>

#include <memory>
#include <string>

namespace vidloom {
inline namespace v0 {

struct JsonlOptions {
  bool overwrite = false;  ///< an existing file is otherwise refused; emptied when the first line is written, not before
  bool append = false;     ///< go on after the last whole line of an existing file; a torn last line of a killed run is cut off
};
/// \param path  "-" is standard output. Opened or created at once; throws Error(output) naming path and reason. A file that was
///              created and never written to is removed again with the sink.
/// One sink may serve many streams, from many threads. A write to a pipe whose reader went away throws Error(cancelled); ignore
/// SIGPIPE, else it ends the process first.
VIDLOOM_API std::shared_ptr<Sink> jsonl(const std::string& path, const JsonlOptions& options = {});

}  // namespace v0
}  // namespace vidloom
