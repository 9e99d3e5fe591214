#pragma once
/// Where a pixel format keeps its luma, for the formats that core reads without a converter.

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace vidloom {
inline namespace v0 {

/// Luma samples of the first plane.
struct LumaLayout {
  int offset = 0;           ///< bytes before the first sample of a row
  int step = 1;             ///< bytes from sample to sample
  int bytes = 1;            ///< of a sample, little endian
  int shift = 0;            ///< right by so many bits to get 8 bits
  bool full_range = false;  ///< whatever the tags say: JPEG's own formats and greys

  /// The plane is the luma: 8 bits, nothing between.
  constexpr bool plain() const noexcept { return offset == 0 && step == 1 && bytes == 1; }
};

/// \param pixel_format  FFmpeg's name. \return nothing for RGB, big endian and rare formats: those take a converter.
std::optional<LumaLayout> luma_layout(std::string_view pixel_format) noexcept;

/// \return the grey 0..255 of each 8-bit luma value.
std::array<std::uint8_t, 256> grey_from_luma(bool full_range) noexcept;

/// \return BT.601 luma, full range, rounded.
constexpr std::uint8_t grey_of(unsigned red, unsigned green, unsigned blue) noexcept {
  return static_cast<std::uint8_t>((red * 4899U + green * 9617U + blue * 1868U + 8192U) >> 14);
}

}  // namespace v0
}  // namespace vidloom
