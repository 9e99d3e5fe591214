#include <vidloom/analyzer.hpp>
#include <vidloom/execution/local.hpp>
#include <vidloom/registry.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

namespace vidloom {
inline namespace v0 {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const std::string& message) { throw Error(Code::config, message); }

void refuse_unknown(const std::string& field, std::string_view key, const std::vector<std::string>& known) {
  if (std::find(known.begin(), known.end(), key) != known.end()) return;
  const std::string near = nearest(key, known);
  std::string all;
  for (const auto& name : known) all += (all.empty() ? "" : ", ") + name;
  refuse(field + std::string(key) + " is not known; " + (near.empty() ? "known are " + all : "did you mean '" + near + "'?"));
}

Nanos duration_of(const Value& value, const std::string& field) {
  if (value.is_string()) return parse_duration(value.as_string(), field);
  if (!value.is_number()) refuse(field + " is " + std::string(value.type_name()) + "; use seconds, or a text such as \"500ms\"");
  const double number = value.as_real();
  if (!(number >= 0) || number > 9e9) refuse(field + " is " + value.dump() + "; use seconds, 0 or more");
  return from_seconds(number);
}

float share_of(const Value& value, const std::string& field) {
  if (!value.is_number()) refuse(field + " is " + std::string(value.type_name()) + "; use a number from 0 to 1");
  const double number = value.as_real();
  if (!(number >= 0 && number <= 1)) refuse(field + " is " + value.dump() + "; use 0 to 1");
  return static_cast<float>(number);
}

MinConfidence min_confidence_of(const Value& value, const std::string& field) {
  if (!value.is_object()) return share_of(value, field);
  MinConfidence least;
  for (const auto& [name, number] : value.as_object()) {
    const float share = share_of(number, field + "." + name);
    if (name == "*") least.all = share;
    else least.per_class[name] = share;
  }
  return least;
}

const std::string& text_of(const Value& value, const std::string& field) {
  if (!value.is_string()) refuse(field + " is " + std::string(value.type_name()) + "; use a text");
  return value.as_string();
}

/// \return the type of place, mistakes refused also in places that this version does not have.
std::string type_of_where(const Value& value, const std::string& field) {
  const std::string type = text_of(value.is_object() ? value["type"] : value, value.is_object() ? field + ".type" : field);
  const std::vector<std::string> known{"local", "lan", "cloud", "failover"};
  if (std::find(known.begin(), known.end(), type) == known.end()) {
    const std::string near = nearest(type, known);
    refuse(field + " is '" + type + "'; " + (near.empty() ? "use local" : "did you mean '" + near + "'?"));
  }
  if (type != "lan" && type != "failover") return type;
  const std::string list = type == "lan" ? "hosts" : "of";
  const Value& members = value.is_object() ? value[list] : Value();
  if (!members.is_array() || members.size() == 0) {
    refuse(field + "." + list + " is missing; write " + (type == "lan" ? R"("hosts": ["gpu1:8700"])" : R"("of": [{"type": "local"}])"));
  }
  for (std::size_t i = 0; i < members.size(); ++i) {
    const std::string member = field + "." + list + "[" + std::to_string(i) + "]";
    if (type == "lan") text_of(members.as_array()[i], member);
    else type_of_where(members.as_array()[i], member);
  }
  return type;
}

std::shared_ptr<ExecutionStrategy> where_of(const Value& value, const std::string& field) {
  if (value.is_null()) return nullptr;
  const std::string type = type_of_where(value, field);
  if (type != "local") throw Error(Code::not_built, field + ": where '" + type + "' is not in this version; use {\"type\": \"local\"}");
  if (!value.is_object() || value.size() == 1) return nullptr;
  for (const auto& [key, ignored] : value.as_object()) refuse_unknown(field + ".", key, {"type", "workers"});
  const Value& workers = value["workers"];
  if (!workers.is_integer() || workers.as_integer() < 1 || workers.as_integer() > 4096) {
    refuse(field + ".workers is " + workers.dump() + "; use a whole number from 1 to 4096");
  }
  return local({.workers = static_cast<unsigned>(workers.as_integer())});
}

/// `text` from the file's folder on; model names such as "openai/clip-vit-base-patch32" stay unless there is such a file.
void make_absolute(Value& text, const std::string& base, bool only_existing) {
  if (!text.is_string() || text.as_string().empty()) return;
  const fs::path path(text.as_string());
  if (path.is_absolute()) return;
  const fs::path full = fs::path(base) / path;
  std::error_code ignored;
  if (only_existing && !fs::exists(full, ignored)) return;
  text = fs::absolute(full, ignored).lexically_normal().string();
}

void make_absolute(Value& options, const std::string& base) {
  for (auto& [name, value] : options.as_object()) {
    if (name == "model") make_absolute(value, base, true);
    if (name == "calibration") make_absolute(value, base, false);
    if (name != "references") continue;
    make_absolute(value, base, false);
    if (!value.is_object()) continue;
    for (auto& [label, file] : value.as_object()) make_absolute(file, base, false);
  }
}

constexpr const char* common_keys[] = {"adapter", "every", "tolerance", "deadline", "min_confidence", "where", "regions_of", "regions", "kind"};

/// "evry" of an adapter that has no such option was most likely meant for one of the keys all analyses have.
void refuse_misspelt(const std::string& field, const AdapterSpec& spec) {
  const std::vector<AdapterDescription> all = adapters();
  const auto adapter = std::find_if(all.begin(), all.end(), [&](const AdapterDescription& one) { return one.name == spec.adapter; });
  if (!spec.options || adapter == all.end() || adapter->any_option || !adapter->built) return;
  for (const auto& [key, ignored] : spec.options->as_object()) {
    std::vector<std::string> own;
    for (const OptionInfo& option : adapter->options) own.push_back(option.name);
    if (std::find(own.begin(), own.end(), key) != own.end() || !nearest(key, own).empty()) continue;
    const std::string near = nearest(key, {std::begin(common_keys), std::end(common_keys)});
    if (!near.empty()) refuse(field + "." + key + " is not known; did you mean '" + near + "'?");
  }
}

AnalysisSpec analysis_of(const std::string& name, const Value& value, const std::string& base) {
  const std::string field = "analyses." + name;
  if (!value.is_object()) refuse(field + " is " + std::string(value.type_name()) + "; use an object such as {\"adapter\": \"people\"}");
  AnalysisSpec spec;
  spec.name = name;
  spec.adapter.adapter = name;
  Value options = Value::object();
  Value where;
  for (const auto& [key, given] : value.as_object()) {
    const std::string path = field + "." + key;
    const bool common = std::find(std::begin(common_keys), std::end(common_keys), key) != std::end(common_keys);
    if (!common) options.set(key, given);
    else if (given.is_null()) continue;
    else if (key == "adapter") spec.adapter.adapter = text_of(given, path);
    else if (key == "every") spec.every = duration_of(given, path);
    else if (key == "tolerance") spec.tolerance = duration_of(given, path);
    else if (key == "deadline") spec.deadline = duration_of(given, path);
    else if (key == "min_confidence") spec.min_confidence = min_confidence_of(given, path);
    else if (key == "regions_of") spec.regions_of = text_of(given, path);
    else if (key == "regions") spec.regions = regions_from(given, path);
    else if (key == "kind") spec.kind = text_of(given, path);
    else where = given;
  }
  // An adapter that goes by what it is used for (the words clip asks with) has an option of that name.
  if (!spec.kind.empty() && spec.adapter.adapter == "clip") options.set("kind", spec.kind);
  spec.where = where_of(where, field + ".where");
  if (!base.empty()) make_absolute(options, base);
  if (options.size() > 0) spec.adapter.options = std::make_shared<const Value>(std::move(options));
  refuse_misspelt(field, spec.adapter);
  check_adapter(spec.adapter, field);
  return spec;
}

/// Files are copied, committed and mounted: what they say of a secret is where to find it.
void refuse_secrets(const Value& value, const std::string& field) {
  if (value.is_array()) {
    for (std::size_t i = 0; i < value.size(); ++i) refuse_secrets(value.as_array()[i], field + "[" + std::to_string(i) + "]");
  }
  if (!value.is_object()) return;
  for (const auto& [key, member] : value.as_object()) {
    const std::string path = field + "." + key;
    for (const char* secret : {"token", "password", "secret", "api_key"}) {
      if (key != secret) continue;
      refuse(path + " is a secret, which no file may hold; write \"" + key + "_env\": the name of the environment variable that does");
    }
    if (key == "where" || key == "of") refuse_secrets(member, path);
  }
}

}  // namespace

std::vector<AnalysisSpec> analyses_from(const Value& analyses, const std::string& base) {
  if (!analyses.is_object()) refuse("analyses is " + std::string(analyses.type_name()) + "; use an object: name -> {\"adapter\": ...}");
  std::vector<AnalysisSpec> specs;
  for (const auto& [name, value] : analyses.as_object()) specs.push_back(analysis_of(name, value, base));
  return specs;
}

Value read_analyses(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::error_code ignored;
  if (!file || fs::is_directory(path, ignored)) refuse(path + " cannot be read; give the path of an analyses.json");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  try {
    const Value document = Value::parse(text, Value::Comments::allow);
    if (!document.is_object()) refuse("the file holds " + std::string(document.type_name()) + "; use {\"version\": 1, \"analyses\": {...}}");
    for (const auto& [key, value] : document.as_object()) refuse_unknown("", key, {"version", "analyses", "where", "$schema"});
    const Value& version = document["version"];
    if (!version.is_number() || version.as_real() != 1) {
      refuse("version is " + (version.is_null() ? "missing" : version.dump()) + "; write \"version\": 1");
    }
    const Value& found = document["analyses"];
    if (!found.is_object() || found.size() == 0) {
      refuse("analyses is " + (found.is_null() ? "missing" : found.is_object() ? "empty" : std::string(found.type_name())) +
             "; write \"analyses\": {\"people\": {\"every\": 0.5}}");
    }
    const std::string folder = fs::absolute(path, ignored).parent_path().string();
    const Value& where = document["where"];
    if (!where.is_null()) {
      type_of_where(where, "where");
      refuse_secrets(where, "where");
    }
    Value analyses = found;
    for (auto& [name, analysis] : analyses.as_object()) {
      const std::string field = "analyses." + name;
      if (!analysis.is_object()) {
        refuse(field + " is " + std::string(analysis.type_name()) + "; use an object such as {\"adapter\": \"people\"}");
      }
      refuse_secrets(analysis, field);
      make_absolute(analysis, folder);
      if (!where.is_null() && (analysis.find("where") == nullptr || analysis.find("where")->is_null())) analysis.set("where", where);
    }
    return analyses;
  } catch (const Error& error) {
    if (error.code != Code::config) throw;
    throw Error(Code::config, path + ": " + error.what());
  }
}

std::vector<AnalysisSpec> load_analyses(const std::string& path) {
  const Value analyses = read_analyses(path);
  try {
    return analyses_from(analyses);
  } catch (const Error& error) {
    if (error.code != Code::config) throw;
    throw Error(Code::config, path + ": " + error.what());
  }
}

}  // namespace v0
}  // namespace vidloom
