#pragma once
/// Where the results of `analyze` go.

#include <cli/arguments.hpp>
#include <vidloom/sink.hpp>

#include <memory>
#include <string>
#include <vector>

namespace vidloom::cli {

struct Outputs {
  std::vector<std::shared_ptr<Sink>> sinks;
  std::vector<std::string> files;  ///< for the summary
  bool on_stdout = false;          ///< one of them writes standard output
};

/// What needs a part that is missing is refused before anything is created; then every output is opened. Throws Error(config,
/// not_built, output).
/// \param sources  as typed: none of them may be written to.
Outputs open_outputs(const Arguments& arguments, const std::vector<std::string>& sources);

}  // namespace vidloom::cli
