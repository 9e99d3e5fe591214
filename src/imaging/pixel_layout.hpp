#pragma once
/// Where a pixel format keeps its samples, for the formats that core converts itself. All others take the ffmpeg component.

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace vidloom {
inline namespace v0 {

struct PixelLayout {
  enum class Model : std::uint8_t { grey, yuv, rgb };
  /// One of Y, U, V or R, G, B: sample x of a row is number `offset + x * step` of its plane's row.
  struct Component {
    int plane = 0, offset = 0, step = 1;
    friend constexpr bool operator==(const Component&, const Component&) = default;
  };
  Model model = Model::yuv;
  std::array<Component, 3> components{};
  int count = 3;            ///< of components: 1 or 3
  int bytes = 1;            ///< of a sample, little endian
  int shift = 0;            ///< a sample is the stored number shifted right by this
  int depth = 8;            ///< bits of a sample, at most 15
  int bits = 8;             ///< that the format has: 16 are read as their upper 15
  int log2_across = 0;      ///< luma samples to a chroma sample
  int log2_down = 0;
  bool full_range = false;  ///< whatever the tags say: JPEG's own formats, greys and RGB
};

/// \param pixel_format  FFmpeg's name. \return nothing where the samples are not whole little-endian bytes of a known place.
std::optional<PixelLayout> pixel_layout(std::string_view pixel_format) noexcept;

}  // namespace v0
}  // namespace vidloom
