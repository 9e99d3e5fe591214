#include <render/canvas.hpp>

#include <imaging/colour_matrix.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace vidloom {
inline namespace v0 {
namespace {

using Plane = YuvPicture::Plane;

std::byte* row_of(const Plane& plane, int y) noexcept { return plane.data + y * plane.stride; }

/// \param opacity  0 to 255.
void mix(std::byte& sample, int value, int opacity) noexcept {
  const int old = std::to_integer<int>(sample), by = (value - old) * opacity;
  sample = static_cast<std::byte>(old + (by + (by < 0 ? -127 : 127)) / 255);
}

/// How much of chroma sample `at` lies in [begin, end), in halves of two pixels; the last sample of an odd side has one pixel.
int overlap(int at, int begin, int end, int length) noexcept {
  const int first = 2 * at, last = std::min(first + 2, length);
  const int inside = std::max(0, std::min(last, end) - std::max(first, begin));
  return last - first == 1 ? 2 * inside : inside;
}

/// Each value becomes the mean of its neighbours within `radius`, inside the row; the ends are repeated.
void blur_line(std::byte* data, std::ptrdiff_t step, int length, int radius, std::vector<std::uint8_t>& scratch) {
  scratch.resize(static_cast<std::size_t>(length));
  for (int i = 0; i < length; ++i) scratch[static_cast<std::size_t>(i)] = std::to_integer<std::uint8_t>(data[i * step]);
  const auto at = [&](int i) { return static_cast<int>(scratch[static_cast<std::size_t>(std::clamp(i, 0, length - 1))]); };
  const int count = 2 * radius + 1;
  int sum = 0;
  for (int i = -radius; i <= radius; ++i) sum += at(i);
  for (int i = 0; i < length; ++i) {
    data[i * step] = static_cast<std::byte>((sum + count / 2) / count);
    sum += at(i + radius + 1) - at(i - radius);
  }
}

}  // namespace

Canvas::Canvas(YuvPicture& picture) noexcept : picture_(picture) {}

Canvas::Colour Canvas::colour_of(Rgb colour) const noexcept {
  const YuvFromRgb yuv(picture_.effective());
  const auto [u, v] = yuv.chroma(colour.red, colour.green, colour.blue);
  return {yuv.luma(colour.red, colour.green, colour.blue), u, v};
}

Area Canvas::cut(const Area& area) const noexcept {
  const Size whole = size();
  return {std::clamp(area.left, 0, whole.width), std::clamp(area.top, 0, whole.height), std::clamp(area.right, 0, whole.width),
          std::clamp(area.bottom, 0, whole.height)};
}

Area Canvas::nearest(const Box& box) const noexcept {
  const Size whole = size();
  const auto rounded = [](float value, int limit) {  // also of what no picture holds
    return static_cast<int>(std::lround(std::clamp(value, -1.0F, static_cast<float>(limit) + 1)));
  };
  return {rounded(box.x1, whole.width), rounded(box.y1, whole.height), rounded(box.x2, whole.width), rounded(box.y2, whole.height)};
}

Area Canvas::covering(const Box& box) const noexcept {
  const Size whole = size();
  const auto down = [](float value, int limit) { return static_cast<int>(std::floor(std::clamp(value, 0.0F, static_cast<float>(limit)))) / 2 * 2; };
  const auto up = [](float value, int limit) {
    return std::min((static_cast<int>(std::ceil(std::clamp(value, 0.0F, static_cast<float>(limit)))) + 1) / 2 * 2, limit);
  };
  return {down(box.x1, whole.width), down(box.y1, whole.height), up(box.x2, whole.width), up(box.y2, whole.height)};
}

void Canvas::fill(const Area& area, Rgb colour, int opacity) noexcept {
  const Area part = cut(area);
  if (part.empty()) return;
  const Colour value = colour_of(colour);
  const auto& [luma, blue, red] = picture_.planes();
  for (int y = part.top; y < part.bottom; ++y) {
    std::byte* const row = row_of(luma, y);
    if (opacity == 255) {
      std::memset(row + part.left, value.y, static_cast<std::size_t>(part.width()));
    } else {
      for (int x = part.left; x < part.right; ++x) mix(row[x], value.y, opacity);
    }
  }
  const Size whole = size();
  for (int y = part.top / 2; y < (part.bottom + 1) / 2; ++y) {
    const int down = overlap(y, part.top, part.bottom, whole.height);
    std::byte *const u = row_of(blue, y), *const v = row_of(red, y);
    for (int x = part.left / 2; x < (part.right + 1) / 2; ++x) {
      const int share = opacity * down * overlap(x, part.left, part.right, whole.width) / 4;
      mix(u[x], value.u, share);
      mix(v[x], value.v, share);
    }
  }
}

void Canvas::outline(const Area& area, int thickness, Rgb colour) noexcept {
  if (area.empty()) return;
  const int line = std::clamp(thickness, 1, std::max(1, std::min(area.width(), area.height()) / 2));
  fill({area.left, area.top, area.right, area.top + line}, colour);
  fill({area.left, area.bottom - line, area.right, area.bottom}, colour);
  fill({area.left, area.top + line, area.left + line, area.bottom - line}, colour);
  fill({area.right - line, area.top + line, area.right, area.bottom - line}, colour);
}

void Canvas::polygon(std::span<const float> points, float thickness, Rgb colour) {
  const std::size_t count = points.size() / 2;
  if (count < 2) return;
  Box around{points[0], points[1], points[0], points[1]};
  for (std::size_t i = 1; i < count; ++i) {
    around = {std::min(around.x1, points[2 * i]), std::min(around.y1, points[2 * i + 1]), std::max(around.x2, points[2 * i]),
              std::max(around.y2, points[2 * i + 1])};
  }
  const float reach = thickness / 2 + 1;
  const Area part = covering({around.x1 - reach, around.y1 - reach, around.x2 + reach, around.y2 + reach});
  if (part.empty()) return;
  Coverage mask{{part.width(), part.height()}, std::vector<std::uint8_t>(static_cast<std::size_t>(part.width()) * static_cast<std::size_t>(part.height()))};
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t next = (i + 1) % count;
    const float x1 = points[2 * i], y1 = points[2 * i + 1], x2 = points[2 * next], y2 = points[2 * next + 1], dx = x2 - x1, dy = y2 - y1;
    const float squared = dx * dx + dy * dy;
    // From the corners themselves, for x1 + dx may round to beyond x2, and out of the mask.
    const Area near = covering({std::min(x1, x2) - reach, std::min(y1, y2) - reach, std::max(x1, x2) + reach, std::max(y1, y2) + reach});
    for (int y = near.top; y < near.bottom; ++y) {
      for (int x = near.left; x < near.right; ++x) {
        const float px = static_cast<float>(x) + 0.5F - x1, py = static_cast<float>(y) + 0.5F - y1;
        const float along = squared > 0 ? std::clamp((px * dx + py * dy) / squared, 0.0F, 1.0F) : 0;
        const float distance = std::hypot(px - along * dx, py - along * dy);
        const auto covered = static_cast<std::uint8_t>(std::lround(255 * std::clamp(thickness / 2 + 0.5F - distance, 0.0F, 1.0F)));
        std::uint8_t& value = mask.values[static_cast<std::size_t>(y - part.top) * static_cast<std::size_t>(mask.size.width) + static_cast<std::size_t>(x - part.left)];
        value = std::max(value, covered);
      }
    }
  }
  blend(mask, part.left, part.top, colour);
}

void Canvas::blend(const Coverage& mask, int left, int top, Rgb colour) noexcept {
  const Area part = cut({left, top, left + mask.size.width, top + mask.size.height});
  if (part.empty()) return;
  const Colour value = colour_of(colour);
  const auto covered = [&](int x, int y) -> int {
    if (x < part.left || x >= part.right || y < part.top || y >= part.bottom) return 0;
    return mask.values[static_cast<std::size_t>(y - top) * static_cast<std::size_t>(mask.size.width) + static_cast<std::size_t>(x - left)];
  };
  const auto& [luma, blue, red] = picture_.planes();
  for (int y = part.top; y < part.bottom; ++y) {
    std::byte* const row = row_of(luma, y);
    for (int x = part.left; x < part.right; ++x)
      if (const int share = covered(x, y)) mix(row[x], value.y, share);
  }
  for (int y = part.top / 2; y < (part.bottom + 1) / 2; ++y) {
    std::byte *const u = row_of(blue, y), *const v = row_of(red, y);
    for (int x = part.left / 2; x < (part.right + 1) / 2; ++x) {
      const int sum = covered(2 * x, 2 * y) + covered(2 * x + 1, 2 * y) + covered(2 * x, 2 * y + 1) + covered(2 * x + 1, 2 * y + 1);
      if (sum == 0) continue;
      mix(u[x], value.u, (sum + 2) / 4);
      mix(v[x], value.v, (sum + 2) / 4);
    }
  }
}

void Canvas::pixelate(const Area& area) noexcept {
  const Area part = cut(area);
  if (part.empty()) return;
  const int block = std::max(8, std::min(part.width(), part.height()) / 8 / 2 * 2);
  for (std::size_t index = 0; index < 3; ++index) {
    const Plane& plane = picture_.planes()[index];
    const int scale = index == 0 ? 1 : 2, side = block / scale;
    const int left = part.left / scale, top = part.top / scale;
    const int right = (part.right + scale - 1) / scale, bottom = (part.bottom + scale - 1) / scale;
    for (int y = top; y < bottom; y += side) {
      for (int x = left; x < right; x += side) {
        const int x2 = std::min(x + side, right), y2 = std::min(y + side, bottom);
        int sum = 0;
        for (int line = y; line < y2; ++line)
          for (int at = x; at < x2; ++at) sum += std::to_integer<int>(row_of(plane, line)[at]);
        const int count = (x2 - x) * (y2 - y);
        for (int line = y; line < y2; ++line) std::memset(row_of(plane, line) + x, (sum + count / 2) / count, static_cast<std::size_t>(x2 - x));
      }
    }
  }
}

void Canvas::blur(const Area& area) {
  const Area part = cut(area);
  if (part.empty()) return;
  const int radius = std::max(8, std::max(part.width(), part.height()) / 8);
  std::vector<std::uint8_t> scratch;
  for (std::size_t index = 0; index < 3; ++index) {
    const Plane& plane = picture_.planes()[index];
    const int scale = index == 0 ? 1 : 2;
    const int left = part.left / scale, top = part.top / scale;
    const int right = (part.right + scale - 1) / scale, bottom = (part.bottom + scale - 1) / scale;
    for (int pass = 0; pass < 2; ++pass) {  // twice a box: no edge of the box remains
      for (int y = top; y < bottom; ++y) blur_line(row_of(plane, y) + left, 1, right - left, radius / scale, scratch);
      for (int x = left; x < right; ++x) blur_line(row_of(plane, top) + x, plane.stride, bottom - top, radius / scale, scratch);
    }
  }
}

}  // namespace v0
}  // namespace vidloom
