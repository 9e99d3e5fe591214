#include <cli/analyses.hpp>

#include <vidloom/registry.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace vidloom::cli {
namespace {

[[noreturn]] void refuse(const std::string& message) { throw Error(Code::config, message); }

std::string flag_or_environment(const Arguments& arguments, std::string_view flag, const char* variable) {
  if (const auto value = arguments.value(flag)) return *value;
  const char* text = std::getenv(variable);
  return text == nullptr ? "" : text;
}

std::string or_nearest(std::string_view name, const std::vector<std::string>& known) {
  const std::string near = nearest(name, known);
  return near.empty() ? fmt::format("it has {}", fmt::join(known, ", ")) : fmt::format("did you mean {}?", near);
}

std::vector<std::string> names_in(const Value& analyses) {
  std::vector<std::string> names;
  for (const auto& [name, analysis] : analyses.as_object()) names.push_back(name);
  return names;
}

/// Those that --detect names, in its order: of the file when there is one, else adapters with their defaults.
Value picked(const std::vector<std::string>& detect, const Value& file, const std::string& config) {
  if (detect.empty()) return file;
  Value analyses = Value::object();
  for (const std::string& name : detect) {
    if (analyses.find(name) != nullptr) refuse(fmt::format("--detect names {} twice", name));
    if (config.empty()) {
      analyses.set(name, Value::object().set("adapter", name));
    } else if (const Value* analysis = file.find(name)) {
      analyses.set(name, *analysis);
    } else {
      refuse(fmt::format("--detect {}: no such analysis in {}; {}", name, config, or_nearest(name, names_in(file))));
    }
  }
  return analyses;
}

std::string adapter_of(const Value& analyses, const std::string& name) {
  const Value& adapter = analyses[name]["adapter"];
  return adapter.is_string() ? adapter.as_string() : name;
}

const OptionInfo* option_of(const AdapterDescription& adapter, std::string_view option) {
  const auto found = std::find_if(adapter.options.begin(), adapter.options.end(), [&](const OptionInfo& o) { return o.name == option; });
  return found == adapter.options.end() ? nullptr : &*found;
}

/// VALUE of NAME.OPTION=VALUE. JSON, else text; of a list, the parts between commas.
Value read_value(std::string_view text, std::string_view option, const OptionInfo* info, const std::string& field) {
  if (info != nullptr && info->type == "text" && !text.starts_with('"')) return Value(text);
  Value value;
  try {
    value = Value::parse(text);
  } catch (const Error&) {
    value = Value(text);
  }
  constexpr std::array durations{"every", "tolerance", "deadline"};
  if (value.is_string() && std::find(durations.begin(), durations.end(), option) != durations.end()) {
    return Value(seconds(parse_duration(value.as_string(), field)));
  }
  if (info != nullptr && info->type == "list" && !value.is_array()) {
    Value parts = Value::array();
    for (const std::string& part : split(text, ',')) parts.push_back(part);
    return parts;
  }
  return value;
}

void set_option(Value& analyses, const std::string& assignment) {
  const std::string shape =
      fmt::format("--set {}: use NAME.OPTION=VALUE, such as {}.every=0.5", assignment, analyses.as_object().front().first);
  const std::size_t equals = assignment.find('=');
  if (equals == std::string::npos) refuse(shape);
  const std::string_view target = std::string_view(assignment).substr(0, equals);
  const std::size_t dot = target.rfind('.');
  if (dot == std::string_view::npos || dot == 0 || dot + 1 == target.size()) refuse(shape);
  const std::string name(target.substr(0, dot)), option(target.substr(dot + 1));
  Value* analysis = analyses.find(name);
  if (analysis == nullptr) refuse(fmt::format("--set {}: no analysis '{}'; {}", assignment, name, or_nearest(name, names_in(analyses))));
  const AdapterDescription adapter = adapter_description(adapter_of(analyses, name));
  analysis->set(option, read_value(std::string_view(assignment).substr(equals + 1), option, option_of(adapter, option),
                                   fmt::format("--set {}.{}", name, option)));
}

/// --model and the like: legal where exactly one analysis has that option.
void set_short(Value& analyses, const Arguments& arguments, std::string_view flag, const std::string& option) {
  const auto text = arguments.value(flag);
  if (!text) return;
  std::vector<std::string> having;
  for (const auto& [name, analysis] : analyses.as_object()) {
    const AdapterDescription adapter = adapter_description(adapter_of(analyses, name));
    if (option == "min_confidence" || adapter.any_option || option_of(adapter, option) != nullptr) having.push_back(name);
  }
  if (having.empty()) {
    refuse(fmt::format("{} {}: none of the analyses {} has an option '{}'; see `vidloom adapters NAME`", flag, *text,
                       fmt::join(names_in(analyses), ", "), option));
  }
  if (having.size() > 1) {
    refuse(fmt::format("{} {}: {} analyses have it ({}); say which with --set {}.{}={}", flag, *text, having.size(),
                       fmt::join(having, ", "), having.front(), option, *text));
  }
  set_option(analyses, fmt::format("{}.{}={}", having.front(), option, *text));
}

Value where_of(const std::string& text) {
  Value where = Value::object();
  const std::string type = text.substr(0, text.find(':'));
  const std::vector<std::string> known{"local", "lan", "cloud"};
  if (std::find(known.begin(), known.end(), type) == known.end() || (type != "lan" && type != text)) {
    refuse(fmt::format("--where {}: use local, lan:HOST:PORT[,HOST:PORT] or cloud", text));
  }
  where.set("type", type);
  if (type == "lan") {
    Value hosts = Value::array();
    for (const std::string& host : split(type == text ? "" : text.substr(4), ',')) hosts.push_back(host);
    if (hosts.size() == 0) refuse("--where lan: names no worker; use lan:HOST:PORT[,HOST:PORT]");
    where.set("hosts", hosts);
  }
  return where;
}

}  // namespace

std::vector<AnalysisSpec> analyses_of(const Arguments& arguments) {
  const std::string config = flag_or_environment(arguments, "--config", "VIDLOOM_CONFIG");
  const std::vector<std::string> detect = arguments.list("--detect");
  if (config.empty() && detect.empty()) {
    refuse("nothing to look for: say --detect people (see `vidloom adapters`) or --config analyses.json");
  }
  Value analyses = picked(detect, config.empty() ? Value::object() : read_analyses(config), config);
  for (const auto& [name, analysis] : analyses.as_object()) adapter_description(adapter_of(analyses, name));  // unknown: refused here
  for (const std::string_view flag : {"--every", "--tolerance"}) {
    const auto text = arguments.value(flag);
    if (!text) continue;
    const double duration = seconds(parse_duration(*text, flag));
    for (auto& [name, analysis] : analyses.as_object()) analysis.set(flag.substr(2), duration);
  }
  for (const std::string& assignment : arguments.values("--set")) set_option(analyses, assignment);
  set_short(analyses, arguments, "--model", "model");
  set_short(analyses, arguments, "--labels", "labels");
  set_short(analyses, arguments, "--references", "references");
  set_short(analyses, arguments, "--min-confidence", "min_confidence");
  if (const auto where = arguments.value("--where")) {
    const Value place = where_of(*where);
    for (auto& [name, analysis] : analyses.as_object()) analysis.set("where", place);
  }
  return analyses_from(analyses);
}

std::string device_of(const Arguments& arguments) {
  const bool given = arguments.has("--device");
  const std::string device = flag_or_environment(arguments, "--device", "VIDLOOM_DEVICE");
  if (device.empty() && !given) return "auto";
  const bool numbered = device.starts_with("cuda:") && device.size() > 5 && device.size() < 9 &&
                        std::all_of(device.begin() + 5, device.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (device == "auto" || device == "cpu" || device == "cuda" || numbered) return device;
  refuse(fmt::format("{} is '{}'; use auto, cpu, cuda or cuda:N", given ? "--device" : "VIDLOOM_DEVICE", device));
}

}  // namespace vidloom::cli
