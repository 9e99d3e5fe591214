#include <vidloom/core/error.hpp>
#include <vidloom/sources/test_pattern.hpp>

#include <core/builtin.hpp>
#include <imaging/pixel_buffer.hpp>
#include <sources/barcode.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

namespace vidloom {
inline namespace v0 {
namespace {

constexpr std::int64_t most_pixels = std::int64_t{1} << 27;
constexpr std::uint64_t most_frames = std::uint64_t{1} << 32;          // what the barcode can number
constexpr std::int64_t longest = std::int64_t{200} * 365 * 24 * 3600;  // seconds of media time that nanoseconds surely hold

/// One colour in BT.601, limited range.
struct Yuv {
  std::uint8_t y, u, v;
};
constexpr Yuv black{16, 128, 128}, white{235, 128, 128};
/// Bars of 75 % (ITU-R BT.471): white, yellow, cyan, green, magenta, red, blue, black.
constexpr std::array<Yuv, 8> bars{
    {{180, 128, 128}, {162, 44, 142}, {131, 156, 44}, {112, 72, 58}, {84, 184, 198}, {65, 100, 212}, {35, 212, 114}, black}};

/// 3 x 5 dots a glyph, a row in three bits from the top.
constexpr std::string_view glyph_names = "0123456789:.";
constexpr std::array<std::array<std::uint8_t, 5>, 12> glyphs{{{7, 5, 5, 5, 7},
                                                              {2, 6, 2, 2, 7},
                                                              {7, 1, 7, 4, 7},
                                                              {7, 1, 7, 1, 7},
                                                              {5, 5, 7, 1, 1},
                                                              {7, 4, 7, 1, 7},
                                                              {7, 4, 7, 5, 7},
                                                              {7, 1, 1, 1, 1},
                                                              {7, 5, 7, 5, 7},
                                                              {7, 5, 7, 1, 7},
                                                              {0, 2, 0, 2, 0},
                                                              {0, 0, 0, 0, 2}}};

/// yuv420p planes in one buffer.
struct Canvas {
  Size size;
  std::byte* data;

  static Size chroma(Size size) noexcept { return {(size.width + 1) / 2, (size.height + 1) / 2}; }
  static std::size_t area(Size size) noexcept { return static_cast<std::size_t>(size.width) * static_cast<std::size_t>(size.height); }
  static std::size_t bytes(Size size) noexcept { return area(size) + 2 * area(chroma(size)); }
  std::array<PlaneView, 3> planes() const noexcept {
    const Size half = chroma(size);
    std::byte* const u = data + area(size);
    return {PlaneView{data, size.width, size}, PlaneView{u, half.width, half}, PlaneView{u + area(half), half.width, half}};
  }

  /// Fills a rectangle, cut to the canvas. Chroma is set where the rectangle covers the sample's top left pixel.
  void fill(int x, int y, int width, int height, Yuv colour) noexcept {
    const int x2 = std::clamp(x + width, 0, size.width), y2 = std::clamp(y + height, 0, size.height);
    x = std::clamp(x, 0, x2);
    y = std::clamp(y, 0, y2);
    const auto rows = [](std::byte* plane, int pitch, int left, int top, int right, int bottom, std::uint8_t value) {
      for (int row = top; row < bottom; ++row) {
        std::memset(plane + static_cast<std::ptrdiff_t>(row) * pitch + left, value, static_cast<std::size_t>(right - left));
      }
    };
    rows(data, size.width, x, y, x2, y2, colour.y);
    const Size half = chroma(size);
    std::byte* const u = data + area(size);
    rows(u, half.width, (x + 1) / 2, (y + 1) / 2, (x2 + 1) / 2, (y2 + 1) / 2, colour.u);
    rows(u + area(half), half.width, (x + 1) / 2, (y + 1) / 2, (x2 + 1) / 2, (y2 + 1) / 2, colour.v);
  }
};

/// Where things are, by the size of the picture. All even, so that chroma edges fall on luma edges.
struct Layout {
  int cell;                        ///< side of a barcode cell; 0: the picture is too small for one
  int barcode_top;                 ///< the barcode is in the lower left corner
  int square, square_top, travel;  ///< the moving square goes from x = 0 to x = travel and back
  int dot;                         ///< of the clock's glyphs; 0: no room for it

  explicit Layout(Size size) {
    const auto even = [](int value) { return value & ~1; };
    const int largest = even(std::min(size.height / Barcode::rows, size.width / Barcode::columns));
    cell = std::max(std::min(4, largest), even(std::min(size.height / 20, size.width / 40)));
    barcode_top = even(size.height - Barcode::rows * cell);
    square = std::max(8, even(size.height / 6));
    square_top = std::max(0, even((barcode_top - square) / 2));
    travel = std::max(2, size.width - square);
    const int room = size.width - Barcode::columns * cell;
    dot = std::min(room / (clock_columns + 2), Barcode::rows * cell / 8);
  }
  static constexpr int clock_columns = 12 * 4;  // "00:00:12.345", each glyph with a column of space
};

class TestPattern final : public Source {
 public:
  explicit TestPattern(const TestPatternOptions& options) : options_(options), layout_(options.size) {
    const double frame = seconds(options.start) * static_cast<double>(options.rate.num) / static_cast<double>(options.rate.den);
    first_pts_ = static_cast<std::int64_t>(std::llround(frame));
  }

  SourceInfo open(SourceContext& context) override {
    if (interrupted_) throw cancelled();
    stream_ = context.stream;
    cpu_ = &context.cpu;
    next_ = 0;
    epoch_ = 0;
    sequence_ = 0;
    stats_ = {};
    if (background_.empty()) paint_background();
    SourceInfo info{.seekable = true};
    info.duration = from_pts(first_pts_ + static_cast<std::int64_t>(options_.frames), time_base()) - from_pts(first_pts_, time_base());
    info.size = info.coded_size = options_.size;
    info.codec = "raw";
    info.time_base = time_base();
    info.colour = colour;
    info.uri = "test:size=" + std::to_string(options_.size.width) + "x" + std::to_string(options_.size.height) +
               ",rate=" + std::to_string(options_.rate.num) + "/" + std::to_string(options_.rate.den) +
               ",frames=" + std::to_string(options_.frames);
    if (first_pts_ != 0) info.uri += ",start=" + Value(seconds(from_pts(first_pts_, time_base()))).dump();
    info.details = Value::object();
    info.details.set("pixel_format", "yuv420p").set("frames", options_.frames);
    info.details.set("rate", Value(Value::Array{options_.rate.num, options_.rate.den}));
    return info;
  }

  ReadResult read() override {
    if (interrupted_) throw cancelled();
    if (!cpu_) throw Error(Code::source, "the test pattern is not open; call open() first");
    if (next_ >= options_.frames) return End{};
    const std::uint64_t number = next_++;
    FrameInfo info{.stream = stream_, .epoch = epoch_, .sequence = sequence_++, .keyframe = true, .colour = colour};
    const std::int64_t pts = first_pts_ + static_cast<std::int64_t>(number);
    info.time.pts = pts;
    info.time.time_base = time_base();
    info.time.media_time = from_pts(pts, time_base());
    info.duration = from_pts(pts + 1, time_base()) - info.time.media_time;

    const std::shared_ptr<std::byte> pixels = take_pixel_buffer(background_.size());
    Canvas canvas{options_.size, pixels.get()};
    {
      const CpuGate::Pass pass(*cpu_);
      paint(canvas, number, info.time.media_time);
    }
    info.time.received_at = std::chrono::steady_clock::now();
    ++stats_.packets;
    ++stats_.decoded;
    return Frame::adopt(canvas.planes(), "yuv420p", info, pixels);
  }

  void interrupt() noexcept override { interrupted_ = true; }

  void close() noexcept override {
    cpu_ = nullptr;
    interrupted_ = false;
  }

  void seek(Nanos media_time) override {
    if (!cpu_) throw Error(Code::source, "the test pattern is not open; call open() first");
    // The estimate in floating point is off by less than one frame, which the comparisons mend.
    const double estimate = seconds(media_time) * static_cast<double>(options_.rate.num) / static_cast<double>(options_.rate.den);
    const double last = static_cast<double>(first_pts_) + static_cast<double>(options_.frames);
    std::int64_t pts = static_cast<std::int64_t>(std::clamp(estimate, static_cast<double>(first_pts_), last));
    while (pts > first_pts_ && from_pts(pts - 1, time_base()) >= media_time) --pts;
    while (pts < first_pts_ + static_cast<std::int64_t>(options_.frames) && from_pts(pts, time_base()) < media_time) ++pts;
    if (sequence_ > 0) ++epoch_;  // times may step back: a new timeline
    sequence_ = 0;
    next_ = static_cast<std::uint64_t>(pts - first_pts_);
  }

  SourceStats stats() const noexcept override { return stats_; }

 private:
  static constexpr ColourTags colour{Matrix::bt601, Range::limited, Transfer::bt709, ChromaSite::left};
  static Error cancelled() { return {Code::cancelled, "the test pattern was interrupted"}; }
  Rational time_base() const noexcept { return {options_.rate.den, options_.rate.num}; }

  void paint_background() {
    background_.resize(Canvas::bytes(options_.size));
    Canvas canvas{options_.size, background_.data()};
    const auto [width, height] = options_.size;
    for (int bar = 0; bar < 8; ++bar) {
      const int left = (width * bar / 8) & ~1;
      canvas.fill(left, 0, width - left, height, bars[static_cast<std::size_t>(bar)]);
    }
    // Under the clock, beside the barcode.
    canvas.fill(Barcode::columns * layout_.cell, layout_.barcode_top, width, height, black);
  }

  void paint(Canvas& canvas, std::uint64_t number, Nanos media_time) const noexcept {
    std::memcpy(canvas.data, background_.data(), background_.size());
    const Layout& at = layout_;

    // A width in two seconds, there and back, whatever the rate; seen against every bar by its two colours.
    const std::uint64_t step = static_cast<std::uint64_t>(
        std::max<std::int64_t>(1, at.travel * options_.rate.den / std::max<std::int64_t>(1, 2 * options_.rate.num)));
    const std::uint64_t way = number * step % (2 * static_cast<std::uint64_t>(at.travel));
    const int x = static_cast<int>(std::min(way, 2 * static_cast<std::uint64_t>(at.travel) - way)) & ~1;
    const int border = std::max(2, (at.square / 4) & ~1);
    canvas.fill(x, at.square_top, at.square, at.square, black);
    canvas.fill(x + border, at.square_top + border, at.square - 2 * border, at.square - 2 * border, white);

    const auto cells = Barcode::cells(static_cast<std::uint32_t>(number));
    for (int row = 0; row < Barcode::rows; ++row) {
      for (int column = 0; column < Barcode::columns; ++column) {
        const bool lit = cells[static_cast<std::size_t>(row * Barcode::columns + column)];
        canvas.fill(column * at.cell, at.barcode_top + row * at.cell, at.cell, at.cell, lit ? white : black);
      }
    }

    if (at.dot == 0) return;
    const std::int64_t milliseconds = media_time.count() / 1'000'000;
    std::array<char, 32> text;
    const int length = std::snprintf(text.data(), text.size(), "%02lld:%02lld:%02lld.%03lld",
                                     static_cast<long long>(milliseconds / 3'600'000), static_cast<long long>(milliseconds / 60'000 % 60),
                                     static_cast<long long>(milliseconds / 1000 % 60), static_cast<long long>(milliseconds % 1000));
    const int top = at.barcode_top + (Barcode::rows * at.cell - 5 * at.dot) / 2;
    int left = Barcode::columns * at.cell + at.dot;
    for (const char letter : std::string_view(text.data(), static_cast<std::size_t>(length))) {
      const auto& glyph = glyphs[std::min(glyph_names.find(letter), glyphs.size() - 1)];
      for (int row = 0; row < 5; ++row) {
        for (int column = 0; column < 3; ++column) {
          if (glyph[static_cast<std::size_t>(row)] >> (2 - column) & 1) {
            canvas.fill(left + column * at.dot, top + row * at.dot, at.dot, at.dot, white);
          }
        }
      }
      left += 4 * at.dot;
    }
  }

  const TestPatternOptions options_;
  const Layout layout_;
  std::int64_t first_pts_ = 0;
  std::vector<std::byte> background_;
  CpuGate* cpu_ = nullptr;  // null: not open
  StreamId stream_{};
  std::uint64_t next_ = 0, sequence_ = 0;
  std::uint32_t epoch_ = 0;
  SourceStats stats_{};
  std::atomic<bool> interrupted_{false};
};

Error bad(std::string_view name, std::string_view value, std::string_view fix) {
  return {Code::config, "test: " + std::string(name) + " is " + std::string(value) + "; use " + std::string(fix)};
}

template <class T>
T parse_integer(std::string_view name, std::string_view whole, std::string_view text, std::string_view fix) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) throw bad(name, whole.empty() ? "empty" : whole, fix);
  return value;
}

TestPatternOptions parse(std::string_view uri) {
  TestPatternOptions options;
  std::string_view rest = uri.substr(std::min(uri.find(':') + 1, uri.size()));
  if (rest.empty()) return options;
  std::vector<std::string> seen;
  for (bool more = true; more;) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    more = comma < rest.size();
    const std::string_view part = rest.substr(0, comma);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
    const std::size_t equals = part.find('=');
    const std::string name(part.substr(0, equals));
    static const std::vector<std::string> known{"size", "rate", "frames", "start"};
    if (std::ranges::find(known, name) == known.end()) {
      const std::string near = nearest(name, known);
      throw Error(Code::config, "test: '" + name + "' is not known; " +
                                    (near.empty() ? "use size=WxH, rate=N/D, frames=N, start=SECONDS" : "did you mean '" + near + "'?"));
    }
    if (equals == std::string_view::npos) throw Error(Code::config, "test: " + name + " has no value; write " + name + "=...");
    if (std::ranges::find(seen, name) != seen.end()) throw Error(Code::config, "test: " + name + " is given twice; give it once");
    seen.push_back(name);
    const std::string_view text = part.substr(equals + 1);
    if (name == "size") {
      constexpr std::string_view fix = "WIDTHxHEIGHT in pixels, such as 640x360";
      const std::size_t by = std::min(text.find('x'), text.size());
      options.size.width = parse_integer<int>(name, text, text.substr(0, by), fix);
      options.size.height = parse_integer<int>(name, text, text.substr(std::min(by + 1, text.size())), fix);
    } else if (name == "rate") {
      constexpr std::string_view fix = "frames a second, such as 25 or 30000/1001";
      const std::size_t slash = text.find('/');
      options.rate.num = parse_integer<std::int64_t>(name, text, text.substr(0, slash), fix);
      options.rate.den = slash == std::string_view::npos ? 1 : parse_integer<std::int64_t>(name, text, text.substr(slash + 1), fix);
    } else if (name == "frames") {
      options.frames = parse_integer<std::uint64_t>(name, text, text, "a whole number of 1 or more");
    } else {
      options.start = parse_duration(text, "test: start");
    }
  }
  return options;
}

}  // namespace

std::unique_ptr<Source> test_pattern(const TestPatternOptions& options) {
  const auto [width, height] = options.size;
  const std::string size = std::to_string(width) + "x" + std::to_string(height);
  if (width < 1 || height < 1) throw bad("size", size, "1x1 or more (the barcode needs 32x16)");
  if (static_cast<std::int64_t>(width) * height > most_pixels)
    throw bad("size", size, "at most " + std::to_string(most_pixels) + " pixels");
  const auto [num, den] = options.rate;
  constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
  if (num < 1 || den < 1 || num > most || den > most) {
    throw bad("rate", std::to_string(num) + "/" + std::to_string(den), "a fraction of numbers from 1 to " + std::to_string(most));
  }
  if (options.frames < 1 || options.frames > most_frames) {
    throw bad("frames", std::to_string(options.frames), "1 to " + std::to_string(most_frames));
  }
  const double end = seconds(options.start) + static_cast<double>(options.frames) * static_cast<double>(den) / static_cast<double>(num);
  if (options.start < Nanos{0} || end > static_cast<double>(longest)) {
    throw bad("start", Value(seconds(options.start)).dump() + " s", "0 or more, and an end within 200 years");
  }
  return std::make_unique<TestPattern>(options);
}

std::unique_ptr<Source> make_test_pattern(const Value& options) { return test_pattern(parse(options["uri"].as_string())); }

}  // namespace v0
}  // namespace vidloom
