#include "findings.hpp"

#include <doctest/doctest.h>
#include <support/clips.hpp>
#include <vidloom/contracts/sink.hpp>
#include <vidloom/vidloom.hpp>

#include <mutex>
#include <sstream>

using namespace vidloom;
using contracts::Findings;
using contracts::WrittenStream;
using test::tells;

TEST_CASE("null and lines keep the contract") {
  CHECK(contracts::check_sink([] { return null_sink(); }) == Findings{});
  std::mutex mutex;
  std::string text;
  CHECK(contracts::check_sink([&] {
          return lines([&](std::string_view line) {
            const std::lock_guard lock(mutex);
            text += line;
          });
        }) == Findings{});
  CHECK(std::count(text.begin(), text.end(), '\n') >= 20 * 6);
}

TEST_CASE("JSON lines keep the contract, and each stream's records are whole once it is closed") {
  test::Folder folder;
  std::string path;
  std::mutex mutex;  // streams are closed from many threads
  int files = 0;
  contracts::SinkContractOptions options;
  options.whole = [&](const WrittenStream& written) {
    const std::lock_guard lock(mutex);
    std::istringstream file(folder.read(std::filesystem::path(path).filename().string()));
    std::size_t starts = 0, frames = 0, events = 0, ends = 0;
    for (std::string line; std::getline(file, line);) {
      if (file.eof()) break;  // another stream's record, being written
      const Value record = Value::parse(line);
      if (record["stream"].as_string() != written.name) continue;
      const std::string type = record["type"].as_string();
      ++(type == "start" ? starts : type == "frame" ? frames : type == "event" ? events : ends);
    }
    Findings findings;
    if (starts != 1) findings.push_back(std::to_string(starts) + " start records");
    if (ends > 1) findings.push_back(std::to_string(ends) + " end records");
    if (frames != written.results) findings.push_back(std::to_string(frames) + " frame records of " + std::to_string(written.results));
    return findings;
  };
  const auto make = [&] { return jsonl(path = folder / ("out" + std::to_string(files++) + ".jsonl")); };
  CHECK(contracts::check_sink(make, options) == Findings{});
}

TEST_CASE("a film keeps the contract, and holds every picture") {
  test::Folder folder;
  int files = 0;
  std::string path;
  contracts::SinkContractOptions options;
  options.one_stream = true;
  options.whole = [&](const WrittenStream& written) -> Findings {
    if (written.results == 0) return {};
    const auto source = open_source(path);
    SourceContext context{.stream = StreamId{}, .cpu = CpuGate::process()};
    source->open(context);
    std::size_t pictures = 0;
    for (ReadResult next = source->read(); !std::holds_alternative<End>(next); next = source->read()) pictures += std::holds_alternative<Frame>(next);
    if (pictures == written.results) return {};
    return {std::to_string(pictures) + " pictures of " + std::to_string(written.results)};
  };
  CHECK(contracts::check_sink([&] { return video(path = folder / ("out" + std::to_string(files++) + ".mp4")); }, options) == Findings{});
}

TEST_CASE("a report and a contact sheet keep the contract") {
  test::Folder folder;
  int files = 0;
  const auto name = [&](const std::string& ending) { return folder / ("out" + std::to_string(files++) + ending); };
  CHECK(contracts::check_sink([&] { return report(name(".html")); }) == Findings{});
  CHECK(contracts::check_sink([&] { return report(name(".html"), {.plays_source = true}); }) == Findings{});
  CHECK(contracts::check_sink([&] { return contact_sheet(name(".png")); }) == Findings{});
  CHECK(folder.read("out0.html").ends_with("</html>\n"));
  CHECK(std::filesystem::file_size(folder / "out0-second.mp4") > 1000);
}

TEST_CASE("a sink that throws, and one that loses results, are told") {
  struct Throwing final : Sink {
    void write(const FrameResult& result) override {
      if (result.find("late")) result["late"].detections();
    }
  };
  CHECK(tells(contracts::check_sink([] { return std::make_shared<Throwing>(); }),
              "write() of result 3 of stream first threw: no answer within 0.2 s"));

  struct Forgetful final : Sink {
    void write(const FrameResult& result) override {
      const std::lock_guard lock(mutex);
      if (result.info.sequence % 5 != 4) ++written[result.stream];
    }
    std::mutex mutex;
    std::map<std::string, std::size_t> written;
  };
  std::shared_ptr<Forgetful> last;
  contracts::SinkContractOptions options;
  options.whole = [&](const WrittenStream& stream) -> Findings {
    const std::lock_guard lock(last->mutex);
    if (last->written[stream.name] == stream.results) return {};
    return {"only " + std::to_string(last->written[stream.name]) + " results"};
  };
  CHECK(tells(contracts::check_sink([&] { return last = std::make_shared<Forgetful>(); }, options),
              "stream first after close(): only 16 results"));
}

TEST_CASE("a write that never comes back is told") {
  const auto released = std::make_shared<std::atomic<bool>>(false);
  struct Stuck final : Sink {
    explicit Stuck(std::shared_ptr<std::atomic<bool>> until) : until_(std::move(until)) {}
    void write(const FrameResult&) override { until_->wait(false); }
    std::shared_ptr<std::atomic<bool>> until_;
  };
  CHECK(tells(contracts::check_sink([released] { return std::make_shared<Stuck>(released); }, {.timeout = std::chrono::milliseconds(300)}),
              "write() of result 0 of stream first did not come back"));
  *released = true;
  released->notify_all();
}
