#pragma once
/// The command `vidloom`, callable from main() and from the pip package's command.

#include <string>
#include <vector>

namespace vidloom::cli {

/// What the pip package adds to the command.
struct Hooks {
  void (*load_plugin)(const std::string& module) = nullptr;  ///< --plugin; null: refused, naming pip's command
  void (*poll)() = nullptr;                                  ///< called at least every 50 ms while the command waits; may throw to leave
};

/// Runs one command line (arguments without the program's name). \return the exit code of surface 2.1. Never throws, save
/// what a hook throws; then every output is complete.
int run(const std::vector<std::string>& arguments, const Hooks& hooks = {});

}  // namespace vidloom::cli
