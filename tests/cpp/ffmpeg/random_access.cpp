#include "reading.hpp"

#include <imaging/plane_md5.hpp>
#include <support/clips.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

using namespace vidloom;
using test::Folder;
using test::quoted;

namespace {

struct Seen {
  std::string md5;
  std::int64_t pts = 0;
  Nanos media_time{};
  std::uint32_t epoch = 0;
  std::uint64_t sequence = 0;
  bool operator==(const Seen&) const = default;
};

std::ostream& operator<<(std::ostream& to, const Seen& seen) {
  return to << seen.md5 << " pts " << seen.pts << " at " << seen.media_time.count() << " epoch " << seen.epoch << " number " << seen.sequence;
}

Seen seen(const Frame& frame) {
  const FrameInfo& info = frame.info();
  return {plane_md5(frame), info.time.pts, info.time.media_time, info.epoch, info.sequence};
}

/// What a decoder paints into a damaged picture depends on memory it used before, and lives on in pictures that refer to it.
std::vector<Frame> without_damage(const std::vector<Frame>& film) {
  std::vector<Frame> whole;
  bool damaged = false;
  for (const Frame& frame : film) {
    damaged = frame.info().health != Health::ok || (damaged && !frame.info().keyframe);
    if (!damaged) whole.push_back(frame);
  }
  return whole;
}

/// The differences, at most three of them.
std::string difference(const std::vector<Seen>& got, const std::vector<Seen>& wanted) {
  std::ostringstream text;
  if (got.size() != wanted.size()) text << got.size() << " pictures instead of " << wanted.size() << '\n';
  int told = 0;
  for (std::size_t at = 0; at < std::min(got.size(), wanted.size()) && told < 3; ++at)
    if (!(got[at] == wanted[at])) text << "picture " << at << ": " << got[at] << ", wanted " << wanted[at] << (++told, "\n");
  return text.str();
}

std::vector<Seen> all_seen(const std::vector<Frame>& frames) {
  std::vector<Seen> all;
  for (const Frame& frame : frames) all.push_back(seen(frame));
  return all;
}

Frame next_frame(Source& source) {
  for (;;) {
    ReadResult next = source.read();
    if (auto* frame = std::get_if<Frame>(&next)) return *frame;
    REQUIRE_FALSE(std::holds_alternative<End>(next));
  }
}

/// An open source, closed with this object.
class Opened {
 public:
  explicit Opened(const std::string& path, const Value& options = {}) : source_(open_source(path, options)) {
    SourceContext context{.stream = StreamId{7}, .cpu = CpuGate::process()};
    source_->open(context);
  }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
  ~Opened() { source_->close(); }
  Source* operator->() { return source_.get(); }
  Source& operator*() { return *source_; }

 private:
  std::unique_ptr<Source> source_;
};

enum class Costs { any, groups };  ///< groups: never more packets than from the keyframe before

/// Every picture is the same whichever way it is asked for.
void check(const std::string& path, Costs costs = Costs::groups, std::size_t group = 12) {
  CAPTURE(path);
  const std::vector<Frame> frames = test::read_all(path).frames;
  const std::vector<Seen> film = all_seen(frames);
  REQUIRE(film.size() > 1);
  std::mt19937 dice(7);

  std::vector<std::size_t> order;
  const std::vector<Seen> whole = all_seen(without_damage(frames));
  for (std::size_t index = 0; index < film.size(); ++index)
    if (std::find(whole.begin(), whole.end(), film[index]) != whole.end()) order.push_back(index);
  REQUIRE(order.size() > film.size() / 3);
  std::shuffle(order.begin(), order.end(), dice);
  order.push_back(order.front());
  std::vector<Seen> wanted;
  for (const std::size_t index : order) wanted.push_back(film[index]);
  {
    Opened source(path);
    CHECK(difference(all_seen(source->frames_by_index(order)), wanted) == "");
    // Reading goes on from where it stood.
    CHECK(seen(next_frame(*source)) == film[0]);
    CHECK(seen(next_frame(*source)) == film[1]);
  }
  if (film.back().epoch == 0) {
    Opened source(path);
    std::vector<Nanos> times;
    for (const std::size_t index : order) times.push_back(film[index].media_time);
    CHECK(difference(all_seen(source->frames_at(times)), wanted) == "");
  }
  Opened source(path);
  std::uint64_t most_packets = 0;
  for (const std::size_t index : order) {
    const std::uint64_t before = source->stats().packets;
    REQUIRE(difference(all_seen(source->frames_by_index(std::vector{index})), {film[index]}) == "");
    most_packets = std::max(most_packets, source->stats().packets - before);
  }
  for (const std::size_t index : order) {
    if (film[index].epoch != 0) continue;
    CAPTURE(index);
    const std::uint64_t before = source->stats().packets;
    source->seek(film[index].media_time - Nanos(dice() % 2));
    REQUIRE(seen(next_frame(*source)) == film[index]);
    most_packets = std::max(most_packets, source->stats().packets - before);
    for (std::size_t on = index + 1; on < std::min(index + 3, film.size()); ++on) REQUIRE(seen(next_frame(*source)).pts == film[on].pts);
  }
  // Two groups where a leading picture is wanted, and what the decoder holds back.
  if (costs == Costs::groups) CHECK(most_packets <= 2 * group + 8);
}

const std::string pattern = "-f lavfi -i testsrc2=size=128x96:rate=25:duration=1.6 ";
const std::string x264 = "-c:v libx264 -preset veryfast -threads 1 -g 12 -bf 2 ";

}  // namespace

TEST_CASE("every picture of every container can be asked for by number and by time") {
  const Folder folder;
  for (const char* name : {"clip.ts", "clip.mp4", "clip.mov", "clip.mkv", "clip.flv"}) check(folder.make(name, pattern + x264));
  check(folder.make("clip.avi", pattern + "-c:v mpeg4 -g 12"));
  check(folder.make("clip.mpg", pattern + "-c:v mpeg2video -g 12 -bf 2"), Costs::any);  // not every picture has a timestamp
  check(folder.make("mpeg2.ts", pattern + "-c:v mpeg2video -g 12 -bf 2"));
  check(folder.make("fragments.mp4", pattern + x264 + "-movflags frag_keyframe+empty_moov"));
  check(folder.make("sound.ts", "-f lavfi -i sine=duration=2.4 " + pattern + x264 + "-c:a aac"));
  check(folder.make("sound.mp4", "-f lavfi -i sine=duration=2.4 " + pattern + x264 + "-c:a aac"));
}

TEST_CASE("groups of pictures of every kind") {
  const Folder folder;
  const std::string open_gop = "-c:v libx264 -preset veryfast -threads 1 -g 12 -bf 3 -x264-params open-gop=1:scenecut=0:b-adapt=0 ";
  for (const char* name : {"open.ts", "open.mp4", "open.mkv"}) check(folder.make(name, pattern + open_gop));
  const std::string x265 = "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=12:min-keyint=12:bframes=3:scenecut=0";
  for (const char* name : {"cra.ts", "cra.mp4", "cra.mkv"}) check(folder.make(name, pattern + x265 + ":open-gop=1"));
  check(folder.make("idr.ts", pattern + x265 + ":open-gop=0"));
  check(folder.make("pyramid.ts", pattern + x264 + "-x264-params b-pyramid=strict:bframes=8:b-adapt=0"));
  check(folder.make("one.ts", pattern + x264 + "-g 1"));
  check(folder.make("single.ts", pattern + x264 + "-g 1000"), Costs::any);
  check(folder.make("refresh.ts", pattern + x264 + "-x264-params intra-refresh=1"), Costs::any);
  check(folder.make("mpeg4.mp4", pattern + "-c:v mpeg4 -bf 2 -g 12"));
  check(folder.make("mpeg4_b.avi", pattern + "-c:v mpeg4 -bf 2 -g 12"), Costs::any);
  check(folder.make("interlaced.ts", pattern + "-vf interlace -c:v mpeg2video -flags +ildct+ilme -g 12"));
  check(folder.make("fields.ts", pattern + x264 + "-flags +ildct+ilme"));
}

TEST_CASE("codecs with their own idea of a picture") {
  const Folder folder;
  check(folder.make("vp8.webm", pattern + "-c:v libvpx -deadline realtime -cpu-used 8 -g 12"));
  check(folder.make("hidden.webm", pattern + "-c:v libvpx -deadline good -cpu-used 5 -auto-alt-ref 1 -lag-in-frames 16 -g 24"), Costs::groups, 24);
  check(folder.make("vp9.webm", pattern + "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 12"));
  check(folder.make("hidden9.webm", pattern + "-c:v libvpx-vp9 -deadline good -cpu-used 5 -auto-alt-ref 1 -lag-in-frames 16 -g 24"), Costs::groups, 24);
  check(folder.make("av1.mkv", "-f lavfi -i testsrc2=size=64x64:rate=10:duration=2 -c:v libaom-av1 -usage realtime -cpu-used 8 -g 8"), Costs::groups, 8);
  check(folder.make("mjpeg.avi", pattern + "-c:v mjpeg"), Costs::groups, 1);
  check(folder.make("ffv1.mkv", pattern + "-c:v ffv1 -g 12 -pix_fmt yuv422p"));
  check(folder.make("raw.avi", pattern + "-c:v rawvideo -pix_fmt bgr24"), Costs::groups, 1);
  check(folder.make("turning.gif", pattern), Costs::any);
  check(folder.make("bare.h264", pattern + x264), Costs::any);
}

TEST_CASE("timestamps of every kind") {
  const Folder folder;
  check(folder.make("late.ts", pattern + x264 + "-output_ts_offset 20"));
  check(folder.make("wraps.ts", pattern + x264 + "-output_ts_offset 95442.5"));
  // Matroska in FFmpeg gives no timestamps below zero: nothing tells where its pictures are.
  check(folder.make("negative.mkv", pattern + x264 + "-output_ts_offset -1 -avoid_negative_ts disabled"), Costs::any);
  check(folder.make("negative.mp4", pattern + x264 + "-output_ts_offset -1 -avoid_negative_ts disabled"));
  check(folder.make("variable.mkv", pattern + "-vf select='not(mod(n\\,3))+not(mod(n\\,7))' -fps_mode vfr " + x264));
  folder.make("long.mp4", pattern + x264);
  // Cut by copying at a picture that is no keyframe: an edit list hides the first ones, keyframe included.
  check(folder.make("edited.mp4", "-ss 0.7 -i long.mp4 -c copy"));
  folder.make("a.ts", pattern + x264);
  folder.make("b.ts", pattern + x264 + "-output_ts_offset 100");
  folder.write("jumps.ts", folder.read("a.ts") + folder.read("b.ts"));
  check(folder / "jumps.ts");
  folder.write("repeats.ts", folder.read("a.ts") + folder.read("a.ts"));
  check(folder / "repeats.ts");
}

TEST_CASE("damaged and cut recordings") {
  const Folder folder;
  folder.make("whole.ts", pattern + x264);
  std::string bytes = folder.read("whole.ts");
  folder.write("middle.ts", bytes.substr(bytes.size() / 188 / 4 * 188));
  check(folder / "middle.ts");
  folder.make("open.ts", pattern + "-c:v libx264 -preset veryfast -threads 1 -g 12 -bf 3 -x264-params open-gop=1:scenecut=0:b-adapt=0");
  const std::string open = folder.read("open.ts");
  folder.write("open_middle.ts", open.substr(open.size() / 188 / 4 * 188));
  check(folder / "open_middle.ts");
  folder.write("torn.ts", bytes.substr(0, bytes.size() * 2 / 3));
  check(folder / "torn.ts");
  std::mt19937 dice(3);
  for (int hole = 0; hole < 2; ++hole) {
    const std::size_t at = dice() % (bytes.size() - 400);
    for (std::size_t each = 0; each < 100; ++each) bytes[at + each] = static_cast<char>(dice());
  }
  const std::string damaged = (folder.write("damaged.ts", bytes), folder / "damaged.ts");
  // Pictures that damage leaves out shift the count; times stay what they are.
  const std::vector<Frame> film = test::read_all(damaged).frames;
  std::vector<Nanos> times;
  std::vector<Seen> wanted;
  for (const Frame& frame : without_damage(film)) {
    times.push_back(frame.info().time.media_time);
    wanted.push_back(seen(frame));
  }
  REQUIRE(times.size() > 10);
  REQUIRE(times.size() < film.size());
  Opened source(damaged);
  std::vector<Seen> got = all_seen(source->frames_at(times));
  for (std::size_t at = 0; at < got.size(); ++at) got[at].sequence = wanted[at].sequence;
  CHECK(difference(got, wanted) == "");
  for (std::size_t at = 0; at < times.size(); ++at) {
    source->seek(times[at]);
    CHECK(seen(next_frame(*source)).md5 == wanted[at].md5);
  }
}

TEST_CASE("films whose packets do not tell their pictures are read from the beginning, exactly") {
  // The head of box.mp4 is damaged: two of its pictures do not come, so its pictures are found by time only.
  for (const std::string name : {"box.mp4", "tree.avi", "Megamind_bugy.avi"}) {
    const std::string path = test::require_clip(name);
    if (path.empty()) continue;
    CAPTURE(path);
    const std::vector<Frame> film = test::read_all(path).frames;
    Opened source(path);
    std::vector<std::size_t> order;
    std::vector<Seen> wanted;
    for (std::size_t index = 3; index < film.size(); index += film.size() / 5) {
      order.push_back(index);
      wanted.push_back(seen(film[index]));
    }
    if (name != "box.mp4") CHECK(difference(all_seen(source->frames_by_index(order)), wanted) == "");
    for (const std::size_t index : order) {
      source->seek(film[index].info().time.media_time);
      CHECK(seen(next_frame(*source)).pts == film[index].info().time.pts);
    }
  }
}

TEST_CASE("a segment of FFmpeg's own HLS muxer gives exactly the picture asked for at every index") {
  const Folder folder;
  for (const std::string gop : {"30", "60"}) {
    CAPTURE(gop);
    test::output_of("cd " + quoted(folder.path()) + " && ffmpeg -v error -nostdin -y -f lavfi -i testsrc2=size=640x360:rate=30:duration=6 " +
                    "-c:v libx264 -preset veryfast -threads 1 -sc_threshold 0 -keyint_min " + gop + " -g " + gop +
                    " -bf 2 -hls_time 6 -hls_segment_filename g" + gop + "_%d.ts -f hls list.m3u8");
    const std::string path = folder / ("g" + gop + "_0.ts");
    std::istringstream lines(test::output_of("ffmpeg -v quiet -nostdin -i " + quoted(path) + " -fps_mode passthrough -f framemd5 -"));
    std::vector<std::string> theirs;
    for (std::string line; std::getline(lines, line);)
      if (!line.starts_with('#')) theirs.push_back(line.substr(line.rfind(' ') + 1));
    REQUIRE(theirs.size() == 180);
    Opened source(path);
    for (std::size_t index = 0; index < 180; ++index) {
      CAPTURE(index);
      const std::int64_t pts = 132000 + 3000 * static_cast<std::int64_t>(index);  // 1.4667 s, 30 pictures a second
      const Frame by_index = source->frames_by_index(std::vector{index}).front();
      REQUIRE(plane_md5(by_index) == theirs[index]);
      REQUIRE(by_index.info().time.pts == pts);
      REQUIRE(by_index.info().sequence == index);
      if (index % 7 == 0) REQUIRE(plane_md5(source->frames_at(std::vector{from_pts(pts, {1, 90000})}).front()) == theirs[index]);
    }
  }
}

TEST_CASE("two hours of MPEG-TS, a wrap of its clock inside") {
  const Folder folder;
  folder.make("minute.mp4", "-f lavfi -i testsrc2=size=64x48:rate=25:duration=60 -c:v libx264 -preset ultrafast -threads 1 -g 50 -bf 2 -crf 40");
  // The clock of 33 bits begins again 26.5 hours after 0.
  const std::string path = folder.make("hours.ts", "-stream_loop 119 -i minute.mp4 -c copy -output_ts_offset 92000");
  const std::vector<std::string> loop = [&] {
    std::vector<std::string> all;
    for (const Frame& frame : test::read_all(folder / "minute.mp4").frames) all.push_back(plane_md5(frame));
    return all;
  }();
  REQUIRE(loop.size() == 1500);
  Opened source(path);
  std::mt19937 dice(11);
  std::vector<std::size_t> indices{0, 1, 59, 60, 179'999, 179'998};
  while (indices.size() < 60) indices.push_back(dice() % 180'000);
  const std::vector<Frame> frames = source->frames_by_index(indices);
  const Nanos begin = source->frames_by_index(std::vector{std::size_t{0}}).front().info().time.media_time;
  for (std::size_t at = 0; at < indices.size(); ++at) {
    CAPTURE(indices[at]);
    CHECK(plane_md5(frames[at]) == loop[indices[at] % 1500]);
    CHECK(frames[at].info().sequence == indices[at]);
    CHECK(frames[at].info().time.media_time - begin == std::chrono::milliseconds(40) * indices[at]);
    CHECK(frames[at].info().epoch == 0);
  }
  const std::uint64_t before = source->stats().packets;
  source->seek(begin + std::chrono::minutes(100) - Nanos(1));
  CHECK(next_frame(*source).info().sequence == 150'000);
  CHECK(source->stats().packets - before < 60);
}

TEST_CASE("times outside the film are an error that names the time and the film") {
  const Folder folder;
  for (const char* name : {"clip.ts", "clip.mp4", "turning.gif"}) {
    CAPTURE(std::string(name));
    const std::string path = folder.make(name, "-f lavfi -i testsrc2=size=64x48:rate=25:duration=1");
    Opened source(path);
    const FrameInfo first = next_frame(*source).info();
    const auto words = [&](auto time) {
      try {
        source->frames_at(std::vector<Nanos>{first.time.media_time, first.time.media_time + time});
        return std::string("no error");
      } catch (const Error& error) {
        CHECK(error.code == Code::config);
        return std::string(error.what());
      }
    };
    CHECK(words(std::chrono::hours(1)).find("36") != std::string::npos);
    CHECK(words(std::chrono::hours(1)).find("is outside the film, which runs from") != std::string::npos);
    CHECK(words(std::chrono::milliseconds(-500)).find("is outside the film") != std::string::npos);
    CHECK(words(std::chrono::milliseconds(970)) == "no error");
    CHECK_THROWS_WITH_AS(source->frames_by_index(std::vector<std::size_t>{25}),
                         "frames_at: index 25 is outside the film, which has 25 pictures, counted from 0", Error);
    CHECK(next_frame(*source).info().sequence == 1);
  }
}

TEST_CASE("asking for pictures ends when it is interrupted") {
  const Folder folder;
  folder.make("minute.mp4", "-f lavfi -i testsrc2=size=64x48:rate=25:duration=60 -c:v libx264 -preset ultrafast -threads 1 -g 50 -bf 2 -crf 40");
  const std::string path = folder.make("hours.ts", "-stream_loop 119 -i minute.mp4 -c copy");
  Opened source(path);
  std::jthread other([&] { source->interrupt(); });
  std::vector<std::size_t> all;
  for (std::size_t index = 0; index < 180'000; index += 7) all.push_back(index);
  try {
    source->frames_by_index(all);
    FAIL_CHECK("it went on");
  } catch (const Error& error) {
    CHECK(error.code == Code::cancelled);
  }
}
