#include <vidloom/core/error.hpp>
#include <vidloom/registry.hpp>
#include <vidloom/sources/test_pattern.hpp>

#include <sources/barcode.hpp>

#include <doctest/doctest.h>

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

using namespace vidloom;
namespace fs = std::filesystem;

namespace {

std::string complaint(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return std::string(to_string(error.code)) + ": " + error.what();
  }
  return "fine";
}

const Image grey_of_frame(const Frame& frame, Size size = {}) { return frame.image({.size = size, .format = ImageSpec::Format::gray8}); }

struct Opened {
  std::unique_ptr<Source> source;
  SourceContext context{.stream = StreamId{5}, .cpu = CpuGate::process()};
  SourceInfo info;
  explicit Opened(const std::string& uri) : source(open_source(uri)), info(source->open(context)) {}
  /// \return nothing at the end.
  std::optional<Frame> next() {
    ReadResult result = source->read();
    if (auto* frame = std::get_if<Frame>(&result)) return *frame;
    CHECK(std::holds_alternative<End>(result));
    return {};
  }
};

/// `inner` at (x, y) of a picture of that size and grey, as a screenshot has it.
Image pasted(const Image& inner, Size size, int x, int y, int grey) {
  return Image::make(size, ImageSpec::Format::gray8, {}, [&](std::span<std::byte> out) {
    std::ranges::fill(out, static_cast<std::byte>(grey));
    for (int row = 0; row < inner.size().height; ++row) {
      std::memcpy(out.data() + (y + row) * size.width + x, inner.bytes().data() + row * inner.stride(),
                  static_cast<std::size_t>(inner.size().width));
    }
  });
}

/// Nearest neighbour, for sizes that need no converter.
Image scaled(const Image& image, Size size) {
  return Image::make(size, ImageSpec::Format::gray8, {}, [&](std::span<std::byte> out) {
    for (int y = 0; y < size.height; ++y) {
      for (int x = 0; x < size.width; ++x) {
        out[static_cast<std::size_t>(y * size.width + x)] = image.bytes()[static_cast<std::size_t>(
            y * image.size().height / size.height * image.size().width + x * image.size().width / size.width)];
      }
    }
  });
}

}  // namespace

TEST_CASE("the pattern gives as many frames as asked, numbered and exact in time") {
  Opened pattern("test:size=320x180,rate=30000/1001,frames=40");
  CHECK(pattern.info.size == Size{320, 180});
  CHECK(pattern.info.seekable);
  CHECK_FALSE(pattern.info.live);
  CHECK(pattern.info.time_base == Rational{1001, 30000});
  CHECK(*pattern.info.duration == Nanos{1'334'666'667});
  CHECK(pattern.info.codec == "raw");
  CHECK(pattern.info.uri == "test:size=320x180,rate=30000/1001,frames=40");
  for (std::uint64_t i = 0; i < 40; ++i) {
    const auto frame = pattern.next();
    REQUIRE(frame);
    CHECK(frame->info().sequence == i);
    CHECK(frame->info().time.pts == static_cast<std::int64_t>(i));
    CHECK(frame->info().time.media_time == from_pts(static_cast<std::int64_t>(i), {1001, 30000}));
    CHECK(frame->info().stream == StreamId{5});
    CHECK(read_barcode(grey_of_frame(*frame)) == i);
    // Frames touch: no sum of rounded durations drifts away.
    CHECK(frame->info().time.media_time + frame->info().duration == from_pts(static_cast<std::int64_t>(i) + 1, {1001, 30000}));
  }
  CHECK_FALSE(pattern.next());
  CHECK(pattern.source->stats().decoded == 40);
}

TEST_CASE("an hour of 30000/1001 is exact") {
  Opened pattern("test:size=160x32,rate=30000/1001,frames=1000000,start=3603.6");
  const auto frame = pattern.next();
  REQUIRE(frame);
  CHECK(frame->info().time.pts == 108000);
  CHECK(frame->info().time.media_time == Nanos{3'603'600'000'000});
  CHECK(read_barcode(grey_of_frame(*frame)) == 0);
}

TEST_CASE("something moves, and luma is the planes' own") {
  Opened pattern("test:frames=3");
  const auto first = pattern.next(), second = pattern.next();
  REQUIRE(first);
  REQUIRE(second);
  CHECK(first->luma().data == first->planes()[0].data);
  int changed = 0;
  for (int y = 0; y < 180; ++y) {  // above the barcode
    changed += std::memcmp(first->luma().data + y * first->luma().stride, second->luma().data + y * second->luma().stride, 640) != 0;
  }
  CHECK(changed >= 32);
  // The bars are there, in colour.
  std::set<int> chroma;
  for (int x = 0; x < 320; ++x) chroma.insert(std::to_integer<int>(first->planes()[1].data[x]));
  CHECK(chroma.size() >= 7);
}

TEST_CASE("seek gives the first frame at or after the time") {
  Opened pattern("test:rate=30000/1001,frames=300,size=160x90,start=10");
  const auto at = [&](Nanos time) {
    pattern.source->seek(time);
    const auto frame = pattern.next();
    return frame ? std::optional(frame->info().time.pts) : std::nullopt;
  };
  const Nanos third = from_pts(303, {1001, 30000});
  CHECK(at(third) == 303);
  CHECK(at(third + Nanos{1}) == 304);
  CHECK(at(third - Nanos{1}) == 303);
  CHECK(at(Nanos{0}) == 300);
  CHECK_FALSE(at(std::chrono::hours(1)));
  CHECK(at(std::chrono::seconds(-5)) == 300);
  pattern.source->seek(third);
  CHECK(read_barcode(grey_of_frame(*pattern.next())) == 3);
  pattern.source->seek(Nanos{0});
  const auto first = pattern.next(), next = pattern.next();
  CHECK(first->info().sequence == 0);
  CHECK(next->info().sequence == 1);
  CHECK(first->info().epoch == next->info().epoch);
  CHECK(first->info().epoch > 0);  // times stepped back
}

TEST_CASE("interrupt ends this open(), close() makes the next one possible") {
  Opened pattern("test:size=160x32");
  CHECK(pattern.next());
  pattern.source->interrupt();
  CHECK(complaint([&] { pattern.source->read(); }).starts_with("cancelled: "));
  CHECK(complaint([&] { pattern.source->read(); }).starts_with("cancelled: "));
  pattern.source->close();
  pattern.source->close();
  CHECK(complaint([&] { pattern.source->read(); }).starts_with("source: "));
  pattern.source->open(pattern.context);
  CHECK(pattern.next()->info().sequence == 0);
  pattern.source->set_demand({});
}

TEST_CASE("a wrong pattern is refused by field, value and fix") {
  const auto opening = [](const std::string& text) { return complaint([&] { open_source(text); }); };
  CHECK(opening("test:size=0x100") == "config: test: size is 0x100; use 1x1 or more (the barcode needs 32x16)");
  CHECK(opening("test:size=640") == "config: test: size is 640; use WIDTHxHEIGHT in pixels, such as 640x360");
  CHECK(opening("test:size=640x360x2").find("size is 640x360x2; use WIDTHxHEIGHT") != std::string::npos);
  CHECK(opening("test:size=60000x60000").find("at most 134217728 pixels") != std::string::npos);
  CHECK(opening("test:rate=0") == "config: test: rate is 0/1; use a fraction of numbers from 1 to 2147483647");
  CHECK(opening("test:rate=25/") == "config: test: rate is 25/; use frames a second, such as 25 or 30000/1001");
  CHECK(opening("test:frames=0").find("frames is 0; use 1 to") != std::string::npos);
  CHECK(opening("test:frames=-1").find("frames is -1; use a whole number") != std::string::npos);
  CHECK(opening("test:sise=640x360") == "config: test: 'sise' is not known; did you mean 'size'?");
  CHECK(opening("test:640x360").find("use size=WxH, rate=N/D, frames=N, start=SECONDS") != std::string::npos);
  CHECK(opening("test:rate=5,rate=6") == "config: test: rate is given twice; give it once");
  CHECK(opening("test:rate") == "config: test: rate has no value; write rate=...");
  CHECK(opening("test:rate=5,").find("config: ") == 0);
  CHECK(opening("test:start=-1").find("test: start") != std::string::npos);
  CHECK(opening("test:start=99999999999").find("config: ") == 0);
}

TEST_CASE("the barcode is read at all sizes of picture, odd ones too") {
  for (const std::string size : {"32x16", "33x17", "64x48", "100x100", "81x21", "160x32", "161x33", "160x90",
                                 "641x361", "1280x720", "720x1280", "1920x1080", "4000x100"}) {
    CAPTURE(size);
    Opened pattern("test:size=" + size + ",frames=3");
    for (std::uint32_t i = 0; i < 3; ++i) CHECK(read_barcode(grey_of_frame(*pattern.next())) == i);
  }
}

TEST_CASE("pictures too small for a barcode are pictures all the same") {
  for (const std::string size : {"1x1", "2x3", "16x16", "31x15", "1000x7", "3x500"}) {
    CAPTURE(size);
    Opened pattern("test:size=" + size + ",frames=2");
    const auto first = pattern.next(), second = pattern.next();
    REQUIRE(second);
    CHECK(first->size() == pattern.info.size);
    CHECK_FALSE(read_barcode(grey_of_frame(*first)));
  }
}

TEST_CASE("the barcode is found in a screenshot, scaled, in colour order and dimmed") {
  Opened pattern("test:frames=200");
  pattern.source->seek(std::chrono::seconds(5));
  const auto frame = pattern.next();
  const Image clean = grey_of_frame(*frame);
  CHECK(read_barcode(pasted(clean, {1000, 700}, 211, 133, 255)) == 125);
  CHECK(read_barcode(pasted(clean, {1000, 700}, 211, 133, 0)) == 125);
  CHECK(read_barcode(pasted(clean, {641, 361}, 1, 1, 30)) == 125);
  for (const Size size : {Size{320, 180}, Size{448, 252}, Size{1280, 720}, Size{640, 180}, Size{500, 360}, Size{333, 187}}) {
    CAPTURE(size.width);
    CHECK(read_barcode(scaled(clean, size)) == 125);
  }
  for (const auto& [low, high] : {std::pair{0, 120}, std::pair{140, 255}, std::pair{60, 160}}) {
    CAPTURE(low);
    const Image dim = Image::make(clean.size(), ImageSpec::Format::gray8, {}, [&](std::span<std::byte> out) {
      for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = static_cast<std::byte>(low + (high - low) * std::to_integer<int>(clean.bytes()[i]) / 255);
    });
    CHECK(read_barcode(dim) == 125);
  }
  const Image colour = Image::make(clean.size(), ImageSpec::Format::bgr8, {}, [&](std::span<std::byte> out) {
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = clean.bytes()[i / 3];
  });
  CHECK(read_barcode(colour) == 125);
}

TEST_CASE("a damaged, missing or cut barcode is not guessed") {
  Opened pattern("test:frames=2");
  const Image clean = grey_of_frame(*pattern.next());
  const Size size = clean.size();
  const auto changed = [&](int x1, int y1, int x2, int y2, int value) {
    return Image::make(size, ImageSpec::Format::gray8, {}, [&](std::span<std::byte> out) {
      std::ranges::copy(clean.bytes(), out.begin());
      for (int y = y1; y < y2; ++y) {
        for (int x = x1; x < x2; ++x) out[static_cast<std::size_t>(y * size.width + x)] = static_cast<std::byte>(value);
      }
    });
  };
  const int top = size.height - 8 * 16;
  // Each single cell turned over is noticed.
  for (int row = 0; row < 4; ++row) {
    for (int column = 0; column < 12; ++column) {
      const int x = (column + 2) * 16, y = top + (row + 2) * 16;
      const int was = std::to_integer<int>(clean.bytes()[static_cast<std::size_t>((y + 8) * size.width + x + 8)]);
      CHECK_FALSE(read_barcode(changed(x, y, x + 16, y + 16, 255 - was)));
    }
  }
  CHECK_FALSE(read_barcode(changed(0, top, 64, size.height, 128)));
  CHECK_FALSE(read_barcode(changed(0, 0, size.width, size.height, 0)));
  CHECK_FALSE(read_barcode(changed(0, 0, size.width, size.height, 255)));
  const Image top_half = Image::make({size.width, size.height - 40}, ImageSpec::Format::gray8, {},
                                     [&](std::span<std::byte> out) { std::ranges::copy(clean.bytes().first(out.size()), out.begin()); });
  CHECK_FALSE(read_barcode(top_half));
  // Noise has no barcode in it.
  std::uint32_t state = 1;
  for (int round = 0; round < 20; ++round) {
    const Image noise = Image::make({200, 120}, ImageSpec::Format::gray8, {}, [&](std::span<std::byte> out) {
      for (std::byte& value : out) value = static_cast<std::byte>((state = state * 1664525U + 1013904223U) >> 24);
    });
    CHECK_FALSE(read_barcode(noise));
  }
}

TEST_CASE("any 32-bit number comes back") {
  std::uint32_t number = 0;
  for (int round = 0; round < 500; ++round) {
    const Image image =
        Image::make({Barcode::columns * 3 + 8, Barcode::rows * 3 + 8}, ImageSpec::Format::gray8, {}, [&](std::span<std::byte> out) {
          const auto cells = Barcode::cells(number);
          std::ranges::fill(out, std::byte{0});
          for (int y = 0; y < Barcode::rows * 3; ++y) {
            for (int x = 0; x < Barcode::columns * 3; ++x) {
              out[static_cast<std::size_t>((y + 4) * (Barcode::columns * 3 + 8) + x + 4)] =
                  cells[static_cast<std::size_t>(y / 3 * Barcode::columns + x / 3)] ? std::byte{255} : std::byte{0};
            }
          }
        });
    REQUIRE(read_barcode(image) == number);
    number = round == 0 ? 0xFFFFFFFFU : number * 1664525U + 1013904223U;
  }
}

TEST_CASE("the barcode survives x264 at crf 35, scaled by 0.5 to 2") {
  if (std::system("ffmpeg -hide_banner -loglevel quiet -encoders 2>/dev/null | grep -q libx264") != 0) {
    REQUIRE_MESSAGE(!std::getenv("CI"), "ffmpeg with libx264 is not installed");
    MESSAGE("skipped: ffmpeg with libx264 is not installed");
    return;
  }
  std::string name = (fs::temp_directory_path() / "vidloom-pattern-XXXXXX").string();
  REQUIRE(mkdtemp(name.data()) != nullptr);
  const fs::path folder = name;
  Opened pattern("test:frames=50");
  {
    std::ofstream raw(folder / "raw.yuv", std::ios::binary);
    while (const auto frame = pattern.next()) {
      for (const PlaneView& plane : frame->planes()) {
        for (int y = 0; y < plane.size.height; ++y)
          raw.write(reinterpret_cast<const char*>(plane.data + y * plane.stride), plane.size.width);
      }
    }
  }
  const auto ffmpeg = [&](const std::string& arguments) {
    REQUIRE(std::system(("cd '" + folder.string() + "' && ffmpeg -hide_banner -loglevel error -y -nostdin " + arguments).c_str()) == 0);
  };
  ffmpeg("-f rawvideo -pix_fmt yuv420p -s 640x360 -r 25 -i raw.yuv -c:v libx264 -preset veryfast -crf 35 coded.mp4");
  for (const Size size : {Size{640, 360}, Size{320, 180}, Size{480, 270}, Size{960, 540}, Size{1280, 720}}) {
    CAPTURE(size.width);
    const std::string scale = std::to_string(size.width) + ":" + std::to_string(size.height);
    // Scaled before a second coding, as a rendition is, then decoded.
    ffmpeg("-i coded.mp4 -vf scale=" + scale + " -c:v libx264 -preset veryfast -crf 35 again.mp4");
    ffmpeg("-i again.mp4 -f rawvideo -pix_fmt gray out.gray");
    std::ifstream decoded(folder / "out.gray", std::ios::binary);
    for (std::uint32_t i = 0; i < 50; ++i) {
      const Image image = Image::make(size, ImageSpec::Format::gray8, {}, [&](std::span<std::byte> out) {
        REQUIRE(decoded.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(out.size())));
      });
      CHECK(read_barcode(image) == i);
    }
  }
  fs::remove_all(folder);
}
