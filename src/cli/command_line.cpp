#include <cli/command_line.hpp>

namespace vidloom::cli {
int run(const std::vector<std::string>&, const Hooks&) { return 2; }
}  // namespace vidloom::cli
