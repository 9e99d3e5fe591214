#pragma once
/// What the command says: data on standard output, messages and progress on standard error.

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

namespace vidloom::cli {

/// Writes all of it at once. Throws Error(output) when it does not fit, Error(cancelled) when the reader went away.
void print(std::string_view text);

/// Thread-safe; a message never lands in the middle of the progress line.
class Console {
 public:
  static Console& error();
  /// "vidloom: message" and a newline.
  void say(std::string_view message);
  /// Lines as they are.
  void write(std::string_view text);
  /// Replaces the progress line of a terminal; "" takes it away.
  void status(std::string_view line);
  /// Says what waits in the library's log.
  void drain_log();

 private:
  void put(std::string_view text);
  std::mutex mutex_;
  std::string status_;
};

/// Ignores SIGPIPE while it lives, so that a closed pipe is an error of write() and not the end of the process.
class PipeGuard {
 public:
  PipeGuard() noexcept;
  ~PipeGuard();
  PipeGuard(const PipeGuard&) = delete;
  PipeGuard& operator=(const PipeGuard&) = delete;

 private:
  bool changed_ = false;
};

}  // namespace vidloom::cli
