// Our mixture of Gaussians beside OpenCV's MOG2.
#include <adapters/background_model.hpp>
#include <support/clips.hpp>

#include <vidloom/frame.hpp>
#include <vidloom/source.hpp>

#include <opencv2/imgproc.hpp>
#include <opencv2/video/background_segm.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

using namespace vidloom;

namespace {

struct Difference {
  std::size_t pixels = 0, moving = 0, other = 0;
};

/// Shows both the same pictures.
class Pair {
 public:
  Pair(Size size, int history, double threshold)
      : ours_(size, history, threshold), theirs_(cv::createBackgroundSubtractorMOG2(history, threshold, false)) {}

  void learn(const cv::Mat& grey) {
    cv::Mat ours(grey.size(), CV_8UC1), theirs;
    ours_.learn({grey.data, grey.total()}, {ours.data, ours.total()});
    theirs_->apply(grey, theirs);
    cv::Mat differ;
    cv::compare(ours, theirs, differ, cv::CMP_NE);
    found_.pixels += grey.total();
    found_.moving += static_cast<std::size_t>(cv::countNonZero(theirs));
    found_.other += static_cast<std::size_t>(cv::countNonZero(differ));
  }
  const Difference& found() const { return found_; }

 private:
  BackgroundModel ours_;
  cv::Ptr<cv::BackgroundSubtractorMOG2> theirs_;
  Difference found_;
};

}  // namespace

TEST_CASE("on real footage the background model marks the pixels that MOG2 marks") {
  const std::string clip = test::require_clip("vtest.avi");
  if (clip.empty()) return;
  const auto source = open_source(clip);
  SourceContext context{.stream = StreamId{0}, .cpu = CpuGate::process()};
  source->open(context);
  Pair fast({384, 288}, 20, 16), slow({384, 288}, 120, 4);
  for (int i = 0; i < 160; ++i) {
    const ReadResult read = source->read();
    REQUIRE(std::holds_alternative<Frame>(read));
    const PlaneView luma = std::get<Frame>(read).luma();
    const cv::Mat full(luma.size.height, luma.size.width, CV_8UC1, const_cast<std::byte*>(luma.data), static_cast<std::size_t>(luma.stride));
    cv::Mat grey;
    cv::resize(full, grey, {384, 288}, 0, 0, cv::INTER_AREA);
    fast.learn(grey);
    slow.learn(grey);
  }
  source->close();
  for (const Pair* pair : {&fast, &slow}) {
    CHECK(pair->found().moving > pair->found().pixels / 500);
    // Equal to the bit where both are compiled alike; a fused multiply-add elsewhere may tip a pixel that stands on the edge.
    CHECK(pair->found().other <= pair->found().pixels / 100'000);
  }
}

TEST_CASE("noise, jumps and a history of one picture are learned as MOG2 learns them") {
  for (const int history : {1, 2, 7, 500}) {
    for (const double threshold : {4.0, 16.0, 64.0}) {
      Pair pair({64, 48}, history, threshold);
      std::mt19937 random(7);
      for (int i = 0; i < 60; ++i) {
        cv::Mat grey(48, 64, CV_8UC1);
        for (std::size_t k = 0; k < grey.total(); ++k) {
          const auto noise = static_cast<int>(random() % 9);
          grey.data[k] = static_cast<std::uint8_t>(k % 5 == 0 ? random() % 256 : (i / 12 % 2 == 0 ? 60 : 180) + noise);
        }
        pair.learn(grey);
      }
      CAPTURE(history);
      CAPTURE(threshold);
      CHECK(pair.found().moving > 0);
      CHECK(pair.found().other <= pair.found().pixels / 100'000);
    }
  }
}
