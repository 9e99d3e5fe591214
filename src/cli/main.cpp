#include <cli/command_line.hpp>

#include <fcntl.h>
#include <unistd.h>

namespace {

/// Started with a standard descriptor closed, the first file opened would take its number, and messages would land in results.
/// What is put there instead answers writes to standard output with an error, as a closed descriptor does.
void occupy_standard_descriptors() {
  while (true) {
    const int descriptor = ::open("/dev/null", O_RDONLY);
    if (descriptor > STDERR_FILENO) ::close(descriptor);
    if (descriptor < 0 || descriptor > STDERR_FILENO) return;
  }
}

}  // namespace

int main(int argc, char** argv) {
  occupy_standard_descriptors();
  return vidloom::cli::run({argv + (argc > 0 ? 1 : 0), argv + argc});
}
