#pragma once

#include <unistd.h>

#include <utility>

namespace vidloom {
inline namespace v0 {

/// Owns a file descriptor, or borrows standard output.
class FileHandle {
 public:
  FileHandle() noexcept = default;
  explicit FileHandle(int descriptor, bool owned = true) noexcept : descriptor_(descriptor), owned_(owned) {}
  FileHandle(FileHandle&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)), owned_(other.owned_) {}
  FileHandle& operator=(FileHandle&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    std::swap(owned_, other.owned_);
    return *this;
  }
  ~FileHandle() {
    if (owned_ && descriptor_ >= 0) ::close(descriptor_);
  }
  int get() const noexcept { return descriptor_; }
  explicit operator bool() const noexcept { return descriptor_ >= 0; }

 private:
  int descriptor_ = -1;
  bool owned_ = true;
};

}  // namespace v0
}  // namespace vidloom
