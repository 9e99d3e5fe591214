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

TEST_CASE("on 1080p segments and damaged footage, too; how far the other ways are from it") {
  const Folder folder;
  std::vector<std::string> films;
  if (const std::string street = require_clip("vtest.avi"); !street.empty()) {
    films.push_back(street);
    const std::string larger = "-i " + quoted(street) + " -frames:v 1 -vf scale=1920:1080:flags=lanczos:out_color_matrix=bt709 ";
    films.push_back(folder.make("street.ts", larger + "-c:v libx264 -preset veryfast -crf 18 -colorspace bt709"));
  }
  if (const std::string box = require_clip("box.mp4"); !box.empty()) films.push_back(box);
  // Saturated edges everywhere: the worst for whoever clamps early or takes chroma for coarse.
  films.push_back(folder.make("bars.ts", "-f lavfi -i testsrc2=size=1920x1080 -frames:v 1 -vf scale=out_color_matrix=bt709 -pix_fmt yuv420p "
                                         "-c:v libx264 -preset veryfast -crf 18 -colorspace bt709"));
  const Format format{.name = "yuv420p", .across = 2, .down = 2};
  for (const std::string& film : films) {
    const Frame frame = first_frame(film);
    REQUIRE(frame.pixel_format() == "yuv420p");
    const Matrix matrix = frame.size().height >= 720 ? Matrix::bt709 : Matrix::bt601;
    for (const bool letterbox : {false, true}) {
      CAPTURE(film);
      TensorSpec spec{.size = {224, 224}};
      if (letterbox) spec = {.size = {640, 640}, .fit = TensorSpec::Fit::letterbox, .filter = Filter::bilinear};
      check_exact(frame, format, matrix, false, ChromaSite::left, spec);
      const Distance early = tensor_distance(frame, format, matrix, false, ChromaSite::left, spec, true);
      spec.mode = ColourMode::fast;
      const Distance fast = tensor_distance(frame, format, matrix, false, ChromaSite::left, spec);
      CHECK(fast.mean <= 1);
      MESSAGE(film << (letterbox ? " 640: " : " 224: ") << "fast: mean " << fast.mean << ", p99.9 " << fast.p999 << ", most " << fast.most
                   << "; clamped before the resize: mean " << early.mean << ", p99.9 " << early.p999 << ", most " << early.most);
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
