#include "pictures.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace vidloom;
using namespace vidloom::test;

namespace {

/// What swscale makes of the first picture under the flags cv2.VideoCapture passes: bicubic, nothing else.
std::string swscale_bgr(const std::string& clip) {
  return output_of("ffmpeg -v error -nostdin -noautorotate -i " + quoted(clip) + " -frames:v 1 -vf scale=in_color_matrix=bt601:flags=bicubic,format=bgr24 -f rawvideo -");
}

int largest_difference(std::span<const std::byte> ours, const std::string& theirs) {
  REQUIRE(ours.size() == theirs.size());
  int largest = 0;
  for (std::size_t i = 0; i < ours.size(); ++i)
    largest = std::max(largest, std::abs(std::to_integer<int>(ours[i]) - static_cast<int>(static_cast<unsigned char>(theirs[i]))));
  return largest;
}

}  // namespace

TEST_CASE("opencv_compat gives the very bytes of swscale's unscaled converter") {
  const ImageSpec bgr{.format = ImageSpec::Format::bgr8, .mode = ColourMode::opencv_compat};
  const Folder folder;
  std::vector<std::string> clips;
  if (const std::string street = require_clip("vtest.avi"); !street.empty()) clips.push_back(street);
  clips.push_back(folder.make("hd.ts", "-f lavfi -i testsrc2=size=1920x1080:duration=0.2 -c:v libx264 -pix_fmt yuv420p -preset ultrafast -colorspace bt709"));
  clips.push_back(folder.make("full.avi", "-f lavfi -i testsrc2=size=640x480:duration=0.2 -c:v mjpeg -pix_fmt yuvj420p -q:v 2"));
  clips.push_back(folder.make("pro.avi", "-f lavfi -i testsrc2=size=640x480:duration=0.2 -c:v ffv1 -pix_fmt yuv422p"));
  for (const std::string& clip : clips) {
    CAPTURE(clip);
    const Frame frame = first_frame(clip);
    CHECK(largest_difference(frame.image(bgr).bytes(), swscale_bgr(clip)) <= 1);
    CHECK(largest_difference(frame.image({.format = ImageSpec::Format::bgr8}).bytes(), swscale_bgr(clip)) > 2);
  }
}

TEST_CASE("opencv_compat tensors are its picture resized without antialias") {
  const Frame frame = street_frame();
  const Image whole = frame.image({.format = ImageSpec::Format::rgb8, .mode = ColourMode::opencv_compat});
  const TensorSpec spec{.size = {224, 168}, .fit = TensorSpec::Fit::stretch, .dtype = TensorSpec::DType::u8, .filter = Filter::bilinear, .mode = ColourMode::opencv_compat};
  const std::vector<double> levels = tensor_levels(frame, spec);
  const double across = 768.0 / 224, down = 576.0 / 168;
  double largest = 0;
  for (int c = 0; c < 3; ++c) {
    for (int y = 0; y < 168; ++y) {
      for (int x = 0; x < 224; ++x) {
        const double px = (x + 0.5) * across - 0.5, py = (y + 0.5) * down - 0.5;
        const int left = static_cast<int>(px), top = static_cast<int>(py);
        const auto at = [&](int column, int row) {
          return static_cast<double>(std::to_integer<int>(whole.bytes()[static_cast<std::size_t>((std::min(row, 575) * 768 + std::min(column, 767)) * 3 + c)]));
        };
        const double fx = px - left, fy = py - top;
        const double expected = (at(left, top) * (1 - fx) + at(left + 1, top) * fx) * (1 - fy) + (at(left, top + 1) * (1 - fx) + at(left + 1, top + 1) * fx) * fy;
        largest = std::max(largest, std::abs(expected - levels[static_cast<std::size_t>((c * 168 + y) * 224 + x)]));
      }
    }
  }
  CHECK(largest <= 0.6);  // rounding
}
