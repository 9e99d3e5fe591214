#pragma once
/// UTF-8 from outside: file names, FFmpeg's messages and container tags may hold any bytes.

#include <vidloom/core/export.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace vidloom {
inline namespace v0 {

/// \return length of the well-formed sequence (1 to 4 bytes) at the start of `text`, or 0. \pre `text` is not empty.
VIDLOOM_API std::size_t utf8_length(std::string_view text) noexcept;

/// \return `text` with each byte that belongs to no well-formed sequence replaced by U+FFFD.
VIDLOOM_API std::string valid_utf8(std::string_view text);

}  // namespace v0
}  // namespace vidloom
