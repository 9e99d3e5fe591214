#include <core/builtin.hpp>
#include <core/catalogue.hpp>
#include <core/registry.hpp>
#include <vidloom/core/error.hpp>

#include <pthread.h>

#include <algorithm>
#include <cmath>
#include <new>
#include <utility>

namespace vidloom {
inline namespace v0 {
namespace {

std::string in_quotes(std::string_view name) { return "'" + std::string(name) + "'"; }

/// "; did you mean 'people'?", or the known ones.
std::string hint(std::string_view name, const std::vector<std::string>& known) {
  if (const std::string near = nearest(name, known); !near.empty()) return "; did you mean " + in_quotes(near) + "?";
  std::string all;
  for (const std::string& one : known) all += (all.empty() ? "" : ", ") + one;
  return all.empty() ? "" : "; use one of " + all;
}

void check_name(std::string_view what, std::string_view name) {
  const bool plain = std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' || c == '+';
  });
  if (name.empty()) throw Error(Code::config, std::string(what) + " name is empty; give it one");
  if (!plain) throw Error(Code::config, std::string(what) + " name " + in_quotes(name) + " holds other than letters, digits, _ - . +");
}

std::vector<std::string> adapter_names() {
  std::vector<std::string> names;
  for (const AdapterDescription& one : adapters()) names.push_back(one.name);
  return names;
}

/// The built-in one first: its names cannot be taken.
std::optional<AdapterDescription> find_description(std::string_view name) {
  if (const AdapterDescription* known = find_known_adapter(name)) return *known;
  RegistryTables& tables = registry_tables();
  const std::lock_guard lock(tables.mutex);
  const auto found = tables.adapters.find(name);
  if (found == tables.adapters.end()) return {};
  return found->second.description;
}

bool has_type(const Value& value, std::string_view type) noexcept {
  if (type == "number") return value.is_number();
  if (type == "integer")
    return value.is_integer() || (value.is_number() && std::abs(value.as_real()) < 1e15 && std::trunc(value.as_real()) == value.as_real());
  if (type == "text") return value.is_string();
  if (type == "bool") return value.is_bool();
  if (type == "list") return value.is_array();
  if (type == "object") return value.is_object();
  return true;
}

std::string_view type_words(std::string_view type) noexcept {
  if (type == "number") return "a number";
  if (type == "integer") return "a whole number";
  if (type == "text") return "a text";
  if (type == "bool") return "true or false";
  if (type == "list") return "a list";
  if (type == "object") return "an object";
  return "a value";
}

std::string bound_text(double bound) {
  return std::trunc(bound) == bound ? std::to_string(static_cast<std::int64_t>(bound)) : Value(bound).dump();
}

/// \return what is wrong with the value, such as "is 99; use a whole number from 1 to 16", or "".
std::string complaint(const OptionInfo& option, const Value& value) {
  const std::string is = "is " + value.dump() + "; use ";
  if (!has_type(value, option.type)) return is + std::string(type_words(option.type));
  if (value.is_number() && option.type != "any") {
    const double number = value.as_real();
    const bool fits = std::isfinite(number) && number >= option.minimum.value_or(number) && number <= option.maximum.value_or(number);
    if (!fits) {
      std::string range;
      if (option.minimum && option.maximum) {
        range = " from " + bound_text(*option.minimum) + " to " + bound_text(*option.maximum);
      } else if (option.minimum) {
        range = " of " + bound_text(*option.minimum) + " or more";
      } else if (option.maximum) {
        range = " of " + bound_text(*option.maximum) + " or less";
      }
      return is + std::string(type_words(option.type)) + range;
    }
  }
  if (!option.choices.empty() && std::ranges::find(option.choices, value.as_string()) == option.choices.end()) {
    std::string all;
    for (const std::string& one : option.choices) all += (all.empty() ? "" : ", ") + one;
    return is + "one of " + all;
  }
  return {};
}

/// \return the options with defaults filled in. Throws Error(config).
Value checked_options(const AdapterDescription& adapter, const AdapterSpec& spec, std::string_view field) {
  Value options = spec.options && !spec.options->is_null() ? *spec.options : Value::object();
  // The options stand beside the adapter's name: "analyses.gate.adapter" and "analyses.gate.stride".
  const std::string_view place = field.ends_with("adapter") ? field.substr(0, field.size() - 7) : field;
  const std::string prefix = std::string(place) + (place.empty() || place.ends_with('.') ? "" : ".");
  const std::string tail = " (adapter " + in_quotes(adapter.name) + ")";
  if (!options.is_object()) throw Error(Code::config, prefix + "options is " + std::string(options.type_name()) + "; use an object" + tail);
  if (adapter.any_option) return options;

  std::vector<std::string> known;
  for (const OptionInfo& option : adapter.options) known.push_back(option.name);
  for (const auto& [name, value] : options.as_object()) {
    const auto found = std::ranges::find(adapter.options, name, &OptionInfo::name);
    if (found == adapter.options.end()) {
      const std::string advice = known.empty() ? "; it has no options" : hint(name, known);
      throw Error(Code::config, prefix + name + " is no option of adapter " + in_quotes(adapter.name) + advice);
    }
    if (value.is_null()) continue;  // as if it were not there
    if (const std::string wrong = complaint(*found, value); !wrong.empty()) throw Error(Code::config, prefix + name + " " + wrong + tail);
  }
  if (const auto [option, wrong] = broken_rule(adapter.name, options); !wrong.empty()) {
    throw Error(Code::config, prefix + option + " " + wrong + tail);
  }
  if (!adapter.built) return options;
  for (const OptionInfo& option : adapter.options) {
    if (!options[option.name].is_null()) continue;
    if (option.required)
      throw Error(Code::config, prefix + option.name + " is missing; adapter " + in_quotes(adapter.name) + " needs it: " + option.text);
    if (!option.fallback.is_null()) options.set(option.name, option.fallback);
  }
  return options;
}

std::pair<AdapterDescription, Value> checked(const AdapterSpec& spec, std::string_view field) {
  if (spec.adapter.empty()) throw Error(Code::config, std::string(field) + " is empty; name an adapter, such as people");
  const std::optional<AdapterDescription> adapter = find_description(spec.adapter);
  if (!adapter) {
    throw Error(Code::config, std::string(field) + " is " + in_quotes(spec.adapter) + ", which is no known adapter" +
                                  hint(spec.adapter, adapter_names()));
  }
  Value options = checked_options(*adapter, spec, field);
  if (!adapter->built) {
    throw Error(Code::not_built, "adapter " + in_quotes(spec.adapter) + " (" + adapter->summary +
                                     ") is not part of Vidloom " VIDLOOM_VERSION "; `vidloom adapters` lists those that are");
  }
  return {*adapter, std::move(options)};
}

std::string needed_for(std::string_view adapter) { return "adapter " + in_quotes(adapter); }

constexpr std::string_view own_schemes[] = {"file", "lavfi", "test"};
constexpr std::string_view own_sinks[] = {"annotate", "jsonl", "lines", "null", "report", "sheet", "video"};

template <class Map, class Names>
std::vector<std::string> with_own(const Map& registered, const Names& own) {
  std::vector<std::string> names(std::begin(own), std::end(own));
  for (const auto& [name, factory] : registered) names.push_back(name);
  std::ranges::sort(names);
  return names;
}

}  // namespace

RegistryTables& registry_tables() {
  static RegistryTables* const tables = [] {
    static RegistryTables* made = new RegistryTables;
    // A fork waits for the tables to be whole; the child then has its own locks, and a load that another thread had begun
    // starts again there.
    pthread_atfork([] { made->mutex.lock(); }, [] { made->mutex.unlock(); },
                   [] {
                     new (&made->mutex) std::mutex;
                     new (&made->changed) std::condition_variable;
                     for (auto& [name, component] : made->components) {
                       if (component.state == RegistryTables::Component::State::loading)
                         component.state = RegistryTables::Component::State::known;
                     }
                   });
    return made;
  }();
  return *tables;
}

bool RegistryTables::has_component(std::string_view name) {
  const std::lock_guard lock(mutex);
  const auto found = components.find(name);
  return found != components.end() && (found->second.linked || found->second.state == Component::State::loaded);
}

void RegistryTables::link(std::string_view name, ComponentEntry entry) {
  const std::lock_guard lock(mutex);
  components[std::string(name)].linked = entry;
}

void RegistryTables::describe(ComponentStatus& status) {
  const std::lock_guard lock(mutex);
  const auto found = components.find(status.name);
  if (found == components.end() || found->second.state != Component::State::loaded) return;
  status.loaded = true;
  status.path = found->second.path;
  status.detail = found->second.parts.description;
}

SourceFactory RegistryTables::component_source(std::string_view name) {
  const std::lock_guard lock(mutex);
  for (const auto& [unused, component] : components) {
    const auto found = component.parts.sources.find(name);
    if (found != component.parts.sources.end()) return found->second;
  }
  return {};
}

SinkFactory RegistryTables::component_sink(std::string_view name) {
  const std::lock_guard lock(mutex);
  for (const auto& [unused, component] : components) {
    const auto found = component.parts.sinks.find(name);
    if (found != component.parts.sinks.end()) return found->second;
  }
  return {};
}

AdapterFactory RegistryTables::component_adapter(std::string_view name) {
  const std::lock_guard lock(mutex);
  for (const auto& [unused, component] : components) {
    const auto found = component.parts.adapters.find(name);
    if (found != component.parts.adapters.end()) return found->second;
  }
  return {};
}

ComponentLoad::ComponentLoad(RegistryTables& tables, std::string_view name) : tables_(tables), name_(name) {
  using State = RegistryTables::Component::State;
  std::unique_lock lock(tables_.mutex);
  RegistryTables::Component& component = tables_.components[name_];
  tables_.changed.wait(lock, [&] { return component.state != State::loading; });
  done_ = component.state == State::loaded;
  if (!done_) component.state = State::loading;
  linked_ = component.linked;
}

ComponentLoad::~ComponentLoad() {
  if (done_) return;
  {
    const std::lock_guard lock(tables_.mutex);
    tables_.components[name_].state = RegistryTables::Component::State::known;
  }
  tables_.changed.notify_all();
}

void ComponentLoad::commit(ComponentParts parts, const std::string& path) {
  {
    const std::lock_guard lock(tables_.mutex);
    RegistryTables::Component& component = tables_.components[name_];
    component.parts.adapters = std::move(parts.adapters);
    component.parts.sources = std::move(parts.sources);
    component.parts.sinks = std::move(parts.sinks);
    component.parts.converter = std::move(parts.converter);
    component.parts.tensor_writer = std::move(parts.tensor_writer);
    component.parts.picture_encoder = std::move(parts.picture_encoder);
    component.parts.text_renderer = std::move(parts.text_renderer);
    component.parts.description = std::move(parts.description);
    component.path = path;
    component.state = RegistryTables::Component::State::loaded;
    if (component.parts.converter) tables_.converter.store(component.parts.converter.get(), std::memory_order_release);
    if (component.parts.tensor_writer) tables_.tensor_writer.store(component.parts.tensor_writer.get(), std::memory_order_release);
    if (component.parts.picture_encoder) tables_.picture_encoder.store(component.parts.picture_encoder.get(), std::memory_order_release);
    if (component.parts.text_renderer) tables_.text_renderer.store(component.parts.text_renderer.get(), std::memory_order_release);
    done_ = true;
  }
  tables_.changed.notify_all();
}

void register_adapter(std::string name, AdapterFactory factory) {
  AdapterDescription description{.name = std::move(name), .summary = "registered by this program", .kind = "object", .any_option = true};
  register_adapter(std::move(description), std::move(factory));
}

void register_adapter(AdapterDescription description, AdapterFactory factory) {
  check_name("adapter", description.name);
  if (find_known_adapter(description.name)) {
    throw Error(Code::config, "adapter name " + in_quotes(description.name) + " is taken by Vidloom's own adapter; choose another");
  }
  if (!factory) throw Error(Code::config, "adapter " + in_quotes(description.name) + " has no factory; give a function that makes it");
  RegistryTables& tables = registry_tables();
  std::string name = description.name;
  const std::lock_guard lock(tables.mutex);
  tables.adapters.insert_or_assign(std::move(name), RegistryTables::UserAdapter{std::move(description), std::move(factory)});
}

void register_source(std::string scheme, SourceFactory factory) {
  check_name("source", scheme);
  if (scheme.size() == 1)
    throw Error(Code::config, "source name " + in_quotes(scheme) + " is one letter, which reads as a drive; use two or more");
  if (std::ranges::find(own_schemes, scheme) != std::end(own_schemes) || !reserved_scheme(scheme).empty()) {
    throw Error(Code::config, "source name " + in_quotes(scheme) + " is taken by Vidloom's own source; choose another");
  }
  if (!factory) throw Error(Code::config, "source " + in_quotes(scheme) + " has no factory; give a function that makes it");
  RegistryTables& tables = registry_tables();
  const std::lock_guard lock(tables.mutex);
  tables.sources.insert_or_assign(std::move(scheme), std::move(factory));
}

void register_sink(std::string name, SinkFactory factory) {
  check_name("sink", name);
  if (name.size() == 1)
    throw Error(Code::config, "sink name " + in_quotes(name) + " is one letter, which reads as a drive; use two or more");
  if (std::ranges::find(own_sinks, name) != std::end(own_sinks) || !reserved_sink(name).empty()) {
    throw Error(Code::config, "sink name " + in_quotes(name) + " is taken by Vidloom's own sink; choose another");
  }
  if (!factory) throw Error(Code::config, "sink " + in_quotes(name) + " has no factory; give a function that makes it");
  RegistryTables& tables = registry_tables();
  const std::lock_guard lock(tables.mutex);
  tables.sinks.insert_or_assign(std::move(name), std::move(factory));
}

std::vector<AdapterDescription> adapters() {
  std::vector<AdapterDescription> all = known_adapters();
  {
    RegistryTables& tables = registry_tables();
    const std::lock_guard lock(tables.mutex);
    for (const auto& [name, adapter] : tables.adapters) all.push_back(adapter.description);
  }
  std::ranges::sort(all, {}, &AdapterDescription::name);
  return all;
}

AdapterDescription adapter_description(std::string_view name) {
  std::optional<AdapterDescription> found = find_description(name);
  if (!found) throw Error(Code::config, in_quotes(name) + " is no known adapter" + hint(name, adapter_names()));
  return std::move(*found);
}

std::vector<std::string> source_schemes() {
  RegistryTables& tables = registry_tables();
  const std::lock_guard lock(tables.mutex);
  return with_own(tables.sources, own_schemes);
}

std::vector<std::string> sink_names() {
  RegistryTables& tables = registry_tables();
  const std::lock_guard lock(tables.mutex);
  return with_own(tables.sinks, own_sinks);
}

void check_adapter(const AdapterSpec& spec, std::string_view field) {
  const auto [adapter, options] = checked(spec, field);
  if (!adapter.component.empty()) expect_component(adapter.component, needed_for(adapter.name));
}

std::unique_ptr<DetectionAdapter> make_adapter(const AdapterSpec& spec) {
  const auto [adapter, options] = checked(spec, "adapter");
  AdapterFactory factory;
  if (adapter.name == "visual") {
    factory = make_visual;
  } else if (!adapter.component.empty() && find_known_adapter(adapter.name)) {
    require_component(adapter.component, needed_for(adapter.name));
    factory = registry_tables().component_adapter(adapter.name);
    if (!factory)
      throw Error(Code::internal, "the component " + in_quotes(adapter.component) + " brought no adapter " + in_quotes(adapter.name));
  } else {
    RegistryTables& tables = registry_tables();
    const std::lock_guard lock(tables.mutex);
    factory = tables.adapters.at(adapter.name).factory;
  }
  std::unique_ptr<DetectionAdapter> made = factory(options);
  if (!made) throw Error(Code::model, "the factory of adapter " + in_quotes(adapter.name) + " made nothing");
  return made;
}

std::unique_ptr<Sink> make_sink(const std::string& uri, const Value& options) {
  const std::size_t colon = std::min(uri.find(':'), uri.size());
  const std::string name = uri.substr(0, colon);
  Value all = options.is_null() ? Value::object() : options;
  if (!all.is_object())
    throw Error(Code::config, "the options of sink " + in_quotes(redact(uri)) + " are " + std::string(all.type_name()) + "; use an object");
  all.set("uri", uri);
  SinkFactory factory;
  if (name == "jsonl") {
    factory = make_jsonl_sink;
  } else if (name == "lines") {
    factory = make_lines_sink;
  } else if (name == "null") {
    factory = make_null_sink;
  } else if (name == "annotate") {
    factory = make_annotate_sink;
  } else if (name == "report") {
    factory = make_report_sink;
  } else if (name == "sheet") {
    factory = make_sheet_sink;
  } else if (name == "video") {
    factory = make_video_sink;
  } else {
    RegistryTables& tables = registry_tables();
    const std::lock_guard lock(tables.mutex);
    if (const auto found = tables.sinks.find(name); found != tables.sinks.end()) factory = found->second;
  }
  if (!factory) {
    if (const std::string_view missing = reserved_sink(name); !missing.empty()) {
      throw Error(Code::not_built,
                  "sink " + in_quotes(redact(uri)) + ": " + std::string(missing) + " are not part of Vidloom " VIDLOOM_VERSION);
    }
    throw Error(Code::config,
                "sink " + in_quotes(redact(uri)) + " names no known sink" + hint(name, sink_names()) + " (as in jsonl:out.jsonl)");
  }
  std::unique_ptr<Sink> made = factory(all);
  if (!made) throw Error(Code::output, "the factory of sink " + in_quotes(name) + " made nothing");
  return made;
}

}  // namespace v0
}  // namespace vidloom
