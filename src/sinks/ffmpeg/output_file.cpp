#include <sinks/ffmpeg/output_file.hpp>

#include <vidloom/core/error.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace vidloom {
namespace {

int open_retrying(const char* path, int flags) noexcept {
  int descriptor = -1;
  do descriptor = ::open(path, flags | O_CLOEXEC, 0666);
  while (descriptor < 0 && errno == EINTR);
  return descriptor;
}

Error cannot_open(const std::string& path, int number) {
  const char* hint = number == ENOENT || number == ENOTDIR ? "; does its folder exist?" : "";
  return {Code::output, "cannot write " + path + ": " + std::generic_category().message(number) + hint};
}

}  // namespace

OutputFile::OutputFile(std::string path, bool overwrite) : path_(std::move(path)), owner_(::getpid()) {
  file_ = FileHandle(open_retrying(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL));
  created_ = static_cast<bool>(file_);
  if (created_) return;
  if (errno != EEXIST) throw cannot_open(path_, errno);
  struct stat status {};
  if (::stat(path_.c_str(), &status) != 0) throw cannot_open(path_, errno);
  regular_ = S_ISREG(status.st_mode);
  if (regular_ && !overwrite) throw Error(Code::output, path_ + " exists; choose another name, or say overwrite (-y)");
  file_ = FileHandle(open_retrying(path_.c_str(), O_WRONLY));
  if (!file_) throw cannot_open(path_, errno);
  empty_first_ = regular_;
}

OutputFile::~OutputFile() {
  if (created_ && written_ == 0 && owner_ == ::getpid()) ::unlink(path_.c_str());
}

int OutputFile::write(std::span<const std::byte> bytes) noexcept {
  if (failure_ != 0) return failure_;
  if (std::exchange(empty_first_, false) && ::ftruncate(file_.get(), 0) != 0) return failure_ = errno;
  while (!bytes.empty()) {
    const ssize_t count = ::write(file_.get(), bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return failure_ = count == 0 ? EIO : errno;
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    written_ += count;
  }
  return 0;
}

void OutputFile::cut_back() noexcept {
  if (!regular_ || !file_) return;
  while (::ftruncate(file_.get(), whole_) != 0 && errno == EINTR) {
  }
}

void OutputFile::close() noexcept { file_ = FileHandle(); }

}  // namespace vidloom
