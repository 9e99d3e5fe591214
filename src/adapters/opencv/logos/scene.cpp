#include <adapters/opencv/logos/scene.hpp>

#include <adapters/opencv/logos/reference.hpp>

#include <opencv2/core/utility.hpp>
#include <opencv2/features2d.hpp>
#include <opencv2/imgproc.hpp>

#include <algorithm>
#include <cstdint>

namespace vidloom {
inline namespace v0 {
namespace logo_search {
namespace {

// No template fits a picture below this.
constexpr int smallest_side = 40;
constexpr int most_corners = 1500;
constexpr double smallest_by_thumbnail = 40, thumbnail_ratio = 1.26;

/// \return the picture at a size at which marks of `mark_size` are as large as thumbnails; nothing where too little of it is left.
SmallScene small_scene(const std::vector<cv::Mat>& levels, double mark_size) {
  SmallScene made;
  const cv::Size whole = levels.front().size();
  const double share = static_cast<double>(thumbnail_size) / mark_size;
  made.size = {cvRound(whole.width * share), cvRound(whole.height * share)};
  if (std::min(made.size.width, made.size.height) < static_cast<int>(thumbnail_size)) return {};
  made.mark_size = mark_size;
  made.factor = {static_cast<double>(whole.width) / made.size.width, static_cast<double>(whole.height) / made.size.height};
  std::size_t source = 0;
  while (source + 1 < levels.size() && levels[source + 1].cols >= made.size.width && levels[source + 1].rows >= made.size.height) ++source;
  cv::Mat small, padded;
  cv::resize(levels[source], small, made.size, 0, 0, cv::INTER_AREA);
  cv::integral(small, made.sums, made.squares, CV_32S, CV_64F);
  cv::copyMakeBorder(small, padded, 0, 1, 0, 64, cv::BORDER_REPLICATE);
  padded.convertTo(made.pixels, CV_16S);
  return made;
}

}  // namespace

Scene make_scene(const cv::Mat& gray, Needs needs) {
  Scene scene;
  scene.levels.push_back(gray);
  while (std::min(scene.levels.back().cols, scene.levels.back().rows) >= 2 * smallest_side) {
    const cv::Mat& above = scene.levels.back();
    cv::Mat half;
    cv::resize(above, half, {above.cols / 2, above.rows / 2}, 0, 0, cv::INTER_AREA);
    scene.levels.push_back(half);
  }
  for (double size = smallest_by_thumbnail; needs.thumbnails; size *= thumbnail_ratio) {
    SmallScene small = small_scene(scene.levels, size);
    if (small.size.empty()) break;
    scene.small.push_back(std::move(small));
  }
  if (needs.templates) scene.maps.resize(scene.levels.size());
  const auto find_corners = [&] {
    const auto orb = cv::ORB::create(most_corners, 1.2F, 8, 15, 0, 2, cv::ORB::HARRIS_SCORE, 31, 12);
    std::vector<cv::KeyPoint> points;
    orb->detectAndCompute(gray, cv::noArray(), points, scene.descriptors);
    for (const cv::KeyPoint& point : points) {
      scene.corners.push_back(point.pt);
      scene.corner_sizes.push_back(point.size);
      scene.corner_angles.push_back(point.angle);
    }
  };
  // Each by itself: which thread does it changes nothing. The corners take as long as the largest level.
  const int maps = static_cast<int>(scene.maps.size());
  cv::parallel_for_(cv::Range(needs.corners ? -1 : 0, maps), [&](const cv::Range& range) {
    for (int i = range.start; i < range.end; ++i) {
      if (i < 0) find_corners();
      else scene.maps[static_cast<std::size_t>(i)] = ResponseMaps(scene.levels[static_cast<std::size_t>(i)]);
    }
  });
  return scene;
}

float sample(const cv::Mat& gray, float x, float y) noexcept {
  x = std::clamp(x, 0.0F, static_cast<float>(gray.cols) - 1.001F);
  y = std::clamp(y, 0.0F, static_cast<float>(gray.rows) - 1.001F);
  const int left = static_cast<int>(x), top = static_cast<int>(y);
  const float fx = x - static_cast<float>(left), fy = y - static_cast<float>(top);
  const auto* upper = gray.ptr<std::uint8_t>(top) + left;
  const auto* lower = upper + gray.step[0];
  const float a = static_cast<float>(upper[0]) + fx * static_cast<float>(upper[1] - upper[0]);
  const float b = static_cast<float>(lower[0]) + fx * static_cast<float>(lower[1] - lower[0]);
  return a + fy * (b - a);
}

}  // namespace logo_search
}  // namespace v0
}  // namespace vidloom
