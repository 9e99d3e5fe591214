#pragma once
/// Real footage and media made on the spot, for tests.
///
///     const std::string street = test::require_clip("vtest.avi");
///     if (street.empty()) return;                       // the reason is in the log; an error where CI is set
///     test::Folder folder;
///     const std::string clip = folder.make("clip.ts", "-f lavfi -i testsrc2=duration=1 -c:v libx264");

#include <doctest/doctest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <unistd.h>

namespace vidloom::test {

inline std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

/// The path of one of OpenCV's sample clips, or "": VIDLOOM_CLIPS, opencv-doc, build/clips.
inline std::string find_clip(const std::string& name) {
  std::vector<std::filesystem::path> folders;
  if (const std::string given = environment("VIDLOOM_CLIPS"); !given.empty()) folders.emplace_back(given);
  folders.emplace_back("/usr/share/doc/opencv-doc/examples/data");
  folders.emplace_back("/usr/share/doc/opencv-doc");
  folders.emplace_back("build/clips");
  std::error_code ignored;
  for (const auto& folder : folders)
    if (std::filesystem::is_regular_file(folder / name, ignored)) return (folder / name).string();
  return "";
}

/// As find_clip(); says that the test is skipped where there is none, and fails it where CI is set.
inline std::string require_clip(const std::string& name) {
  std::string path = find_clip(name);
  if (path.empty()) {
    const std::string reason = "skipped: " + name + " is not here; install opencv-doc or set VIDLOOM_CLIPS to its folder";
    MESSAGE(reason);
    if (!environment("CI").empty()) FAIL_CHECK(reason);
  }
  return path;
}

/// What `command` printed on stdout. Throws when it fails.
inline std::string output_of(const std::string& command) {
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (!pipe) throw std::runtime_error("cannot run: " + command);
  std::string text;
  std::array<char, 4096> part{};
  while (const std::size_t got = std::fread(part.data(), 1, part.size(), pipe)) text.append(part.data(), got);
  if (const int status = ::pclose(pipe); status != 0) throw std::runtime_error("failed: " + command);
  return text;
}

inline std::string quoted(const std::string& path) { return "'" + path + "'"; }

/// A folder that goes away with this object.
class Folder {
 public:
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "vidloom-test-XXXXXX").string();
    if (!::mkdtemp(name.data())) throw std::runtime_error("cannot make a folder in " + std::filesystem::temp_directory_path().string());
    path_ = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::string path() const { return path_.string(); }
  /// Runs `ffmpeg ARGUMENTS NAME` in the folder. \return the path of NAME.
  std::string make(const std::string& name, const std::string& arguments) const {
    output_of("cd " + quoted(path()) + " && ffmpeg -v error -nostdin -y " + arguments + " " + quoted(name) + " 2>&1");
    return *this / name;
  }
  void write(const std::string& name, std::string_view bytes) const {
    std::FILE* file = std::fopen((*this / name).c_str(), "wb");
    if (!file) throw std::runtime_error("cannot write " + name);
    std::fwrite(bytes.data(), 1, bytes.size(), file);
    std::fclose(file);
  }
  std::string read(const std::string& name) const {
    std::FILE* file = std::fopen((*this / name).c_str(), "rb");
    if (!file) throw std::runtime_error("cannot read " + name);
    std::string bytes;
    std::array<char, 4096> part{};
    while (const std::size_t got = std::fread(part.data(), 1, part.size(), file)) bytes.append(part.data(), got);
    std::fclose(file);
    return bytes;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace vidloom::test
