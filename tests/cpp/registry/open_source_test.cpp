#include <vidloom/core/error.hpp>
#include <vidloom/registry.hpp>
#include <vidloom/source.hpp>
#include <vidloom/sources/file.hpp>
#include <vidloom/sources/images.hpp>
#include <vidloom/sources/segment.hpp>

#include <doctest/doctest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

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
bool holds(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

std::string opening(const std::string& uri, std::string_view options = "{}") {
  return complaint([&] { open_source(uri, Value::parse(options)); });
}
/// open_source() and open() it.
std::string starting(const std::string& uri, std::string_view options = "{}") {
  return complaint([&] {
    SourceContext context{.cpu = CpuGate::process()};
    open_source(uri, Value::parse(options))->open(context);
  });
}

struct Folder {
  fs::path path;
  Folder() {
    std::string name = (fs::temp_directory_path() / "vidloom-open-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Folder() { fs::remove_all(path); }
  std::string write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path / name, std::ios::binary) << bytes;
    return (path / name).string();
  }
};

/// A 2x1 picture that needs no encoder.
const std::string tiny_ppm = "P6\n2 1\n255\nabcdef";

}  // namespace

TEST_CASE("a missing file is an error of open(), not of naming it") {
  CHECK(opening("/no/such/street.mp4") == "fine");
  CHECK(starting("/no/such/street.mp4") == "source: /no/such/street.mp4: no such file");
  CHECK(starting("file:/no/such/street.mp4") == "source: /no/such/street.mp4: no such file");
  CHECK(starting("file:///no/such%20street.mp4") == "source: /no/such street.mp4: no such file");
  CHECK(starting("C:\\street.mp4") == "source: C:\\street.mp4: no such file");
  CHECK(starting("dir/a:b.mp4") == "source: dir/a:b.mp4: no such file");
  CHECK(holds(opening("file://server/street.mp4"), "names another machine"));
  CHECK(holds(opening(""), "config: the source is empty"));
}

TEST_CASE("a source that comes after its name is found when it is opened") {
  const Folder folder;
  const auto source = open_source((folder.path / "later.ppm").string());
  SourceContext context{.cpu = CpuGate::process()};
  CHECK(holds(complaint([&] { source->open(context); }), "no such file"));
  source->close();
  folder.write("later.ppm", tiny_ppm);
  CHECK(source->open(context).size == Size{2, 1});
  source->close();
}

TEST_CASE("schemes: unknown, of later versions, webcams") {
  CHECK(opening("tset:size=640x360") == "config: source 'tset:size=640x360' has the unknown scheme 'tset'; did you mean 'test:'?");
  CHECK(holds(opening("zzzzzzzz:x"), "use a path, or one of file:, lavfi:, test:"));
  for (const std::string uri : {"rtmp://127.0.0.1/live", "rtsp://camera/stream", "srt://:9000", "https://host/a.m3u8",
                                "udp://239.0.0.1:1234", "0", "/dev/video0"}) {
    CAPTURE(uri);
    CHECK(opening(uri).starts_with("not_built: source '" + redact(uri) + "'"));
  }
  CHECK_FALSE(holds(opening("rtsp://admin:secret@camera/stream"), "secret"));
}

TEST_CASE("unknown and wrong source options are named with a fix") {
  CHECK(opening("x.mp4", R"({"trsut": "lan"})") == "config: source option 'trsut' is not known; did you mean 'trust'?");
  CHECK(opening("x.mp4", R"({"trust": "all"})") == "config: source option trust is \"all\"; use automatic, local, lan or untrusted");
  CHECK(opening("x.mp4", R"({"threads": -1})") == "config: source option threads is -1; use a whole number of 0 or more");
  CHECK(opening("x.mp4", R"({"rate": 0})") == "config: source option rate is 0; use pictures a second, above 0");
  CHECK(holds(opening("test:", R"({"threads": 1})"), "not known to test: sources"));
  CHECK(holds(opening("x.mp4", "[1]"), "use an object"));
  CHECK(holds(complaint([] { file_source("x", {.threads = -1}); }), "FileOptions.threads is -1"));
  CHECK(holds(complaint([] { segment_source("x", {.max_pixels = -1}); }), "SegmentOptions.max_pixels is -1"));
  CHECK(holds(complaint([] { images_source("x", {.rate = 0}); }), "ImagesOptions.rate is 0"));
}

TEST_CASE("content decides between picture and video, whatever the name") {
  const Folder folder;
  const std::string picture = folder.write("picture.mp4", tiny_ppm);
  // `rate` is of pictures, `threads` of videos.
  CHECK(starting(picture, R"({"rate": 2})") == "fine");
  CHECK(holds(starting(picture, R"({"threads": 2})"), "threads does not apply to " + picture + ", which is a picture"));
  std::string packets;
  for (int i = 0; i < 5; ++i) packets += std::string(1, '\x47') + std::string(187, '\0');
  const std::string segment = folder.write("segment.jpg", packets);
  CHECK(holds(starting(segment, R"({"rate": 2})"), "rate does not apply to " + segment + ", which is a video"));
  CHECK(starting(folder.write("notes.png", "these are no pictures at all")).starts_with("source: "));
  CHECK(starting(folder.write("BMW.txt", "BMW drives by")).find("config") == std::string::npos);
  CHECK(starting(folder.write("empty.jpg", "")) != "fine");
}

TEST_CASE("an existing file wins over a scheme, and a folder is pictures") {
  const Folder folder;
  folder.write("test:a", tiny_ppm);
  const fs::path before = fs::current_path();
  fs::current_path(folder.path);
  CHECK(starting("test:a") == "fine");
  fs::current_path(before);
  CHECK(starting(folder.path.string(), R"({"rate": 5})") == "fine");
}

TEST_CASE("an interrupt before open() ends that open(), close() clears it") {
  const Folder folder;
  const auto source = open_source(folder.write("a.ppm", tiny_ppm));
  SourceContext context{.cpu = CpuGate::process()};
  source->interrupt();
  CHECK(complaint([&] { source->open(context); }).starts_with("cancelled: "));
  source->close();
  CHECK(complaint([&] { source->open(context); }) == "fine");
}

TEST_CASE("a registered scheme gets the whole text and the options") {
  Value seen;
  register_source("screen", [&seen](const Value& options) {
    seen = options;
    return open_source("test:frames=1");
  });
  CHECK(open_source("screen:1?x=2", Value::parse(R"({"fps": 3})")) != nullptr);
  CHECK(seen == Value::parse(R"({"fps": 3, "uri": "screen:1?x=2"})"));
  register_source("nameless", [](const Value&) {
    struct Nameless final : Source {
      SourceInfo open(SourceContext&) override { return {.size = {4, 4}}; }
      ReadResult read() override { return End{}; }
      void interrupt() noexcept override {}
      void close() noexcept override {}
    };
    return std::make_unique<Nameless>();
  });
  SourceContext context{.cpu = CpuGate::process()};
  CHECK(open_source("nameless://7?token=secret")->open(context).uri == "nameless://7?token=***");
  CHECK(open_source("screen:1")->open(context).uri.starts_with("test:"));  // its own word comes first
  CHECK(source_schemes() == std::vector<std::string>{"file", "lavfi", "nameless", "screen", "test"});
  register_source("hollow", [](const Value&) -> std::unique_ptr<Source> { return nullptr; });
  CHECK(opening("hollow:") == "source: the factory of source 'hollow' made nothing");
}
