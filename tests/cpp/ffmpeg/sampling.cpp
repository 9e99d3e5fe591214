// What a demand leaves undecoded changes nothing about what it gets: checked against decoding everything.
#include "reading.hpp"

#include <imaging/plane_md5.hpp>
#include <support/clips.hpp>
#include <vidloom/analyzer.hpp>
#include <vidloom/registry.hpp>
#include <vidloom/sources/segment.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

using namespace vidloom;
using namespace std::chrono_literals;
using test::Folder;

namespace {

struct Picture {
  Nanos time{}, duration{};
  std::int64_t pts = 0;
  std::uint32_t epoch = 0;
  std::uint64_t sequence = 0, skipped = 0;
  Nanos skipped_from{};
  bool keyframe = false;
  Health health = Health::ok;
  std::string md5;
};

struct Reading {
  std::vector<Picture> pictures;
  std::optional<FrameInfo> last;  ///< of End
  SourceStats stats;
};

Reading read(const std::string& path, const std::vector<Demand>& demands, std::optional<Nanos> start = {}) {
  const auto source = open_source(path);
  SourceContext context{.stream = StreamId{7}, .cpu = CpuGate::process()};
  source->open(context);
  if (start) source->seek(*start);
  if (!demands.empty()) source->set_demand(demands);
  Reading reading;
  for (;;) {
    const ReadResult next = source->read();
    if (const auto* end = std::get_if<End>(&next)) {
      reading.last = end->last;
      break;
    }
    const auto* frame = std::get_if<Frame>(&next);
    if (!frame) continue;
    const FrameInfo& info = frame->info();
    reading.pictures.push_back({info.time.media_time, info.duration, info.time.pts, info.epoch, info.sequence, info.skipped, info.skipped_from,
                                info.keyframe, info.health, plane_md5(*frame)});
  }
  reading.stats = source->stats();
  source->close();
  return reading;
}

std::int64_t tick_of(Nanos time, Nanos every) { return time / every - (time % every < 0ns ? 1 : 0); }

/// The rule of demand.hpp, on all pictures: indices.
std::vector<std::size_t> picks(const std::vector<Picture>& all, const Demand& demand, bool tolerant) {
  std::vector<std::size_t> result;
  std::optional<Nanos> before;
  for (std::size_t index = 0; index < all.size(); ++index) {
    const Picture& picture = all[index];
    if (index == 0 || picture.epoch != all[index - 1].epoch) before = picture.time - picture.duration;
    if (demand.first > 0 && index >= demand.first) break;
    if (demand.keyframes_only && !picture.keyframe) continue;
    if (demand.every == 0ns) {
      result.push_back(index);
      continue;
    }
    const std::int64_t tick = tick_of(picture.time, demand.every);
    if (tick <= tick_of(*before, demand.every)) continue;
    std::size_t taken = index;
    if (tolerant && demand.tolerance > 0ns) {
      std::size_t key = index;
      while (key < all.size() && all[key].epoch == picture.epoch && !all[key].keyframe) ++key;
      const Nanos began = tick * demand.every;
      if (key < all.size() && all[key].epoch == picture.epoch && all[key].time <= began + demand.tolerance && all[key].time < began + demand.every) taken = key;
    }
    result.push_back(taken);
    before = all[taken].time;
    index = taken;
  }
  return result;
}

/// Which of the given pictures an analysis with this demand takes: what the Analyzer does.
std::vector<std::size_t> due(const std::vector<Picture>& given, Nanos every) {
  std::vector<std::size_t> result;
  std::optional<Nanos> before;
  for (std::size_t index = 0; index < given.size(); ++index) {
    const Picture& picture = given[index];
    if (index > 0 && picture.epoch != given[index - 1].epoch) before.reset();
    if (!before) before = picture.skipped > 0 ? picture.skipped_from : picture.time - picture.duration;
    if (tick_of(picture.time, every) > tick_of(*before, every)) result.push_back(index);
    before = picture.time;
  }
  return result;
}

void check_same(const Picture& mine, const Picture& theirs) {
  CHECK(mine.pts == theirs.pts);
  CHECK(mine.time == theirs.time);
  CHECK(mine.epoch == theirs.epoch);
  CHECK(mine.sequence == theirs.sequence);
  CHECK(mine.md5 == theirs.md5);
  CHECK(mine.health == theirs.health);
}

/// \param planned  whether the stream tells enough to leave pictures out.
void check(const std::string& path, bool planned) {
  CAPTURE(path);
  const Reading all = read(path, {});
  REQUIRE(all.pictures.size() > 20);
  const std::uint64_t packets = all.stats.packets;
  const std::vector<Demand> singles = {
      {.every = 100ms},       {.every = 370ms},       {.every = 500ms, .tolerance = 200ms},  {.every = 500ms, .tolerance = 500ms},
      {.every = 1s},          {.every = 1s, .tolerance = 1s}, {.every = 2s, .tolerance = 2s}, {.every = 2s, .tolerance = 700ms},
      {.every = 6s},          {.keyframes_only = true}, {.every = 1s, .keyframes_only = true}, {.first = 1}, {.first = 5},
      {.every = 1s, .first = 40}};
  for (const Demand& demand : singles) {
    CAPTURE(demand.every.count());
    CAPTURE(demand.tolerance.count());
    CAPTURE(demand.keyframes_only);
    CAPTURE(demand.first);
    const Reading some = read(path, {demand});
    const std::vector<std::size_t> wanted = picks(all.pictures, demand, planned);
    if (planned) {
      std::string mine, theirs;
      for (const Picture& one : some.pictures) mine += std::to_string(one.sequence) + (one.keyframe ? "k " : " ");
      for (const std::size_t one : wanted) theirs += std::to_string(one) + (all.pictures[one].keyframe ? "k " : " ");
      CAPTURE(mine);
      CAPTURE(theirs);
      REQUIRE(some.pictures.size() == wanted.size());
      for (std::size_t index = 0; index < wanted.size(); ++index) check_same(some.pictures[index], all.pictures[wanted[index]]);
      CHECK(some.stats.packets + some.stats.skipped <= packets);
      if (demand.first == 0) CHECK(some.stats.packets + some.stats.skipped == packets);
    } else if (demand.every > 0ns && demand.tolerance == 0ns && !demand.keyframes_only && demand.first == 0) {
      const std::vector<std::size_t> taken = due(some.pictures, demand.every);
      REQUIRE(taken.size() == wanted.size());
      for (std::size_t index = 0; index < wanted.size(); ++index) check_same(some.pictures[taken[index]], all.pictures[wanted[index]]);
    }
    if (demand.first == 0 && planned) {
      // Nothing is lost count of: the last picture is known, given or not.
      const bool given = !some.pictures.empty() && some.pictures.back().sequence == all.pictures.back().sequence &&
                         some.pictures.back().epoch == all.pictures.back().epoch;
      CHECK(some.last.has_value() != given);
      if (some.last) {
        CHECK(some.last->sequence == all.pictures.back().sequence);
        CHECK(some.last->time.media_time == all.pictures.back().time);
      }
    }
  }
  // Several demands: each strict one gets its pictures, each tolerant one a picture in time.
  for (const std::vector<Demand>& demands : {std::vector<Demand>{{.every = 500ms}, {.every = 2s, .tolerance = 2s}},
                                             std::vector<Demand>{{.every = 700ms}, {.every = 300ms}, {.every = 1s, .tolerance = 1s}}}) {
    const Reading some = read(path, demands);
    for (const Demand& demand : demands) {
      const std::vector<std::size_t> taken = due(some.pictures, demand.every), wanted = picks(all.pictures, demand, false);
      CAPTURE(demand.every.count());
      REQUIRE(taken.size() == wanted.size());
      for (std::size_t index = 0; index < wanted.size(); ++index) {
        const Picture& mine = some.pictures[taken[index]];
        if (demand.tolerance == 0ns) {
          check_same(mine, all.pictures[wanted[index]]);
        } else {
          const Nanos began = tick_of(all.pictures[wanted[index]].time, demand.every) * demand.every;
          CHECK(mine.time >= all.pictures[wanted[index]].time);
          CHECK((mine.time == all.pictures[wanted[index]].time || mine.time <= began + demand.tolerance));
        }
      }
    }
  }
}

/// Gives every picture, whatever is demanded.
class Undemanding final : public Source {
 public:
  explicit Undemanding(const std::string& path) : source_(open_source(path)) {}
  SourceInfo open(SourceContext& context) override { return source_->open(context); }
  ReadResult read() override { return source_->read(); }
  void interrupt() noexcept override { source_->interrupt(); }
  void close() noexcept override { source_->close(); }
  void seek(Nanos media_time) override { source_->seek(media_time); }
  SourceStats stats() const noexcept override { return source_->stats(); }

 private:
  const std::unique_ptr<Source> source_;
};

class Looker final : public DetectionAdapter {
 public:
  AdapterInfo info() const override { return {.kind = "visual"}; }
  void detect(std::span<const Item> items, std::span<Result<Detections>> out, const BatchContext&) override {
    for (std::size_t index = 0; index < items.size(); ++index) {
      Detections found;
      found.attributes.push_back({"md5 of " + plane_md5(items[index].frame), 1.0});
      out[index] = std::move(found);
    }
  }
};

/// Which pictures each analysis was given, and what the report says.
std::string told(const Report& report, bool with_duration = true) {
  std::string text = std::string(to_string(report.status())) + " " + std::to_string(with_duration ? report.duration.count() : 0) + "\n";
  for (const FrameResult& frame : report.frames) {
    text += std::to_string(frame.info.epoch) + " " + std::to_string(frame.info.sequence) + " " + std::to_string(frame.info.time.pts);
    for (const auto& [name, outcome] : frame.outcomes) text += " " + name + " " + outcome.detections().attributes.front().name;
    text += "\n";
  }
  return text;
}

std::vector<AnalysisSpec> looking(const std::vector<std::pair<Nanos, Nanos>>& grids) {
  register_adapter("looker", [](const Value&) { return std::make_unique<Looker>(); });
  std::vector<AnalysisSpec> specs;
  for (const auto& [every, tolerance] : grids)
    specs.push_back({.name = "a" + std::to_string(specs.size()), .adapter = {"looker"}, .every = every, .tolerance = tolerance});
  return specs;
}

const std::string pattern = "-f lavfi -i testsrc2=size=160x90:rate=25:duration=6 ";

}  // namespace

TEST_CASE("a demand gets the pictures that decoding everything gives: H.264") {
  const Folder folder;
  const std::string x264 = pattern + "-c:v libx264 -preset veryfast -threads 1 -sc_threshold 0 ";
  check(folder.make("closed.ts", x264 + "-g 25 -bf 2"), true);
  check(folder.make("open.ts", x264 + "-g 25 -bf 3 -x264-params open-gop=1:b-pyramid=normal"), true);
  check(folder.make("long.mp4", x264 + "-g 250 -bf 2"), true);
  check(folder.make("open.mkv", x264 + "-g 40 -bf 2 -x264-params open-gop=1"), true);
  check(folder.make("plain.mp4", x264 + "-g 10 -bf 0"), true);
  check(folder.make("wrap.ts", x264 + "-g 30 -bf 2 -output_ts_offset 95441"), true);
  check(folder.make("uneven.mkv", x264 + "-g 30 -bf 2 -vf select='not(mod(n\\,3))+not(mod(n\\,7))' -fps_mode vfr"), true);
}

TEST_CASE("a demand gets the pictures that decoding everything gives: other codecs") {
  const Folder folder;
  check(folder.make("open_hevc.ts", pattern + "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=25:open-gop=1:bframes=3"), true);
  check(folder.make("hevc.mp4", pattern + "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=30:open-gop=0:bframes=2"), true);
  check(folder.make("mpeg2.ts", pattern + "-c:v mpeg2video -g 15 -bf 2"), true);
  check(folder.make("vp9.webm", pattern + "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 40"), true);
  check(folder.make("mjpeg.avi", pattern + "-c:v mjpeg"), true);
  check(folder.make("mpeg4.avi", pattern + "-c:v mpeg4 -bf 2"), false);
  check(folder.make("fields.ts", "-f lavfi -i testsrc2=size=160x96:rate=50:duration=6 -vf interlace -c:v libx264 -preset veryfast -threads 1 -x264-params interlaced=1:keyint=20"), false);
}

TEST_CASE("records are the same whether or not pictures were left out") {
  const Folder folder;
  const std::string clip = folder.make("clip.mp4", pattern + "-c:v libx264 -preset veryfast -threads 1 -sc_threshold 0 -g 25 -bf 2");
  const std::string open = folder.make("open.ts", pattern + "-c:v libx264 -preset veryfast -threads 1 -sc_threshold 0 -g 50 -bf 3 -x264-params open-gop=1");
  for (const std::string& path : {clip, open}) {
    CAPTURE(path);
    for (const auto& grids : {std::vector<std::pair<Nanos, Nanos>>{{1s, 0s}}, {{700ms, 0s}, {2s, 0s}}, {{10s, 0s}}, {{4s, 0s}}}) {
      Analyzer analyzer(looking(grids));
      const auto compare = [&](const AnalyzeOptions& options) {
        const auto sparing = open_source(path);
        Undemanding lavish(path);
        const Report mine = analyzer.analyze(*sparing, options), theirs = analyzer.analyze(lavish, options);
        CHECK(told(mine, false) == told(theirs, false));
        // Which picture was the last one before `end` is not told; its time is within a picture.
        CHECK(std::abs((mine.duration - theirs.duration).count()) <= (options.end ? 40'000'000 : 0));
      };
      compare({});
      compare({.max_frames = 1});
      compare({.max_frames = 30});
      compare({.max_frames = 100});
      compare({.start = 2500ms});
      compare({.start = 2500ms, .max_frames = 40});
      compare({.start = 1700ms, .end = 4100ms});
    }
  }
}

TEST_CASE("segments of a stream follow on though their last pictures were left out") {
  const Folder folder;
  folder.make("part.m3u8", pattern + "-c:v libx264 -preset veryfast -threads 1 -g 25 -bf 2 -sc_threshold 0 -hls_time 2 -hls_list_size 0");
  for (const Nanos tolerance : {Nanos(0s), Nanos(1500ms)}) {
    Analyzer sparing(looking({{1500ms, tolerance}})), lavish(looking({{1500ms, 0s}}));
    std::uint64_t sequence = 0;
    for (int part = 0; part < 3; ++part) {
      CAPTURE(part);
      const std::string path = folder / ("part" + std::to_string(part) + ".ts");
      const auto source = segment_source(path);
      Undemanding every(path);
      const Report mine = sparing.analyze(*source, {.stream = "s"}), theirs = lavish.analyze(every, {.stream = "s"});
      CHECK(mine.duration == theirs.duration);
      if (tolerance == 0s) CHECK(told(mine) == told(theirs));
      REQUIRE(!mine.frames.empty());
      for (const FrameResult& frame : mine.frames) {
        CHECK(frame.info.epoch == 0);
        CHECK(frame.info.sequence >= sequence);
        sequence = frame.info.sequence;
        const auto pts = static_cast<std::int64_t>(sequence) * 3600 + 133200;  // 25 pictures a second, muxed from 1.48 s
        CHECK(frame.info.time.pts == pts);
      }
    }
  }
}

TEST_CASE("a demand that changes holds from the next keyframe on") {
  const Folder folder;
  const std::string path = folder.make("clip.ts", pattern + "-c:v libx264 -preset veryfast -threads 1 -sc_threshold 0 -g 25 -bf 2");
  const Reading all = read(path, {});
  const auto source = open_source(path);
  SourceContext context{.stream = StreamId{7}, .cpu = CpuGate::process()};
  source->open(context);
  const std::vector<Demand> keyframes{Demand{.keyframes_only = true}}, each{Demand{}};
  source->set_demand(keyframes);
  std::vector<std::uint64_t> numbers;
  for (;;) {
    const ReadResult next = source->read();
    if (std::holds_alternative<End>(next)) break;
    const auto& frame = std::get<Frame>(next);
    const std::uint64_t number = frame.info().sequence;
    numbers.push_back(number);
    REQUIRE(number < all.pictures.size());
    CHECK(plane_md5(frame) == all.pictures[number].md5);
    CHECK(frame.info().time.media_time == all.pictures[number].time);
    if (number == 25) source->set_demand(each);
    if (number == 90) source->set_demand(keyframes);
  }
  std::vector<std::uint64_t> wanted{0, 25};
  for (std::uint64_t number = 50; number < 100; ++number) wanted.push_back(number);
  wanted.insert(wanted.end(), {100, 125});
  CHECK(numbers == wanted);
  source->close();
}

TEST_CASE("a long group of pictures that is never repeated is decoded as it comes") {
  const Folder folder;
  const std::string path = folder.make("endless.mkv", "-f lavfi -i testsrc2=size=64x48:rate=50:duration=40 -c:v libx264 -preset ultrafast -threads 1 "
                                                      "-sc_threshold 0 -g 9999 -keyint_min 9999");
  const Reading all = read(path, {}), some = read(path, {{.every = 5s}});
  REQUIRE(all.pictures.size() == 2000);
  const std::vector<std::size_t> taken = due(some.pictures, 5s), wanted = picks(all.pictures, {.every = 5s}, false);
  REQUIRE(taken.size() == wanted.size());
  for (std::size_t index = 0; index < wanted.size(); ++index) check_same(some.pictures[taken[index]], all.pictures[wanted[index]]);
  const Reading keys = read(path, {{.keyframes_only = true}});
  CHECK(keys.pictures.size() == 1);
  CHECK(keys.stats.packets == 1);
  REQUIRE(keys.last);
  CHECK(keys.last->sequence == 1999);
}
