#include <cli/command_line.hpp>

int main(int argc, char** argv) { return vidloom::cli::run({argv + 1, argv + argc}); }
