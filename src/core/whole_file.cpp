#include <core/whole_file.hpp>

#include <vidloom/core/error.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace vidloom {
inline namespace v0 {
namespace {

Error cannot_write(const std::string& path, int number) {
  const char* hint = number == ENOENT || number == ENOTDIR ? "; does its folder exist?" : "";
  return {Code::output, "cannot write " + path + ": " + std::generic_category().message(number) + hint};
}

Error taken(const std::string& path) { return {Code::output, path + " exists; choose another name, or say overwrite (-y)"}; }

/// An open file of a hidden name beside `path`, removed again unless it was moved away.
class Draft {
 public:
  explicit Draft(const std::string& path) : path_(path) {
    const std::filesystem::path target(path);
    name_ = (target.parent_path() / ("." + target.filename().string() + ".XXXXXX")).string();
    descriptor_ = ::mkostemp(name_.data(), O_CLOEXEC);
    if (descriptor_ < 0) throw cannot_write(path, errno);
  }
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;
  ~Draft() {
    ::close(descriptor_);
    if (!moved_) ::unlink(name_.c_str());
  }
  int descriptor() const noexcept { return descriptor_; }
  void move_to_its_name(bool overwrite) {
    const mode_t mask = ::umask(0);
    ::umask(mask);
    if (::fchmod(descriptor_, 0666 & ~mask) != 0) throw cannot_write(path_, errno);
    if (overwrite) {
      if (std::rename(name_.c_str(), path_.c_str()) != 0) throw cannot_write(path_, errno);
      moved_ = true;
    } else if (::link(name_.c_str(), path_.c_str()) != 0) {  // unlike rename() it replaces nothing
      if (errno == EEXIST) throw taken(path_);
      if (std::filesystem::exists(path_)) throw taken(path_);
      if (std::rename(name_.c_str(), path_.c_str()) != 0) throw cannot_write(path_, errno);  // a disk without links
      moved_ = true;
    }
  }

 private:
  const std::string path_;
  std::string name_;
  int descriptor_ = -1;
  bool moved_ = false;
};

void write_all(int descriptor, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
    if (count > 0) bytes.remove_prefix(static_cast<std::size_t>(count));
    else if (count == 0 || errno != EINTR) throw cannot_write(path, count == 0 ? EIO : errno);
  }
}

/// Something that is there and no ordinary file. Throws where it cannot be looked at.
bool is_special(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) throw cannot_write(path, EISDIR);
    return !S_ISREG(status.st_mode);
  }
  if (errno != ENOENT) throw cannot_write(path, errno);
  return false;
}

}  // namespace

void expect_writable(const std::string& path, bool overwrite) {
  if (is_special(path)) return;
  std::error_code ignored;
  if (!overwrite && std::filesystem::exists(std::filesystem::symlink_status(path, ignored))) throw taken(path);
  const Draft tried(path);
}

void replace_file(const std::string& path, std::string_view bytes, bool overwrite) {
  if (is_special(path)) {
    const int descriptor = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor < 0) throw cannot_write(path, errno);
    try {
      write_all(descriptor, bytes, path);
    } catch (...) {
      ::close(descriptor);
      throw;
    }
    ::close(descriptor);
    return;
  }
  Draft draft(path);
  write_all(draft.descriptor(), bytes, path);
  draft.move_to_its_name(overwrite);
}

}  // namespace v0
}  // namespace vidloom
