#pragma once
/// Floats of 16 bits, rounded to nearest even. Portable: no instruction set is assumed.

#include <bit>
#include <cstdint>

namespace vidloom {
inline namespace v0 {

/// \return `value` as IEEE 754 binary16; beyond its range infinity, NaN stays a NaN.
constexpr std::uint16_t to_half(float value) noexcept {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000U;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude > 0x7F800000U) return static_cast<std::uint16_t>(sign | 0x7E00U);
  if (magnitude >= 0x477FF000U) return static_cast<std::uint16_t>(sign | 0x7C00U);  // 65520 and up round to infinity
  const auto round = [](std::uint32_t whole, int shift) {
    const std::uint32_t kept = whole >> shift;
    const std::uint32_t rest = whole & ((1U << shift) - 1U);
    const std::uint32_t middle = 1U << (shift - 1);
    return kept + (rest > middle || (rest == middle && (kept & 1U)) ? 1U : 0U);
  };
  if (magnitude >= 0x38800000U) {  // normal in 16 bits: rebias the exponent from 127 to 15
    return static_cast<std::uint16_t>(sign | round(magnitude - 0x38000000U, 13));
  }
  if (magnitude < 0x33000000U) return static_cast<std::uint16_t>(sign);  // below half the smallest subnormal
  const int exponent = static_cast<int>(magnitude >> 23);
  const std::uint32_t mantissa = (magnitude & 0x7FFFFFU) | 0x800000U;
  return static_cast<std::uint16_t>(sign | round(mantissa, 126 - exponent));
}

/// \return `value` as bfloat16; NaN stays a NaN.
constexpr std::uint16_t to_bfloat16(float value) noexcept {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return static_cast<std::uint16_t>((bits >> 16) | 0x0040U);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

}  // namespace v0
}  // namespace vidloom
