#pragma once
/// A look at raw MPEG-TS bytes (ISO/IEC 13818-1): what can be known of a file without reading it through. No FFmpeg in here.
///
/// All functions take whole bytes of a file, from anywhere in it, and never read behind their end.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace vidloom::transport {

constexpr std::size_t packet_bytes = 188;
constexpr std::int64_t wrap = std::int64_t{1} << 33;  ///< timestamps are 33 bits of 90 kHz

/// \return the offset of the first packet: from there on a sync byte stands every 188 bytes, five times or to the end.
/// nullopt: these are no such packets (some recorders write 192 or 204 bytes).
std::optional<std::size_t> first_packet(std::string_view bytes) noexcept;

struct Count {
  std::size_t packets = 0;    ///< of the stream, with payload
  std::size_t scrambled = 0;  ///< of those, with transport_scrambling_control set
};
Count count(std::string_view bytes, int pid) noexcept;

/// \return the latest presentation time stamp in `bytes`, by the half circle before or behind `near`; nullopt: there is none.
std::optional<std::int64_t> latest_pts(std::string_view bytes, int pid, std::int64_t near) noexcept;

/// \return `to` - `from` on the circle of 33 bits: between minus and plus half of it.
constexpr std::int64_t distance(std::int64_t from, std::int64_t to) noexcept {
  const std::int64_t step = static_cast<std::int64_t>((static_cast<std::uint64_t>(to) - static_cast<std::uint64_t>(from)) & (wrap - 1));
  return step >= wrap / 2 ? step - wrap : step;
}

}  // namespace vidloom::transport
