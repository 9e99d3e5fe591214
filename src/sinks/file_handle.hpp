#pragma once

#include <unistd.h>

#include <utility>

namespace vidloom {
inline namespace v0 {

/// Owns a file descriptor, or borrows standard output.
class FileHandle {
 public:
  FileHandle() noexcept = default;
  explicit FileHandle(int descriptor) noexcept : descriptor_(descriptor) {}
  FileHandle(FileHandle&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileHandle& operator=(FileHandle&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~FileHandle() {
    if (descriptor_ > STDERR_FILENO) ::close(descriptor_);
  }
  int get() const noexcept { return descriptor_; }
  explicit operator bool() const noexcept { return descriptor_ >= 0; }

 private:
  int descriptor_ = -1;
};

}  // namespace v0
}  // namespace vidloom
