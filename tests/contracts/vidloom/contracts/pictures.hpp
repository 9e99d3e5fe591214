#pragma once
/// Pictures to show to adapters: made here, so that the suites need no file and no decoder.

#include <vidloom/frame.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace vidloom {
inline namespace v0 {
namespace contracts {

/// \return what `time` and `stream` say, on a timeline of 10 pictures a second.
inline FrameInfo info_at(std::uint64_t picture, std::uint32_t stream = 0) {
  FrameInfo info;
  info.stream = StreamId{stream};
  info.sequence = picture;
  info.keyframe = picture == 0;
  info.duration = std::chrono::milliseconds(100);
  info.time.pts = static_cast<std::int64_t>(picture);
  info.time.time_base = {1, 10};
  info.time.media_time = std::chrono::milliseconds(100) * static_cast<std::int64_t>(picture);
  info.time.received_at = std::chrono::steady_clock::now();
  return info;
}

/// Value of a channel at a display pixel: a textured ground that stands still, and a bright square that moves with `picture`.
inline std::byte scene_at(Size size, int x, int y, int channel, std::uint64_t picture) {
  const int side = std::max(1, std::min(size.width, size.height) / 4);
  const int travel = std::max(1, size.width - side);
  const int left = static_cast<int>(picture * static_cast<std::uint64_t>(std::max(1, side / 2)) % static_cast<std::uint64_t>(travel));
  const int top = size.height / 4;
  if (x >= left && x < left + side && y >= top && y < top + side) return std::byte(channel == 2 ? 40 : 230);
  return std::byte(40 + (x * 3 + y * 5 + ((x / 9) ^ (y / 7)) * 11 + channel * 17) % 90);
}

/// \return packed RGB of the display picture.
inline std::vector<std::byte> scene(Size size, std::uint64_t picture) {
  std::vector<std::byte> rgb;
  rgb.reserve(static_cast<std::size_t>(size.width) * static_cast<std::size_t>(size.height) * 3);
  for (int y = 0; y < size.height; ++y) {
    for (int x = 0; x < size.width; ++x) {
      for (int c = 0; c < 3; ++c) rgb.push_back(scene_at(size, x, y, c, picture));
    }
  }
  return rgb;
}

/// \return a frame that shows `rgb` (packed, `size` display pixels) but is stored turned, as phones do it.
/// \param degrees  0, 90, 180 or 270: what a viewer has to turn it by, clockwise
inline Frame stored_turned(std::span<const std::byte> rgb, Size size, int degrees, FrameInfo info) {
  const bool sideways = degrees == 90 || degrees == 270;
  const Size coded = sideways ? Size{size.height, size.width} : size;
  std::vector<std::byte> bytes(rgb.size());
  for (int y = 0; y < coded.height; ++y) {
    for (int x = 0; x < coded.width; ++x) {
      int shown_x = x, shown_y = y;
      if (degrees == 90) shown_x = size.width - 1 - y, shown_y = x;
      if (degrees == 180) shown_x = size.width - 1 - x, shown_y = size.height - 1 - y;
      if (degrees == 270) shown_x = y, shown_y = size.height - 1 - x;
      for (int c = 0; c < 3; ++c) {
        bytes[static_cast<std::size_t>((y * coded.width + x) * 3 + c)] =
            rgb[static_cast<std::size_t>((shown_y * size.width + shown_x) * 3 + c)];
      }
    }
  }
  info.rotation_degrees = degrees;
  return Frame::copy_of({bytes.data(), std::ptrdiff_t{3} * coded.width, coded}, info);
}

inline Frame scene_frame(Size size, std::uint64_t picture, int degrees = 0, std::uint32_t stream = 0) {
  return stored_turned(scene(size, picture), size, degrees, info_at(picture, stream));
}

/// \return a frame in planes as decoders give it; `size` is in display pixels.
inline Frame planar_frame(Size size, std::uint64_t picture, std::uint32_t stream = 0) {
  const Size chroma{(size.width + 1) / 2, (size.height + 1) / 2};
  const auto area = [](Size of) { return static_cast<std::size_t>(of.width) * static_cast<std::size_t>(of.height); };
  const auto bytes = std::make_shared<std::vector<std::byte>>(area(size) + 2 * area(chroma), std::byte{128});
  for (int y = 0; y < size.height; ++y) {
    for (int x = 0; x < size.width; ++x) (*bytes)[static_cast<std::size_t>(y * size.width + x)] = scene_at(size, x, y, 1, picture);
  }
  const std::byte* first = bytes->data();
  const std::array<PlaneView, 3> planes{PlaneView{first, size.width, size}, PlaneView{first + area(size), chroma.width, chroma},
                                        PlaneView{first + area(size) + area(chroma), chroma.width, chroma}};
  return Frame::adopt(planes, "yuv420p", info_at(picture, stream), bytes);
}

/// \return a frame that nothing can be made of: every conversion throws.
inline Frame unreadable_frame(std::uint64_t picture, std::uint32_t stream = 0) {
  const auto bytes = std::make_shared<std::vector<std::byte>>(64 * 64);
  const PlaneView plane{bytes->data(), 64, {64, 64}};
  return Frame::adopt({&plane, 1}, "no_such_format", info_at(picture, stream), bytes);
}

/// \return a number that changes when a byte of the frame's planes does.
inline std::uint64_t fingerprint(const Frame& frame) {
  std::uint64_t hash = 1469598103934665603U;  // FNV-1a
  const auto luma = frame.planes().front();
  const int bytes_a_row = frame.pixel_format() == "rgb24" ? luma.size.width * 3 : luma.size.width;
  for (int y = 0; y < luma.size.height; ++y) {
    for (int x = 0; x < bytes_a_row; ++x) hash = (hash ^ std::to_integer<std::uint64_t>(luma.data[y * luma.stride + x])) * 1099511628211U;
  }
  return hash;
}

}  // namespace contracts
}  // namespace v0
}  // namespace vidloom
