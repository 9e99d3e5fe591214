#include <imaging/yuv_picture.hpp>
#include <render/canvas.hpp>
#include <vidloom/render/annotate.hpp>
#include <vidloom/sinks/picture.hpp>
#include <vidloom/source.hpp>

#include <support/clips.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

using namespace vidloom;

namespace {

/// A smooth picture of any planar format, so that chroma at other places differs little.
Frame smooth(std::string_view format, Size size, const FrameInfo& info, int across, int down, int bytes, int depth) {
  const Size half{(size.width + across - 1) / across, (size.height + down - 1) / down};
  const auto area = [&](Size plane) { return static_cast<std::size_t>(plane.width) * static_cast<std::size_t>(plane.height) * static_cast<std::size_t>(bytes); };
  const auto memory = std::make_shared<std::vector<std::byte>>(area(size) + 2 * area(half));
  std::array<PlaneView, 3> planes{};
  std::byte* at = memory->data();
  for (std::size_t i = 0; i < 3; ++i) {
    const Size plane = i == 0 ? size : half;
    for (int y = 0; y < plane.height; ++y) {
      for (int x = 0; x < plane.width; ++x) {
        const int level = i == 0 ? 60 + 120 * x / plane.width : i == 1 ? 90 + 60 * y / plane.height : 100 + 50 * x / plane.width;
        const int value = level << (depth - 8);
        std::byte* sample = at + (static_cast<std::ptrdiff_t>(y) * plane.width + x) * bytes;
        sample[0] = static_cast<std::byte>(value & 0xFF);
        if (bytes == 2) sample[1] = static_cast<std::byte>(value >> 8);
      }
    }
    planes[i] = {at, static_cast<std::ptrdiff_t>(plane.width) * bytes, plane};
    at += area(plane);
  }
  return Frame::adopt(planes, format, info, memory);
}

/// Mean and largest difference of the two pictures in RGB.
std::pair<double, int> difference(const Frame& a, const Frame& b) {
  const Image left = a.image({.format = ImageSpec::Format::rgb8}), right = b.image({.format = ImageSpec::Format::rgb8});
  REQUIRE(left.size() == right.size());
  double sum = 0;
  int most = 0;
  for (std::size_t i = 0; i < left.bytes().size(); ++i) {
    const int d = std::abs(std::to_integer<int>(left.bytes()[i]) - std::to_integer<int>(right.bytes()[i]));
    sum += d;
    most = std::max(most, d);
  }
  return {sum / static_cast<double>(left.bytes().size()), most};
}

std::array<int, 3> pixel(const Frame& frame, int x, int y) {
  const Image image = frame.image({.format = ImageSpec::Format::rgb8});
  const std::byte* at = image.bytes().data() + y * image.stride() + 3 * x;
  return {std::to_integer<int>(at[0]), std::to_integer<int>(at[1]), std::to_integer<int>(at[2])};
}

Detections boxes(std::vector<Box> xyxy, std::string name = "thing") {
  Detections found;
  found.vocabulary = Vocabulary::of({std::move(name)});
  found.class_id.assign(xyxy.size(), 0);
  found.confidence.assign(xyxy.size(), 0.9F);
  found.xyxy = std::move(xyxy);
  return found;
}

}  // namespace

TEST_CASE("every format, crop and orientation becomes the upright picture that conversion shows") {
  struct Format {
    const char* name;
    int across, down, bytes, depth;
  };
  for (const Format& format : {Format{"yuv420p", 2, 2, 1, 8}, {"yuv422p", 2, 1, 1, 8}, {"yuv444p", 1, 1, 1, 8}, {"yuv420p10le", 2, 2, 2, 10},
                               {"yuv422p12le", 2, 1, 2, 12}, {"yuvj420p", 2, 2, 1, 8}}) {
    for (const int degrees : {0, 90, 180, 270}) {
      for (const bool mirrored : {false, true}) {
        for (const Size size : {Size{96, 64}, Size{97, 63}}) {
          FrameInfo info;
          info.rotation_degrees = degrees;
          info.mirrored = mirrored;
          info.crop = {4, 2, 6, 8};
          info.sample_aspect = {4, 3};
          info.colour.matrix = Matrix::bt709;
          const Frame frame = smooth(format.name, size, info, format.across, format.down, format.bytes, format.depth);
          const Frame upright = YuvPicture::upright_of(frame).frame();
          CAPTURE(format.name);
          CAPTURE(degrees);
          CAPTURE(mirrored);
          CHECK(upright.size() == frame.size());
          CHECK(upright.info().rotation_degrees == 0);
          CHECK(upright.info().sample_aspect == (degrees % 180 == 0 ? Rational{4, 3} : Rational{3, 4}));
          CHECK(YuvPicture::is_upright(upright));
          const auto [mean, most] = difference(frame, upright);
          CHECK(mean < 1.5);
          CHECK(most < 8);
        }
      }
    }
  }
}

TEST_CASE("RGB becomes YUV and back within rounding") {
  const Size size{64, 48};
  std::vector<std::byte> bytes(std::size_t{64} * 48 * 3);
  for (int y = 0; y < size.height; ++y)
    for (int x = 0; x < size.width; ++x)
      for (int c = 0; c < 3; ++c) bytes[static_cast<std::size_t>((y * size.width + x) * 3 + c)] = static_cast<std::byte>(c == 0 ? x * 3 : c == 1 ? y * 4 : 128);
  FrameInfo info;
  info.colour = {Matrix::rgb, Range::full};
  const Frame frame = Frame::copy_of({bytes.data(), 64 * 3, size}, info);
  const Frame upright = YuvPicture::upright_of(frame).frame();
  CHECK(upright.info().colour.matrix == Matrix::bt601);
  CHECK(upright.info().colour.range == Range::limited);
  CHECK(difference(frame, upright).first < 3);
}

TEST_CASE("a colour is the same colour in every matrix and range") {
  for (const Matrix matrix : {Matrix::bt601, Matrix::bt709, Matrix::bt2020, Matrix::smpte240m, Matrix::ycgco}) {
    for (const Range range : {Range::limited, Range::full}) {
      FrameInfo info;
      info.colour.matrix = matrix;
      info.colour.range = range;
      const Frame frame = smooth("yuv420p", {64, 64}, info, 2, 2, 1, 8);
      for (const Rgb colour : {Rgb{255, 0, 0}, Rgb{0, 255, 0}, Rgb{0, 0, 255}, Rgb{255, 179, 0}, Rgb{255, 255, 255}, Rgb{0, 0, 0}}) {
        YuvPicture picture = YuvPicture::upright_of(frame);
        Canvas(picture).fill({8, 8, 40, 40}, colour);
        const auto rgb = pixel(picture.frame(), 24, 24);
        CAPTURE(to_string(matrix));
        CHECK(std::abs(rgb[0] - colour.red) <= 4);
        CHECK(std::abs(rgb[1] - colour.green) <= 4);
        CHECK(std::abs(rgb[2] - colour.blue) <= 4);
      }
    }
  }
}

TEST_CASE("an outline touches its own pixels only, and half covered chroma half") {
  const Frame frame = smooth("yuv420p", {64, 64}, {}, 2, 2, 1, 8);
  YuvPicture picture = YuvPicture::upright_of(frame);
  Canvas(picture).outline({11, 12, 41, 40}, 1, {255, 0, 255});
  const Frame drawn = picture.frame();
  int changed = 0;
  for (int y = 0; y < 64; ++y) {
    for (int x = 0; x < 64; ++x) {
      const bool same = drawn.planes()[0].data[y * drawn.planes()[0].stride + x] == frame.planes()[0].data[y * frame.planes()[0].stride + x];
      const bool line = y >= 12 && y < 40 && x >= 11 && x < 41 && (y == 12 || y == 39 || x == 11 || x == 40);
      if (!line) CHECK(same);
      changed += !same;
    }
  }
  CHECK(changed > 90);
  // Column 5 holds pixels 10 and 11, of which 11 is covered.
  const int before = std::to_integer<int>(frame.planes()[2].data[10 * frame.planes()[2].stride + 5]);
  const int after = std::to_integer<int>(drawn.planes()[2].data[10 * drawn.planes()[2].stride + 5]);
  YuvPicture full = YuvPicture::upright_of(frame);
  Canvas(full).fill({8, 18, 14, 24}, {255, 0, 255});
  const int whole = std::to_integer<int>(full.frame().planes()[2].data[10 * full.frame().planes()[2].stride + 5]);
  CHECK(std::abs(after - (before + whole) / 2) <= 1);
}

TEST_CASE("boxes beyond the picture, without area or of no numbers harm nobody") {
  const float huge = 1e30F;
  FrameResult result;
  Detections found = boxes({{-50, -50, 20, 20}, {60, 60, 500, 500}, {30, 30, 30, 30}, {-huge, -huge, huge, huge}, {200, 200, 210, 210}});
  found.polygon = {{}, {60, 60, huge, 10, 10, 70}, {}, {-5, -5, 80, 20, 30, 90}, {}};
  result.outcomes.emplace_back("a", Outcome(found, {}, "object"));
  const Frame frame = smooth("yuv420p", {65, 65}, {}, 2, 2, 1, 8);
  const Frame drawn = annotated(frame, result, {.blur = {"thing"}});
  CHECK(difference(frame, drawn).second > 20);
}

TEST_CASE("what must not be seen is not seen, and the rest stays") {
  const Frame frame = [] {
    const auto memory = std::make_shared<std::vector<std::byte>>(std::size_t{128} * 96 * 3 / 2, std::byte{128});
    for (std::size_t i = 0; i < std::size_t{128} * 96; ++i) (*memory)[i] = i * 2654435761U % 97 > 48 ? std::byte{200} : std::byte{40};
    const std::byte* y = memory->data();
    const std::array<PlaneView, 3> planes{{{y, 128, {128, 96}}, {y + 128 * 96, 64, {64, 48}}, {y + 128 * 96 * 5 / 4, 64, {64, 48}}}};
    return Frame::adopt(planes, "yuv420p", {}, memory);
  }();
  FrameResult result;
  result.outcomes.emplace_back("faces", Outcome(boxes({{21, 17, 83, 77}}, "face"), {}, "face"));
  for (const bool blur : {true, false}) {
    AnnotateOptions options{.kinds = {{"face", {.boxes = false, .labels = false}}}};
    (blur ? options.blur : options.pixelate) = {"face"};
    const Frame drawn = annotated(frame, result, options);
    const PlaneView before = frame.planes()[0], after = drawn.planes()[0];
    double contrast = 0;
    for (int y = 0; y < 96; ++y) {
      for (int x = 0; x < 128; ++x) {
        const bool inside = x >= 20 && x < 84 && y >= 16 && y < 78;
        const int value = std::to_integer<int>(after.data[y * after.stride + x]);
        if (!inside) CHECK(after.data[y * after.stride + x] == before.data[y * before.stride + x]);
        else contrast += std::abs(value - 120);
      }
    }
    CHECK(contrast / (64 * 62) < 25);  // it was 80
  }
  // Another class is left alone; a failed analysis that would know the class hides everything.
  CHECK(difference(annotated(frame, result, {.pixelate = {"cat"}, .kinds = {{"face", {.boxes = false, .labels = false}}}}), frame).second < 3);
  FrameResult failed;
  failed.outcomes.emplace_back("faces", Outcome(Error(Code::deadline, "late"), {}, "face"));
  CHECK(difference(annotated(frame, failed, {.pixelate = {"face"}}), frame).first > 30);
  CHECK(difference(annotated(frame, failed), frame).second < 3);
}

TEST_CASE("labels are words of any script, cut to the picture") {
  const Frame frame = smooth("yuv420p", {320, 240}, {}, 2, 2, 1, 8);
  const auto with = [&](const std::string& name) {
    FrameResult result;
    result.outcomes.emplace_back("a", Outcome(boxes({{100, 100, 200, 200}}, name), {}, "object"));
    return annotated(frame, result, {.kinds = {{"object", {.boxes = false}}}});
  };
  const Frame latin = with("Stra\u00DFe"), greek = with("\u03B4\u03C1\u03CC\u03BC\u03BF\u03C2"), broken = with(std::string("a\xFF\n\x01z"));
  CHECK(difference(frame, latin).second > 40);
  CHECK(difference(latin, greek).second > 40);
  CHECK(difference(frame, broken).second > 40);
  (void)with(std::string(5000, 'w'));
  (void)with(std::string(119, 'w') + "\u03B4\u03C1");
  FrameResult labels;
  Detections found;
  found.vocabulary = Vocabulary::of({"street", "yard"});
  found.labels = {{.class_id = 0, .confidence = 0.8F}, {.class_id = 1, .confidence = 0.1F}};
  labels.outcomes.emplace_back("scene", Outcome(found, {}, "scene"));
  const Frame drawn = annotated(frame, labels);
  CHECK(difference(frame, drawn).second > 40);
  CHECK(pixel(drawn, 310, 230) == pixel(frame, 310, 230));
}

TEST_CASE("bad options are refused by name") {
  const auto refused = [](const AnnotateOptions& options, std::string_view field) {
    try {
      (void)annotated(smooth("yuv420p", {64, 64}, {}, 2, 2, 1, 8), {}, options);
      return false;
    } catch (const Error& error) {
      return error.code == Code::config && std::string_view(error.what()).find(field) != std::string_view::npos;
    }
  };
  CHECK(refused({.scale = 0}, "scale"));
  CHECK(refused({.kinds = {{"objects", {}}}}, "objects"));
  CHECK(refused({.kinds = {{"object", {.line = -1}}}}, "kinds.object.line"));
  CHECK(refused({.blur = {""}}, "blur"));
  CHECK_THROWS_AS(annotate(nullptr), Error);
}

TEST_CASE("a snapshot is the picture, a crop the pixels its box touches") {
  const test::Folder folder;
  FrameInfo info;
  info.rotation_degrees = 90;
  const Frame frame = smooth("yuv420p", {96, 64}, info, 2, 2, 1, 8);
  folder.write("whole.png", "old");
  save_picture(frame, folder / "whole.png");
  save_crop(frame, {3.2F, 5.9F, 20.1F, 90}, folder / "crop.png");
  const auto read = [&](const std::string& name) {
    const auto source = open_source(folder / name);
    SourceContext context{.stream = StreamId{0}, .cpu = CpuGate::process()};
    source->open(context);
    return std::get<Frame>(source->read());
  };
  const Frame whole = read("whole.png"), crop = read("crop.png");
  CHECK(whole.size() == Size{64, 96});
  CHECK(difference(whole, frame).second == 0);
  CHECK(crop.size() == Size{18, 85});
  CHECK(pixel(crop, 0, 0) == pixel(frame, 3, 5));
  CHECK(pixel(crop, 17, 84) == pixel(frame, 20, 89));
  CHECK(folder.read("whole.png").substr(1, 3) == "PNG");
  CHECK_THROWS_AS(save_crop(frame, {70, 0, 90, 10}, folder / "no.png"), Error);
  CHECK_THROWS_AS(save_picture(frame, folder / "no.jpg"), Error);
  CHECK_THROWS_AS(save_picture(frame, folder / "missing/no.png"), Error);
}
