#pragma once
/// Standard output, or a file that is there whole or not at all.

#include <string>
#include <string_view>

namespace vidloom::cli {

class OutputFile {
 public:
  /// \param path  "-" is standard output
  /// Throws Error(output) when the file exists and `overwrite` is false, or cannot be made.
  OutputFile(std::string path, bool overwrite);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  /// Takes away what was written before commit().
  ~OutputFile();

  /// Throws Error(output) when it does not fit, Error(cancelled) when the reader of standard output went away.
  void write(std::string_view text);
  /// Writes the rest and puts the file into its place. Throws Error(output).
  void commit();

 private:
  void flush();
  [[noreturn]] void fail(int number) const;

  const std::string path_;
  std::string part_{};   ///< what is written until commit(); "": the path itself, as it is a device or a pipe
  int descriptor_ = -1;  ///< -1: standard output
  std::string buffer_{};
};

}  // namespace vidloom::cli
