#include "detecting.hpp"

#include <doctest/doctest.h>
#include <support/clips.hpp>
#include <vidloom/adapters/logos.hpp>
#include <vidloom/core/log.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <string>
#include <thread>
#include <vector>

using namespace vidloom;
using namespace vidloom::test;

namespace {

struct Point { double x, y; };
using Outline = std::vector<Point>;

// Marks of our own, drawn in a square of 100.
const Outline letter_k{{0, 0}, {30, 0}, {30, 35}, {65, 0}, {100, 0}, {55, 48}, {100, 100}, {65, 100}, {30, 60}, {30, 100}, {0, 100}};
const Outline letter_e{{0, 0}, {100, 0}, {100, 22}, {30, 22}, {30, 40}, {80, 40}, {80, 60}, {30, 60}, {30, 78}, {100, 78}, {100, 100}, {0, 100}};

std::string svg_of(const Outline& outline) {
  std::string text = R"(<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="24" height="24" viewBox="-5 -5 110 110"><polygon points=")";
  for (const Point& point : outline) text += std::to_string(point.x) + ',' + std::to_string(point.y) + ' ';
  return text + "\"/></svg>";
}

bool within(const Outline& outline, double x, double y) {
  bool inside = false;
  for (std::size_t i = 0, j = outline.size() - 1; i < outline.size(); j = i++) {
    const Point &a = outline[i], &b = outline[j];
    if ((a.y > y) != (b.y > y) && x < (b.x - a.x) * (y - a.y) / (b.y - a.y) + a.x) inside = !inside;
  }
  return inside;
}

/// A picture whose pixels can be painted.
struct Canvas {
  Size size;
  std::vector<std::uint8_t> rgb;
  explicit Canvas(const Frame& frame) : size(frame.size()) {
    const Image image = frame.image();
    const auto bytes = image.bytes();
    rgb.resize(bytes.size());
    std::transform(bytes.begin(), bytes.end(), rgb.begin(), [](std::byte b) { return std::to_integer<std::uint8_t>(b); });
  }
  Frame frame() const {
    return Frame::copy_of({reinterpret_cast<const std::byte*>(rgb.data()), static_cast<std::ptrdiff_t>(3 * size.width), size}, {});
  }
};

/// Where a mark of 100 x 100 is put: its middle, its side in pixels, its angle.
struct Place {
  double x, y, side, degrees = 0;
  Point map(double u, double v) const {
    const double a = degrees * std::numbers::pi / 180, s = side / 100;
    return {x + s * (std::cos(a) * (u - 50) - std::sin(a) * (v - 50)), y + s * (std::sin(a) * (u - 50) + std::cos(a) * (v - 50))};
  }
  Point back(double px, double py) const {
    const double a = degrees * std::numbers::pi / 180, s = side / 100;
    return {50 + (std::cos(a) * (px - x) + std::sin(a) * (py - y)) / s, 50 + (-std::sin(a) * (px - x) + std::cos(a) * (py - y)) / s};
  }
};

/// Antialiased by 4 x 4 points a pixel. \param ink  (u, v) in the square -> colour, or nothing there
template <class Ink>
void paint(Canvas& canvas, const Place& place, Ink ink) {
  const int reach = static_cast<int>(place.side);
  for (int y = std::max(0, static_cast<int>(place.y) - reach); y < std::min(canvas.size.height, static_cast<int>(place.y) + reach); ++y) {
    for (int x = std::max(0, static_cast<int>(place.x) - reach); x < std::min(canvas.size.width, static_cast<int>(place.x) + reach); ++x) {
      std::array<double, 3> sum{};
      double covered = 0;
      for (int k = 0; k < 16; ++k) {
        const Point at = place.back(x + (k % 4 + 0.5) / 4, y + (k / 4 + 0.5) / 4);
        const int colour = ink(at.x, at.y);
        if (colour < 0) continue;
        covered += 1;
        for (std::size_t c = 0; c < 3; ++c) sum[c] += colour >> 8 * c & 255;
      }
      std::uint8_t* const pixel = canvas.rgb.data() + 3 * (static_cast<std::size_t>(y) * static_cast<std::size_t>(canvas.size.width) + static_cast<std::size_t>(x));
      for (std::size_t c = 0; c < 3; ++c) pixel[c] = static_cast<std::uint8_t>((sum[c] + (16 - covered) * pixel[c]) / 16);
    }
  }
}

void paint(Canvas& canvas, const Place& place, const Outline& outline, int colour) {
  paint(canvas, place, [&](double u, double v) { return within(outline, u, v) ? colour : -1; });
}

/// A print: overlapping patches of many colours, the same each time.
int print_colour(double u, double v) {
  if (u < 0 || v < 0 || u >= 100 || v >= 100) return -1;
  std::uint32_t state = 12345;
  const auto next = [&state] { return (state = state * 1664525U + 1013904223U) >> 16; };
  int colour = 0x808080;
  for (int i = 0; i < 60; ++i) {
    const double x = next() % 100, y = next() % 100, w = 4 + next() % 22, h = 4 + next() % 22;
    const int tone = static_cast<int>(next() & 255);
    if (u >= x && u < x + w && v >= y && v < y + h) colour = tone | (tone * 7 & 255) << 8 | (tone * 3 & 255) << 16;
  }
  return colour;
}

std::string ppm_of_print() {
  std::string text = "P6\n200 200\n255\n";
  for (int y = 0; y < 200; ++y) {
    for (int x = 0; x < 200; ++x) {
      const int colour = print_colour(x / 2.0, y / 2.0);
      for (int c = 0; c < 3; ++c) text.push_back(static_cast<char>(colour >> 8 * c & 255));
    }
  }
  return text;
}

/// Largest distance of a polygon's corners from where they belong, in pixels.
double off_by(const std::vector<float>& polygon, const Place& place) {
  REQUIRE(polygon.size() == 8);
  const std::array<Point, 4> corners{{{0, 0}, {100, 0}, {100, 100}, {0, 100}}};
  double most = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    const Point at = place.map(corners[i].x, corners[i].y);
    most = std::max(most, std::hypot(static_cast<double>(polygon[2 * i]) - at.x, static_cast<double>(polygon[2 * i + 1]) - at.y));
  }
  return most;
}

/// A folder of three brands: two letters as SVG, a print as a picture in a sub-folder.
struct Brands {
  Folder folder;
  Brands() {
    folder.write("K.svg", svg_of(letter_k));
    folder.write("E.svg", svg_of(letter_e));
    std::filesystem::create_directory(folder / "print");
    folder.write("print/front.ppm", ppm_of_print());
  }
  LogosOptions options() const { return {.references = folder.path()}; }
};

std::string complaint(const LogosOptions& options) {
  try {
    loaded(logos(options));
  } catch (const Error& error) {
    CHECK(error.code == Code::config);
    return error.what();
  }
  return "fine";
}

bool holds(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a flat mark is found in any colours, sizes and angles, and its corners are where they are") {
  const std::string street = require_clip("vtest.avi");
  if (street.empty()) return;
  const Brands brands;
  const auto adapter = loaded(logos(brands.options()));
  CHECK(adapter->info().kind == "logo");
  CHECK(adapter->info().vocabulary->names == std::vector<std::string>{"E", "K", "print"});
  const Frame ground = frames_of(street, 1, 1).front();
  for (const Place& place : {Place{200.3, 300.6, 80}, Place{400, 380, 120, 20}, Place{150, 420, 70, -33}, Place{420, 300, 200, -8}}) {
    for (const int colour : {0x101010, 0xF0F0F0, 0x2020F0}) {
      CAPTURE(place.side);
      CAPTURE(place.degrees);
      CAPTURE(colour);
      Canvas canvas(ground);
      paint(canvas, {place.x, place.y, 1.5 * place.side, place.degrees}, [&](double u, double v) { return u > 0 && u < 100 && v > 0 && v < 100 ? (colour == 0xF0F0F0 ? 0x303030 : 0xD0D0D0) : -1; });
      paint(canvas, place, letter_k, colour);
      const Detections found = detect(*adapter, canvas.frame()).value();
      found.check();
      REQUIRE(found.size() == 1);
      CHECK(found.class_name(found.class_id[0]) == "K");
      CHECK(off_by(found.polygon[0], place) < 3);
      CHECK(found.confidence[0] > 0.5F);
      CHECK(found.raw_score[0] > 0.5F);
      CHECK(found.raw_score[0] <= 1);
      CHECK(found.xyxy[0].x1 == doctest::Approx(std::min({found.polygon[0][0], found.polygon[0][6]})));
    }
  }
}

TEST_CASE("a print is found turned by any angle, by features") {
  const std::string street = require_clip("vtest.avi");
  if (street.empty()) return;
  const Brands brands;
  const auto adapter = loaded(logos(brands.options()));
  for (const Place& place : {Place{300, 300, 160}, Place{300, 300, 160, 90}, Place{300, 300, 180, 171}, Place{250.5, 400, 70, 12}}) {
    CAPTURE(place.side);
    CAPTURE(place.degrees);
    Canvas canvas(frames_of(street, 1, 1).front());
    paint(canvas, place, print_colour);
    const Detections found = detect(*adapter, canvas.frame()).value();
    REQUIRE(found.size() == 1);
    CHECK(found.class_name(found.class_id[0]) == "print");
    CHECK(off_by(found.polygon[0], place) < 3);
  }
}

TEST_CASE("several brands and instances of one picture are told apart, and max_instances keeps the best") {
  const std::string street = require_clip("vtest.avi");
  if (street.empty()) return;
  const Brands brands;
  Canvas canvas(frames_of(street, 1, 1).front());
  const std::vector<Place> ks{{120, 300, 90}, {300, 420, 110, 10}};
  for (const Place& place : ks) paint(canvas, place, letter_k, 0xF8F8F8);
  paint(canvas, {480, 460, 90, -12}, letter_e, 0xF8F8F8);
  paint(canvas, {620, 480, 140, 5}, print_colour);
  const Detections found = detect(*loaded(logos(brands.options())), canvas.frame()).value();
  CHECK(std::ranges::count(found.class_id, 0) == 1);
  CHECK(std::ranges::count(found.class_id, 1) == 2);
  CHECK(std::ranges::count(found.class_id, 2) == 1);
  CHECK(std::is_sorted(found.confidence.rbegin(), found.confidence.rend()));
  LogosOptions one = brands.options();
  one.max_instances = 1;
  CHECK(detect(*loaded(logos(one)), canvas.frame()).value().size() == 3);
  const Box left{0, 200, 200, 400};
  const Detections part = detect(*loaded(logos(brands.options())), canvas.frame(), nullptr, {&left, 1}).value();
  REQUIRE(part.size() == 1);
  CHECK(off_by(part.polygon[0], ks[0]) < 3);
  const Box outside{2000, 2000, 2100, 2100};
  CHECK(detect(*loaded(logos(brands.options())), canvas.frame(), nullptr, {&outside, 1}).value().size() == 0);
}

TEST_CASE("nothing is found where no mark is: a street and a table") {
  const Brands brands;
  const auto adapter = loaded(logos(brands.options()));
  for (const std::string name : {"vtest.avi", "cup.mp4", "tree.avi"}) {
    const std::string film = require_clip(name);
    if (film.empty()) return;
    for (const Frame& frame : frames_of(film, 30, 8)) CHECK(detect(*adapter, frame).value().size() == 0);
  }
}

TEST_CASE("the same picture gives the same marks, in two replicas that look at the same time") {
  const std::string street = require_clip("vtest.avi");
  if (street.empty()) return;
  const Brands brands;
  Canvas canvas(frames_of(street, 1, 1).front());
  paint(canvas, {300, 400, 110, 10}, letter_k, 0xF8F8F8);
  paint(canvas, {620, 460, 160, 30}, print_colour);
  const Frame frame = canvas.frame();
  Detections first, second;
  std::thread other([&] { first = detect(*loaded(logos(brands.options())), frame).value(); });
  second = detect(*loaded(logos(brands.options())), frame).value();
  other.join();
  REQUIRE(first.size() == 2);
  CHECK(first.polygon == second.polygon);
  CHECK(first.confidence == second.confidence);
  CHECK(first.raw_score == second.raw_score);
}

TEST_CASE("transparent PNGs of all pixel formats are cut out") {
  const std::string street = require_clip("vtest.avi");
  if (street.empty()) return;
  Folder folder;
  folder.write("k.svg", svg_of(letter_k));
  Canvas canvas(frames_of(street, 1, 1).front());
  const Place place{300, 400, 110, 10};
  paint(canvas, place, letter_k, 0xF8F8F8);
  for (const std::string format : {"rgba", "pal8", "ya8", "rgba64be"}) {
    CAPTURE(format);
    const std::string drawn = "-f svg_pipe -width 220 -height 220 -i k.svg ";
    // FFmpeg's own conversion to a palette drops transparency.
    const std::string palette = "-vf 'split[a][b];[a]palettegen=reserve_transparent=1[p];[b][p]paletteuse=dither=none'";
    const std::string picture = folder.make("K-" + format + ".png", drawn + (format == "pal8" ? palette : "-pix_fmt " + format));
    const Detections found = detect(*loaded(logos({.references = picture})), canvas.frame()).value();
    REQUIRE(found.size() == 1);
    CHECK(found.class_name(0) == "K-" + format);
    CHECK(off_by(found.polygon[0], place) < 3);
  }
}

TEST_CASE("what cannot be used as references is refused with the option, the path and the fix") {
  Folder folder;
  CHECK(holds(complaint({.references = folder / "none"}), "logos.references: there is no " + folder / "none"));
  CHECK(holds(complaint({.references = folder.path()}), "holds no picture; put PNG, JPEG"));
  folder.write("K.svg", svg_of(letter_k));
  folder.write("half.png", "\x89PNG\r\n\x1A\n and nothing more");
  CHECK(holds(complaint({.references = folder.path()}), "half.png"));
  CHECK(holds(complaint({.references = folder / "K.svg", .max_instances = 0}), "max_instances is 0"));
  CHECK(holds(complaint({.references = folder / "K.svg", .method = "sift"}), "method is \"sift\"; use "));
  std::filesystem::remove(folder / "half.png");
  folder.write("grey.ppm", "P6\n32 32\n255\n" + std::string(32 * 32 * 3, '\x80'));
  CHECK(holds(complaint({.references = folder / "grey.ppm"}), "none of 1 pictures shows anything to look for"));
}

TEST_CASE("files that are no pictures and marks that are too plain are named in warnings") {
  Folder folder;
  folder.write("notes.txt", "hello");
  folder.write("print.ppm", ppm_of_print());
  folder.write("disc.svg", R"(<svg xmlns="http://www.w3.org/2000/svg" width="50" height="50"><circle cx="25" cy="25" r="20"/></svg>)");
  take_log();
  const auto adapter = loaded(logos({.references = folder.path()}));
  std::string all;
  for (const LogRecord& record : take_log()) all += record.message + "\n";
  CHECK(holds(all, folder / "notes.txt"));
  CHECK(holds(all, folder / "disc.svg"));
  CHECK_FALSE(holds(all, "print.ppm"));
  CHECK(adapter->info().vocabulary->names == std::vector<std::string>{"disc", "print"});
}
