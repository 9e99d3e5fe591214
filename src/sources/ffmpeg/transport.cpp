#include <sources/ffmpeg/transport.hpp>

#include <algorithm>

namespace vidloom::transport {
namespace {

constexpr char sync = 0x47;

unsigned byte(std::string_view bytes, std::size_t at) noexcept { return static_cast<unsigned char>(bytes[at]); }

/// One packet that carries payload of a stream.
struct Packet {
  bool begins = false;     ///< payload_unit_start_indicator
  bool scrambled = false;
  std::string_view payload;
};

/// Calls `use(Packet)` for each packet of `pid`.
template <class Use>
void each_packet(std::string_view bytes, int pid, Use use) {
  const auto first = first_packet(bytes);
  for (std::size_t at = first.value_or(bytes.size()); at + packet_bytes <= bytes.size(); at += packet_bytes) {
    const std::string_view packet = bytes.substr(at, packet_bytes);
    if (packet[0] != sync || (byte(packet, 1) & 0x80) != 0) continue;  // out of step, or marked as damaged
    if (static_cast<int>((byte(packet, 1) & 0x1F) << 8 | byte(packet, 2)) != pid) continue;
    const unsigned control = byte(packet, 3);
    std::size_t start = 4;
    if ((control & 0x20) != 0) start += 1 + byte(packet, 4);  // adaptation field
    if ((control & 0x10) == 0 || start >= packet_bytes) continue;
    use(Packet{(byte(packet, 1) & 0x40) != 0, (control & 0xC0) != 0, packet.substr(start)});
  }
}

/// \return the presentation time stamp of a PES header (2.4.3.7), or nullopt.
std::optional<std::int64_t> pts_of(std::string_view pes) noexcept {
  if (pes.size() < 14 || byte(pes, 0) != 0 || byte(pes, 1) != 0 || byte(pes, 2) != 1) return std::nullopt;
  if ((byte(pes, 6) & 0xC0) != 0x80 || (byte(pes, 7) & 0x80) == 0) return std::nullopt;
  return static_cast<std::int64_t>(byte(pes, 9) >> 1 & 7) << 30 | static_cast<std::int64_t>(byte(pes, 10)) << 22 |
         static_cast<std::int64_t>(byte(pes, 11) >> 1) << 15 | static_cast<std::int64_t>(byte(pes, 12)) << 7 |
         static_cast<std::int64_t>(byte(pes, 13) >> 1);
}

}  // namespace

std::optional<std::size_t> first_packet(std::string_view bytes) noexcept {
  constexpr std::size_t enough = 5;
  for (std::size_t offset = 0; offset < packet_bytes && offset + packet_bytes <= bytes.size(); ++offset) {
    const std::size_t packets = std::min((bytes.size() - offset) / packet_bytes, enough);
    std::size_t right = 0;
    while (right < packets && bytes[offset + right * packet_bytes] == sync) ++right;
    if (right == packets) return offset;
  }
  return std::nullopt;
}

Count count(std::string_view bytes, int pid) noexcept {
  Count result;
  each_packet(bytes, pid, [&](const Packet& packet) {
    ++result.packets;
    result.scrambled += packet.scrambled;
  });
  return result;
}

std::optional<std::int64_t> latest_pts(std::string_view bytes, int pid, std::int64_t near) noexcept {
  std::optional<std::int64_t> latest;
  each_packet(bytes, pid, [&](const Packet& packet) {
    if (!packet.begins || packet.scrambled) return;
    const auto pts = pts_of(packet.payload);
    if (pts && (!latest || distance(near, *pts) > distance(near, *latest))) latest = pts;
  });
  return latest;
}

}  // namespace vidloom::transport
