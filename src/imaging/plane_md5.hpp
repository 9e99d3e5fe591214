#pragma once
/// A fingerprint of the decoder's own picture, as ffmpeg's framemd5 makes it.

#include <vidloom/frame.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace vidloom {

/// Bytes that belong to a row of `width` positions in plane number `plane` of a format by FFmpeg's name for it.
/// Throws Error(decode) on a format it does not know.
VIDLOOM_API std::size_t row_bytes(std::string_view pixel_format, std::size_t plane, int width);

/// MD5 over the planes, tightly packed, in plane order, cropped; 32 hex digits. Equal to the frame's line in
/// `ffmpeg -noautorotate -fps_mode passthrough -f framemd5`. Throws as row_bytes().
VIDLOOM_API std::string plane_md5(const Frame& frame);

}  // namespace vidloom
