#include <imaging/pixel_layout.hpp>

#include <algorithm>
#include <charconv>

namespace vidloom {
inline namespace v0 {
namespace {

using Component = PixelLayout::Component;
using Model = PixelLayout::Model;

bool take_prefix(std::string_view& text, std::string_view prefix) noexcept {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

/// `bits` of which the stored 16 hold that many, `unused` ones below them.
void set_depth(PixelLayout& layout, int bits, int unused = 0) noexcept {
  layout.bytes = bits > 8 ? 2 : 1;
  layout.bits = bits;
  layout.depth = std::min(bits, 15);  // products of 16-bit signed numbers: the sixteenth bit of a sample is left out
  layout.shift = unused + bits - layout.depth;
}

/// "" is 8 bits, "10le" ... "16le" more. \return whether it is one of them.
bool take_depth(PixelLayout& layout, std::string_view text) noexcept {
  if (text.empty()) return true;
  int bits = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bits);
  if (error != std::errc{} || std::string_view(end, text.data() + text.size()) != "le" || bits < 9 || bits > 16) return false;
  set_depth(layout, bits);
  return true;
}

struct Packed {
  std::string_view name;
  int step, red, green, blue;
};
constexpr std::array<Packed, 10> packed_rgb{{
    {"rgb24", 3, 0, 1, 2}, {"bgr24", 3, 2, 1, 0}, {"rgba", 4, 0, 1, 2}, {"bgra", 4, 2, 1, 0}, {"argb", 4, 1, 2, 3},
    {"abgr", 4, 3, 2, 1},  {"rgb0", 4, 0, 1, 2},  {"bgr0", 4, 2, 1, 0}, {"0rgb", 4, 1, 2, 3}, {"0bgr", 4, 3, 2, 1},
}};
constexpr std::array<Packed, 4> packed_wide_rgb{
    {{"rgb48le", 3, 0, 1, 2}, {"bgr48le", 3, 2, 1, 0}, {"rgba64le", 4, 0, 1, 2}, {"bgra64le", 4, 2, 1, 0}}};

struct SemiPlanar {
  std::string_view name;
  int across, down, bits, unused;
  bool swapped;
};
constexpr std::array<SemiPlanar, 12> semi_planar{{
    {"nv12", 1, 1, 8, 0, false},
    {"nv21", 1, 1, 8, 0, true},
    {"nv16", 1, 0, 8, 0, false},
    {"nv24", 0, 0, 8, 0, false},
    {"nv42", 0, 0, 8, 0, true},
    {"p010le", 1, 1, 10, 6, false},
    {"p012le", 1, 1, 12, 4, false},
    {"p016le", 1, 1, 16, 0, false},
    {"p210le", 1, 0, 10, 6, false},
    {"p216le", 1, 0, 16, 0, false},
    {"p410le", 0, 0, 10, 6, false},
    {"p416le", 0, 0, 16, 0, false},
}};

struct Sampling {
  std::string_view name;
  int across, down;
};
constexpr std::array<Sampling, 6> samplings{{{"410p", 2, 2}, {"411p", 2, 0}, {"420p", 1, 1}, {"422p", 1, 0}, {"440p", 0, 1}, {"444p", 0, 0}}};

std::optional<PixelLayout> packed_layout(const Packed& format, int bits) noexcept {
  PixelLayout layout{.model = Model::rgb, .full_range = true};
  layout.components = {Component{0, format.red, format.step}, Component{0, format.green, format.step}, Component{0, format.blue, format.step}};
  set_depth(layout, bits);
  return layout;
}

}  // namespace

std::optional<PixelLayout> pixel_layout(std::string_view pixel_format) noexcept {
  for (const Packed& format : packed_rgb)
    if (pixel_format == format.name) return packed_layout(format, 8);
  for (const Packed& format : packed_wide_rgb)
    if (pixel_format == format.name) return packed_layout(format, 16);
  for (const SemiPlanar& format : semi_planar) {
    if (pixel_format != format.name) continue;
    PixelLayout layout{.log2_across = format.across, .log2_down = format.down};
    layout.components = {Component{0, 0, 1}, Component{1, format.swapped ? 1 : 0, 2}, Component{1, format.swapped ? 0 : 1, 2}};
    set_depth(layout, format.bits, format.unused);
    return layout;
  }

  std::string_view rest = pixel_format;
  PixelLayout layout;
  if (take_prefix(rest, "gray")) {
    layout.model = Model::grey;
    layout.count = 1;
    layout.full_range = true;
    return take_depth(layout, rest) ? std::optional(layout) : std::nullopt;
  }
  if (take_prefix(rest, "gbrap") || take_prefix(rest, "gbrp")) {
    layout.model = Model::rgb;
    layout.full_range = true;
    layout.components = {Component{2, 0, 1}, Component{0, 0, 1}, Component{1, 0, 1}};
    return take_depth(layout, rest) ? std::optional(layout) : std::nullopt;
  }
  layout.full_range = take_prefix(rest, "yuvj");
  if (!layout.full_range && !take_prefix(rest, "yuva") && !take_prefix(rest, "yuv")) return {};
  layout.components = {Component{0, 0, 1}, Component{1, 0, 1}, Component{2, 0, 1}};
  for (const Sampling& sampling : samplings) {
    if (!take_prefix(rest, sampling.name)) continue;
    layout.log2_across = sampling.across;
    layout.log2_down = sampling.down;
    return take_depth(layout, rest) ? std::optional(layout) : std::nullopt;
  }
  return {};
}

}  // namespace v0
}  // namespace vidloom
