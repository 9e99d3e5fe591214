#include <core/md5.hpp>

#include <algorithm>
#include <bit>
#include <cstring>

namespace vidloom {
namespace {

constexpr std::array<int, 16> shifts{7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21};

/// floor(2^32 * abs(sin(i + 1))), RFC 1321, 3.4.
constexpr std::array<std::uint32_t, 64> sines{
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501, 0x698098d8, 0x8b44f7af, 0xffff5bb1,
    0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821, 0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453,
    0xd8a1e681, 0xe7d3fbc8, 0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a, 0xfffa3942,
    0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70, 0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05,
    0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665, 0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d,
    0x85845dd1, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};

std::uint32_t little_endian(const std::byte* bytes) noexcept {
  std::uint32_t value = 0;
  for (int index = 3; index >= 0; --index) value = value << 8 | std::to_integer<std::uint32_t>(bytes[index]);
  return value;
}

}  // namespace

void Md5::block(const std::byte* bytes) noexcept {
  std::array<std::uint32_t, 16> words{};
  for (std::size_t index = 0; index < 16; ++index) words[index] = little_endian(bytes + 4 * index);
  auto [a, b, c, d] = state_;
  for (std::uint32_t step = 0; step < 64; ++step) {
    std::uint32_t mixed = 0, word = 0;
    switch (step / 16) {
      case 0: mixed = (b & c) | (~b & d); word = step; break;
      case 1: mixed = (d & b) | (~d & c); word = (5 * step + 1) % 16; break;
      case 2: mixed = b ^ c ^ d; word = (3 * step + 5) % 16; break;
      default: mixed = c ^ (b | ~d); word = 7 * step % 16; break;
    }
    const std::uint32_t sum = a + mixed + sines[step] + words[word];
    a = d;
    d = c;
    c = b;
    b += std::rotl(sum, shifts[step / 16 * 4 + step % 4]);
  }
  state_[0] += a;
  state_[1] += b;
  state_[2] += c;
  state_[3] += d;
}

void Md5::update(std::span<const std::byte> bytes) noexcept {
  while (!bytes.empty()) {
    const auto held = static_cast<std::size_t>(length_ % 64);
    if (held == 0 && bytes.size() >= 64) {
      block(bytes.data());
      length_ += 64;
      bytes = bytes.subspan(64);
      continue;
    }
    const std::size_t taken = std::min(64 - held, bytes.size());
    std::memcpy(waiting_.data() + held, bytes.data(), taken);
    length_ += taken;
    bytes = bytes.subspan(taken);
    if (length_ % 64 == 0) block(waiting_.data());
  }
}

std::string Md5::finish() {
  const std::uint64_t bits = length_ * 8;
  const std::byte one{0x80}, zero{0};
  update({&one, 1});
  while (length_ % 64 != 56) update({&zero, 1});
  std::array<std::byte, 8> tail{};
  for (std::size_t index = 0; index < 8; ++index) tail[index] = static_cast<std::byte>(bits >> (8 * index) & 0xff);
  update(tail);
  std::string text;
  for (const std::uint32_t word : state_) {
    for (int shift = 0; shift < 32; shift += 8) {
      const std::uint32_t byte = word >> shift & 0xff;
      text += "0123456789abcdef"[byte >> 4];
      text += "0123456789abcdef"[byte & 15];
    }
  }
  return text;
}

}  // namespace vidloom
