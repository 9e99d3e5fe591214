#include "reading.hpp"

#include <support/clips.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace vidloom;
using test::error_of;
using test::Folder;

namespace {

const std::string recipe = "-f lavfi -i testsrc2=size=128x96:rate=25:duration=1 -c:v libx264 -preset veryfast -threads 1 -g 12 -bf 2 ";

void check_refused(const std::string& path, Code code, const std::string& says, const Value& options = {}) {
  CAPTURE(path);
  const Error error = error_of(path, options);
  CAPTURE(error.what());
  CHECK(error.code == code);
  CHECK(std::string(error.what()).find(says) != std::string::npos);
}

}  // namespace

TEST_CASE("what is not a video is refused, each with its own sentence") {
  const Folder folder;
  folder.write("empty.mp4", "");
  check_refused(folder / "empty.mp4", Code::source, "is empty (0 bytes)");
  folder.write("text.mp4", "Dear diary,\nno pictures today.\n");
  check_refused(folder / "text.mp4", Code::source, "is a text file");
  folder.write("letters.txt", std::string(100000, 'x'));
  check_refused(folder / "letters.txt", Code::source, "is a text file");
  std::string noise(50000, '\0');
  for (std::size_t index = 0; index < noise.size(); ++index) noise[index] = static_cast<char>(index * index * 2654435761U >> 13);
  folder.write("noise.bin", noise);
  check_refused(folder / "noise.bin", Code::source, "");
  check_refused(folder / "missing.mp4", Code::source, "no such file");
  check_refused(folder.path(), Code::source, "");
  folder.make("sound.mp4", "-f lavfi -i sine=duration=1 -c:a aac");
  check_refused(folder / "sound.mp4", Code::source, "has audio but no video");
  folder.make("cut.mp4", recipe);
  folder.write("cut.mp4", folder.read("cut.mp4").substr(0, 3000));
  check_refused(folder / "cut.mp4", Code::source, "without its index (moov)");
}

TEST_CASE("a file without permission is refused by that reason") {
  if (::geteuid() == 0) {
    MESSAGE("skipped: root may read everything");
    return;
  }
  const Folder folder;
  folder.write("secret.mp4", "x");
  ::chmod((folder / "secret.mp4").c_str(), 0);
  check_refused(folder / "secret.mp4", Code::source, "no permission");
}

TEST_CASE("playlists are refused by content, whatever they are called") {
  const Folder folder;
  folder.make("part.ts", recipe);
  const std::string hls = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\npart.ts\n#EXT-X-ENDLIST\n";
  for (const char* name : {"list.m3u8", "list.mp4", "list.ts", "list"}) {
    folder.write(name, hls);
    check_refused(folder / name, Code::source, "is a playlist");
  }
  folder.write("join.mp4", "ffconcat version 1.0\nfile part.ts\n");
  check_refused(folder / "join.mp4", Code::source, "is a playlist");
  folder.write("call.mp4", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n");
  check_refused(folder / "call.mp4", Code::source, "is a playlist");
  folder.write("dash.mp4",
               "<?xml version=\"1.0\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" profiles=\"urn:mpeg:dash:profile:isoff-live:2011\" "
               "type=\"static\"><Period/></MPD>");
  CHECK(error_of(folder / "dash.mp4").code == Code::source);
}

TEST_CASE("a picture with more pixels than allowed is refused before it is decoded") {
  const Folder folder;
  for (const char* name : {"clip.mp4", "clip.ts", "clip.mkv", "clip.flv", "clip.mpg", "clip.avi"}) {
    const bool program = std::string(name) == "clip.mpg";
    folder.make(name, program ? "-f lavfi -i testsrc2=size=128x96:rate=25:duration=1 -c:v mpeg2video" : recipe);
    check_refused(folder / name, Code::source, "128x96", Value::parse(R"({"max_pixels": 12000})"));
    CHECK(test::read_all(folder / name, Value::parse(R"({"max_pixels": 12288})")).frames.size() == 25);
  }
  for (const char* name : {"clip.png", "clip.jpg", "clip.bmp", "clip.ppm", "clip.tiff"}) {
    folder.make(name, "-f lavfi -i testsrc2=size=128x96 -frames:v 1");
    check_refused(folder / name, Code::source, "128x96", Value::parse(R"({"max_pixels": 12000})"));
  }
  const std::string huge = "-f lavfi -i color=size=16384x8704 -frames:v 1 -threads 1 ";
  folder.make("huge.png", huge + "-pix_fmt gray");
  check_refused(folder / "huge.png", Code::source, "16384x8704");
  folder.make("huge.jpg", huge + "-pix_fmt yuvj420p");
  check_refused(folder / "huge.jpg", Code::source, "16384x8704");
  folder.make("huge.avi", huge + "-c:v mjpeg -pix_fmt yuvj420p");
  check_refused(folder / "huge.avi", Code::source, "16384x8704");
}

TEST_CASE("bytes that give no picture are an error, not an empty success") {
  const Folder folder;
  folder.make("blank.ts", recipe);
  std::string bytes = folder.read("blank.ts");
  // The packets of the video (PID 0x100) lose their payload; tables stay, so that the container opens.
  for (std::size_t at = 0; at + 188 <= bytes.size(); at += 188) {
    const int pid = (static_cast<unsigned char>(bytes[at + 1]) & 0x1F) << 8 | static_cast<unsigned char>(bytes[at + 2]);
    const bool starts = (static_cast<unsigned char>(bytes[at + 1]) & 0x40) != 0;
    if (pid == 0x100) std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(at + (starts ? 40 : 4)), bytes.begin() + static_cast<std::ptrdiff_t>(at + 188), '\x55');
  }
  folder.write("blank.ts", bytes);
  const Error error = error_of(folder / "blank.ts");
  CAPTURE(error.what());
  CHECK(error.code == Code::decode);
}

TEST_CASE("a file cut off in the middle gives the pictures it has") {
  const Folder folder;
  folder.make("whole.mkv", recipe);
  folder.write("cut.mkv", folder.read("whole.mkv").substr(0, folder.read("whole.mkv").size() / 2));
  const test::Read read = test::read_all(folder / "cut.mkv");
  CHECK(read.frames.size() > 3);
  CHECK(read.frames.size() < 25);
  folder.make("front.mp4", recipe + "-movflags +faststart");
  folder.write("front.mp4", folder.read("front.mp4").substr(0, folder.read("front.mp4").size() / 2));
  const test::Read front = test::read_all(folder / "front.mp4");
  CHECK(front.frames.size() > 3);
  CHECK(front.frames.size() < 25);
  CHECK(front.stats.errors + front.stats.concealed > 0);
}

TEST_CASE("a source opens again after it was closed, and gives the same pictures") {
  const Folder folder;
  const auto source = open_source(folder.make("clip.ts", recipe));
  CHECK(test::read_all(*source).frames.size() == 25);
  CHECK(test::read_all(*source).frames.size() == 25);
}

TEST_CASE("an interrupt ends a read of a pipe that nobody writes") {
  const Folder folder;
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  const auto source = open_source(folder / "pipe");
  std::string outcome = "nothing";
  std::thread reader([&] {
    try {
      test::read_all(*source);
    } catch (const Error& error) {
      outcome = std::string(to_string(error.code));
    }
  });
  source->interrupt();  // before or while it reads: both end it
  reader.join();
  CHECK(outcome == "cancelled");
  source->close();
}

TEST_CASE("a pipe is read to its end, like the file behind it") {
  const Folder folder;
  folder.make("clip.ts", recipe);
  const std::string bytes = folder.read("clip.ts");
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  std::thread writer([&] {
    const int fd = ::open((folder / "pipe").c_str(), O_WRONLY);
    for (std::size_t at = 0; at < bytes.size();) {
      const auto sent = ::write(fd, bytes.data() + at, bytes.size() - at);
      if (sent <= 0) break;
      at += static_cast<std::size_t>(sent);
    }
    ::close(fd);
  });
  const test::Read read = test::read_all(folder / "pipe");
  writer.join();
  CHECK(read.frames.size() == 25);
  CHECK_FALSE(read.info.seekable);
}

TEST_CASE("an interrupted source throws cancelled until it is closed") {
  const Folder folder;
  const auto source = open_source(folder.make("clip.mp4", recipe));
  SourceContext context{.stream = StreamId{}, .cpu = CpuGate::process()};
  source->open(context);
  REQUIRE(std::holds_alternative<Frame>(source->read()));
  source->interrupt();
  for (int attempt = 0; attempt < 2; ++attempt) {
    try {
      source->read();
      FAIL_CHECK("read() gave something after interrupt()");
    } catch (const Error& error) {
      CHECK(error.code == Code::cancelled);
    }
  }
  source->close();
  CHECK(test::read_all(*source).frames.size() == 25);
}

TEST_CASE("seek gives the first picture at or after the time, in every container") {
  const Folder folder;
  const std::string longer = "-f lavfi -i testsrc2=size=128x96:rate=25:duration=4 -c:v libx264 -preset veryfast -threads 1 -g 30 -bf 2 ";
  for (const std::string name : {"clip.ts", "clip.mp4", "clip.mkv", "clip.avi", "late.ts"}) {
    CAPTURE(name);
    const std::string path = folder.make(name, longer + (name == "late.ts" ? "-output_ts_offset 20" : ""));
    const test::Read all = test::read_all(path);
    const auto source = open_source(path);
    SourceContext context{.stream = StreamId{}, .cpu = CpuGate::process()};
    source->open(context);
    for (const std::size_t index : {std::size_t{77}, std::size_t{3}, std::size_t{50}, std::size_t{99}, std::size_t{0}}) {
      const FrameInfo& wanted = all.frames[index].info();
      source->seek(wanted.time.media_time - std::chrono::milliseconds(1));
      ReadResult next = source->read();
      REQUIRE(std::holds_alternative<Frame>(next));
      CHECK(std::get<Frame>(next).info().time.media_time == wanted.time.media_time);
      CHECK(std::get<Frame>(next).info().health == Health::ok);
    }
    source->seek(std::chrono::hours(1));
    CHECK(std::holds_alternative<End>(source->read()));
    source->close();
  }
}

TEST_CASE("a change of size in the stream is an event before the first picture of the new size") {
  const Folder folder;
  folder.make("a.ts", "-f lavfi -i testsrc2=size=128x96:rate=25:duration=0.4 -c:v libx264 -preset veryfast -threads 1");
  folder.make("b.ts", "-f lavfi -i testsrc2=size=64x48:rate=25:duration=0.4 -c:v libx264 -preset veryfast -threads 1 -output_ts_offset 0.4");
  folder.write("both.ts", folder.read("a.ts") + folder.read("b.ts"));
  const auto source = open_source(folder / "both.ts");
  SourceContext context{.stream = StreamId{}, .cpu = CpuGate::process()};
  source->open(context);
  Size size{};
  int changes = 0;
  for (ReadResult next = source->read(); !std::holds_alternative<End>(next); next = source->read()) {
    if (auto* event = std::get_if<StreamEvent>(&next); event && event->kind == StreamEvent::Kind::format_change) {
      ++changes;
      size = {};
    }
    if (auto* frame = std::get_if<Frame>(&next)) {
      if (!size.empty()) CHECK(frame->coded_size() == size);
      size = frame->coded_size();
    }
  }
  CHECK(changes == 1);
  CHECK(size == Size{64, 48});
}

TEST_CASE("a jump of the timestamps begins an epoch, and its pictures count from zero") {
  const Folder folder;
  folder.make("a.ts", recipe);
  folder.make("b.ts", recipe + "-output_ts_offset 100");
  folder.write("both.ts", folder.read("a.ts") + folder.read("b.ts"));
  const test::Read read = test::read_all(folder / "both.ts");
  REQUIRE(read.frames.size() == 50);
  int epochs = 0;
  for (const StreamEvent& event : read.events) epochs += event.kind == StreamEvent::Kind::new_epoch;
  CHECK(epochs == 1);
  CHECK(read.frames.back().info().epoch == 1);
  CHECK(read.frames.back().info().sequence == 24);
}

TEST_CASE("lost packets show as damaged pictures") {
  const Folder folder;
  folder.make("whole.ts", "-f lavfi -i testsrc2=size=320x240:rate=25:duration=2 -c:v libx264 -preset veryfast -threads 1 -g 12 -b:v 1M");
  const std::string bytes = folder.read("whole.ts");
  std::string lossy;
  for (std::size_t packet = 0; packet * 188 < bytes.size(); ++packet)
    if (packet < 20 || packet % 60 != 0) lossy += bytes.substr(packet * 188, 188);
  folder.write("lossy.ts", lossy);
  const test::Read read = test::read_all(folder / "lossy.ts");
  CHECK(read.frames.size() > 20);
  CHECK(read.stats.concealed > 0);
  CHECK(read.stats.concealed < read.frames.size());
  CHECK(test::read_all(folder / "whole.ts").stats.concealed == 0);
}

TEST_CASE("damaged copies of every container end in pictures or an error, never in a crash") {
  const Folder folder;
  unsigned state = 12345;
  const auto random = [&state] { return state = state * 1664525U + 1013904223U, state >> 8; };
  for (const char* name : {"clip.mp4", "clip.ts", "clip.mkv", "clip.flv", "clip.avi", "clip.mpg", "clip.png", "clip.jpg", "clip.webp", "clip.tiff", "clip.gif"}) {
    const std::string kind = std::string(name).substr(5);
    const bool picture = kind == "png" || kind == "jpg" || kind == "webp" || kind == "tiff";
    folder.make(name, picture ? "-f lavfi -i testsrc2=size=64x48 -frames:v 1"
                      : kind == "mpg" || kind == "gif" ? "-f lavfi -i testsrc2=size=64x48:rate=25:duration=0.4"
                                     : "-f lavfi -i testsrc2=size=64x48:rate=25:duration=0.4 -c:v libx264 -preset veryfast -threads 1 -bf 2");
    const std::string bytes = folder.read(name);
    int answered = 0;
    for (int round = 0; round < 24; ++round) {
      std::string damaged = bytes;
      if (round % 2 == 0) damaged.resize(random() % bytes.size());
      for (unsigned flips = round % 3 == 0 ? 0 : 1 + random() % 40; flips > 0 && !damaged.empty(); --flips)
        damaged[random() % damaged.size()] = static_cast<char>(random());
      folder.write("damaged", damaged);
      try {
        answered += !test::read_all(folder / "damaged").frames.empty();
      } catch (const Error& error) {
        const bool expected = error.code == Code::source || error.code == Code::decode;
        CAPTURE(error.what());
        CHECK(expected);
        ++answered;
      }
    }
    CHECK(answered == 24);
  }
}
