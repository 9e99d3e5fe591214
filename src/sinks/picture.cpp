#include <vidloom/sinks/picture.hpp>

#include <core/component.hpp>
#include <sinks/file_handle.hpp>
#include <vidloom/core/error.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <vector>

namespace vidloom {
inline namespace v0 {
namespace {

Error cannot_write(const std::string& path, int number) {
  const char* hint = number == ENOENT || number == ENOTDIR ? "; does its folder exist?" : "";
  return {Code::output, "cannot write " + path + ": " + std::generic_category().message(number) + hint};
}

/// Under a hidden name beside it, which then takes its place.
void replace_file(const std::string& path, std::span<const std::byte> bytes) {
  const std::filesystem::path target(path);
  std::string beside = (target.parent_path() / ("." + target.filename().string() + ".XXXXXX")).string();
  FileHandle file(::mkostemp(beside.data(), O_CLOEXEC));
  if (!file) throw cannot_write(path, errno);
  int failure = 0;
  while (!bytes.empty() && failure == 0) {
    const ssize_t count = ::write(file.get(), bytes.data(), bytes.size());
    if (count > 0) bytes = bytes.subspan(static_cast<std::size_t>(count));
    else if (count == 0 || errno != EINTR) failure = count == 0 ? EIO : errno;
  }
  const mode_t mask = ::umask(0);
  ::umask(mask);
  if (failure == 0 && ::fchmod(file.get(), 0666 & ~mask) != 0) failure = errno;
  if (failure == 0 && std::rename(beside.c_str(), path.c_str()) != 0) failure = errno;
  if (failure == 0) return;
  ::unlink(beside.c_str());
  throw cannot_write(path, failure);
}

void save(const Frame& frame, int left, int top, Size size, const std::string& path) {
  if (!path.ends_with(".png")) throw Error(Code::config, "the picture's name is '" + path + "'; end it in .png");
  const Image image = frame.image({.format = ImageSpec::Format::rgb8});
  const PlaneView part{image.bytes().data() + top * image.stride() + std::ptrdiff_t{3} * left, image.stride(), size};
  replace_file(path, picture_encoder("a snapshot").png(part));
}

}  // namespace

void save_picture(const Frame& frame, const std::string& path) { save(frame, 0, 0, frame.size(), path); }

void save_crop(const Frame& frame, const Box& box, const std::string& path) {
  const Size size = frame.size();
  const Box inside = clip(box, size);
  if (!(inside.width() > 0 && inside.height() > 0)) {
    throw Error(Code::config, "the box (" + std::to_string(box.x1) + ", " + std::to_string(box.y1) + ", " + std::to_string(box.x2) + ", " +
                                  std::to_string(box.y2) + ") holds nothing of a picture of " + std::to_string(size.width) + "x" + std::to_string(size.height));
  }
  const int left = static_cast<int>(std::floor(inside.x1)), top = static_cast<int>(std::floor(inside.y1));
  const int right = std::min(static_cast<int>(std::ceil(inside.x2)), size.width), bottom = std::min(static_cast<int>(std::ceil(inside.y2)), size.height);
  save(frame, left, top, {right - left, bottom - top}, path);
}

}  // namespace v0
}  // namespace vidloom
