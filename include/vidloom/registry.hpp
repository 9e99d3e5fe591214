#pragma once
/// Names: which adapters, sources and sinks there are, and which component brings each.
///
/// A table in libvidloom knows the built-in names and their options; the component behind a name (libvidloom_ffmpeg,
/// libvidloom_opencv) is loaded at its first use from libvidloom's own directory, then from VIDLOOM_COMPONENT_PATH.
/// All functions are thread-safe.

#include <vidloom/core/export.hpp>
#include <vidloom/core/value.hpp>
#include <vidloom/detection_adapter.hpp>
#include <vidloom/sink.hpp>
#include <vidloom/source.hpp>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace vidloom {
inline namespace v0 {

using AdapterFactory = std::function<std::unique_ptr<DetectionAdapter>(const Value& options)>;
/// `options` holds "uri", the whole text the user typed, beside the source's own options.
using SourceFactory = std::function<std::unique_ptr<Source>(const Value& options)>;
/// `options` holds "uri" as typed after --sink, beside the sink's own options.
using SinkFactory = std::function<std::unique_ptr<Sink>(const Value& options)>;

/// One option of an adapter or source, as `vidloom adapters NAME` prints it.
struct OptionInfo {
  std::string name;
  std::string type;      ///< "number", "integer", "text", "bool", "list", "object", "any"
  Value fallback{};      ///< the default; null: none
  std::string text{};    ///< what it does, with its unit
  std::optional<double> minimum{}, maximum{};  ///< of numbers, inclusive
  std::vector<std::string> choices{};
  bool required = false;
};
struct AdapterDescription {
  std::string name;
  std::string summary;
  std::string kind;
  std::string component{};  ///< "": in libvidloom itself
  std::vector<OptionInfo> options{};
  bool any_option = false;  ///< options are not checked (registered by the user without a description)
  std::string raw_score{};  ///< what raw_score is, with its unit
  std::string example{};    ///< one command line
  bool built = true;        ///< false: a reserved name of a later version
};

/// Adds an adapter. Throws Error(config) on an empty or taken name; registering one's own name again replaces it.
VIDLOOM_API void register_adapter(std::string name, AdapterFactory factory);
VIDLOOM_API void register_adapter(AdapterDescription description, AdapterFactory factory);
/// Adds a source for `scheme:...`. Throws Error(config) on an empty, one-letter or built-in scheme.
VIDLOOM_API void register_source(std::string scheme, SourceFactory factory);
/// Adds a sink for --sink name:... Throws Error(config) as above.
VIDLOOM_API void register_sink(std::string name, SinkFactory factory);

/// Built-in and registered ones, sorted by name.
VIDLOOM_API std::vector<AdapterDescription> adapters();
/// Throws Error(config) naming the nearest known name.
VIDLOOM_API AdapterDescription adapter_description(std::string_view name);
VIDLOOM_API std::vector<std::string> source_schemes();
VIDLOOM_API std::vector<std::string> sink_names();

/// Checks name and options without loading anything. Throws Error(config) naming field, value and fix, Error(not_built).
VIDLOOM_API void check_adapter(const AdapterSpec& spec, std::string_view field = "adapter");
/// Makes a replica, loading its component first. Throws as check_adapter, and what the factory throws.
VIDLOOM_API std::unique_ptr<DetectionAdapter> make_adapter(const AdapterSpec& spec);
/// Makes a sink for "jsonl:out.jsonl", "null", "lines" or a registered name.
VIDLOOM_API std::unique_ptr<Sink> make_sink(const std::string& uri, const Value& options = {});

struct ComponentStatus {
  std::string name;       ///< "ffmpeg", "opencv", ...
  std::string brings;     ///< what is missing without it
  std::string package;    ///< the command that installs it
  bool built = false;     ///< known to this version
  bool found = false, loaded = false;
  std::string path{}, detail{};  ///< where it is; version of what it wraps, or the loader's text
};
/// In a static build: makes the linked components known; call it once at the start of main(). In a shared build it does
/// nothing, so that the same program builds either way. Idempotent, thread-safe.
VIDLOOM_API void register_components();
/// All components this version knows. \param load  try to load each found one, for `vidloom doctor`.
VIDLOOM_API std::vector<ComponentStatus> components(bool load = false);

}  // namespace v0
}  // namespace vidloom
