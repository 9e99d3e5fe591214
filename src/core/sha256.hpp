#pragma once
/// SHA-256 (FIPS 180-4), for identities: vocabularies and model files. Not thread-safe; not for secrets.

#include <vidloom/core/export.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace vidloom {
inline namespace v0 {

class VIDLOOM_API Sha256 {
 public:
  void update(std::string_view bytes) noexcept;
  /// \return 64 lower-case hex digits of all bytes so far. May be asked again, and more may follow.
  std::string hex() const;

 private:
  void absorb(const unsigned char* block) noexcept;

  std::array<std::uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<unsigned char, 64> open_{};  ///< the block not yet full
  std::uint64_t bytes_ = 0;
};

VIDLOOM_API std::string sha256_hex(std::string_view bytes);

}  // namespace v0
}  // namespace vidloom
