#pragma once
/// The table of commands, and what some of them say as values for the Python package.

#include <cli/arguments.hpp>
#include <vidloom/core/value.hpp>
#include <vidloom/registry.hpp>

#include <string>

namespace vidloom::cli {

extern const Command analyze_command, probe_command, adapters_command, doctor_command, schema_command, convert_command, evaluate_command,
    calibrate_command;

/// What `vidloom doctor --json` prints. Loads every component that is there.
Value doctor_value();
/// What `vidloom adapters --json` prints: name -> description.
Value adapters_value();
Value to_value(const AdapterDescription& adapter);
/// What `vidloom probe --json` prints. Throws Error(source, decode).
Value probe_value(const std::string& uri, void (*poll)() = nullptr);

}  // namespace vidloom::cli
