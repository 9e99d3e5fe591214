#pragma once
/// One picture in one file: what kind it is, by content, and whether all of it is there.

#include <support/ffmpeg/av.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace vidloom {

enum class PictureKind : std::uint8_t { none, jpeg, png, bmp, webp, tiff, pbm, pgm, ppm, pam, svg };

/// \param head  the first 16 bytes or more of the file; some thousand where it may be an SVG, which can begin with remarks.
PictureKind picture_kind(std::span<const std::uint8_t> head) noexcept;
AVCodecID codec_of(PictureKind kind) noexcept;

/// \return whether the picture reaches its end mark. Decoders fill up half a JPEG without a word. True for kinds without a
/// mark, whose decoders count the bytes.
bool is_whole(PictureKind kind, std::span<const std::uint8_t> bytes) noexcept;

}  // namespace vidloom
