// What `--sink NAME:...` and make_sink() make; see core/builtin.hpp.

#include <core/builtin.hpp>
#include <sinks/line_file.hpp>
#include <sinks/sinks.hpp>

#include <string>
#include <utility>

namespace vidloom {
inline namespace v0 {
namespace {

bool flag(const Value& options, std::string_view name) {
  const Value* value = options.find(name);
  return value != nullptr && value->as_bool();
}

}  // namespace

std::unique_ptr<Sink> make_jsonl_sink(const Value& options) {
  const std::string uri = options["uri"].is_string() ? options["uri"].as_string() : "";
  const std::string path = uri.starts_with("jsonl:") ? uri.substr(6) : "";
  if (path.empty()) throw Error(Code::config, "sink '" + uri + "' names no file; use jsonl:FILE, or jsonl:- for standard output");
  return make_jsonl(path, {.overwrite = flag(options, "overwrite"), .append = flag(options, "append")});
}

std::unique_ptr<Sink> make_lines_sink(const Value&) {
  auto output = std::make_shared<LineFile>("-", LineFileOptions{});
  return make_lines([output](std::string_view line) { output->write(line); }, true);
}

std::unique_ptr<Sink> make_null_sink(const Value&) { return make_null(); }

}  // namespace v0
}  // namespace vidloom
