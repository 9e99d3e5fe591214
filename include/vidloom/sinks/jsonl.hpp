#pragma once
/// One JSON line per record, schema vidloom/result/v1: `start`, `frame`s and `event`s, `end`. Each line is written with one
/// call and flushed, so a killed run lacks only `end` and a full disk leaves whole lines only.

#include <vidloom/sink.hpp>

#include <memory>
#include <string>

namespace vidloom {
inline namespace v0 {

struct JsonlOptions {
  bool overwrite = false;  ///< an existing file is otherwise refused
  bool append = false;     ///< to an existing file
};
/// \param path  "-" is standard output. Creates the file at once; throws Error(output) naming path and reason.
/// One sink may serve many streams, from many threads.
VIDLOOM_API std::shared_ptr<Sink> jsonl(const std::string& path, const JsonlOptions& options = {});

}  // namespace v0
}  // namespace vidloom
