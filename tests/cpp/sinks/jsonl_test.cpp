#include <vidloom/sinks/jsonl.hpp>

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

using namespace vidloom;
namespace fs = std::filesystem;

namespace {

struct Folder {
  fs::path path;
  Folder() {
    std::string name = (fs::temp_directory_path() / "vidloom-jsonl-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Folder() { fs::remove_all(path); }
  std::string file(const char* name) const { return (path / name).string(); }
};

std::string content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void fill(const std::string& path, std::string_view text) { std::ofstream(path, std::ios::binary) << text; }

std::vector<Value> records(const std::string& text) {
  std::vector<Value> all;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) all.push_back(Value::parse(line));
  return all;
}

SourceInfo street() {
  SourceInfo info;
  info.size = {768, 576};
  info.time_base = {1, 10};
  info.uri = "street.mp4";
  info.stream = "street";
  info.colour.matrix = Matrix::bt601;
  info.analyses = Value::object().set("people", Value::object().set("adapter", "people"));
  return info;
}

FrameResult result(std::int64_t pts, const std::string& stream = "street", const std::string& text = "person") {
  FrameResult frame;
  frame.info.sequence = static_cast<std::uint64_t>(pts);
  frame.info.time.pts = pts;
  frame.info.time.time_base = {1, 10};
  frame.info.time.media_time = Nanos(pts * 100'000'000);
  frame.frame_size = {768, 576};
  frame.stream = stream;
  frame.analyzed_at = wall_now();
  Detections found;
  found.vocabulary = Vocabulary::of({text});
  found.xyxy = {{692, 253, 768, 408}};
  found.confidence = {0.972F};
  found.raw_score = {3.531F};
  found.class_id = {0};
  frame.outcomes.emplace_back("people", Outcome(std::move(found), Trace{.where = "local"}, "object"));
  return frame;
}

StreamEvent ended() {
  StreamEvent event{.kind = StreamEvent::Kind::ended};
  event.data.set("reason", "end_of_file").set("duration", 0.2).set("elapsed", 0.1);
  event.data.set("frames", Value::object().set("decoded", 2).set("concealed", 0))
      .set("counts", Value::object())
      .set("drops", Value::object());
  return event;
}

Code code_of(const auto& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.code;
  }
  FAIL("nothing was thrown");
  return Code::internal;
}

}  // namespace

TEST_CASE("a run is start, frames, events and end, one whole line each") {
  const Folder folder;
  const std::string path = folder.file("out.jsonl");
  {
    const auto sink = jsonl(path);
    sink->open(StreamId{3}, street());
    sink->write(result(0));
    sink->event(StreamId{3}, {.kind = StreamEvent::Kind::gap, .detail = "2 pictures lost"});
    sink->write(result(1));
    sink->event(StreamId{3}, ended());
    sink->close(StreamId{3});
  }
  const std::string text = content(path);
  CHECK(text.back() == '\n');
  const std::vector<Value> all = records(text);
  REQUIRE(all.size() == 5);
  for (const Value& line : all) {
    CHECK(line["schema"] == Value("vidloom/result/v1"));
    CHECK(line["stream"] == Value("street"));
  }
  CHECK(all[0]["type"] == Value("start"));
  CHECK(all[0]["source"] == Value("street.mp4"));
  CHECK(all[0]["frame_size"] == Value(Value::Array{768, 576}));
  CHECK(all[0]["colour"] == Value::parse(R"({"matrix": "bt601", "range": "limited", "assumed": true, "mode": "exact"})"));
  CHECK(all[0]["analyses"]["people"]["adapter"] == Value("people"));
  CHECK(all[1] == to_value(result(0)).set("analyzed_at", all[1]["analyzed_at"]));
  CHECK(all[2]["type"] == Value("event"));
  CHECK(all[2]["event"] == Value("gap"));
  CHECK(all[2]["detail"] == Value("2 pictures lost"));
  CHECK(all[4]["type"] == Value("end"));
  CHECK(all[4]["reason"] == Value("end_of_file"));
  CHECK(all[4]["frames"]["decoded"] == Value(2));
}

TEST_CASE("an existing file is refused and stays as it is") {
  const Folder folder;
  const std::string path = folder.file("out.jsonl");
  fill(path, "precious\n");
  CHECK(code_of([&] { jsonl(path); }) == Code::output);
  CHECK(content(path) == "precious\n");
  CHECK(code_of([&] { jsonl(path, {.overwrite = true, .append = true}); }) == Code::config);
}

TEST_CASE("overwriting empties the file at the first line and not before") {
  const Folder folder;
  const std::string path = folder.file("out.jsonl");
  fill(path, "precious\n");
  { const auto unused = jsonl(path, {.overwrite = true}); }
  CHECK(content(path) == "precious\n");
  jsonl(path, {.overwrite = true})->write(result(0));
  CHECK(records(content(path)).size() == 1);
}

TEST_CASE("a file that was created and never written to is removed again") {
  const Folder folder;
  const std::string path = folder.file("out.jsonl");
  {
    const auto unused = jsonl(path);
    CHECK(fs::exists(path));
  }
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE("appending goes on after the last whole line") {
  const Folder folder;
  const std::string path = folder.file("out.jsonl");
  const std::string whole = "{\"type\": \"frame\", \"n\": 1}\n";
  SUBCASE("of a complete file") { fill(path, whole); }
  SUBCASE("and cuts off the torn line of a killed run") { fill(path, whole + R"({"type": "frame", "analyses": {"peo)"); }
  SUBCASE("and cuts off a torn line longer than a block") { fill(path, whole + R"({"type": "fra)" + std::string(10'000, 'm')); }
  SUBCASE("and completes a last line that only lacks its newline") { fill(path, whole.substr(0, whole.size() - 1)); }
  jsonl(path, {.append = true})->write(result(7));
  const std::string text = content(path);
  CHECK(text.starts_with(whole));
  const std::vector<Value> all = records(text);
  REQUIRE(all.size() == 2);
  CHECK(all[1]["pts"] == Value(7));
}

TEST_CASE("appending refuses a file that does not hold JSON lines") {
  const Folder folder;
  const std::string path = folder.file("holiday.mp4");
  fill(path, std::string(3, '\0') +
                 "\x18"
                 "ftypmp42 no newline here");
  const std::string before = content(path);
  CHECK(code_of([&] { jsonl(path, {.append = true}); }) == Code::output);
  CHECK(content(path) == before);
}

TEST_CASE("what cannot be opened names path and reason") {
  const Folder folder;
  for (const std::string& path : {folder.file("no/such/folder/out.jsonl"), folder.path.string() + "/.", std::string("/proc/out.jsonl")}) {
    try {
      jsonl(path, {.overwrite = true});
      FAIL("opened " << path);
    } catch (const Error& error) {
      CHECK(error.code == Code::output);
      CHECK(std::string(error.what()).find(path) != std::string::npos);
    }
  }
  CHECK(code_of([] { jsonl(""); }) == Code::config);
}

TEST_CASE("a device without room answers Error(output)") {
  const auto sink = jsonl("/dev/full");
  CHECK(code_of([&] { sink->write(result(0)); }) == Code::output);
}

TEST_CASE("a line that does not fit is taken back, and nothing follows it") {
  const Folder folder;
  const std::string path = folder.file("out.jsonl");
  const auto sink = jsonl(path);
  sink->open(StreamId{0}, street());
  sink->write(result(0));
  const std::string first = content(path);

  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit tight{.rlim_cur = first.size() + 40, .rlim_max = before.rlim_max};  // room for a part of the second line
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &tight) == 0);
  const Code code = code_of([&] { sink->write(result(1)); });
  const Code again = code_of([&] { sink->write(result(2)); });
  const Code other = code_of([&] { sink->event(StreamId{9}, ended()); });
  CHECK_NOTHROW(sink->event(StreamId{0}, ended()));  // this stream was told
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);

  CHECK(code == Code::output);
  CHECK(again == Code::output);
  CHECK(other == Code::output);
  CHECK(content(path) == first);
}

TEST_CASE("a reader that went away is Error(cancelled)") {
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  const auto sink = jsonl("/dev/fd/" + std::to_string(ends[1]));
  ::close(ends[0]);
  ::close(ends[1]);
  const auto handler = std::signal(SIGPIPE, SIG_IGN);
  CHECK(code_of([&] { sink->write(result(0)); }) == Code::cancelled);
  std::signal(SIGPIPE, handler);
}

TEST_CASE("streams on many threads share a file of whole lines, each in its own order") {
  const Folder folder;
  const std::string path = folder.file("out.jsonl");
  constexpr int threads = 8, frames = 100;
  {
    const auto sink = jsonl(path);
    std::vector<std::jthread> writers;
    for (int i = 0; i < threads; ++i) {
      writers.emplace_back([&sink, i] {
        const std::string name = "cam" + std::to_string(i);
        SourceInfo info = street();
        info.stream = name;
        const auto stream = static_cast<StreamId>(i);
        sink->open(stream, info);
        const std::string long_class(static_cast<std::size_t>(i) * 700, 'x');  // lines longer than a page must stay whole too
        for (int pts = 0; pts < frames; ++pts) sink->write(result(pts, name, "person" + long_class));
        sink->event(stream, ended());
        sink->close(stream);
      });
    }
  }
  std::vector<int> next(threads, 0), ends(threads, 0);
  for (const Value& line : records(content(path))) {
    const auto stream = static_cast<std::size_t>(line["stream"].as_string().back() - '0');
    if (line["type"] == Value("frame")) CHECK(line["pts"] == Value(next[stream]++));
    if (line["type"] == Value("end")) ++ends[stream];
  }
  CHECK(next == std::vector<int>(threads, frames));
  CHECK(ends == std::vector<int>(threads, 1));
}
