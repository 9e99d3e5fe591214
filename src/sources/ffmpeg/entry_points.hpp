#pragma once
/// Where decoding may begin: more than the key flag of a container, which also marks pictures that recover slowly or not exactly.

#include <cstddef>
#include <cstdint>
#include <span>

struct AVCodecParameters;
struct AVPacket;

namespace vidloom {

/// Looks at the packets of one stream in decoding order.
class EntryPoints {
 public:
  struct Verdict {
    bool shown = true;    ///< a picture comes of it
    bool entry = false;   ///< begun here, a decoder gives this and every later shown picture as if it had read all before
    bool closed = false;  ///< pictures before it in the file are shown before it
  };

  explicit EntryPoints(const AVCodecParameters& parameters);
  Verdict look_at(const AVPacket& packet);

 private:
  enum class Rule : std::uint8_t { none, every_packet, key_flag, closed_key_flag, vp8, h264, hevc };
  Verdict look_at_h264(std::span<const std::uint8_t> bytes) const;
  Verdict look_at_hevc(std::span<const std::uint8_t> bytes, bool key);

  Rule rule_ = Rule::none;
  std::size_t length_size_ = 0;  ///< bytes of a NAL unit's length; 0: start codes
  bool after_broken_link_ = false;
};

}  // namespace vidloom
