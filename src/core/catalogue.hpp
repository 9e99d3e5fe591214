#pragma once
/// The table of built-in names: what there is, which component brings it, and what comes with a later version.

#include <vidloom/registry.hpp>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vidloom {
inline namespace v0 {

struct ComponentEntryInfo {
  std::string_view name, brings;
  std::string_view package;  ///< the command that installs it; "" where it is not built in this version
};
std::span<const ComponentEntryInfo> known_components() noexcept;

/// Built-in adapters, reserved ones included, sorted by name.
const std::vector<AdapterDescription>& known_adapters();
const AdapterDescription* find_known_adapter(std::string_view name);
/// Rules between the options of a built-in adapter, or of one option's value beyond type and range.
/// \return the option that breaks one and how, such as {"stride", "is 12; use a multiple of 8"}, or an empty pair.
std::pair<std::string, std::string> broken_rule(std::string_view adapter, const Value& options);

/// Names that are known but come with a later version: schemes of sources, names of sinks.
/// \return what is missing, or "" for any other name.
std::string_view reserved_scheme(std::string_view scheme);
std::string_view reserved_sink(std::string_view name);

}  // namespace v0
}  // namespace vidloom
