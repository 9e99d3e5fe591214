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
