#pragma once
/// The sinks as owned objects, for the public functions and for the registry's factories.

#include <sinks/line_file.hpp>
#include <vidloom/sink.hpp>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace vidloom {
inline namespace v0 {

std::unique_ptr<Sink> make_jsonl(const std::string& path, const LineFileOptions& options);
std::unique_ptr<Sink> make_lines(std::function<void(std::string_view)> write, bool stream_names);
std::unique_ptr<Sink> make_null();

}  // namespace v0
}  // namespace vidloom
