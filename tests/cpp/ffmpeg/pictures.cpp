#include "reading.hpp"

#include <imaging/plane_md5.hpp>
#include <core/md5.hpp>
#include <support/clips.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <random>
#include <string>
#include <vector>

using namespace vidloom;
using namespace std::chrono_literals;
using test::error_of;
using test::Folder;
using test::quoted;

namespace {

double mean_difference(std::span<const std::byte> a, std::string_view b) {
  REQUIRE(a.size() == b.size());
  double sum = 0;
  for (std::size_t index = 0; index < a.size(); ++index)
    sum += std::abs(std::to_integer<int>(a[index]) - static_cast<int>(static_cast<unsigned char>(b[index])));
  return sum / static_cast<double>(a.size());
}

/// swscale as we set it: chroma lies left in all but JPEG, which ffmpeg 5.1 takes for centred unless told.
std::string scale_for(const std::string& path) {
  return std::string("scale=") + (path.ends_with(".jpg") ? "" : "in_h_chr_pos=0:") + "sws_flags=accurate_rnd+full_chroma_int+bicubic,format=rgb24";
}

/// An EXIF segment with nothing but an orientation, put behind SOI.
std::string with_orientation(const std::string& jpeg, char orientation) {
  std::string exif("Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0", 6 + 8 + 2 + 9);
  exif += orientation;
  exif += std::string("\0\0\0\0\0\0", 6);
  const std::size_t length = exif.size() + 2;
  return jpeg.substr(0, 2) + "\xFF\xE1" + static_cast<char>(length >> 8) + static_cast<char>(length & 0xFF) + exif + jpeg.substr(2);
}

}  // namespace

TEST_CASE("md5 gives the digests of RFC 1321") {
  const auto digest = [](std::string_view text) {
    Md5 sum;
    for (const char c : text) {  // byte by byte: crosses the block border in every way
      const auto byte = static_cast<std::byte>(c);
      sum.update({&byte, 1});
    }
    Md5 whole;
    whole.update(std::as_bytes(std::span(text)));
    const std::string result = whole.finish();
    CHECK(sum.finish() == result);
    return result;
  };
  CHECK(digest("") == "d41d8cd98f00b204e9800998ecf8427e");
  CHECK(digest("a") == "0cc175b9c0f1b6a831c399e269772661");
  CHECK(digest("abc") == "900150983cd24fb0d6963f7d28e17f72");
  CHECK(digest("message digest") == "f96b697d7cb7938d525a2f31aaf161d0");
  CHECK(digest("abcdefghijklmnopqrstuvwxyz") == "c3fcd3d76192e4007dfb496cca67e13b");
  CHECK(digest("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") == "d174ab98d277d9f5a5611c2c9f419d9f");
  CHECK(digest("12345678901234567890123456789012345678901234567890123456789012345678901234567890") == "57edf4a22be3c955ac49da2e2107b67a");
}

TEST_CASE("a picture of every kind is one frame of its size") {
  const Folder folder;
  for (const char* name : {"a.jpg", "a.png", "a.bmp", "a.tiff", "a.ppm", "a.pgm", "a.webp"}) {
    CAPTURE(name);
    const test::Read read = test::read_all(folder.make(name, "-f lavfi -i testsrc=size=67x45 -frames:v 1"));
    REQUIRE(read.frames.size() == 1);
    CHECK(read.frames[0].size() == Size{67, 45});
    CHECK(read.frames[0].info().keyframe);
    CHECK(read.frames[0].image().size() == Size{67, 45});
  }
}

TEST_CASE("half a picture is an error") {
  const Folder folder;
  for (const char* name : {"a.jpg", "a.png", "a.bmp", "a.tiff", "a.ppm", "a.webp"}) {
    CAPTURE(name);
    folder.make(name, "-f lavfi -i testsrc2=size=167x145 -frames:v 1");
    const std::string bytes = folder.read(name);
    folder.write(name, bytes.substr(0, bytes.size() / 2));
    CHECK(error_of(folder / name).code == Code::decode);
    folder.write(name, bytes.substr(0, bytes.size() * 9 / 10));
    CHECK(error_of(folder / name).code == Code::decode);
  }
}

TEST_CASE("a folder gives its pictures in natural order, by content, at the rate asked for") {
  const Folder folder;
  folder.make("img%d.png", "-f lavfi -i testsrc2=size=64x48:rate=25 -frames:v 11");
  folder.write("notes.txt", "not a picture");
  folder.write("fake.png", "neither is this");
  const std::string ninth = folder.read("img9.png");
  folder.write("img9.png", ninth.substr(0, ninth.size() / 2));
  const test::Read read = test::read_all(folder.path(), Value::parse(R"({"rate": 2})"));
  REQUIRE(read.frames.size() == 10);
  REQUIRE(read.events.size() == 1);
  CHECK(read.events[0].kind == StreamEvent::Kind::gap);
  CHECK(read.events[0].detail.find("img9.png") != std::string::npos);
  for (std::size_t index = 0; index < read.frames.size(); ++index) {
    const std::size_t number = index < 8 ? index : index + 1;
    CHECK(read.frames[index].info().time.media_time == 500ms * number);
    const test::Read alone = test::read_all(folder / ("img" + std::to_string(number + 1) + ".png"));
    CHECK(plane_md5(read.frames[index]) == plane_md5(alone.frames[0]));
  }
  const Folder empty;
  empty.write("notes.txt", "no picture");
  CHECK(error_of(empty.path()).code == Code::source);
  empty.write("half.png", ninth.substr(0, ninth.size() / 2));
  CHECK(error_of(empty.path()).code == Code::decode);
}

TEST_CASE("pictures and clips are shown as ffmpeg turns them") {
  const Folder folder;
  folder.make("flat.jpg", "-f lavfi -i testsrc2=size=96x64 -frames:v 1 -q:v 2");
  const std::string flat = folder.read("flat.jpg");
  const auto compare = [&](const std::string& path) {
    CAPTURE(path);
    const test::Read read = test::read_all(path);
    const std::string theirs =
        test::output_of("ffmpeg -v error -nostdin -i " + quoted(path) + " -frames:v 1 -vf '" + scale_for(path) + "' -f rawvideo -");
    CHECK(mean_difference(read.frames.front().image().bytes(), theirs) < 1);
    return read.frames.front().info();
  };
  for (char orientation = 1; orientation <= 8; ++orientation) {
    const std::string name = "turned" + std::to_string(orientation) + ".jpg";
    folder.write(name, with_orientation(flat, orientation));
    const FrameInfo info = compare(folder / name);
    CHECK((info.rotation_degrees % 180 != 0) == (orientation >= 5));
    const bool mirrored = orientation == 2 || orientation == 4 || orientation == 5 || orientation == 7;
    CHECK(info.mirrored == mirrored);
  }
  folder.make("flat.mp4", "-f lavfi -i testsrc2=size=96x64:rate=25:duration=0.2 -pix_fmt yuv444p -c:v libx264 -crf 5 -preset veryfast -threads 1");
  for (const char* degrees : {"90", "180", "270"})
    compare(folder.make(std::string("turned") + degrees + ".mp4", std::string("-i flat.mp4 -c copy -metadata:s:v rotate=") + degrees));
}

TEST_CASE("conversion to RGB is within a level of exact arithmetic") {
  std::mt19937 random(7);
  for (const bool subsampled : {false, true}) {
    for (const Matrix matrix : {Matrix::bt601, Matrix::bt709}) {
      for (const Range range : {Range::limited, Range::full}) {
        constexpr int width = 66, height = 38;
        const int across = subsampled ? 2 : 1;
        const Size chroma{width / across, height / across};
        std::vector<std::byte> y(width * height), u(static_cast<std::size_t>(chroma.width * chroma.height)), v(u.size());
        const bool full = range == Range::full;
        for (auto& sample : y) sample = static_cast<std::byte>(full ? random() % 256 : 16 + random() % 220);
        // Chroma in one colour where it is subsampled: how to interpolate it is another question than the matrix.
        const auto cb = static_cast<std::byte>(100 + random() % 56), cr = static_cast<std::byte>(100 + random() % 56);
        for (auto& sample : u) sample = subsampled ? cb : static_cast<std::byte>(90 + random() % 76);
        for (auto& sample : v) sample = subsampled ? cr : static_cast<std::byte>(90 + random() % 76);
        const std::array<PlaneView, 3> planes{{{y.data(), width, {width, height}}, {u.data(), chroma.width, chroma}, {v.data(), chroma.width, chroma}}};
        FrameInfo info;
        info.colour.matrix = matrix;
        info.colour.range = range;
        const Frame frame = Frame::adopt(planes, subsampled ? "yuv420p" : "yuv444p", info, nullptr);
        const Image image = frame.image();
        const double kr = matrix == Matrix::bt601 ? 0.299 : 0.2126, kb = matrix == Matrix::bt601 ? 0.114 : 0.0722, kg = 1 - kr - kb;
        double sum = 0;
        for (int row = 0; row < height; ++row) {
          for (int column = 0; column < width; ++column) {
            const auto at = static_cast<std::size_t>(row * width + column);
            const auto chroma_at = static_cast<std::size_t>(row / across * chroma.width + column / across);
            const double luma = (std::to_integer<int>(y[at]) - (full ? 0 : 16)) * (full ? 1 : 255.0 / 219);
            const double blue = (std::to_integer<int>(u[chroma_at]) - 128) * (full ? 1 : 255.0 / 224);
            const double red = (std::to_integer<int>(v[chroma_at]) - 128) * (full ? 1 : 255.0 / 224);
            const double rgb[3] = {luma + 2 * (1 - kr) * red, luma - 2 * (1 - kb) * kb / kg * blue - 2 * (1 - kr) * kr / kg * red,
                                   luma + 2 * (1 - kb) * blue};
            for (std::size_t channel = 0; channel < 3; ++channel)
              sum += std::abs(std::clamp(rgb[channel], 0.0, 255.0) - std::to_integer<int>(image.bytes()[at * 3 + channel]));
          }
        }
        CAPTURE(subsampled);
        CHECK(sum / (width * height * 3) <= 1.0);
      }
    }
  }
}

TEST_CASE("every pixel format is converted as swscale does, and a cropped part of odd size") {
  const Folder folder;
  // The whole has even sides: swscale stretches 34 chroma samples over 67 pixels. tests/cpp/imaging holds odd ones against arithmetic.
  for (const char* format : {"yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuva420p", "nv12", "gray", "gray10le", "rgb24", "bgr24", "rgba",
                             "gbrp", "pal8", "yuyv422", "monob", "rgb48le"}) {
    CAPTURE(format);
    const std::string path = folder.make("clip.nut", "-f lavfi -i testsrc=size=68x46 -frames:v 1 -c:v rawvideo -sws_flags accurate_rnd+full_chroma_int -pix_fmt " + std::string(format));
    const test::Read read = test::read_all(path);
    REQUIRE(read.frames.size() == 1);
    const Frame& frame = read.frames[0];
    CHECK(frame.pixel_format() == format);
    const std::string theirs = test::output_of("ffmpeg -v error -nostdin -i " + quoted(path) + " -vf '" + scale_for(path) + "' -f rawvideo -");
    const Image whole = frame.image();
    CHECK(mean_difference(whole.bytes(), theirs) < 1);

    FrameInfo info = frame.info();
    info.crop = {3, 5, 2, 4};
    const Image part = frame.with_info(info).image();
    REQUIRE(part.size() == Size{63, 37});
    double sum = 0;
    for (int y = 0; y < 37; ++y)
      for (int x = 0; x < 63 * 3; ++x)
        sum += std::abs(std::to_integer<int>(part.bytes()[static_cast<std::size_t>(y * 63 * 3 + x)]) -
                        std::to_integer<int>(whole.bytes()[static_cast<std::size_t>((y + 5) * 68 * 3 + x + 9)]));
    CHECK(sum / (63 * 36 * 3) < 2);
  }
}

TEST_CASE("a filter graph is a source with its own pictures and times") {
  const test::Read read = test::read_all("lavfi:testsrc2=size=64x36:rate=25,trim=duration=2");
  REQUIRE(read.frames.size() == 50);
  CHECK(read.frames[0].size() == Size{64, 36});
  CHECK(read.frames[49].info().time.media_time == 1960ms);
  CHECK(error_of("lavfi:movie=/etc/passwd").code == Code::config);
  CHECK(error_of("lavfi:color=red [a]; [a] split [b][c]; amovie=x [d]").code == Code::config);
  CHECK(error_of("lavfi:no_such_filter").code == Code::config);
  CHECK(error_of("lavfi:testsrc2=size=64x36:duration=0.2,select=0").code == Code::decode);
}

TEST_CASE("an endless filter graph goes on until it is interrupted") {
  const auto source = open_source("lavfi:testsrc2=size=64x36");
  SourceContext context{.stream = StreamId{}, .cpu = CpuGate::process()};
  source->open(context);
  for (int count = 0; count < 500; ++count) REQUIRE(std::holds_alternative<Frame>(source->read()));
  source->interrupt();
  CHECK_THROWS_AS(source->read(), Error);
  source->close();
}
