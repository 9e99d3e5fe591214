#pragma once
/// What packed picture somebody wants of a Frame.

#include <vidloom/core/geometry.hpp>

#include <cstdint>

namespace vidloom {
inline namespace v0 {

struct ImageSpec {
  enum class Format : std::uint8_t { gray8, rgb8, bgr8 };
  Size size{};  ///< pixels; empty: the frame's display size. The picture is stretched to it.
  Format format = Format::rgb8;
  friend constexpr bool operator==(const ImageSpec&, const ImageSpec&) = default;
};

/// \return bytes a pixel: 1 for gray8, else 3.
constexpr int channels(ImageSpec::Format format) noexcept { return format == ImageSpec::Format::gray8 ? 1 : 3; }

}  // namespace v0
}  // namespace vidloom
