#include <sinks/report_picture.hpp>

#include <core/component.hpp>

#include <algorithm>
#include <array>
#include <cmath>

namespace vidloom {
inline namespace v0 {
namespace {

constexpr int coarseness = 6;  // of JPEG: about 10 kB a picture

/// As it is shown: upright, pixels made square by the sample aspect.
Size shown_size(const Frame& frame, int longest) {
  const FrameInfo& info = frame.info();
  double width = frame.size().width, height = frame.size().height;
  if (info.sample_aspect.num > 0 && info.sample_aspect.den > 0) {
    const double aspect = static_cast<double>(info.sample_aspect.num) / static_cast<double>(info.sample_aspect.den);
    (info.rotation_degrees % 180 != 0 ? height : width) *= aspect;
  }
  const double scale = std::min(1.0, longest / std::max(width, height));
  return {std::max(1, static_cast<int>(std::lround(width * scale))), std::max(1, static_cast<int>(std::lround(height * scale)))};
}

}  // namespace

SmallPicture::SmallPicture(const Frame& frame, int longest)
    : size_(shown_size(frame, longest)),
      image_(frame.image({.size = size_, .format = ImageSpec::Format::rgb8, .filter = Filter::bilinear, .mode = ColourMode::fast})),
      pixels_(image_.bytes().begin(), image_.bytes().end()),
      x_scale_(static_cast<double>(size_.width) / frame.size().width),
      y_scale_(static_cast<double>(size_.height) / frame.size().height) {}

void SmallPicture::hide(const Box& box) noexcept {
  const int left = std::clamp(static_cast<int>(std::floor(box.x1 * x_scale_)), 0, size_.width), right = std::clamp(static_cast<int>(std::ceil(box.x2 * x_scale_)), left, size_.width);
  const int top = std::clamp(static_cast<int>(std::floor(box.y1 * y_scale_)), 0, size_.height), bottom = std::clamp(static_cast<int>(std::ceil(box.y2 * y_scale_)), top, size_.height);
  const int block = std::max(8, std::min(right - left, bottom - top) / 4);
  for (int y = top; y < bottom; y += block) {
    for (int x = left; x < right; x += block) {
      const int x2 = std::min(x + block, right), y2 = std::min(y + block, bottom);
      std::array<unsigned, 3> sum{};
      const auto each = [&](auto&& action) {
        for (int row = y; row < y2; ++row)
          for (int column = x; column < x2; ++column)
            for (std::size_t c = 0; c < 3; ++c) action(pixels_[static_cast<std::size_t>(row * size_.width + column) * 3 + c], c);
      };
      each([&](std::byte& value, std::size_t c) { sum[c] += std::to_integer<unsigned>(value); });
      const auto area = static_cast<unsigned>((x2 - x) * (y2 - y));
      each([&](std::byte& value, std::size_t c) { value = static_cast<std::byte>(sum[c] / area); });
    }
  }
}

void SmallPicture::hide_all() noexcept {
  hide({0, 0, static_cast<float>(size_.width / x_scale_ + 1), static_cast<float>(size_.height / y_scale_ + 1)});
}

std::vector<std::byte> SmallPicture::jpeg() const {
  return picture_encoder("pictures of a report").jpeg({pixels_.data(), std::ptrdiff_t{3} * size_.width, size_}, coarseness);
}

}  // namespace v0
}  // namespace vidloom
