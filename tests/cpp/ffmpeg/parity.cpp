#include "reading.hpp"

#include <imaging/plane_md5.hpp>
#include <support/clips.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

using namespace vidloom;
using test::Folder;
using test::quoted;

namespace {

std::vector<std::string> framemd5(const std::string& path) {
  std::istringstream lines(test::output_of("ffmpeg -v quiet -nostdin -noautorotate -flags unaligned -i " + quoted(path) +
                                           " -an -sn -dn -fps_mode passthrough -f framemd5 -"));
  std::vector<std::string> sums;
  for (std::string line; std::getline(lines, line);)
    if (!line.starts_with('#') && line.rfind(' ') != std::string::npos) sums.push_back(line.substr(line.rfind(' ') + 1));
  return sums;
}

std::vector<std::string> best_effort(const std::string& path, std::int64_t stream) {
  std::istringstream lines(test::output_of("ffprobe -v quiet -select_streams " + std::to_string(stream) +
                                           " -show_entries frame=best_effort_timestamp -of csv=p=0 " + quoted(path)));
  std::vector<std::string> all;
  for (std::string line; std::getline(lines, line);) {
    while (!line.empty() && (line.back() == ',' || line.back() == '\r')) line.pop_back();
    if (!line.empty()) all.push_back(line);
  }
  return all;
}

/// The same pictures, in the same order, at the same times as ffmpeg and ffprobe of the same version.
void compare(const std::string& path) {
  CAPTURE(path);
  const test::Read mine = test::read_all(path);
  const std::vector<std::string> theirs = framemd5(path);
  const std::vector<std::string> times = best_effort(path, mine.info.details["stream"].as_integer());
  REQUIRE(!theirs.empty());
  REQUIRE(mine.frames.size() == theirs.size());
  REQUIRE(mine.frames.size() == times.size());
  const bool transport = mine.info.details["container"].as_string() == "mpegts";
  int wrong_pictures = 0, wrong_times = 0, backwards = 0;
  for (std::size_t index = 0; index < theirs.size(); ++index) {
    const FrameInfo& info = mine.frames[index].info();
    wrong_pictures += plane_md5(mine.frames[index]) != theirs[index];
    if (times[index] != "N/A") {
      constexpr std::int64_t wrap = std::int64_t{1} << 33;
      std::int64_t difference = info.time.pts - std::stoll(times[index]);
      if (transport) difference %= wrap;
      wrong_times += difference != 0;
    }
    if (index > 0 && info.epoch == mine.frames[index - 1].info().epoch) {
      backwards += info.time.media_time <= mine.frames[index - 1].info().time.media_time;
      CHECK(info.sequence == mine.frames[index - 1].info().sequence + 1);
    }
    CHECK(info.stream == StreamId{7});
  }
  CHECK(wrong_pictures == 0);
  CHECK(wrong_times == 0);
  CHECK(backwards == 0);
  CHECK(mine.stats.decoded == mine.frames.size());
}

}  // namespace

TEST_CASE("real clips give the pictures and times of ffmpeg") {
  for (const char* name : {"vtest.avi", "box.mp4", "cup.mp4", "Megamind.avi", "tree.avi", "Megamind_bugy.avi"}) {
    const std::string path = test::require_clip(name);
    if (!path.empty()) compare(path);
  }
}

TEST_CASE("every container and codec gives the pictures and times of ffmpeg") {
  const Folder folder;
  const std::string pattern = "-f lavfi -i testsrc2=size=128x96:rate=25:duration=1 ";
  const std::string tone = "-f lavfi -i sine=duration=1 ";
  const std::string x264 = "-c:v libx264 -preset veryfast -threads 1 -g 12 -bf 2 ";
  struct Recipe {
    const char* name;
    std::string arguments;
  };
  const std::vector<Recipe> recipes = {
      {"h264.mp4", pattern + x264},
      {"h264_audio.mp4", tone + pattern + x264 + "-c:a aac"},
      {"h264.mov", pattern + x264},
      {"h264.mkv", pattern + x264},
      {"h264.flv", pattern + x264},
      {"h264.ts", pattern + x264},
      {"h264_audio.ts", pattern + tone + x264 + "-c:a mp2"},
      {"h264.avi", pattern + x264},
      {"h264_raw.h264", pattern + x264},
      {"late_start.ts", pattern + x264 + "-output_ts_offset 10"},
      {"open_gop.ts", pattern + x264 + "-x264-params open-gop=1"},
      {"open_gop_hevc.ts", pattern + "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=10:open-gop=1:bframes=3"},
      {"fields.ts", pattern + "-vf interlace -c:v libx264 -preset veryfast -threads 1 -x264-params interlaced=1:keyint=8"},
      {"before_wrap.ts", pattern + x264 + "-output_ts_offset 95443"},
      {"odd.mkv", "-f lavfi -i testsrc2=size=127x95:rate=25:duration=0.5 -pix_fmt yuv444p -c:v libx264 -preset veryfast -threads 1"},
      {"odd420.mp4", "-f lavfi -i testsrc2=size=130x98:rate=25:duration=0.5 -pix_fmt yuv420p -c:v libx264 -preset veryfast -threads 1"},
      {"crop.mp4", pattern + x264 + "-bsf:v h264_metadata=crop_left=10:crop_top=6:crop_right=4:crop_bottom=2"},
      {"ten_bit.mkv", pattern + "-pix_fmt yuv420p10le -c:v libx264 -preset veryfast -threads 1"},
      {"full_range.mp4", pattern + x264 + "-pix_fmt yuvj420p"},
      {"variable.mkv", pattern + "-vf select='not(mod(n\\,3))+not(mod(n\\,7))' -fps_mode vfr " + x264},
      {"hevc.mp4", pattern + "-c:v libx265 -preset ultrafast -x265-params log-level=none"},
      {"hevc.ts", pattern + "-c:v libx265 -preset ultrafast -x265-params log-level=none"},
      {"vp8.webm", pattern + "-c:v libvpx -deadline realtime -cpu-used 8"},
      {"vp9.webm", pattern + "-c:v libvpx-vp9 -deadline realtime -cpu-used 8"},
      {"av1.mkv", pattern + "-c:v libaom-av1 -usage realtime -cpu-used 8 -frames:v 5"},
      {"mpeg1.mpg", pattern + "-c:v mpeg1video"},
      {"mpeg2.mpg", pattern + "-c:v mpeg2video -bf 2"},
      {"mpeg2.ts", pattern + "-c:v mpeg2video -bf 2"},
      {"mpeg4.avi", pattern + "-c:v mpeg4 -bf 2"},
      {"mpeg4.mp4", pattern + "-c:v mpeg4 -bf 2"},
      {"mjpeg.avi", pattern + "-c:v mjpeg"},
      {"ffv1.mkv", pattern + "-c:v ffv1 -pix_fmt yuv422p"},
      {"raw.avi", pattern + "-c:v rawvideo -pix_fmt bgr24"},
      {"packed.mkv", pattern + "-c:v rawvideo -pix_fmt yuyv422 -frames:v 3"},
      {"alpha.mov", pattern + "-vf format=rgba -c:v qtrle -frames:v 3"},
      {"prores.mov", pattern + "-c:v prores_ks -frames:v 3"},
      {"picture.gif", pattern + "-frames:v 8"},
      {"palette.avi", pattern + "-vf split[a][b];[a]palettegen[p];[b][p]paletteuse -c:v png -pix_fmt pal8 -frames:v 3"},
      {"vp8.mkv", pattern + "-c:v libvpx -deadline good -cpu-used 5 -auto-alt-ref 1 -lag-in-frames 16"},
      {"vp9.mkv", pattern + "-c:v libvpx-vp9 -deadline good -cpu-used 5 -auto-alt-ref 1 -lag-in-frames 16 -frames:v 20"},
      {"vp9_ten_bit.webm", pattern + "-pix_fmt yuv420p10le -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -frames:v 6"},
      {"av1.mp4", pattern + "-c:v libaom-av1 -usage realtime -cpu-used 8 -frames:v 5"},
      {"hevc.mkv", pattern + "-c:v libx265 -preset ultrafast -x265-params log-level=none:open-gop=1:keyint=12:bframes=3"},
      {"hevc.mov", pattern + "-c:v libx265 -preset ultrafast -x265-params log-level=none -tag:v hvc1"},
      {"twelve_bit.mkv", pattern + "-pix_fmt yuv420p12le -c:v libx265 -preset ultrafast -x265-params log-level=none -frames:v 6"},
      {"ten_bit_422.mov", pattern + "-pix_fmt yuv422p10le -c:v libx264 -preset veryfast -threads 1 -frames:v 6"},
      {"hdr.mkv", pattern + "-pix_fmt yuv420p10le -c:v libx265 -preset ultrafast -frames:v 6 -color_primaries bt2020 -color_trc smpte2084 "
                            "-colorspace bt2020nc -x265-params log-level=none:hdr10=1:repeat-headers=1:max-cll=1000,400"},
      {"odd_hevc.ts", "-f lavfi -i testsrc2=size=130x98:rate=25:duration=0.5 -vf crop=129:97 -pix_fmt yuv444p -c:v libx265 -preset ultrafast "
                      "-x265-params log-level=none"},
      {"mpeg1.ts", pattern + "-c:v mpeg1video -bf 2"},
      {"mpeg4.mkv", pattern + "-c:v mpeg4 -bf 2"},
      {"no_timestamps.avi", pattern + "-c:v mpeg4 -bf 2"},
      {"mjpeg.mov", pattern + "-c:v mjpeg -frames:v 5"},
      {"mjpeg.mkv", pattern + "-c:v mjpeg -pix_fmt yuvj444p -frames:v 5"},
      {"sorenson.flv", pattern + "-c:v flv1"},
      {"open_gop.ts", pattern + "-c:v libx264 -preset veryfast -threads 1 -g 12 -bf 3 -x264-params open-gop=1:scenecut=0:b-adapt=0"},
      {"pyramid.mkv", pattern + x264 + "-x264-params bframes=8:b-adapt=0:b-pyramid=normal"},
      {"refresh.ts", pattern + x264 + "-x264-params intra-refresh=1"},
      {"fragments.mp4", pattern + x264 + "-movflags frag_keyframe+empty_moov"},
      {"negative.mp4", pattern + x264 + "-output_ts_offset -0.5 -avoid_negative_ts disabled"},
      {"below_zero.mkv", pattern + x264 + "-output_ts_offset -0.5 -avoid_negative_ts disabled"},
      {"interlaced.ts", pattern + "-vf interlace -c:v mpeg2video -flags +ildct+ilme -frames:v 10"},
  };
  for (const Recipe& recipe : recipes) {
    std::string arguments = recipe.arguments;
    for (std::size_t at = arguments.find("split["); at != std::string::npos; at = std::string::npos) {
      const std::size_t end = arguments.find(' ', at);
      arguments = arguments.substr(0, at) + quoted(arguments.substr(at, end - at)) + arguments.substr(end);
    }
    compare(folder.make(recipe.name, arguments));
  }
}

TEST_CASE("a recording cut in the middle of a group of pictures gives what ffmpeg gives") {
  const Folder folder;
  folder.make("whole.ts", "-f lavfi -i testsrc2=size=128x96:rate=25:duration=3 -c:v libx264 -preset veryfast -threads 1 -g 40 -bf 2");
  const std::string bytes = folder.read("whole.ts");
  const std::size_t packets = bytes.size() / 188;
  folder.write("middle.ts", bytes.substr(packets / 4 * 188));
  compare(folder / "middle.ts");
  folder.write("torn.ts", bytes.substr(0, bytes.size() * 2 / 3));
  compare(folder / "torn.ts");
}

TEST_CASE("an edit list that hides the first keyframe hides it as in ffmpeg") {
  const Folder folder;
  folder.make("whole.mp4", "-f lavfi -i testsrc2=size=128x96:rate=25:duration=2 -c:v libx264 -preset veryfast -threads 1 -g 12 -bf 2");
  const std::string edited = folder.make("edited.mp4", "-ss 0.7 -i whole.mp4 -c copy");
  const std::string packets = test::output_of("ffprobe -v quiet -show_entries packet=flags -of csv=p=0 " + quoted(edited));
  REQUIRE(packets.starts_with("KD"));
  compare(edited);
}

TEST_CASE("a file that was turned gives the coded pictures of ffmpeg and says how to turn them") {
  const Folder folder;
  folder.make("flat.mp4", "-f lavfi -i testsrc2=size=128x96:rate=25:duration=0.4 -c:v libx264 -preset veryfast -threads 1");
  const std::string turned = folder.make("turned.mp4", "-i flat.mp4 -c copy -metadata:s:v rotate=270");
  compare(turned);
  const test::Read read = test::read_all(turned);
  CHECK(read.frames.front().info().rotation_degrees == 90);
  CHECK(read.frames.front().size() == Size{96, 128});
  CHECK(read.info.size == Size{96, 128});
  CHECK(read.info.coded_size == Size{128, 96});
}

TEST_CASE("the stream taken is the one ffmpeg takes") {
  const Folder folder;
  const std::string two = folder.make("two.mkv",
                                      "-f lavfi -i testsrc2=size=64x48:rate=25:duration=0.4 -f lavfi -i testsrc2=size=128x96:rate=25:duration=0.4 "
                                      "-map 0 -map 1 -c:v libx264 -threads 1 -preset veryfast -disposition:v 0");
  compare(two);
  CHECK(test::read_all(two).frames.front().size() == Size{128, 96});
}
