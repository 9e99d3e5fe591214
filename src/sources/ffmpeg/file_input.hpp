#pragma once
/// Bytes of exactly one file, for FFmpeg's demuxers: nothing else can be opened through it.

#include <imaging/mapped_memory.hpp>
#include <support/ffmpeg/av.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <string_view>

namespace vidloom {

/// Owns a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();
  int get() const noexcept { return fd_; }
  int release() noexcept;

 private:
  int fd_;
};

/// Set once from any thread, ends the wait of one reading thread. Reset between uses.
class WakeUp {
 public:
  WakeUp();  ///< throws Error(source) when the process has no descriptor left
  void set() noexcept;
  void clear() noexcept;
  bool is_set() const noexcept { return set_.load(std::memory_order_acquire); }

  /// Blocks until `fd` has something to read or has ended, calling this thread's WhileWaiting meanwhile; when that throws, the
  /// WakeUp is set. \return 0, or the errno of a failure; EINTR: it is set.
  int wait_for(int fd) const noexcept;
  /// Throws why it was set: Error(cancelled), or what WhileWaiting threw. \pre is_set()
  [[noreturn]] void throw_reason(const std::string& path) const;

 private:
  mutable std::atomic<bool> set_{false};
  Descriptor event_;
  mutable std::exception_ptr thrown_;  // the reading thread's alone
};

/// A copy of some of a file's bytes.
class FileBytes {
 public:
  explicit FileBytes(std::size_t most) : data_(map_memory(most)) {}
  char* data() noexcept { return reinterpret_cast<char*>(data_.get()); }
  void resize(std::size_t bytes) noexcept { size_ = bytes; }  ///< at most what it was made for
  std::string_view view() const noexcept { return {reinterpret_cast<const char*>(data_.get()), size_}; }

 private:
  std::shared_ptr<std::byte> data_;  // Note [Large memory]
  std::size_t size_ = 0;
};

/// One thread reads; the WakeUp ends a read that waits (pipes and devices; a disk does not wait long).
class FileInput {
 public:
  /// Throws Error(source) with what is wrong with `path`: missing, a folder, no right, empty.
  FileInput(const std::string& path, const WakeUp& stop);
  FileInput(const FileInput&) = delete;
  FileInput& operator=(const FileInput&) = delete;
  ~FileInput();

  AVIOContext* context() noexcept { return context_; }
  bool seekable() const noexcept { return seekable_; }
  std::int64_t size() const noexcept { return size_; }  ///< bytes; -1: not known (pipe)
  int failure() const noexcept { return failure_; }     ///< errno of a read that failed; 0: none
  FileBytes head(std::size_t bytes) const;              ///< the first bytes, without moving; empty for a pipe
  FileBytes tail(std::size_t bytes) const;              ///< the last ones

 private:
  FileBytes part(std::int64_t at, std::size_t bytes) const;
  static int read(void* self, std::uint8_t* to, int bytes) noexcept;
  static std::int64_t seek(void* self, std::int64_t offset, int whence) noexcept;

  const WakeUp& stop_;
  Descriptor file_;
  bool seekable_ = false;
  std::int64_t size_ = -1;
  int failure_ = 0;
  AVIOContext* context_ = nullptr;
};

/// What a path names, or Error(source) with one clear sentence.
Descriptor open_for_reading(const std::string& path);

/// The path in "file:x", "file:///x" or "x".
std::string path_of(const std::string& uri);

}  // namespace vidloom
