#include <cli/output_file.hpp>

#include <cli/console.hpp>
#include <vidloom/core/error.hpp>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

namespace vidloom::cli {
namespace {

constexpr std::size_t block = 1U << 16U;

}  // namespace

OutputFile::OutputFile(std::string path, bool overwrite) : path_(std::move(path)) {
  if (path_ == "-") return;
  if (path_.empty()) throw Error(Code::config, "the name of the output file is empty; use a file name, or - for standard output");
  namespace fs = std::filesystem;
  std::error_code ignored;
  const fs::file_status status = fs::status(path_, ignored);
  if (fs::exists(status) && !fs::is_regular_file(status)) {  // /dev/stdout, a named pipe: there is nothing in it to lose
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor_ < 0) fail(errno);
    return;
  }
  if (fs::exists(status) && !overwrite) {
    throw Error(Code::output, path_ + " exists; choose another name, or say overwrite (-y)");
  }
  const fs::path target = fs::exists(status) ? fs::canonical(path_, ignored) : fs::path(path_);  // a link stays a link
  part_ = (target.parent_path() / fmt::format(".{}.{}.part", target.filename().string(), ::getpid())).string();
  descriptor_ = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) {
    part_.clear();
    fail(errno);
  }
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!part_.empty()) ::unlink(part_.c_str());
}

void OutputFile::fail(int number) const {
  throw Error(Code::output, fmt::format("cannot write {}: {}{}", path_, std::generic_category().message(number),
                                        number == ENOENT || number == ENOTDIR ? "; does its folder exist?" : ""));
}

void OutputFile::write(std::string_view text) {
  buffer_ += text;
  if (buffer_.size() >= block) flush();
}

void OutputFile::flush() {
  if (descriptor_ < 0) {
    print(buffer_);
  } else {
    for (std::string_view rest = buffer_; !rest.empty();) {
      const ssize_t count = ::write(descriptor_, rest.data(), rest.size());
      if (count < 0 && errno != EINTR) fail(errno);
      if (count > 0) rest.remove_prefix(static_cast<std::size_t>(count));
    }
  }
  buffer_.clear();
}

void OutputFile::commit() {
  flush();
  if (part_.empty()) return;
  if (::close(descriptor_) != 0) {  // some file systems tell only here that it did not fit
    descriptor_ = -1;
    fail(errno);
  }
  descriptor_ = -1;
  std::error_code ignored;
  const std::filesystem::path canonical = std::filesystem::canonical(path_, ignored);
  if (::rename(part_.c_str(), ignored ? path_.c_str() : canonical.c_str()) != 0) fail(errno);
  part_.clear();
}

}  // namespace vidloom::cli
