#include <vidloom/sinks/picture.hpp>

#include <core/component.hpp>
#include <core/whole_file.hpp>
#include <vidloom/core/error.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

namespace vidloom {
inline namespace v0 {
namespace {

void save(const Frame& frame, int left, int top, Size size, const std::string& path) {
  if (!path.ends_with(".png")) throw Error(Code::config, "the picture's name is '" + path + "'; end it in .png");
  const Image image = frame.image({.format = ImageSpec::Format::rgb8});
  const PlaneView part{image.bytes().data() + top * image.stride() + std::ptrdiff_t{3} * left, image.stride(), size};
  const std::vector<std::byte> png = picture_encoder("a snapshot").png(part);
  replace_file(path, {reinterpret_cast<const char*>(png.data()), png.size()});
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
