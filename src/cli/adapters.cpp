#include <cli/commands.hpp>
#include <cli/console.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace vidloom::cli {
namespace {

constexpr Flag flags[] = {{"--json", "", "as JSON"}};
constexpr std::string_view notes = R"(Without NAME: what there is. With NAME: its options, units, defaults and an example.

  vidloom adapters people
  vidloom adapters --json | jq keys
)";

Value to_value(const OptionInfo& option) {
  Value value = Value::object();
  value.set("type", option.type).set("default", option.fallback).set("text", option.text).set("required", option.required);
  if (option.minimum) value.set("minimum", *option.minimum);
  if (option.maximum) value.set("maximum", *option.maximum);
  if (!option.choices.empty()) {
    Value choices = Value::array();
    for (const std::string& choice : option.choices) choices.push_back(choice);
    value.set("choices", choices);
  }
  return value;
}

std::string range_text(const OptionInfo& option) {
  if (!option.choices.empty()) return fmt::format("{}", fmt::join(option.choices, ", "));
  if (option.minimum && option.maximum) return fmt::format("{:g} to {:g}", *option.minimum, *option.maximum);
  if (option.minimum) return fmt::format("{:g} or more", *option.minimum);
  if (option.maximum) return fmt::format("{:g} or less", *option.maximum);
  return option.type;
}

std::string describe(const AdapterDescription& adapter) {
  std::string text = adapter.summary.empty() ? adapter.name + '\n' : fmt::format("{} - {}\n", adapter.name, adapter.summary);
  if (!adapter.built) text += "not in this version of Vidloom\n";
  text += fmt::format("kind        {}\n", adapter.kind);
  if (!adapter.component.empty()) text += fmt::format("component   {}\n", adapter.component);
  if (!adapter.raw_score.empty()) text += fmt::format("raw_score   {}\n", adapter.raw_score);
  if (adapter.any_option) {
    text += "\nIts options are its own: Vidloom hands them over unchecked.\n";
  } else if (adapter.options.empty()) {
    text += "\nIt has no options of its own.\n";
  } else {
    text += fmt::format("\n{:<16} {:<12} {:<18} {}\n", "option", "default", "values", "meaning");
    for (const OptionInfo& option : adapter.options) {
      const std::string fallback = option.required ? "required" : option.fallback.is_null() ? "-" : option.fallback.dump();
      text += fmt::format("{:<16} {:<12} {:<18} {}\n", option.name, fallback, range_text(option), option.text);
    }
  }
  text += "\nEvery analysis also has every, tolerance, deadline (seconds), min_confidence (0 to 1), where.\n";
  if (!adapter.example.empty()) text += fmt::format("\n  {}\n", adapter.example);
  return text;
}

int run(const Arguments& arguments, const Hooks&) {
  if (!arguments.positional().empty()) {
    const AdapterDescription adapter = adapter_description(arguments.positional().front());
    print(arguments.has("--json") ? vidloom::cli::to_value(adapter).dump(2) + '\n' : describe(adapter));
    return 0;
  }
  if (arguments.has("--json")) {
    print(adapters_value().dump(2) + '\n');
    return 0;
  }
  std::string text = fmt::format("{:<14} {:<8} {}\n", "adapter", "kind", "what it finds");
  for (const AdapterDescription& adapter : adapters()) {
    text += fmt::format("{:<14} {:<8} {}{}\n", adapter.name, adapter.kind, adapter.summary, adapter.built ? "" : " (not in this version)");
  }
  print(text);
  return 0;
}

}  // namespace

Value to_value(const AdapterDescription& adapter) {
  Value options = Value::object();
  for (const OptionInfo& option : adapter.options) options.set(option.name, to_value(option));
  Value value = Value::object();
  value.set("summary", adapter.summary).set("kind", adapter.kind).set("built", adapter.built);
  value.set("component", adapter.component.empty() ? Value() : Value(adapter.component)).set("raw_score", adapter.raw_score);
  value.set("options", options).set("any_option", adapter.any_option).set("example", adapter.example);
  return value;
}

Value adapters_value() {
  Value all = Value::object();
  for (const AdapterDescription& adapter : adapters()) all.set(adapter.name, to_value(adapter));
  return all;
}

const Command adapters_command{"adapters", "[NAME] [--json]", "Shows what can be looked for, with options and units", notes, flags, 0, 1,
                               run};

}  // namespace vidloom::cli
