#pragma once
/// Devices as users type them.

#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

namespace vidloom {
inline namespace v0 {

/// "auto", "cpu", "cuda" (the first) or "cuda:N".
struct DeviceName {
  bool automatic = false;  ///< the fastest there is
  int ordinal = -1;        ///< of the CUDA device; -1: the CPU
};

/// \return nullopt for any other text.
inline std::optional<DeviceName> device_named(std::string_view text) noexcept {
  if (text == "auto") return DeviceName{.automatic = true};
  if (text == "cpu") return DeviceName{};
  if (text == "cuda") return DeviceName{.ordinal = 0};
  if (!text.starts_with("cuda:")) return std::nullopt;
  text.remove_prefix(5);
  DeviceName named;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), named.ordinal);
  if (error != std::errc{} || end != text.data() + text.size() || named.ordinal < 0 || named.ordinal > 255) return std::nullopt;
  return named;
}

}  // namespace v0
}  // namespace vidloom
