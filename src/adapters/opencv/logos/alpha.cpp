#include <adapters/opencv/logos/alpha.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace vidloom {
inline namespace v0 {
namespace logo_search {
namespace {

/// Where one byte of alpha stands: that is all of it, or its upper 8 bits.
struct Place {
  std::string_view format;
  std::size_t plane, step, offset;
};
constexpr std::array<Place, 15> places{{
    {"rgba", 0, 4, 3}, {"bgra", 0, 4, 3}, {"argb", 0, 4, 0}, {"abgr", 0, 4, 0}, {"ya8", 0, 2, 1},
    {"rgba64le", 0, 8, 7}, {"rgba64be", 0, 8, 6}, {"bgra64le", 0, 8, 7}, {"bgra64be", 0, 8, 6}, {"ya16le", 0, 4, 3}, {"ya16be", 0, 4, 2},
    {"yuva420p", 3, 1, 0}, {"yuva422p", 3, 1, 0}, {"yuva444p", 3, 1, 0}, {"gbrap", 3, 1, 0},
}};

const std::byte* row_of(const PlaneView& plane, int y) { return plane.data + plane.stride * y; }

/// In the decoder's orientation, uncropped.
cv::Mat coded_alpha(const Frame& frame) {
  const std::string_view format = frame.pixel_format();
  const auto planes = frame.planes();
  cv::Mat alpha;
  if (format == "pal8" && planes.size() == 2) {
    // FFmpeg's palette: 256 numbers 0xAARRGGBB in the processor's order.
    std::array<std::uint8_t, 256> opacity{};
    for (std::size_t i = 0; i < opacity.size(); ++i) {
      std::uint32_t entry = 0;
      std::memcpy(&entry, planes[1].data + 4 * i, sizeof entry);
      opacity[i] = static_cast<std::uint8_t>(entry >> 24);
    }
    alpha.create(planes[0].size.height, planes[0].size.width, CV_8UC1);
    for (int y = 0; y < alpha.rows; ++y) {
      const std::byte* const row = row_of(planes[0], y);
      for (int x = 0; x < alpha.cols; ++x) alpha.at<std::uint8_t>(y, x) = opacity[std::to_integer<std::size_t>(row[x])];
    }
    return alpha;
  }
  const auto* const place = std::find_if(places.begin(), places.end(), [&](const Place& one) { return one.format == format; });
  if (place == places.end() || planes.size() <= place->plane) return alpha;
  const PlaneView& plane = planes[place->plane];
  alpha.create(plane.size.height, plane.size.width, CV_8UC1);
  for (int y = 0; y < alpha.rows; ++y) {
    const std::byte* const row = row_of(plane, y) + place->offset;
    for (int x = 0; x < alpha.cols; ++x) alpha.at<std::uint8_t>(y, x) = std::to_integer<std::uint8_t>(row[static_cast<std::size_t>(x) * place->step]);
  }
  return alpha;
}

}  // namespace

cv::Mat alpha_of(const Frame& frame) {
  const cv::Mat coded = coded_alpha(frame);
  if (coded.empty()) return coded;
  const Crop& crop = frame.info().crop;
  const cv::Mat shown = coded(cv::Rect(crop.left, crop.top, coded.cols - crop.left - crop.right, coded.rows - crop.top - crop.bottom));
  cv::Mat upright = shown.clone();
  switch (frame.info().rotation_degrees) {
    case 90: cv::rotate(shown, upright, cv::ROTATE_90_CLOCKWISE); break;
    case 180: cv::rotate(shown, upright, cv::ROTATE_180); break;
    case 270: cv::rotate(shown, upright, cv::ROTATE_90_COUNTERCLOCKWISE); break;
    default: break;
  }
  if (frame.info().mirrored) cv::flip(upright, upright, 1);
  return upright;
}

}  // namespace logo_search
}  // namespace v0
}  // namespace vidloom
