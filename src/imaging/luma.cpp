#include <imaging/luma.hpp>

#include <algorithm>
#include <array>
#include <charconv>

namespace vidloom {
inline namespace v0 {
namespace {

bool take_prefix(std::string_view& text, std::string_view prefix) noexcept {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

/// "" is 8 bits, "10le" ... "16le" more.
std::optional<LumaLayout> by_depth(std::string_view depth, bool full_range) noexcept {
  if (depth.empty()) return LumaLayout{.full_range = full_range};
  int bits = 0;
  const auto [rest, error] = std::from_chars(depth.data(), depth.data() + depth.size(), bits);
  if (error != std::errc{} || std::string_view(rest, depth.data() + depth.size()) != "le" || bits < 9 || bits > 16) return {};
  return LumaLayout{.step = 2, .bytes = 2, .shift = bits - 8, .full_range = full_range};
}

}  // namespace

std::optional<LumaLayout> luma_layout(std::string_view pixel_format) noexcept {
  static constexpr std::array<std::string_view, 5> semi_planar{"nv12", "nv21", "nv16", "nv24", "nv42"};
  static constexpr std::array<std::string_view, 7> high_semi_planar{"p010le", "p012le", "p016le", "p210le", "p216le", "p410le", "p416le"};
  if (pixel_format == "nv20le") return LumaLayout{.step = 2, .bytes = 2, .shift = 2};
  if (std::ranges::find(semi_planar, pixel_format) != semi_planar.end()) return LumaLayout{};
  // The samples stand in the upper bits, whatever their depth.
  if (std::ranges::find(high_semi_planar, pixel_format) != high_semi_planar.end()) return LumaLayout{.step = 2, .bytes = 2, .shift = 8};
  if (pixel_format == "yuyv422" || pixel_format == "yvyu422") return LumaLayout{.step = 2};
  if (pixel_format == "uyvy422") return LumaLayout{.offset = 1, .step = 2};
  if (pixel_format == "ya8") return LumaLayout{.step = 2, .full_range = true};

  std::string_view rest = pixel_format;
  if (take_prefix(rest, "gray")) return by_depth(rest, true);
  const bool jpeg = take_prefix(rest, "yuvj");
  if (!jpeg && !take_prefix(rest, "yuva") && !take_prefix(rest, "yuv")) return {};
  static constexpr std::array<std::string_view, 6> samplings{"410p", "411p", "420p", "422p", "440p", "444p"};
  for (const std::string_view sampling : samplings) {
    if (take_prefix(rest, sampling)) return by_depth(rest, jpeg);
  }
  return {};
}

std::array<std::uint8_t, 256> grey_from_luma(bool full_range) noexcept {
  std::array<std::uint8_t, 256> table;
  for (int value = 0; value < 256; ++value) {
    const int limited = ((value - 16) * 255 * 2 + 219) / (2 * 219);  // below 16 it is clamped, so truncation does no harm
    table[static_cast<std::size_t>(value)] = static_cast<std::uint8_t>(full_range ? value : std::clamp(limited, 0, 255));
  }
  return table;
}

}  // namespace v0
}  // namespace vidloom
