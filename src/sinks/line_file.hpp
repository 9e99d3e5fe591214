#pragma once
/// A file, pipe or terminal that takes whole lines: each is one write(2), and one that does not fit is taken back.

#include <sinks/file_handle.hpp>

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include <vidloom/core/error.hpp>

namespace vidloom {
inline namespace v0 {

struct LineFileOptions {
  bool overwrite = false, append = false;
};

/// Thread-safe.
class LineFile {
 public:
  /// \param path  "-" is standard output. Throws Error(output) when it exists or cannot be written, Error(config) on both options.
  LineFile(std::string path, LineFileOptions options);
  LineFile(const LineFile&) = delete;
  LineFile& operator=(const LineFile&) = delete;
  /// Removes a file that this object created and never wrote to.
  ~LineFile();

  /// \param line  with its newline. Throws Error(output) when it does not fit, and the same error ever after; Error(cancelled)
  /// when the reader of a pipe went away.
  void write(std::string_view line);

 private:
  void open_existing(const LineFileOptions& options);
  void repair_tail();
  void take_back(std::size_t written) noexcept;

  const std::string path_;
  FileHandle file_;
  const std::int64_t owner_;  ///< the process that opened it: a forked child must not remove it
  bool created_ = false;
  std::mutex mutex_;  ///< guards what is below and the file's end
  bool empty_first_ = false, written_ = false;
  std::optional<Error> broken_{};
};

}  // namespace v0
}  // namespace vidloom
