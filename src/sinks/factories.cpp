// The sinks of libvidloom itself under their names, as --sink and make_sink() take them.
#include <vidloom/core/error.hpp>
#include <vidloom/sinks/jsonl.hpp>
#include <vidloom/sinks/lines.hpp>
#include <vidloom/sinks/null.hpp>
#include <vidloom/sinks/report.hpp>
#include <vidloom/sinks/video.hpp>

#include <core/builtin.hpp>
#include <shared_sink.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace vidloom {
inline namespace v0 {
namespace {

std::string after_colon(const Value& options) {
  const std::string& uri = options["uri"].as_string();
  const std::size_t colon = uri.find(':');
  return colon == std::string::npos ? std::string{} : uri.substr(colon + 1);
}

/// Throws Error(config) on an option that is not in `known`.
void check_options(std::string_view sink, const Value& options, const std::vector<std::string>& known) {
  for (const auto& [name, value] : options.as_object()) {
    if (name == "uri") continue;
    bool found = false;
    for (const std::string& one : known) found = found || one == name;
    if (found && value.is_bool()) continue;
    const std::string near = nearest(name, known);
    throw Error(Code::config, "option " + name + " of sink " + std::string(sink) +
                                  (found          ? " is " + value.dump() + "; use true or false"
                                   : near.empty() ? " is not known"
                                                  : " is not known; did you mean " + near + "?"));
  }
}

}  // namespace

std::unique_ptr<Sink> make_jsonl_sink(const Value& options) {
  check_options("jsonl", options, {"overwrite", "append"});
  const std::string path = after_colon(options);
  if (path.empty()) throw Error(Code::config, "sink jsonl names no file; use jsonl:out.jsonl, or jsonl:- for standard output");
  const auto flag = [&options](std::string_view name) { return options[name].is_bool() && options[name].as_bool(); };
  return std::make_unique<SharedSink>(jsonl(path, {.overwrite = flag("overwrite"), .append = flag("append")}));
}

std::unique_ptr<Sink> make_lines_sink(const Value& options) {
  check_options("lines", options, {});
  if (const std::string rest = after_colon(options); !rest.empty() && rest != "-") {
    throw Error(Code::config, "sink lines writes to standard output only, not to " + rest + "; use lines");
  }
  return std::make_unique<SharedSink>(lines([](std::string_view line) {
    if (std::fwrite(line.data(), 1, line.size(), stdout) != line.size() || std::fflush(stdout) != 0) {
      throw Error(Code::output, "standard output: " + std::generic_category().message(errno));
    }
  }));
}

std::unique_ptr<Sink> make_null_sink(const Value& options) {
  check_options("null", options, {});
  return std::make_unique<SharedSink>(null_sink());
}

std::unique_ptr<Sink> make_video_sink(const Value& options) {
  const std::string path = after_colon(options);
  if (path.empty()) throw Error(Code::config, "sink video names no file; use video:out.mp4");
  VideoOptions video_options;
  for (const auto& [name, value] : options.as_object()) {
    if (name == "uri") continue;
    if (name == "overwrite" && value.is_bool()) video_options.overwrite = value.as_bool();
    else if (name == "audio" && value.is_bool()) video_options.audio = value.as_bool();
    else if (name == "codec" && value.is_string()) video_options.codec = value.as_string();
    else if (name == "preset" && value.is_string()) video_options.preset = value.as_string();
    else if (name == "quality" && value.is_integer()) video_options.quality = static_cast<int>(std::clamp<std::int64_t>(value.as_integer(), -1, 1000));
    else throw Error(Code::config, "option " + name + " of sink video is " + value.dump() + "; there are overwrite and audio (true, false), codec and "
                                   "preset (texts) and quality (0 to 51)");
  }
  return std::make_unique<SharedSink>(video(path, video_options));
}

std::unique_ptr<Sink> make_report_sink(const Value& options) {
  const std::string path = after_colon(options);
  if (path.empty()) throw Error(Code::config, "sink report names no file; use report:out.html");
  ReportOptions page;
  const auto names = [](const Value& list) {
    std::vector<std::string> found;
    for (const Value& name : list.as_array()) found.push_back(name.as_string());
    return found;
  };
  for (const auto& [name, value] : options.as_object()) {
    if (name == "uri") continue;
    if (name == "overwrite" && value.is_bool()) page.overwrite = value.as_bool();
    else if (name == "plays_source" && value.is_bool()) page.plays_source = value.as_bool();
    else if (name == "title" && value.is_string()) page.title = value.as_string();
    else if (name == "video" && value.is_string()) page.video = value.as_string();
    else if (name == "moments" && value.is_integer()) page.moments = static_cast<int>(std::clamp<std::int64_t>(value.as_integer(), -1, 100'000));
    else if (name == "blur" && value.is_array()) page.blur = names(value);
    else if (name == "pixelate" && value.is_array()) page.pixelate = names(value);
    else throw Error(Code::config, "option " + name + " of sink report is " + value.dump() + "; there are overwrite and plays_source (true, false), title and "
                                   "video (texts), moments (1 to 200), blur and pixelate (lists of class names)");
  }
  return std::make_unique<SharedSink>(report(path, page));
}

}  // namespace v0
}  // namespace vidloom
