// Films that come out of annotate(video(...)): each box on the picture it was found in, all pictures, their times.
#include <vidloom/analyzer.hpp>
#include <vidloom/registry.hpp>
#include <vidloom/render/annotate.hpp>
#include <vidloom/sinks/video.hpp>
#include <vidloom/sources/test_pattern.hpp>

#include <support/clips.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

using namespace vidloom;
using namespace std::chrono_literals;

namespace {

constexpr int slots = 12;

/// Where the box of picture `number` is: it wanders along the top, far from the barcode.
Box place_of(std::uint32_t number, Size size) {
  const float width = static_cast<float>(size.width) / slots, left = static_cast<float>(number % slots) * width;
  return {left + 3, 3, left + width - 3, static_cast<float>(size.height) / 5};
}

/// Reads the number off each picture.
class Reader final : public DetectionAdapter {
 public:
  AdapterInfo info() const override { return {.vocabulary = Vocabulary::of({"number"}), .max_batch = 4}; }
  void detect(std::span<const Item> items, std::span<Result<Detections>> out, const BatchContext&) override {
    for (std::size_t i = 0; i < items.size(); ++i) {
      const auto number = read_barcode(items[i].frame.image({.format = ImageSpec::Format::gray8}));
      if (!number) {
        out[i] = Error(Code::model, "no barcode");
        continue;
      }
      Detections found;
      found.xyxy = {place_of(*number, items[i].frame.size())};
      found.class_id = {0};
      found.raw_score = {static_cast<float>(*number)};
      out[i] = std::move(found);
    }
  }
};

std::vector<AnalysisSpec> reading(Nanos every = 0s) {
  register_adapter("numbers", [](const Value&) { return std::make_unique<Reader>(); });
  return {{.name = "numbers", .adapter = {.adapter = "numbers"}, .every = every}};
}

const AnnotateOptions plain{.kinds = {{"object", {.labels = false, .colour = Rgb{255, 0, 255}, .line = 2.5F}}}};

struct Shown {
  std::uint32_t number;
  Frame frame;
};

std::vector<Shown> shown_in(Source& source) {
  std::vector<Shown> all;
  SourceContext context{.stream = StreamId{0}, .cpu = CpuGate::process()};
  source.open(context);
  for (;;) {
    const ReadResult next = source.read();
    if (std::holds_alternative<End>(next)) break;
    const auto* frame = std::get_if<Frame>(&next);
    if (!frame) continue;
    const auto number = read_barcode(frame->image({.format = ImageSpec::Format::gray8}));
    REQUIRE(number);
    all.push_back({*number, *frame});
  }
  source.close();
  return all;
}

/// How far the colour along the box's outline is from the one drawn, 0 to 255. The pattern's own magenta is 42 away.
double distance_from_drawn(const Frame& frame, const Box& box) {
  const Image image = frame.image({.format = ImageSpec::Format::rgb8});
  double sum = 0;
  int count = 0;
  const auto add = [&](int x, int y) {
    const std::byte* at = image.bytes().data() + y * image.stride() + 3 * x;
    sum += std::abs(255 - std::to_integer<int>(at[0])) + std::to_integer<int>(at[1]) + std::abs(255 - std::to_integer<int>(at[2]));
    count += 3;
  };
  const int left = static_cast<int>(std::lround(box.x1)), right = static_cast<int>(std::lround(box.x2)) - 1;
  for (int y = static_cast<int>(box.y1) + 2; y < static_cast<int>(box.y2) - 2; ++y) {
    add(left + 2, y);
    add(right - 2, y);
  }
  return sum / count;
}

/// \return the slot that is drawn on the picture; nothing where it is not exactly one.
std::optional<std::uint32_t> slot_drawn(const Frame& frame, Size size) {
  std::optional<std::uint32_t> found;
  for (std::uint32_t slot = 0; slot < slots; ++slot) {
    if (distance_from_drawn(frame, place_of(slot, size)) > 30) continue;
    if (found) return std::nullopt;
    found = slot;
  }
  return found;
}

/// Analyses `source` into `path` and checks all of it against the pictures that it gives `again`.
void check_film(const std::shared_ptr<Source>& source, const std::shared_ptr<Source>& again, const std::string& path, Nanos every = 0s) {
  const std::vector<Shown> pictures = shown_in(*again);
  REQUIRE(pictures.size() > 20);
  Analyzer analyzer(reading(every));
  std::vector<std::uint32_t> looked;
  const Report report = analyzer.analyze(*source, {.sinks = {annotate(video(path, {.quality = 8}), plain)}}, [&](const FrameResult& result) {
    looked.push_back(static_cast<std::uint32_t>(result["numbers"].detections().raw_score[0]));
    return true;
  });
  CHECK(report.answered == report.due);
  REQUIRE(looked.size() > 3);

  const auto film = open_source(path);
  const std::vector<Shown> drawn = shown_in(*film);
  REQUIRE(drawn.size() == pictures.size());
  const Size size = pictures[0].frame.size();
  std::size_t off = 0;
  auto last_look = looked.begin();
  for (std::size_t i = 0; i < drawn.size(); ++i) {
    CHECK(drawn[i].number == pictures[i].number);
    const auto time = [](const std::vector<Shown>& all, std::size_t at) { return all[at].frame.info().time.media_time - all[0].frame.info().time.media_time; };
    CHECK(std::chrono::abs(time(drawn, i) - time(pictures, i)) < 1ms);
    CHECK(drawn[i].frame.info().rotation_degrees == 0);
    while (last_look + 1 != looked.end() && *(last_look + 1) <= drawn[i].number) ++last_look;
    const std::optional<std::uint32_t> slot = slot_drawn(drawn[i].frame, size);
    if (!slot || *slot != *last_look % slots) ++off;
  }
  CHECK(off == 0);
  const Size even{size.width + size.width % 2, size.height + size.height % 2};
  CHECK(drawn[0].frame.size() == even);
}

/// A film of the pattern, encoded with B-frames.
std::string pattern_film(const test::Folder& folder, const TestPatternOptions& options) {
  const std::string path = folder / "pattern.mp4";
  register_adapter("numbers", [](const Value&) { return std::make_unique<Reader>(); });
  Analyzer analyzer({{.name = "visual", .adapter = {.adapter = "visual"}, .every = 100s}});
  const auto source = test_pattern(options);
  analyzer.analyze(*source, {.sinks = {video(path, {.quality = 8})}});
  return path;
}

std::shared_ptr<Source> file(const std::string& path) { return open_source(path); }

}  // namespace

TEST_CASE("each box is on the picture it was found in: 25, 30 and 59.94 pictures a second") {
  for (const Rational rate : {Rational{25, 1}, Rational{30, 1}, Rational{60000, 1001}}) {
    const test::Folder folder;
    CAPTURE(rate.num);
    const TestPatternOptions options{.size = {480, 270}, .rate = rate, .frames = 40};
    check_film(test_pattern(options), test_pattern(options), folder / "out.mp4");
  }
}

TEST_CASE("each box is on the picture it was found in: a film with B-frames, to MP4 and MPEG-TS, odd sizes") {
  const test::Folder folder;
  const std::string film = pattern_film(folder, {.size = {480, 270}, .frames = 40});
  CHECK(test::output_of("ffprobe -v error -select_streams v -show_entries frame=pict_type -of csv=p=0 " + test::quoted(film)).find('B') != std::string::npos);
  check_film(file(film), file(film), folder / "out.mp4");
  check_film(file(film), file(film), folder / "out.ts");
  const TestPatternOptions odd{.size = {421, 269}, .frames = 30};
  check_film(test_pattern(odd), test_pattern(odd), folder / "odd.mp4");
}

TEST_CASE("between two looks the last boxes stay, and none comes before its picture") {
  const test::Folder folder;
  const std::string film = pattern_film(folder, {.size = {480, 270}, .frames = 60});
  check_film(file(film), file(film), folder / "out.mp4", 200ms);
  check_film(file(film), file(film), folder / "odd.mp4", 130ms);
}

TEST_CASE("turned films, uneven rates and films that begin late") {
  const test::Folder folder;
  const std::string film = pattern_film(folder, {.size = {480, 270}, .frames = 40});
  const std::string turned = [&] {
    (void)folder.make("sideways.mp4", "-i pattern.mp4 -vf transpose=1 -c:v libx264 -qp 8");
    return folder.make("turned.mp4", "-i sideways.mp4 -c copy -metadata:s:v:0 rotate=90");
  }();
  CHECK(shown_in(*file(turned))[0].frame.info().rotation_degrees % 180 == 90);
  check_film(file(turned), file(turned), folder / "turned-out.mp4");
  const std::string uneven =
      folder.make("uneven.mp4", "-i pattern.mp4 -vf \"setpts='(N*N*0.7+N*37+11*mod(N,3))/1000/TB'\" -fps_mode passthrough -enc_time_base 1/90000 "
                                "-video_track_timescale 90000 -c:v libx264 -qp 8 -bf 3");
  check_film(file(uneven), file(uneven), folder / "uneven-out.mp4");
  check_film(file(uneven), file(uneven), folder / "uneven-out.ts");
  const std::string late = folder.make("late.ts", "-i pattern.mp4 -c copy -output_ts_offset 10 -muxdelay 0");
  check_film(file(late), file(late), folder / "late-out.mp4");
  check_film(file(late), file(late), folder / "late-out.ts");
  // MPEG-TS keeps the very timestamps.
  const auto before = shown_in(*file(late)), after = shown_in(*file(folder / "late-out.ts"));
  for (std::size_t i = 0; i < before.size(); ++i) CHECK(before[i].frame.info().time.pts == after[i].frame.info().time.pts);
}

TEST_CASE("a part of a film, and films of no picture") {
  const test::Folder folder;
  const std::string film = pattern_film(folder, {.size = {480, 270}, .frames = 50});
  Analyzer analyzer(reading());
  analyzer.analyze(*file(film), {.start = 400ms, .end = 1s, .sinks = {video(folder / "part.mp4")}});
  const auto part = shown_in(*file(folder / "part.mp4"));
  REQUIRE(part.size() == 15);
  CHECK(part.front().number == 10);
  CHECK(part.front().frame.info().time.media_time == 0s);
  CHECK_THROWS_AS(analyzer.analyze(*file(film), {.start = 100s, .sinks = {video(folder / "none.mp4")}}), Error);
  CHECK_FALSE(std::filesystem::exists(folder / "none.mp4"));
}

TEST_CASE("existing files are refused, or kept until there is something better") {
  const test::Folder folder;
  folder.write("out.mp4", "precious");
  CHECK_THROWS_AS(video(folder / "out.mp4"), Error);
  { const auto unused = video(folder / "out.mp4", {.overwrite = true}); }
  CHECK(folder.read("out.mp4") == "precious");
  { const auto unused = video(folder / "new.mp4"); }
  CHECK_FALSE(std::filesystem::exists(folder / "new.mp4"));
  CHECK_THROWS_AS(video(folder / "out.avi"), Error);
  CHECK_FALSE(std::filesystem::exists(folder / "out.avi"));
  CHECK_THROWS_AS(video(folder / "a/b.mp4"), Error);
  CHECK_THROWS_AS(video(folder / "q.mp4", {.quality = 99}), Error);

  Analyzer analyzer({{.name = "visual", .adapter = {.adapter = "visual"}, .every = 1s}});
  const auto source = test_pattern({.size = {160, 120}, .frames = 30});
  const auto sink = video(folder / "out.mp4", {.overwrite = true});
  analyzer.analyze(*source, {.sinks = {sink}});
  CHECK(folder.read("out.mp4").substr(4, 4) == "ftyp");
  try {  // a second stream into the same film
    analyzer.analyze(*source, {.sinks = {sink}});
    FAIL("a second stream was taken");
  } catch (const Error& error) {
    CHECK(error.code == Code::config);
  }
  try {
    analyzer.analyze(*source, {.sinks = {video(folder / "other.mp4", {.codec = "libnothing"})}});
    FAIL("an unknown encoder was taken");
  } catch (const Error& error) {
    CHECK(error.code == Code::not_built);
    CHECK(std::string(error.what()).find("libx264") != std::string::npos);
  }
}

TEST_CASE("colour tags and sample aspect are kept") {
  const test::Folder folder;
  const std::string film = folder.make("tagged.mp4", "-f lavfi -i testsrc2=s=320x240:d=0.4 -vf setsar=4/3 -c:v libx264 -pix_fmt yuv420p -color_primaries bt2020 "
                                                     "-color_trc smpte2084 -colorspace bt2020nc -color_range pc");
  Analyzer analyzer({{.name = "visual", .adapter = {.adapter = "visual"}, .every = 1s}});
  analyzer.analyze(*file(film), {.sinks = {annotate(video(folder / "out.mp4"))}});
  const auto tags = [](const std::string& path) {
    return test::output_of("ffprobe -v error -show_entries stream=color_range,color_space,color_transfer,color_primaries,sample_aspect_ratio -of csv=p=0 " + test::quoted(path));
  };
  CHECK(tags(film).find("bt2020nc") != std::string::npos);
  CHECK(tags(folder / "out.mp4") == tags(film));
}
