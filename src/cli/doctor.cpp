#include <cli/commands.hpp>
#include <cli/console.hpp>
#include <vidloom/core/version.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

namespace vidloom::cli {
namespace {

constexpr Flag flags[] = {
    {"--json", "", "as JSON"},
    {"--require", "A[,B]", "components and adapters that must be there, else exit 1", 0, true},
};
constexpr std::string_view notes = R"(Shows what is built, what is missing, and the line that adds it.

  vidloom doctor
  vidloom doctor --require ffmpeg,people
)";

Value cpu_features() {
  Value features = Value::array();
#if defined(__x86_64__) || defined(__i386__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("sse4.2")) features.push_back("sse4.2");
  if (__builtin_cpu_supports("avx")) features.push_back("avx");
  if (__builtin_cpu_supports("f16c")) features.push_back("f16c");
  if (__builtin_cpu_supports("fma")) features.push_back("fma");
  if (__builtin_cpu_supports("avx2")) features.push_back("avx2");
  if (__builtin_cpu_supports("avx512f")) features.push_back("avx512f");
  if (__builtin_cpu_supports("avx512bf16")) features.push_back("avx512bf16");
#elif defined(__aarch64__)
  features.push_back("neon");
#endif
  return features;
}

std::string_view architecture() {
#if defined(__x86_64__)
  return "x86_64";
#elif defined(__aarch64__)
  return "aarch64";
#else
  return "other";
#endif
}

/// \return the names that `--require` lists and that do not work here.
std::vector<std::string> lacking(const std::vector<std::string>& required, const std::vector<ComponentStatus>& all) {
  std::vector<std::string> missing, known;
  const std::vector<AdapterDescription> adapter_list = adapters();
  for (const ComponentStatus& component : all) known.push_back(component.name);
  for (const AdapterDescription& adapter : adapter_list) known.push_back(adapter.name);
  const auto works = [&](const std::string& name) {
    return std::any_of(all.begin(), all.end(), [&](const ComponentStatus& c) { return c.name == name && c.loaded; });
  };
  for (const std::string& name : required) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      const std::string near = nearest(name, known);
      throw Error(Code::config,
                  fmt::format("--require {}: no such component or adapter{}", name,
                              near.empty() ? fmt::format("; known are {}", fmt::join(known, ", ")) : "; did you mean " + near + "?"));
    }
    const auto adapter =
        std::find_if(adapter_list.begin(), adapter_list.end(), [&](const AdapterDescription& a) { return a.name == name; });
    const bool there =
        adapter == adapter_list.end() ? works(name) : adapter->built && (adapter->component.empty() || works(adapter->component));
    if (!there) missing.push_back(name);
  }
  return missing;
}

std::string describe(const std::vector<ComponentStatus>& all, const Value& facts) {
  std::vector<std::string> features;
  for (const Value& feature : facts["cpu"]["features"].as_array()) features.push_back(feature.as_string());
  std::string text = fmt::format("vidloom {}\n", facts["vidloom"].as_string());
  text += fmt::format("processor   {} ({}), {} threads{}\n", facts["cpu"]["architecture"].as_string(), fmt::join(features, " "),
                      facts["threads"].as_integer(), std::getenv("VIDLOOM_THREADS") == nullptr ? "" : " by VIDLOOM_THREADS");
  for (const ComponentStatus& component : all) {
    const std::string_view state = component.loaded ? "ok" : component.found ? "broken" : component.built ? "missing" : "later";
    text += fmt::format("\n{:<11} {:<8} {}\n", component.name, state, component.loaded ? component.detail : component.brings);
    if (!component.path.empty()) text += fmt::format("{:<20} {}\n", "", component.path);
    if (component.loaded) continue;
    if (component.found) text += fmt::format("{:<20} {}\n", "", component.detail);
    if (component.built && !component.package.empty()) text += fmt::format("{:<20} add it: {}\n", "", component.package);
    if (!component.built) text += fmt::format("{:<20} not in this version of Vidloom\n", "");
  }
  std::vector<std::string> ready;
  for (const auto& [name, works] : facts["adapters"].as_object()) {
    if (works.as_bool()) ready.push_back(name);
  }
  return text + fmt::format("\nadapters that work here: {}\n", fmt::join(ready, ", "));
}

Value facts_of(const std::vector<ComponentStatus>& all) {
  Value parts = Value::object();
  for (const ComponentStatus& component : all) {
    Value part = Value::object();
    part.set("brings", component.brings).set("package", component.package).set("built", component.built);
    part.set("found", component.found).set("loaded", component.loaded);
    part.set("path", component.path.empty() ? Value() : Value(component.path)).set("detail", component.detail);
    parts.set(component.name, part);
  }
  Value ready = Value::object();
  for (const AdapterDescription& adapter : adapters()) {
    ready.set(adapter.name, adapter.built && (adapter.component.empty() || parts[adapter.component]["loaded"] == Value(true)));
  }
  unsigned threads = std::max(1U, std::thread::hardware_concurrency());
  if (const char* text = std::getenv("VIDLOOM_THREADS"); text != nullptr && std::atoi(text) > 0)
    threads = static_cast<unsigned>(std::atoi(text));
  Value value = Value::object();
  value.set("vidloom", version()).set("threads", threads);
  value.set("cpu", Value::object().set("architecture", architecture()).set("features", cpu_features()));
  return value.set("components", parts).set("adapters", ready);
}

int run(const Arguments& arguments, const Hooks&) {
  const std::vector<ComponentStatus> all = components(true);
  const std::vector<std::string> missing = lacking(arguments.list("--require"), all);
  Value facts = facts_of(all);
  if (arguments.has("--json")) {
    Value list = Value::array();
    for (const std::string& name : missing) list.push_back(name);
    print(facts.set("missing", list).dump(2) + '\n');
  } else {
    print(describe(all, facts));
  }
  if (missing.empty()) return 0;
  Console::error().say(fmt::format("required but missing: {}", fmt::join(missing, ", ")));
  return 1;
}

}  // namespace

Value doctor_value() { return facts_of(components(true)); }

const Command doctor_command{
    "doctor", "[--json] [--require A,B]", "Shows what is built, what is missing and how to add it", notes, flags, 0, 0, run};

}  // namespace vidloom::cli
