#include <imaging/opencv_rgb.hpp>

#include <imaging/kernels.hpp>

#include <algorithm>
#include <cstddef>

namespace vidloom {
inline namespace v0 {
namespace {

/// 13 fraction bits, as swscale derives them from its BT.601 table {104597, 132201, 25675, 53279} / 65536.
struct Coefficients {
  std::int16_t luma_zero, luma, red, green_u, green_v, blue;
};
constexpr Coefficients limited{16 << 3, 9539, 13075, -3209, -6660, 16525};
constexpr Coefficients full{0, 8192, 11485, -2819, -5850, 14516};

constexpr int upper_half(int value, int coefficient) noexcept { return (value * coefficient) >> 16; }  // pmulhw
constexpr std::uint8_t byte_of(int value) noexcept { return static_cast<std::uint8_t>(std::clamp(value, 0, 255)); }

/// 8 bits of a component's sample.
class Reader {
 public:
  Reader(const PlaneView& plane, const PixelLayout& layout, const PixelLayout::Component& component, int y)
      : row_(plane.data + y * plane.stride + component.offset * layout.bytes),
        step_(component.step * layout.bytes),
        wide_(layout.bytes == 2),
        shift_(layout.shift + layout.depth - 8) {}
  int operator()(int x) const noexcept {
    const std::byte* at = row_ + std::ptrdiff_t{x} * step_;
    if (!wide_) return std::to_integer<int>(at[0]);
    return (std::to_integer<int>(at[0]) | std::to_integer<int>(at[1]) << 8) >> shift_;
  }

 private:
  const std::byte* row_;
  std::ptrdiff_t step_;
  bool wide_;
  int shift_;
};

}  // namespace

void opencv_rgb_row(std::span<const PlaneView> planes, const PixelLayout& layout, bool full_range, int y, int left, int count,
                    const std::array<std::uint8_t*, 3>& out) noexcept {
  const Coefficients& c = full_range ? full : limited;
  const bool plain = layout.bytes == 1 && layout.log2_across == 1 && layout.components[1].step == 1 && left % 2 == 0;
  if (const Kernels& set = kernels(); set.opencv_row && plain && count >= 32) {
    const auto row = [&](std::size_t i, int down, int across) { return planes[i].data + (y >> down) * planes[i].stride + (left >> across); };
    const int whole = count & ~1;
    set.opencv_row({.luma = row(0, 0, 0), .u = row(1, layout.log2_down, 1), .v = row(2, layout.log2_down, 1), .luma_zero = c.luma_zero,
                    .luma_gain = c.luma, .red_v = c.red, .green_u = c.green_u, .green_v = c.green_v, .blue_u = c.blue,
                    .width = static_cast<std::size_t>(whole), .out = out});
    if (whole == count) return;
    return opencv_rgb_row(planes, layout, full_range, y, left + whole, 1, {out[0] + whole, out[1] + whole, out[2] + whole});
  }
  const auto reader = [&](std::size_t i, int row) {
    const PixelLayout::Component& component = layout.components[i];
    return Reader(planes[static_cast<std::size_t>(component.plane)], layout, component, row);
  };
  const Reader luma = reader(0, y), u = reader(1, y >> layout.log2_down), v = reader(2, y >> layout.log2_down);
  int last = -1, red = 0, green = 0, blue = 0;
  for (int i = 0; i < count; ++i) {
    const int x = left + i, sample = x >> layout.log2_across;
    if (sample != last) {
      const int cb = (u(sample) << 3) - 1024, cr = (v(sample) << 3) - 1024;
      red = upper_half(cr, c.red);
      green = upper_half(cb, c.green_u) + upper_half(cr, c.green_v);
      blue = upper_half(cb, c.blue);
      last = sample;
    }
    const int grey = upper_half((luma(x) << 3) - c.luma_zero, c.luma);
    out[0][i] = byte_of(grey + red);
    out[1][i] = byte_of(grey + green);
    out[2][i] = byte_of(grey + blue);
  }
}

}  // namespace v0
}  // namespace vidloom
