// The quick way into a segment, and decoders that outlive it.
#include "reading.hpp"

#include <imaging/plane_md5.hpp>
#include <sources/ffmpeg/transport.cpp>  // compiled in: hidden in the component, and has no FFmpeg in it
#include <support/clips.hpp>
#include <vidloom/sources/segment.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <barrier>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

using namespace vidloom;
using test::Folder;

namespace {

const std::string pattern = "-f lavfi -i testsrc2=size=160x90:rate=25:duration=2 ";
const std::string x264 = "-c:v libx264 -preset veryfast -threads 1 -g 12 -bf 2 ";

SourceInfo info_of(const std::string& path, bool details) {
  const auto source = open_source(path);
  SourceContext context{.stream = StreamId{}, .cpu = CpuGate::process(), .details = details};
  SourceInfo info = source->open(context);
  source->close();
  return info;
}

bool quick(const std::string& path) { return !info_of(path, false).details["probed"].as_bool(); }

std::vector<std::string> sums(const test::Read& read) {
  std::vector<std::string> all;
  for (const Frame& frame : read.frames) all.push_back(plane_md5(frame));
  return all;
}

/// Resident memory in bytes.
std::int64_t resident() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word != "VmRSS:") continue;
    std::int64_t kibibytes = 0;
    status >> kibibytes;
    return kibibytes * 1024;
  }
  return 0;
}

}  // namespace

TEST_CASE("a plain segment or film opens without a probe, and says what a probe finds") {
  const Folder folder;
  const std::string tone = "-f lavfi -i sine=duration=2 ";
  const std::vector<std::string> paths = {
      folder.make("h264.ts", pattern + tone + x264 + "-colorspace bt709 -color_range tv -c:a aac"),
      folder.make("late.ts", pattern + x264 + "-output_ts_offset 3600"),
      folder.make("hevc.ts", pattern + "-c:v libx265 -preset ultrafast -x265-params log-level=none"),
      folder.make("mpeg2.ts", pattern + "-c:v mpeg2video -bf 2"),
      folder.make("crop.ts", pattern + x264 + "-bsf:v h264_metadata=crop_right=4:crop_bottom=2"),
      folder.make("renamed.mp4", pattern + x264 + "-f mpegts"),
      folder.make("h264.mp4", pattern + tone + x264 + "-colorspace bt709 -color_range tv -c:a aac"),
      folder.make("hevc.mp4", pattern + "-c:v libx265 -preset ultrafast -x265-params log-level=none"),
      folder.make("in_band.mp4", pattern + "-c:v libx265 -preset ultrafast -x265-params log-level=none:repeat-headers=1 -tag:v hev1"),
      folder.make("fragments.mp4", pattern + x264 + "-movflags frag_keyframe+empty_moov"),
      folder.make("turned.mov", pattern + x264 + "-metadata:s:v rotate=90"),
      folder.make("variable.mp4", pattern + "-vf select='not(mod(n\\,3))+not(mod(n\\,7))' -fps_mode vfr " + x264)};
  for (const std::string& path : paths) {
    CAPTURE(path);
    const SourceInfo mine = info_of(path, false), probed = info_of(path, true);
    CHECK_FALSE(mine.details["probed"].as_bool());
    CHECK(probed.details["probed"].as_bool());
    CHECK(mine.codec == probed.codec);
    CHECK(mine.size == probed.size);
    CHECK(mine.coded_size == probed.coded_size);
    CHECK(mine.time_base.den == probed.time_base.den);
    CHECK(mine.seekable == probed.seekable);
    CHECK(mine.colour.matrix == probed.colour.matrix);
    CHECK(mine.colour.range == probed.colour.range);
    CHECK(mine.colour.chroma_site == probed.colour.chroma_site);
    REQUIRE(mine.duration);
    REQUIRE(probed.duration);
    CHECK(seconds(*mine.duration) == doctest::Approx(seconds(*probed.duration)).epsilon(0.001));
    const Value& a = mine.details["streams"].as_array().front();
    const Value& b = probed.details["streams"].as_array().front();
    for (const char* key : {"codec", "profile", "width", "height", "pixel_format", "frame_rate", "sample_aspect", "interlaced"}) {
      CAPTURE(key);
      CHECK(a[key].dump() == b[key].dump());
    }
  }
}

TEST_CASE("a segment whose duration crosses the wrap of its timestamps has the true one") {
  const Folder folder;
  const SourceInfo info = info_of(folder.make("wrap.ts", pattern + x264 + "-output_ts_offset 95442.5"), false);
  REQUIRE(info.duration);
  CHECK(seconds(*info.duration) == doctest::Approx(2.0));
}

TEST_CASE("what a quick look cannot know is probed") {
  const Folder folder;
  const std::string whole = folder.make("whole.ts", pattern + x264);
  CHECK(quick(whole));
  const std::string bytes = folder.read("whole.ts");
  folder.write("middle.ts", bytes.substr(bytes.size() / 188 / 3 * 188));
  CHECK_FALSE(quick(folder / "middle.ts"));
  folder.make("bare.ts", "-i whole.ts -c copy -bsf:v filter_units=remove_types=7-8");
  CHECK_FALSE(quick(folder / "bare.ts"));
  CHECK_FALSE(quick(folder.make("fields.ts", "-f lavfi -i testsrc2=size=160x96:rate=25:duration=2 " + x264 + "-x264-params interlaced=1")));
  CHECK_FALSE(quick(folder.make("two.ts", pattern + pattern + "-map 0 -map 1 " + x264)));
  CHECK_FALSE(quick(folder.make("programs.ts", pattern + pattern + "-map 0 -map 1 -program st=0 -program st=1 " + x264)));
  // As FFmpeg has to guess how far pictures are reordered.
  CHECK_FALSE(quick(folder.make("mute.ts", pattern + "-c:v mpeg4")));
  CHECK(quick(folder.make("clip.mp4", pattern + x264)));
  CHECK_FALSE(quick(folder.make("fields.mp4", "-f lavfi -i testsrc2=size=160x96:rate=25:duration=2 " + x264 + "-x264-params interlaced=1")));
  CHECK_FALSE(quick(folder.make("two.mp4", pattern + pattern + "-map 0 -map 1 " + x264)));
  CHECK_FALSE(quick(folder.make("old.mp4", pattern + "-c:v mpeg4")));
  CHECK_FALSE(quick(folder.make("clip.mkv", pattern + x264)));
}

TEST_CASE("segments without pictures for us say why") {
  const Folder folder;
  const Error sound = test::error_of(folder.make("sound.ts", "-f lavfi -i sine=duration=1 -c:a aac"));
  CHECK(sound.code == Code::source);
  CHECK(std::string(sound.what()).find("has audio but no video") != std::string::npos);
  folder.make("clear.ts", pattern + x264);
  std::string bytes = folder.read("clear.ts");
  for (std::size_t at = 0; at + 188 <= bytes.size(); at += 188) {
    const int pid = (static_cast<unsigned char>(bytes[at + 1]) & 0x1F) << 8 | static_cast<unsigned char>(bytes[at + 2]);
    if (pid == 0x100) bytes[at + 3] = static_cast<char>(bytes[at + 3] | '\x80');
  }
  folder.write("scrambled.ts", bytes);
  const Error scrambled = test::error_of(folder / "scrambled.ts");
  CHECK(scrambled.code == Code::source);
  CHECK(std::string(scrambled.what()).find("is encrypted") != std::string::npos);
}

TEST_CASE("pictures that refer to ones before the cut are given as ffmpeg does, and flagged") {
  const Folder folder;
  folder.make("open.ts", "-f lavfi -i testsrc2=size=160x90:rate=25:duration=4 -c:v libx264 -preset veryfast -threads 1 -g 25 -bf 3 "
                         "-sc_threshold 0 -x264-params open-gop=1");
  folder.make("cut.ts", "-ss 1.2 -i open.ts -c copy -copyts");
  const test::Read read = test::read_all(folder / "cut.ts");
  REQUIRE(read.frames.size() > 20);
  bool began = false;
  for (const Frame& frame : read.frames) {
    began = began || frame.info().keyframe;
    if (began) continue;
    CHECK(frame.info().health != Health::ok);
  }
}

TEST_CASE("the segments of a stream share a decoder, and give the same pictures as each alone") {
  const Folder folder;
  folder.make("part.m3u8", "-f lavfi -i testsrc2=size=192x108:rate=25:duration=6 -c:v libx264 -preset veryfast -threads 1 -g 25 -bf 2 "
                           "-sc_threshold 0 -hls_time 2 -hls_list_size 0");
  std::size_t pictures = 0;
  for (int round = 0; round < 2; ++round) {
    for (int segment = 0; segment < 3; ++segment) {
      CAPTURE(round);
      CAPTURE(segment);
      const std::string path = folder / ("part" + std::to_string(segment) + ".ts");
      const auto source = segment_source(path);
      SourceContext context{.stream = StreamId{}, .cpu = CpuGate::process()};
      source->open(context);
      test::Read read;
      test::read_rest(*source, read);
      source->close();
      CHECK(read.stats.decoders == (round == 0 && segment == 0 ? 1 : 0));
      // Another number of threads is another decoder.
      CHECK(sums(read) == sums(test::read_all(path, Value::parse(R"({"threads": 2})"))));
      pictures += read.frames.size();
    }
  }
  CHECK(pictures == 300);
}

TEST_CASE("segments read side by side are read by a few threads, and give the same as each alone") {
  const Folder folder;
  std::vector<std::string> paths;
  std::vector<std::vector<std::string>> alone;
  for (const int size : {96, 128, 160, 192}) {
    const std::string number = std::to_string(size);
    paths.push_back(folder.make(number + ".ts", "-f lavfi -i testsrc2=size=" + number + "x64:rate=25:duration=1 " + x264));
    alone.push_back(sums(test::read_all(*segment_source(paths.back()))));
    CHECK(alone.back().size() == 25);
  }
  constexpr std::size_t callers = 16;
  std::atomic<std::size_t> right{0}, refused{0};
  std::barrier together(callers);
  std::vector<std::thread> threads;
  for (std::size_t caller = 0; caller < callers; ++caller) {
    threads.emplace_back([&, caller] {
      for (std::size_t round = 0; round < 8; ++round) {
        const std::size_t which = (caller + round) % paths.size();
        const auto source = segment_source(paths[which]);
        SourceContext context{.stream = StreamId{}, .cpu = CpuGate::process()};
        source->open(context);
        together.arrive_and_wait();  // all are open
        test::Read read;
        test::read_rest(*source, read);
        right += sums(read) == alone[which];
        try {
          segment_source(folder / "gone.ts")->open(context);
        } catch (const Error& error) {
          refused += error.code == Code::source;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(right == callers * 8);
  CHECK(refused == callers * 8);
  std::size_t readers = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream file(task.path() / "comm");
    std::string name;
    readers += std::getline(file, name) && name == "vl:reading";
  }
  CHECK(readers > 0);
  CHECK(readers <= std::thread::hardware_concurrency() + 1);
}

TEST_CASE("a decoder that met damage is not used again") {
  const Folder folder;
  folder.make("whole.ts", "-f lavfi -i testsrc2=size=208x112:rate=25:duration=2 " + x264);
  std::string bytes = folder.read("whole.ts");
  for (std::size_t at = bytes.size() / 2; at < bytes.size() / 2 + 4000; ++at) bytes[at] = static_cast<char>(at * 31);
  folder.write("damaged.ts", bytes);
  const auto decoders = [&](const char* name) {
    const auto source = segment_source(folder / name);
    return test::read_all(*source).stats.decoders;
  };
  CHECK(decoders("whole.ts") == 1);
  CHECK(decoders("damaged.ts") == 0);
  CHECK(decoders("whole.ts") == 1);
}

TEST_CASE("no picture gets memory of its own once a stream runs") {
  const Folder folder;
  const std::string path = folder.make("clip.ts", "-f lavfi -i testsrc2=size=320x180:rate=25:duration=6 " + x264);
  std::set<const std::byte*> memory;
  std::size_t pictures = 0;
  for (int round = 0; round < 2; ++round) {
    const auto source = segment_source(path);
    SourceContext context{.stream = StreamId{}, .cpu = CpuGate::process()};
    source->open(context);
    for (;;) {
      const ReadResult next = source->read();
      if (std::holds_alternative<End>(next)) break;
      if (const auto* frame = std::get_if<Frame>(&next)) {
        memory.insert(frame->luma().data);
        ++pictures;
      }
    }
    source->close();
  }
  CHECK(pictures == 300);
  CHECK(memory.size() <= 16);  // what the decoder holds for reference and reordering, for both runs together
}

TEST_CASE("a hundred open segments of 1080p cost at most 15 MB each") {
  if (!test::environment("ASAN_OPTIONS").empty() || !test::environment("TSAN_OPTIONS").empty()) {
    MESSAGE("skipped: a sanitizer's memory is not ours");
    return;
  }
  const Folder folder;
  const std::string path = folder.make("hd.ts", "-f lavfi -i testsrc2=size=1920x1080:rate=30:duration=1 -c:v libx264 -preset veryfast -g 30 -bf 2");
  std::vector<std::unique_ptr<Source>> open;
  const std::int64_t before = resident();
  for (int count = 0; count < 100; ++count) {
    open.push_back(segment_source(path));
    SourceContext context{.stream = StreamId{}, .cpu = CpuGate::process()};
    open.back()->open(context);
    const std::vector<Demand> demand{Demand{.keyframes_only = true}};
    open.back()->set_demand(demand);
    REQUIRE(std::holds_alternative<Frame>(open.back()->read()));
  }
  const std::int64_t each = (resident() - before) / 100;
  MESSAGE("bytes each: " << each);
  CHECK(each < 15'000'000);
  for (const auto& source : open) source->close();
}

TEST_CASE("raw transport packets are read with care") {
  const Folder folder;
  folder.make("clip.ts", pattern + x264);
  const std::string bytes = folder.read("clip.ts");
  CHECK(transport::first_packet(bytes) == 0);
  CHECK(transport::first_packet("x" + bytes.substr(0, 5000)) == 1);
  CHECK_FALSE(transport::first_packet(std::string(1000, 'x')));
  CHECK_FALSE(transport::first_packet(""));
  CHECK(transport::count(bytes, 0x100).packets > 10);
  CHECK(transport::count(bytes, 0x100).scrambled == 0);
  const auto last = transport::latest_pts(bytes, 0x100, 0);
  REQUIRE(last);
  CHECK_FALSE(transport::latest_pts(bytes, 0x77, 0));
  for (std::size_t size = 0; size < 600; ++size) static_cast<void>(transport::latest_pts(std::string_view(bytes).substr(bytes.size() - size), 0x100, 0));
  CHECK(transport::distance(transport::wrap - 10, 5) == 15);
  CHECK(transport::distance(5, transport::wrap - 10) == -15);
}
