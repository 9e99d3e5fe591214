#pragma once
/// A file that is written from its beginning to its end, and is cut back to its last whole piece where a write fails.

#include <sinks/file_handle.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace vidloom {

/// One thread at a time.
class OutputFile {
 public:
  /// Creates the file, so that two runs do not take the same name; an existing one is kept as it is until the first write.
  /// Throws Error(output) when it exists and `overwrite` is not set, or cannot be written.
  OutputFile(std::string path, bool overwrite);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  /// Removes a file that it created and never wrote to.
  ~OutputFile();

  const std::string& path() const noexcept { return path_; }
  /// \return 0, or errno: nothing more is written then, and what was whole stays.
  int write(std::span<const std::byte> bytes) noexcept;
  /// All that was written so far can be read by itself.
  void mark_whole() noexcept { whole_ = written_; }
  /// Cuts off what came after mark_whole().
  void cut_back() noexcept;
  int failure() const noexcept { return failure_; }
  std::int64_t written() const noexcept { return written_; }
  bool is_regular() const noexcept { return regular_; }
  void close() noexcept;

 private:
  const std::string path_;
  const std::int64_t owner_;  ///< the process that opened it: a forked child must not remove it
  FileHandle file_;
  bool created_ = false, regular_ = true, empty_first_ = false;
  int failure_ = 0;
  std::int64_t written_ = 0, whole_ = 0;
};

}  // namespace vidloom
