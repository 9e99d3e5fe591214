#include <sources/ffmpeg/file_input.hpp>

#include <vidloom/core/waiting.hpp>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vidloom {

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = other.release();
  }
  return *this;
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

int Descriptor::release() noexcept { return std::exchange(fd_, -1); }

WakeUp::WakeUp() : event_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (event_.get() < 0) throw Error(Code::source, std::string("no file descriptor left: ") + std::strerror(errno), true);
}

void WakeUp::set() noexcept {
  set_.store(true, std::memory_order_release);
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(event_.get(), &one, sizeof one);
}

void WakeUp::clear() noexcept {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto taken = ::read(event_.get(), &count, sizeof count);
  set_.store(false, std::memory_order_release);
  thrown_ = nullptr;
}

int WakeUp::wait_for(int fd) const noexcept {
  constexpr int milliseconds = 50;
  const std::function<void()>* const call = WhileWaiting::current();
  for (;;) {
    pollfd waits[] = {{fd, POLLIN, 0}, {event_.get(), POLLIN, 0}};
    const int ready = ::poll(waits, 2, call ? milliseconds : -1);
    if (ready < 0 && errno != EINTR) return errno;
    if (is_set()) return EINTR;
    if (ready > 0 && waits[0].revents != 0) return 0;
    if (!call) continue;
    try {
      (*call)();
    } catch (...) {  // C code lies between here and whoever may catch it
      thrown_ = std::current_exception();
      set_.store(true, std::memory_order_release);
      return EINTR;
    }
  }
}

void WakeUp::throw_reason(const std::string& path) const {
  if (thrown_) std::rethrow_exception(thrown_);
  throw Error(Code::cancelled, path + ": reading was stopped");
}

std::string path_of(const std::string& uri) {
  if (!uri.starts_with("file:")) return uri;
  std::string path = uri.substr(5);
  if (path.starts_with("//localhost/")) path.erase(0, 11);
  if (path.starts_with("//")) path.erase(0, 2);
  return path;
}

Descriptor open_for_reading(const std::string& path) {
  // Without O_NONBLOCK a named pipe would block here until somebody writes, out of reach of interrupt().
  Descriptor file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (file.get() < 0) {
    switch (errno) {
      case ENOENT:
      case ENOTDIR: throw Error(Code::source, path + ": no such file");
      case EACCES:
      case EPERM: throw Error(Code::source, path + ": no permission to read it");
      case EMFILE:
      case ENFILE: throw Error(Code::source, path + ": too many files are open", true);
      default: throw Error(Code::source, path + ": cannot be opened: " + std::strerror(errno));
    }
  }
  return file;
}

FileInput::FileInput(const std::string& path, const WakeUp& stop) : stop_(stop), file_(open_for_reading(path)) {
  struct stat status {};
  if (::fstat(file_.get(), &status) != 0) throw Error(Code::source, path + ": " + std::strerror(errno));
  if (S_ISDIR(status.st_mode)) throw Error(Code::source, path + " is a folder, not a video file");
  seekable_ = S_ISREG(status.st_mode);
  if (seekable_) {
    size_ = status.st_size;
    if (size_ == 0) throw Error(Code::source, path + " is empty (0 bytes)");
  }
  constexpr int buffer_size = 1 << 16;
  auto* buffer = static_cast<unsigned char*>(av::allocated(av_malloc(buffer_size)));
  context_ = avio_alloc_context(buffer, buffer_size, 0, this, &FileInput::read, nullptr, seekable_ ? &FileInput::seek : nullptr);
  if (!context_) {
    av_free(buffer);
    throw std::bad_alloc();
  }
  context_->seekable = seekable_ ? AVIO_SEEKABLE_NORMAL : 0;
}

FileInput::~FileInput() {
  if (context_) av_freep(&context_->buffer);
  avio_context_free(&context_);
}

int FileInput::read(void* opaque, std::uint8_t* to, int bytes) noexcept {
  auto& self = *static_cast<FileInput*>(opaque);
  for (;;) {
    if (self.stop_.is_set()) return AVERROR_EXIT;
    if (!self.seekable_) {
      const int failure = self.stop_.wait_for(self.file_.get());
      if (failure == EINTR) continue;
      if (failure != 0) {
        self.failure_ = failure;
        return AVERROR(failure);
      }
    }
    const auto got = ::read(self.file_.get(), to, static_cast<std::size_t>(bytes));
    if (got > 0) return static_cast<int>(got);
    if (got == 0) return AVERROR_EOF;
    if (errno == EINTR || errno == EAGAIN) continue;
    self.failure_ = errno;
    return AVERROR(errno);
  }
}

std::int64_t FileInput::seek(void* opaque, std::int64_t offset, int whence) noexcept {
  auto& self = *static_cast<FileInput*>(opaque);
  if (whence == AVSEEK_SIZE) {
    // Asked anew: a recording may still be growing.
    struct stat status {};
    return ::fstat(self.file_.get(), &status) == 0 ? status.st_size : AVERROR(errno);
  }
  const auto at = ::lseek(self.file_.get(), offset, whence & ~AVSEEK_FORCE);
  return at < 0 ? AVERROR(errno) : at;
}

FileBytes FileInput::head(std::size_t bytes) const { return part(0, bytes); }

FileBytes FileInput::tail(std::size_t bytes) const {
  const auto wanted = static_cast<std::int64_t>(bytes);
  return part(size_ > wanted ? size_ - wanted : 0, bytes);
}

FileBytes FileInput::part(std::int64_t at, std::size_t bytes) const {
  FileBytes found(bytes);
  const auto got = seekable_ ? ::pread(file_.get(), found.data(), bytes, at) : 0;
  found.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return found;
}

}  // namespace vidloom
