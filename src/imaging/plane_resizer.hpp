#pragma once
/// From a decoder's planes straight to a model's input or a small picture. Note [Planes first] is in kernels.hpp.

#include <vidloom/frame.hpp>

#include <imaging/kernels.hpp>
#include <imaging/orientation.hpp>
#include <imaging/pixel_layout.hpp>

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

namespace vidloom {
inline namespace v0 {

/// Part of a picture, in its pixels.
struct Window {
  int x = 0, y = 0, width = 0, height = 0;
};

struct PlaneRequest {
  std::span<const PlaneView> planes{};  ///< whole, uncropped
  std::string_view pixel_format{};      ///< for messages
  const PixelLayout& layout;
  Crop crop{};
  ColourTags colour{};        ///< as tagged
  ColourMode mode = ColourMode::exact;
  Filter filter = Filter::bicubic;
  Size resized{};             ///< of the whole cropped picture, coded orientation
  Window window{};            ///< the part of that which is wanted
};

/// Where the samples of a window go: pixel (x, y), channel c at data + x * right + y * down + c * channel, in bytes.
struct PlaneTarget {
  std::byte* data = nullptr;
  std::ptrdiff_t right = 0, down = 0, channel = 0;
  FinishTask::DType dtype = FinishTask::DType::u8;
  int channels = 3;                             ///< R, G, B; or 1: grey
  std::array<float, 3> scale{1, 1, 1}, bias{};  ///< of 0..255; not for u8
};

/// Throws Error(config) where the planes are smaller than the layout needs.
void convert_planes(const PlaneRequest& request, const PlaneTarget& target);

}  // namespace v0
}  // namespace vidloom
