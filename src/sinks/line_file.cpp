#include <sinks/line_file.hpp>

#include <vidloom/core/log.hpp>
#include <vidloom/core/value.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace vidloom {
inline namespace v0 {
namespace {

std::string reason(int number) { return std::generic_category().message(number); }

Error cannot_open(const std::string& path, int number) {
  std::string hint;
  if (number == ENOENT || number == ENOTDIR) hint = "; does its folder exist?";
  return {Code::output, "cannot write " + path + ": " + reason(number) + hint};
}

int open_retrying(const char* path, int flags) noexcept {
  int descriptor = -1;
  do descriptor = ::open(path, flags | O_CLOEXEC, 0666);
  while (descriptor < 0 && errno == EINTR);
  return descriptor;
}

/// \return bytes written: less than asked only with errno set.
std::size_t write_all(int descriptor, std::string_view bytes) noexcept {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::write(descriptor, bytes.data() + done, bytes.size() - done);
    if (count > 0) {
      done += static_cast<std::size_t>(count);
    } else if (count < 0 && errno == EAGAIN) {  // somebody made the shared end of a pipe non-blocking
      pollfd writable{.fd = descriptor, .events = POLLOUT, .revents = 0};
      ::poll(&writable, 1, -1);
    } else if (count == 0 || errno != EINTR) {
      if (count == 0) errno = EIO;
      break;
    }
  }
  return done;
}

bool reads_as_json(std::string_view text) {
  try {
    Value::parse(text);
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

LineFile::LineFile(std::string path, LineFileOptions options) : path_(std::move(path)), owner_(::getpid()) {
  if (options.overwrite && options.append) {
    throw Error(Code::config, "overwrite and append are both set for " + path_ + "; use one of them");
  }
  if (path_.empty()) throw Error(Code::config, "the name of the output file is empty; use a file name, or - for standard output");
  if (path_ == "-") {
    file_ = FileHandle(STDOUT_FILENO, false);
    struct stat status {};
    if (::fstat(file_.get(), &status) != 0) throw Error(Code::output, "standard output is closed: " + reason(errno));
    return;
  }
  file_ = FileHandle(open_retrying(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_EXCL));
  created_ = static_cast<bool>(file_);
  if (created_) return;
  if (errno != EEXIST) throw cannot_open(path_, errno);
  open_existing(options);
}

void LineFile::open_existing(const LineFileOptions& options) {
  struct stat status {};
  if (::stat(path_.c_str(), &status) != 0) throw cannot_open(path_, errno);
  if (!S_ISREG(status.st_mode)) {  // /dev/stdout, a named pipe: there is nothing in it to lose
    file_ = FileHandle(open_retrying(path_.c_str(), O_WRONLY | O_APPEND));
    if (!file_) throw cannot_open(path_, errno);
    return;
  }
  if (!options.overwrite && !options.append) {
    throw Error(Code::output, path_ + " exists; choose another name, or say overwrite (-y) or append");
  }
  file_ = FileHandle(open_retrying(path_.c_str(), O_RDWR | O_APPEND));
  if (!file_) throw cannot_open(path_, errno);
  if (options.append) repair_tail();
  empty_first_ = options.overwrite;
}

void LineFile::repair_tail() {
  struct stat status {};
  if (::fstat(file_.get(), &status) != 0) throw cannot_open(path_, errno);
  if (status.st_size == 0) return;
  char first = 0;
  if (::pread(file_.get(), &first, 1, 0) != 1 || first != '{') {
    throw Error(Code::output, path_ + " is not a file of JSON lines, so nothing is appended to it; choose another name");
  }
  std::string tail;  // what follows the last newline
  std::array<char, 4096> block{};
  off_t begin = status.st_size;
  while (begin > 0) {
    const auto length = static_cast<std::size_t>(std::min<off_t>(begin, static_cast<off_t>(block.size())));
    const off_t from = begin - static_cast<off_t>(length);
    if (::pread(file_.get(), block.data(), length, from) != static_cast<ssize_t>(length)) throw cannot_open(path_, EIO);
    const std::string_view text(block.data(), length);
    const std::size_t newline = text.rfind('\n');
    tail.insert(0, text.substr(newline == std::string_view::npos ? 0 : newline + 1));
    begin = from;
    if (newline != std::string_view::npos) break;
  }
  if (tail.empty()) return;
  if (reads_as_json(tail)) {  // whole, only its newline is missing
    if (write_all(file_.get(), "\n") != 1) throw cannot_open(path_, errno);
    return;
  }
  if (::ftruncate(file_.get(), status.st_size - static_cast<off_t>(tail.size())) != 0) throw cannot_open(path_, errno);
  log(LogLevel::warning, "sink", path_ + ": cut off the torn last line (" + std::to_string(tail.size()) + " bytes) of a killed run");
}

LineFile::~LineFile() {
  if (created_ && !written_ && owner_ == ::getpid()) ::unlink(path_.c_str());
}

void LineFile::write(std::string_view line) {
  const std::lock_guard lock(mutex_);
  if (broken_) throw *broken_;
  if (empty_first_) {
    if (::ftruncate(file_.get(), 0) != 0) throw *(broken_ = Error(Code::output, "cannot empty " + path_ + ": " + reason(errno)));
    empty_first_ = false;
  }
  const std::size_t done = write_all(file_.get(), line);
  if (done == line.size()) {
    written_ = true;
    return;
  }
  const int number = errno;
  const std::string name = path_ == "-" ? "standard output" : path_;
  if (number == EPIPE) throw *(broken_ = Error(Code::cancelled, name + " was closed by its reader"));
  take_back(done);
  throw *(broken_ = Error(Code::output, "cannot write " + name + ": " + reason(number) + "; all lines in it are whole"));
}

void LineFile::take_back(std::size_t written) noexcept {
  struct stat status {};
  const off_t end = ::lseek(file_.get(), 0, SEEK_CUR);
  if (written == 0 || end < static_cast<off_t>(written) || ::fstat(file_.get(), &status) != 0) return;
  if (!S_ISREG(status.st_mode) || status.st_size != end) return;  // another process has written behind our piece
  while (::ftruncate(file_.get(), end - static_cast<off_t>(written)) != 0 && errno == EINTR) {
  }
  ::lseek(file_.get(), end - static_cast<off_t>(written), SEEK_SET);  // standard output need not be in append mode
}

}  // namespace v0
}  // namespace vidloom
