#include <cli/commands.hpp>
#include <cli/console.hpp>
#include <vidloom/core/schema.hpp>

namespace vidloom::cli {
namespace {

constexpr std::string_view notes = R"(result: one line of --jsonl; report: of a segment; analyses: the config file.

  vidloom schema analyses > analyses.schema.json
)";

/// One option in the words of JSON Schema.
Value type_of(const OptionInfo& option) {
  Value type = Value::object();
  if (option.type == "number" || option.type == "integer") type.set("type", option.type);
  if (option.type == "text") type.set("type", "string");
  if (option.type == "bool") type.set("type", "boolean");
  if (option.type == "list") type.set("type", "array");
  if (option.type == "object") type.set("type", "object");
  if (option.minimum) type.set("minimum", *option.minimum);
  if (option.maximum) type.set("maximum", *option.maximum);
  if (!option.choices.empty()) {
    Value choices = Value::array();
    for (const std::string& choice : option.choices) choices.push_back(choice);
    type.set("enum", choices);
  }
  if (!option.fallback.is_null()) type.set("default", option.fallback);
  return type.set("description", option.text);
}

/// The config file's schema with the options of the adapters that are known here, so that editors complete and check them.
Value with_adapters(Value schema) {
  Value rules = Value::array();
  for (const AdapterDescription& adapter : adapters()) {
    if (adapter.any_option) continue;
    Value options = Value::object(), names = Value::array();
    for (const auto& [key, ignored] : schema["$defs"]["analysis"]["properties"].as_object()) names.push_back(key);
    for (const OptionInfo& option : adapter.options) {
      options.set(option.name, type_of(option));
      names.push_back(option.name);
    }
    Value chosen = Value::object();
    chosen.set("required", Value::Array{"adapter"})
        .set("properties", Value::object().set("adapter", Value::object().set("const", adapter.name)));
    Value rule = Value::object().set("properties", options).set("propertyNames", Value::object().set("enum", names));
    rules.push_back(Value::object().set("if", chosen).set("then", rule));
  }
  schema.find("$defs")->find("analysis")->set("allOf", rules);
  return schema;
}

int schema(const Arguments& arguments, const Hooks&) {
  const std::string& name = arguments.positional().front();
  const std::string_view text = schema_text(name);
  print(name == "analyses" ? with_adapters(Value::parse(text)).dump(2) + '\n' : std::string(text));
  return 0;
}

}  // namespace

const Command schema_command{"schema", "result|report|analyses", "Prints a JSON Schema (draft 2020-12)", notes, {}, 1, 1, schema};

}  // namespace vidloom::cli
