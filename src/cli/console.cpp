#include <cli/console.hpp>

#include <vidloom/core/error.hpp>
#include <vidloom/core/log.hpp>

#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <system_error>

namespace vidloom::cli {
namespace {

/// \return 0 or the errno that ended it.
int write_all(int descriptor, std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t count = ::write(descriptor, text.data(), text.size());
    if (count > 0) {
      text.remove_prefix(static_cast<std::size_t>(count));
    } else if (count < 0 && errno == EAGAIN) {
      pollfd writable{.fd = descriptor, .events = POLLOUT, .revents = 0};
      ::poll(&writable, 1, -1);
    } else if (count == 0 || errno != EINTR) {
      return count == 0 ? EIO : errno;
    }
  }
  return 0;
}

}  // namespace

void print(std::string_view text) {
  const int number = write_all(STDOUT_FILENO, text);
  if (number == EPIPE) throw Error(Code::cancelled, "standard output was closed by its reader");
  if (number != 0) throw Error(Code::output, "cannot write standard output: " + std::generic_category().message(number));
}

Console& Console::error() {
  static Console console;
  return console;
}

void Console::put(std::string_view text) {
  std::string all = status_.empty() ? std::string{} : "\r\033[K";
  all += text;
  all += status_;
  write_all(STDERR_FILENO, all);
}

void Console::say(std::string_view message) { write(fmt::format("vidloom: {}\n", message)); }

void Console::write(std::string_view text) {
  const std::lock_guard lock(mutex_);
  put(text);
}

void Console::status(std::string_view line) {
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
  line = line.substr(0, known ? size.ws_col - 1U : 79U);  // a wrapped line could not be taken away again
  const std::lock_guard lock(mutex_);
  if (line == status_) return;
  write_all(STDERR_FILENO, fmt::format("{}{}", status_.empty() ? "" : "\r\033[K", line));
  status_ = line;
}

void Console::drain_log() {
  std::uint64_t dropped = 0;
  for (const LogRecord& record : take_log(&dropped)) {
    say(fmt::format("{}: {}: {}", to_string(record.level), record.area, record.message));
  }
  if (dropped > 0) say(fmt::format("warning: log: {} further messages were dropped", dropped));
}

PipeGuard::PipeGuard() noexcept {
  struct sigaction now {};
  if (::sigaction(SIGPIPE, nullptr, &now) == 0 && now.sa_handler == SIG_DFL) changed_ = std::signal(SIGPIPE, SIG_IGN) != SIG_ERR;
}

PipeGuard::~PipeGuard() {
  if (changed_) std::signal(SIGPIPE, SIG_DFL);
}

}  // namespace vidloom::cli
