#include <imaging/orientation.hpp>

namespace vidloom {
inline namespace v0 {

Affine Orientation::upright_from_coded(Size coded) const noexcept {
  const float width = static_cast<float>(coded.width);
  const float height = static_cast<float>(coded.height);
  Affine map;
  switch (degrees) {
    case 90: map = {{0, -1, height, 1, 0, 0}}; break;
    case 180: map = {{-1, 0, width, 0, -1, height}}; break;
    case 270: map = {{0, 1, 0, -1, 0, width}}; break;
    default: break;
  }
  if (mirrored) {
    const float across = static_cast<float>(turned(coded).width);
    map.m[0] = -map.m[0];
    map.m[1] = -map.m[1];
    map.m[2] = across - map.m[2];
  }
  return map;
}

Orientation::Walk Orientation::walk(Size coded) const noexcept {
  const std::ptrdiff_t width = coded.width;
  const std::ptrdiff_t height = coded.height;
  Walk result;
  switch (degrees) {
    case 90: result = {(height - 1) * width, -width, 1}; break;
    case 180: result = {height * width - 1, -1, -width}; break;
    case 270: result = {width - 1, width, -1}; break;
    default: result = {0, 1, width}; break;
  }
  if (mirrored) {
    result.first += (turned(coded).width - 1) * result.right;
    result.right = -result.right;
  }
  return result;
}

void Orientation::turn(std::span<const std::byte> picture, Size coded, int channels, std::span<std::byte> upright_picture) const noexcept {
  const Walk step = walk(coded);
  const Size size = turned(coded);
  std::byte* out = upright_picture.data();
  for (int y = 0; y < size.height; ++y) {
    const std::byte* in = picture.data() + (step.first + y * step.down) * channels;
    for (int x = 0; x < size.width; ++x, in += step.right * channels) {
      for (int c = 0; c < channels; ++c) *out++ = in[c];
    }
  }
}

}  // namespace v0
}  // namespace vidloom
