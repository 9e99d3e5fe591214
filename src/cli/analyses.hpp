#pragma once
/// Which analyses a command line asks for: --detect, --config, --every, --set and their short forms.

#include <cli/arguments.hpp>
#include <vidloom/analyzer.hpp>

#include <vector>

namespace vidloom::cli {

/// Checked, nothing loaded. Throws Error(config) naming field, value and fix, Error(not_built) naming what is missing.
std::vector<AnalysisSpec> analyses_of(const Arguments& arguments);

/// \return --device, VIDLOOM_DEVICE or "auto". Throws Error(config).
std::string device_of(const Arguments& arguments);

}  // namespace vidloom::cli
