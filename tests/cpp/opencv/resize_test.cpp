// opencv_compat held against OpenCV itself. Its picture at full size is tested beside swscale in tests/cpp/imaging.
#include <imaging/slot.hpp>
#include <support/clips.hpp>

#include <vidloom/frame.hpp>
#include <vidloom/source.hpp>

#include <doctest/doctest.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <variant>
#include <vector>

using namespace vidloom;

namespace {

Frame first_frame() {
  const std::string clip = test::require_clip("vtest.avi");
  const auto source = open_source(clip.empty() ? "test:size=768x576,frames=1" : clip);
  SourceContext context{.cpu = CpuGate::process()};
  source->open(context);
  const Frame frame = std::get<Frame>(source->read());
  source->close();
  return frame;
}

/// What people wrote: the captured BGR picture through cv2.resize.
cv::Mat resized_by_opencv(const Image& whole, Size size, Filter filter) {
  const cv::Mat picture(whole.size().height, whole.size().width, CV_8UC3, const_cast<std::byte*>(whole.bytes().data()));
  cv::Mat result;
  cv::resize(picture, result, {size.width, size.height}, 0, 0, filter == Filter::bilinear ? cv::INTER_LINEAR : cv::INTER_CUBIC);
  return result;
}

}  // namespace

TEST_CASE("opencv_compat pictures of every size are cv2.resize's within two levels") {
  const Frame frame = first_frame();
  const Image whole = frame.image({.format = ImageSpec::Format::bgr8, .mode = ColourMode::opencv_compat});
  for (const Filter filter : {Filter::bilinear, Filter::bicubic}) {
    for (const Size size : {Size{224, 224}, Size{640, 480}, Size{384, 288}, Size{97, 31}, Size{1000, 600}, Size{768, 576}}) {
      const Image ours = frame.image({.size = size, .format = ImageSpec::Format::bgr8, .filter = filter, .mode = ColourMode::opencv_compat});
      const cv::Mat theirs = resized_by_opencv(whole, size, filter);
      int largest = 0;
      for (std::size_t i = 0; i < ours.bytes().size(); ++i) largest = std::max(largest, std::abs(std::to_integer<int>(ours.bytes()[i]) - int{theirs.data[i]}));
      CAPTURE(static_cast<int>(filter));
      CAPTURE(size.width);
      CHECK(largest <= 2);
    }
  }
}

TEST_CASE("opencv_compat tensors are the middle of cv2.resize's picture within two levels") {
  const Frame frame = first_frame();
  const Image whole = frame.image({.format = ImageSpec::Format::bgr8, .mode = ColourMode::opencv_compat});
  for (const Filter filter : {Filter::bilinear, Filter::bicubic}) {
    const TensorSpec spec{.size = {224, 224}, .dtype = TensorSpec::DType::u8, .filter = filter, .mode = ColourMode::opencv_compat};
    std::vector<std::byte> slot(slot_bytes(spec));
    frame.write_tensor(spec, slot);
    const SlotPlace place = place_in_slot(frame.size(), spec);
    const cv::Mat theirs = resized_by_opencv(whole, place.resized, filter);
    int largest = 0;
    for (int c = 0; c < 3; ++c)
      for (int y = 0; y < 224; ++y)
        for (int x = 0; x < 224; ++x)
          largest = std::max(largest, std::abs(std::to_integer<int>(slot[static_cast<std::size_t>((c * 224 + y) * 224 + x)]) -
                                               int{theirs.at<cv::Vec3b>(y - place.y, x - place.x)[2 - c]}));
    CHECK(largest <= 2);
  }
}
