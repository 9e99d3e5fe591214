#include "pictures.hpp"
#include "reference.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace vidloom;
using namespace vidloom::test;

namespace {

void check_exact(const Frame& frame, const Format& format, Matrix matrix, bool full, ChromaSite site, const TensorSpec& spec) {
  const Distance distance = tensor_distance(frame, format, matrix, full, site, spec);
  CHECK(distance.mean <= 0.5);
  CHECK(distance.p999 <= 4);
  // What the arithmetic allows: weights of 14 bits, lines of 6 fraction bits.
  CHECK(distance.most <= 0.35);
}

}  // namespace

TEST_CASE("real footage becomes the tensor that exact arithmetic gives") {
  const Frame frame = street_frame();
  const Format format{.name = "yuv420p", .across = 2, .down = 2};
  for (const TensorSpec::Fit fit : {TensorSpec::Fit::centre_crop, TensorSpec::Fit::letterbox, TensorSpec::Fit::stretch}) {
    for (const Filter filter : {Filter::bicubic, Filter::bilinear}) {
      for (const Size size : {Size{224, 224}, Size{640, 640}, Size{97, 33}, Size{1000, 700}}) {
        CAPTURE(static_cast<int>(fit));
        CAPTURE(static_cast<int>(filter));
        CAPTURE(size.width);
        check_exact(frame, format, Matrix::bt601, false, ChromaSite::left, {.size = size, .fit = fit, .filter = filter});
      }
    }
  }
}

TEST_CASE("every format, matrix, range and site is exact, at odd sizes and crops") {
  std::mt19937 random(3);
  for (const Format& format : formats()) {
    for (const Matrix matrix : {Matrix::bt601, Matrix::bt709, Matrix::bt2020, Matrix::smpte240m, Matrix::fcc}) {
      for (const Range range : {Range::limited, Range::full}) {
        const Size size{71 + static_cast<int>(random() % 40), 45 + static_cast<int>(random() % 30)};
        FrameInfo info;
        info.colour = {matrix, range, Transfer::unknown, static_cast<ChromaSite>(random() % 7)};
        if (random() % 2) info.crop = {static_cast<int>(random() % 6), static_cast<int>(random() % 6), static_cast<int>(random() % 6), static_cast<int>(random() % 6)};
        info.rotation_degrees = static_cast<int>(random() % 4) * 90;
        info.mirrored = random() % 2;
        const Frame frame = picture(format, size, info, random);
        ChromaSite site = info.colour.chroma_site;
        if (site == ChromaSite::unknown) site = range == Range::full ? ChromaSite::centre : ChromaSite::left;
        CAPTURE(format.name);
        CAPTURE(static_cast<int>(matrix));
        CAPTURE(static_cast<int>(range));
        CAPTURE(static_cast<int>(site));
        CAPTURE(size.width);
        CAPTURE(size.height);
        const TensorSpec spec{.size = {static_cast<int>(16 + random() % 100), static_cast<int>(16 + random() % 100)}, .fit = static_cast<TensorSpec::Fit>(random() % 3)};
        check_exact(frame, format, matrix, range == Range::full, site, spec);
        // Full size: nothing but chroma is raised.
        check_exact(frame, format, matrix, range == Range::full, site, {.size = frame.size(), .fit = TensorSpec::Fit::stretch});
      }
    }
  }
}

TEST_CASE("a full-size RGB picture is exact arithmetic, rounded") {
  std::mt19937 random(5);
  double worst = 0;
  for (const Format& format : formats()) {
    for (int round = 0; round < 14; ++round) {
      const Matrix matrix = std::array{Matrix::bt601, Matrix::bt709, Matrix::bt2020, Matrix::smpte240m, Matrix::fcc}[random() % 5];
      FrameInfo info;
      info.colour = {matrix, round % 2 ? Range::full : Range::limited, Transfer::unknown, static_cast<ChromaSite>(1 + round % 6)};
      if (round % 3 == 0) info.crop = {static_cast<int>(random() % 5), static_cast<int>(random() % 5), static_cast<int>(random() % 5), static_cast<int>(random() % 5)};
      const Frame frame = picture(format, {64 + static_cast<int>(random() % 90), 8 + static_cast<int>(random() % 40)}, info, random);
      const bool bgr = random() % 2;
      const Image image = frame.image({.format = bgr ? ImageSpec::Format::bgr8 : ImageSpec::Format::rgb8});
      const Rgb rgb = reference_rgb(frame, format, matrix, round % 2, info.colour.chroma_site, {frame.size()});
      std::vector<double> differences;
      for (std::size_t i = 0; i < image.bytes().size(); ++i)
        differences.push_back(std::to_integer<int>(image.bytes()[i]) - rgb.planes[bgr ? 2 - i % 3 : i % 3].at[i / 3]);
      CAPTURE(format.name);
      CAPTURE(frame.size().width);
      const Distance distance = distance_of(std::move(differences));
      worst = std::max(worst, distance.most);
      CHECK(distance.mean <= 0.3);
      CHECK(distance.most <= 0.75);
    }
  }
  MESSAGE("furthest from exact: " << worst);
}
