#pragma once
/// MD5 (RFC 1321): to compare pictures with ffmpeg's framemd5, never to protect anything.

#include <vidloom/core/export.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace vidloom {

class VIDLOOM_API Md5 {
 public:
  void update(std::span<const std::byte> bytes) noexcept;
  /// \return 32 lower-case hex digits of everything so far. Ends this object's use.
  std::string finish();

 private:
  void block(const std::byte* bytes) noexcept;

  std::array<std::uint32_t, 4> state_{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
  std::array<std::byte, 64> waiting_{};
  std::uint64_t length_ = 0;  ///< bytes so far
};

}  // namespace vidloom
