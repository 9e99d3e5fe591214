#include <support/clips.hpp>
#include <vidloom/adapters/motion.hpp>
#include <vidloom/adapters/people.hpp>
#include <vidloom/adapters/visual.hpp>
#include <vidloom/analyzer.hpp>
#include <vidloom/execution/local.hpp>
#include <vidloom/registry.hpp>
#include <vidloom/sources/test_pattern.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <fstream>
#include <future>
#include <limits>
#include <mutex>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

using namespace vidloom;
using namespace std::chrono_literals;

namespace {

class Door {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void pass() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

struct Count final : StreamState {
  int seen = 0;
};

using Look = std::function<Detections(const Item&)>;

class Own final : public DetectionAdapter {
 public:
  Own(AdapterInfo info, Look look) : info_(std::move(info)), look_(std::move(look)) {}
  AdapterInfo info() const override { return info_; }
  std::unique_ptr<StreamState> new_state() override { return std::make_unique<Count>(); }
  void detect(std::span<const Item> items, std::span<Result<Detections>> out, const BatchContext&) override {
    for (std::size_t i = 0; i < items.size(); ++i) out[i] = look_(items[i]);
  }

 private:
  AdapterInfo info_;
  Look look_;
};

AdapterSpec own(AdapterInfo info, Look look) {
  static std::atomic<int> count{0};
  std::string name = "own" + std::to_string(++count);
  register_adapter(name, [info = std::move(info), look = std::move(look)](const Value&) { return std::make_unique<Own>(info, look); });
  return {name};
}

/// Says the number of the picture.
AdapterSpec numbering() {
  return own({.kind = "visual", .demand = {.pixels = Demand::Pixels::none}, .max_batch = 4}, [](const Item& item) {
    Detections found;
    found.attributes.push_back({"sequence", static_cast<double>(item.frame.info().sequence)});
    return found;
  });
}

/// Counts the pictures of its stream.
AdapterSpec counting() {
  return own({.kind = "visual", .per_stream_state = true}, [](const Item& item) {
    Detections found;
    found.attributes.push_back({"seen", static_cast<double>(++static_cast<Count*>(item.state)->seen)});
    return found;
  });
}

AdapterSpec boxes(std::vector<float> confidence) {
  return own({.vocabulary = Vocabulary::of({"cat", "dog"})}, [confidence](const Item& item) {
    Detections found;
    found.vocabulary = Vocabulary::of({"cat", "dog"});
    for (std::size_t i = 0; i < confidence.size(); ++i) {
      const auto x = static_cast<float>(i * 10);
      found.xyxy.push_back({x, 0, x + 10, static_cast<float>(item.frame.size().height)});
      found.confidence.push_back(confidence[i]);
      found.class_id.push_back(static_cast<std::int32_t>(i % 2));
    }
    return found;
  });
}

double attribute(const FrameResult& result, const std::string& analysis, const std::string& name) {
  for (const Attribute& one : result[analysis].detections().attributes) {
    if (one.name == name) return std::get<double>(one.value);
  }
  return -1;
}

std::unique_ptr<Source> pattern(std::uint64_t frames, Nanos start = 0ns, Rational rate = {10, 1}) {
  return test_pattern({.size = {160, 32}, .rate = rate, .frames = frames, .start = start});
}

/// Breaks or blocks where the test says so.
class Troubled final : public Source {
 public:
  enum class Trouble : std::uint8_t { none, at_once, after_three, block, of_its_own };
  explicit Troubled(Trouble trouble) : trouble_(trouble), inner_(pattern(10)) {}
  SourceInfo open(SourceContext& context) override { return inner_->open(context); }
  ReadResult read() override {
    if (trouble_ == Trouble::at_once) throw Error(Code::decode, "not a video");
    if (trouble_ == Trouble::after_three && given_ == 3) throw Error(Code::decode, "the rest is damaged");
    if (trouble_ == Trouble::of_its_own && given_ == 3) throw std::out_of_range("cable pulled");
    if (trouble_ == Trouble::block && given_ == 3) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return interrupted_; });
      throw Error(Code::cancelled, "interrupted");
    }
    ++given_;
    return inner_->read();
  }
  void interrupt() noexcept override {
    const std::lock_guard lock(mutex_);
    interrupted_ = true;
    changed_.notify_all();
  }
  void close() noexcept override { inner_->close(); }

 private:
  const Trouble trouble_;
  std::unique_ptr<Source> inner_;
  int given_ = 0;
  bool interrupted_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
};

struct Recorder : Sink {
  SinkInfo wants{};
  std::size_t fail_at = std::numeric_limits<std::size_t>::max();
  std::vector<std::string> calls{};
  std::vector<std::size_t> outcomes{};
  std::vector<std::string> told{};  // "name sequence" of each outcome
  Value ended{};
  SourceInfo opened{};
  bool pixels = true;

  SinkInfo info() const override { return wants; }
  void open(StreamId, const SourceInfo& source) override {
    opened = source;
    calls.emplace_back("open");
  }
  void write(const FrameResult& result) override {
    if (outcomes.size() == fail_at) throw Error(Code::output, "disk full");
    outcomes.push_back(result.outcomes.size());
    for (const auto& one : result.outcomes) told.push_back(one.first + " " + std::to_string(result.info.sequence));
    pixels = pixels && result.frame.has_value();
    calls.emplace_back("write");
  }
  void event(StreamId, const StreamEvent& event) override {
    if (event.kind == StreamEvent::Kind::ended) ended = event.data;
    calls.emplace_back(event.kind == StreamEvent::Kind::ended ? "ended" : "event");
  }
  void close(StreamId) noexcept override { calls.emplace_back("close"); }
};

Code code_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code;
  }
  FAIL("nothing was thrown");
  return Code::internal;
}

std::string refusal_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    CHECK(error.code == Code::config);
    return error.what();
  }
  return "";
}

#if defined(__SANITIZE_THREAD__)
constexpr bool may_fork = false;  // ThreadSanitizer cannot follow a fork of a process with threads
#else
constexpr bool may_fork = true;
#endif
#if defined(__SANITIZE_ADDRESS__)
constexpr bool may_fork_busy = false;  // the sanitizer's allocator of g++ 12 may be locked by another thread during fork()
#else
constexpr bool may_fork_busy = may_fork;
#endif

template <class Body>
int in_child(Body body) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);
    int status = 99;
    try {
      status = body();
    } catch (...) {
    }
    ::_exit(status);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::size_t entries_of(const char* folder) {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder)) ++count;
  return count;
}

long resident_pages() {
  std::ifstream file("/proc/self/statm");
  long size = 0, resident = 0;
  file >> size >> resident;
  return resident;
}

}  // namespace

TEST_CASE("results come in order, one for each picture on the grid of media time") {
  Analyzer analyzer({{.name = "n", .adapter = numbering(), .every = 500ms}});
  const auto source = pattern(100);
  std::vector<double> times;
  const Report report = analyzer.analyze(*source, [&](const FrameResult& result) {
    times.push_back(seconds(result.info.time.media_time));
    CHECK(attribute(result, "n", "sequence") == static_cast<double>(result.info.sequence));
    return true;
  });
  REQUIRE(times.size() == 20);
  for (std::size_t i = 0; i < times.size(); ++i) CHECK(times[i] == doctest::Approx(static_cast<double>(i) * 0.5));
  CHECK(report.due == 20);
  CHECK(report.answered == 20);
  CHECK(report.frames.size() == 20);
  CHECK(report.status() == Report::Status::ok);
  CHECK(report.stream == "test");
  CHECK(seconds(report.duration) == doctest::Approx(10.0));
  CHECK(report.counts == decltype(report.counts){{"n", {{"ok", 20}}}});
}

TEST_CASE("segments analysed apart take the same pictures as the whole") {
  Analyzer analyzer({{.name = "n", .adapter = numbering(), .every = 700ms}});
  const auto times_of = [&](Nanos start, std::uint64_t frames) {
    std::vector<Nanos> times;
    const auto source = pattern(frames, start);
    for (const auto& frame : analyzer.analyze(*source).frames) times.push_back(frame.info.time.media_time);
    return times;
  };
  std::vector<Nanos> apart = times_of(0s, 25);
  for (const Nanos time : times_of(2500ms, 25)) apart.push_back(time);
  for (const Nanos time : times_of(5s, 50)) apart.push_back(time);
  CHECK(apart == times_of(0s, 100));
  CHECK(apart.size() == 15);
}

TEST_CASE("state and epoch of a named stream go on while segments follow within a second") {
  Analyzer analyzer({{.name = "c", .adapter = counting()}});
  const auto segment = [&](const std::string& stream, Nanos start) {
    const auto source = pattern(20, start);
    AnalyzeOptions options;
    options.stream = stream;
    return analyzer.analyze(*source, options);
  };
  const Report first = segment("cam", 0s), second = segment("cam", 2s), later = segment("cam", 10s), again = segment("cam", 10s);
  CHECK(attribute(first.frames.back(), "c", "seen") == 20);
  CHECK(attribute(second.frames.back(), "c", "seen") == 40);
  CHECK(second.frames.front().info.epoch == 0);
  CHECK(second.frames.front().info.sequence == 20);
  CHECK(second.frames.front().info.stream == first.frames.front().info.stream);
  CHECK(attribute(later.frames.back(), "c", "seen") == 20);
  CHECK(later.frames.front().info.epoch == 1);
  CHECK(again.frames.front().info.epoch == 2);
  CHECK(attribute(segment("other", 12s).frames.back(), "c", "seen") == 20);
  CHECK(attribute(segment("", 2s).frames.back(), "c", "seen") == 20);
  CHECK(second.stream == "cam");
}

TEST_CASE("runs of one stream take turns, and a deadline ends the waiting") {
  Analyzer analyzer({{.name = "c", .adapter = counting()}});
  AnalyzeOptions options;
  options.stream = "cam";
  Run first = analyzer.start(pattern(5), options);
  CHECK(code_of([&] { analyzer.start(pattern(5, 500ms), options); }) == Code::config);
  std::thread([&] {
    AnalyzeOptions hurried = options;
    hurried.deadline = 30ms;
    CHECK(code_of([&] { analyzer.start(pattern(5, 500ms), hurried); }) == Code::deadline);
  }).join();
  std::promise<void> waiting;
  auto second = std::async(std::launch::async, [&] {
    AnalyzeOptions polled = options;
    polled.poll = [&, told = false]() mutable {
      if (!std::exchange(told, true)) waiting.set_value();
    };
    const auto source = pattern(5, 500ms);
    return analyzer.analyze(*source, polled);
  });
  waiting.get_future().get();
  while (first.next()) {
  }
  CHECK(attribute(second.get().frames.back(), "c", "seen") == 10);
}

TEST_CASE("start, end and max_frames choose the pictures") {
  Analyzer analyzer({{.name = "n", .adapter = numbering()}});
  const auto source = pattern(100);
  AnalyzeOptions options;
  options.start = 2s;
  options.end = 3s;
  const Report range = analyzer.analyze(*source, options);
  REQUIRE(range.frames.size() == 10);
  CHECK(range.frames.front().info.time.media_time == 2s);
  CHECK(range.frames.back().info.time.media_time == 2900ms);
  options.end.reset();
  options.max_frames = 3;
  CHECK(analyzer.analyze(*source, options).frames.size() == 3);
  options.start = 99s;
  CHECK(code_of([&] { analyzer.analyze(*source, options); }) == Code::config);
  options.start = 3s;
  options.end = 2s;
  CHECK(code_of([&] { analyzer.analyze(*source, options); }) == Code::config);
}

TEST_CASE("min_confidence filters rows and labels, per class, and keeps what has no confidence") {
  const float none = std::numeric_limits<float>::quiet_NaN();
  const AdapterSpec spec = boxes({0.9F, 0.65F, 0.5F, 0.8F, none});
  Analyzer analyzer({{.name = "all", .adapter = spec},
                     {.name = "some", .adapter = spec, .min_confidence = 0.6F},
                     {.name = "dogs", .adapter = spec, .min_confidence = {0.0F, {{"dog", 0.7F}}}}});
  const auto source = pattern(1);
  const FrameResult frame = analyzer.analyze(*source).frames.at(0);
  CHECK(frame["all"].detections().size() == 5);
  CHECK(frame["some"].detections().size() == 4);
  const Detections& dogs = frame["dogs"].detections();
  REQUIRE(dogs.size() == 4);
  CHECK(dogs.confidence[2] == 0.8F);
  CHECK(dogs.class_name(dogs.class_id[2]) == "dog");
  Analyzer wrong({{.name = "x", .adapter = spec, .min_confidence = {0.0F, {{"dogg", 0.7F}}}}});
  CHECK(refusal_of([&] { wrong.warm_up(); }).find("did you mean 'dog'") != std::string::npos);
}

TEST_CASE("regions_of looks inside the other's boxes, shares its failure, and not when that was not due") {
  std::atomic<int> calls{0};
  const AdapterSpec inside = own({}, [&](const Item& item) {
    ++calls;
    Detections found;
    for (const Box& region : item.regions) found.xyxy.push_back(region);
    return found;
  });
  const AdapterSpec failing = own({}, [](const Item&) -> Detections { throw Error(Code::budget, "spent", true); });
  Analyzer analyzer({{.name = "inner", .adapter = inside, .regions_of = "outer"},
                     {.name = "outer", .adapter = boxes({0.9F, 0.2F}), .every = 500ms, .min_confidence = 0.5F},
                     {.name = "nowhere", .adapter = inside, .regions_of = "none"},
                     {.name = "none", .adapter = boxes({}), .every = 1s},
                     {.name = "after", .adapter = inside, .regions_of = "bad"},
                     {.name = "bad", .adapter = failing, .every = 1s}});
  const auto source = pattern(10);
  const Report report = analyzer.analyze(*source);
  REQUIRE(report.frames.size() == 2);
  const FrameResult& first = report.frames[0];
  REQUIRE(first["inner"].detections().size() == 1);
  CHECK(first["inner"].detections().xyxy[0] == first["outer"].detections().xyxy[0]);
  CHECK(first["nowhere"].detections().size() == 0);
  CHECK(first["after"].error().code == Code::budget);
  CHECK(first["after"].error().retryable);
  CHECK(std::string(first["after"].error().what()).find("'bad'") != std::string::npos);
  CHECK(report.frames[1].find("inner") != nullptr);
  CHECK(report.frames[1].find("nowhere") == nullptr);
  CHECK(calls == 2);
  CHECK(report.failed == 1);
  CHECK(report.status() == Report::Status::partial);
}

TEST_CASE("regions: the adapter is told the boxes around them, and only boxes whose centre is in one count") {
  std::mutex mutex;  // the analyses share one host, whose replicas answer side by side
  std::vector<std::vector<Box>> told;
  const AdapterSpec looking = own({}, [&](const Item& item) {
    {
      const std::lock_guard lock(mutex);
      told.emplace_back(item.regions.begin(), item.regions.end());
    }
    Detections found;
    for (int i = 0; i < 8; ++i) found.xyxy.push_back({static_cast<float>(8 * i), 0, static_cast<float>(8 * i + 8), 8});  // centres 4, 12, ... 60
    found.labels.push_back({});
    return found;
  });
  const auto left_edges = [](const Outcome& outcome) {
    std::vector<int> edges;
    for (const Box& box : outcome.detections().xyxy) edges.push_back(static_cast<int>(box.x1));
    return edges;
  };
  const auto source = open_source("test:size=64x32,frames=1");
  const Region triangle{{{0.5F, 0}, {1, 0}, {0.5F, 0.5F}}};
  Analyzer analyzer({{.name = "left", .adapter = looking, .regions = {.include = {Region::box(0, 0, 0.3F, 1)}, .exclude = {}}},
                     {.name = "masked", .adapter = looking, .regions = {.include = {}, .exclude = {Region::box(0.25F, 0, 0.75F, 0.5F)}}},
                     {.name = "triangle", .adapter = looking, .regions = {.include = {triangle}, .exclude = {Region::box(0.5F, 0, 0.6F, 1)}}},
                     {.name = "below", .adapter = looking, .regions = {.include = {Region::box(0, 0.5F, 1, 1)}, .exclude = {}}},
                     {.name = "inner", .adapter = looking, .regions_of = "all", .regions = {.include = {Region::box(0.8F, 0, 1, 1)}, .exclude = {}}},
                     {.name = "all", .adapter = looking}});
  const FrameResult frame = analyzer.analyze(*source).frames.at(0);
  CHECK(left_edges(frame["all"]) == std::vector{0, 8, 16, 24, 32, 40, 48, 56});
  CHECK(left_edges(frame["left"]) == std::vector{0, 8});
  CHECK(left_edges(frame["masked"]) == std::vector{0, 8, 48, 56});
  CHECK(left_edges(frame["triangle"]) == std::vector{40, 48});  // 60 lies right of the slope at height 4
  CHECK(frame["below"].detections().size() == 0);
  CHECK(frame["below"].detections().labels.size() == 1);
  CHECK(left_edges(frame["inner"]) == std::vector{48, 56});
  REQUIRE(told.size() == 6);
  const auto was_told = [&](const std::vector<Box>& boxes) { return std::find(told.begin(), told.end(), boxes) != told.end(); };
  CHECK(was_told({{0, 0, 20, 32}}));
  CHECK(was_told({{32, 0, 64, 16}}));
  CHECK(was_told({{0, 16, 64, 32}}));
  CHECK(was_told({{48, 0, 56, 8}, {56, 0, 64, 8}}));
  CHECK(was_told({}));
}

TEST_CASE("a mistake in set-up is refused at construction and names field and fix") {
  const auto refused = [](std::vector<AnalysisSpec> specs) { return refusal_of([&] { Analyzer analyzer(std::move(specs)); }); };
  CHECK(refused({{.name = "", .adapter = visual()}}).find("empty name") != std::string::npos);
  CHECK(refused({{.name = "a", .adapter = visual()}, {.name = "a", .adapter = visual()}}).find("'a'") != std::string::npos);
  CHECK(refused({{.name = "a", .adapter = {"visuall"}}}).find("visual") != std::string::npos);
  CHECK(refused({{.name = "a", .adapter = visual(), .every = -1s}}).find("analyses.a.every") != std::string::npos);
  CHECK(refused({{.name = "a", .adapter = visual(), .min_confidence = 1.5F}}).find("analyses.a.min_confidence") != std::string::npos);
  CHECK(refused({{.name = "a", .adapter = visual(), .kind = "things"}}).find("analyses.a.kind") != std::string::npos);
  CHECK(refused({{.name = "abc", .adapter = visual()}, {.name = "b", .adapter = visual(), .regions_of = "abd"}}).find("did you mean 'abc'") != std::string::npos);
  CHECK(refused({{.name = "a", .adapter = visual(), .regions_of = "b"}, {.name = "b", .adapter = visual(), .regions_of = "a"}}).find("circle") !=
        std::string::npos);
  CHECK(code_of([] { Analyzer analyzer(std::vector<AnalysisSpec>{}, {.device = "cuda:0"}); }) == Code::not_built);
  CHECK(code_of([] { Analyzer analyzer({{.name = "a", .adapter = visual()}}, {.device = "cuda"}); }) == Code::not_built);
  for (const char* device : {"gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "CUDA"}) {
    CHECK(code_of([device] { Analyzer analyzer(std::vector<AnalysisSpec>{}, {.device = device}); }) == Code::config);
  }
}

TEST_CASE("a source that gives no picture throws; damage later keeps the results and cuts the report short") {
  Analyzer analyzer({{.name = "n", .adapter = numbering()}});
  Troubled broken(Troubled::Trouble::at_once), damaged(Troubled::Trouble::after_three);
  CHECK(code_of([&] { analyzer.analyze(broken); }) == Code::decode);
  const Report report = analyzer.analyze(damaged);
  CHECK(report.frames.size() == 3);
  REQUIRE(report.cut_short);
  CHECK(report.cut_short->code == Code::decode);
  CHECK(report.status() == Report::Status::partial);
}

TEST_CASE("an exception of the source's own leaves as it is, behind the results that were read before it") {
  Analyzer analyzer({{.name = "n", .adapter = numbering()}});
  Troubled source(Troubled::Trouble::of_its_own);
  auto sink = std::make_shared<Recorder>();
  AnalyzeOptions options;
  options.sinks = {sink};
  int results = 0;
  const auto count = [&results](const FrameResult&) { return ++results > 0; };
  CHECK_THROWS_WITH_AS(analyzer.analyze(source, options, count), "cable pulled", std::out_of_range);
  CHECK(results == 3);
  CHECK(sink->outcomes.size() == 3);
  CHECK(sink->ended["reason"].as_string() == "error");
  CHECK(sink->calls.back() == "close");
}

TEST_CASE("the deadline of the call interrupts a source that blocks") {
  Analyzer analyzer({{.name = "n", .adapter = numbering()}});
  Troubled blocking(Troubled::Trouble::block);
  AnalyzeOptions options;
  options.deadline = 100ms;
  const Report report = analyzer.analyze(blocking, options);
  CHECK(report.frames.size() == 3);
  REQUIRE(report.cut_short);
  CHECK(report.cut_short->code == Code::deadline);
  CHECK(report.cut_short->retryable);
}

TEST_CASE("a blocking adapter costs a failed outcome per deadline, not the call") {
  auto door = std::make_shared<Door>();
  const AdapterSpec blocking = own({}, [door](const Item&) {
    door->pass();
    return Detections{};
  });
  {
    Analyzer analyzer({{.name = "slow", .adapter = blocking, .deadline = 20ms}, {.name = "quick", .adapter = numbering()}});
    const auto source = pattern(12);
    const Report report = analyzer.analyze(*source);
    REQUIRE(report.frames.size() == 12);
    for (const FrameResult& frame : report.frames) {
      CHECK(frame["slow"].status() == Outcome::Status::failed);
      CHECK(frame["slow"].error().code == Code::deadline);
      CHECK(frame["slow"].error().retryable);
      CHECK(frame["quick"].answered());
    }
    CHECK(report.failed == 12);
    AnalyzeOptions options;
    options.deadline = 50ms;
    options.only = {"slow"};
    const auto began = std::chrono::steady_clock::now();
    const Report hurried = analyzer.analyze(*source, options);
    CHECK(std::chrono::steady_clock::now() - began < 10s);
    CHECK(hurried.answered == 0);
    door->open();
  }
}

TEST_CASE("poll is called while waiting, and what it throws leaves the call") {
  auto door = std::make_shared<Door>();
  const AdapterSpec blocking = own({}, [door](const Item&) {
    door->pass();
    return Detections{};
  });
  Analyzer analyzer({{.name = "slow", .adapter = blocking}});
  auto sink = std::make_shared<Recorder>();
  AnalyzeOptions options;
  options.sinks = {sink};
  options.poll = [calls = 0]() mutable {
    if (++calls == 5) throw std::string("Ctrl-C");
  };
  const auto source = pattern(20);
  CHECK_THROWS_AS(analyzer.analyze(*source, options), std::string);
  CHECK(sink->calls == std::vector<std::string>{"open", "ended", "close"});
  CHECK(sink->ended["reason"].as_string() == "stopped");
  door->open();
}

TEST_CASE("each may end the work early and throw") {
  Analyzer analyzer({{.name = "n", .adapter = numbering()}});
  const auto source = pattern(50);
  int calls = 0;
  const Report report = analyzer.analyze(*source, [&](const FrameResult&) { return ++calls < 7; });
  CHECK(calls == 7);
  CHECK(report.due == 7);
  CHECK_FALSE(report.cut_short);
  CHECK_THROWS_AS(analyzer.analyze(*source, [](const FrameResult&) -> bool { throw 7; }), int);
  CHECK(analyzer.analyze(*source).due == 50);
}

TEST_CASE("stop() from another thread ends a run after the answers under way") {
  Analyzer analyzer({{.name = "n", .adapter = numbering()}});
  Run run = analyzer.start(pattern(1'000'000));
  REQUIRE(run.next());
  std::thread([&] { run.stop(); }).join();
  std::size_t more = 0;
  while (run.next()) ++more;
  CHECK(more < 100);
  REQUIRE(run.report().cut_short);
  CHECK(run.report().cut_short->code == Code::cancelled);
  std::stop_source stop;
  AnalyzeOptions options;
  options.stop = stop.get_token();
  const auto source = pattern(1'000'000);
  const Report report = analyzer.analyze(*source, options, [&](const FrameResult& result) {
    if (result.info.sequence == 5) stop.request_stop();
    return true;
  });
  CHECK(report.due < 200);
}

TEST_CASE("sinks get the stream's start, results in order, events and the end") {
  Analyzer analyzer({{.name = "n", .adapter = numbering(), .every = 500ms}});
  auto some = std::make_shared<Recorder>(), all = std::make_shared<Recorder>();
  all->wants = {.every_frame = true, .pixels = true};
  AnalyzeOptions options;
  options.sinks = {some, all};
  const auto source = pattern(20);
  analyzer.analyze(*source, options, [](const FrameResult& result) {
    CHECK_FALSE(result.frame);
    return true;
  });
  CHECK(some->outcomes == std::vector<std::size_t>(4, 1));
  CHECK(all->outcomes.size() == 20);
  CHECK(std::count(all->outcomes.begin(), all->outcomes.end(), 1) == 4);
  CHECK(all->pixels);
  CHECK(some->calls.front() == "open");
  CHECK(some->calls[some->calls.size() - 2] == "ended");
  CHECK(some->calls.back() == "close");
  CHECK(some->opened.stream == "test");
  const Value& about = some->opened.analyses["n"];
  CHECK(about["kind"].as_string() == "visual");
  CHECK(about["every"].as_real() == 0.5);
  CHECK(some->ended["reason"].as_string() == "end_of_file");
  CHECK(some->ended["frames"]["decoded"].as_integer() == 20);
  CHECK(some->ended["counts"]["n"]["ok"].as_integer() == 4);
  CHECK(some->ended["duration"].as_real() == doctest::Approx(2.0));
}

TEST_CASE("a sink that wants each answer alone waits for no slower analysis") {
  Door door;
  Analyzer analyzer({{.name = "slow", .adapter = own({.kind = "visual"}, [&door](const Item&) { return door.pass(), Detections{}; })},
                     {.name = "n", .adapter = numbering()}});
  struct Fast final : Recorder {
    Door* door = nullptr;
    void write(const FrameResult& result) override {
      Recorder::write(result);
      if (told.size() == 3) door->open();  // slow has answered nothing yet
    }
  };
  auto each = std::make_shared<Fast>();
  each->wants = {.each = true};
  each->door = &door;
  auto whole = std::make_shared<Recorder>();
  AnalyzeOptions options;
  options.sinks = {each, whole};
  const auto source = pattern(3);
  CHECK(analyzer.analyze(*source, options).due == 3);
  CHECK(whole->told == std::vector<std::string>{"slow 0", "n 0", "slow 1", "n 1", "slow 2", "n 2"});
  CHECK(each->told.size() == 6);
  CHECK(std::vector<std::string>(each->told.begin(), each->told.begin() + 3) == std::vector<std::string>{"n 0", "n 1", "n 2"});
  CHECK(std::vector<std::string>(each->told.begin() + 3, each->told.end()) == std::vector<std::string>{"slow 0", "slow 1", "slow 2"});
  CHECK(each->outcomes == std::vector<std::size_t>(6, 1));
  CHECK(each->calls.back() == "close");
}

TEST_CASE("work that its caller ended early says stopped, also where the source was read to its end") {
  Analyzer analyzer({{.name = "n", .adapter = numbering()}});
  auto sink = std::make_shared<Recorder>();
  AnalyzeOptions options;
  options.sinks = {sink};
  const auto source = pattern(3);
  CHECK(analyzer.analyze(*source, options, [](const FrameResult&) { return false; }).due == 1);
  CHECK(sink->ended["reason"].as_string() == "stopped");
}

TEST_CASE("a sink that fails ends the run; the others are complete") {
  Analyzer analyzer({{.name = "n", .adapter = numbering()}});
  auto good = std::make_shared<Recorder>(), bad = std::make_shared<Recorder>();
  bad->fail_at = 3;
  AnalyzeOptions options;
  options.sinks = {good, bad};
  const auto source = pattern(20);
  CHECK(code_of([&] { analyzer.analyze(*source, options); }) == Code::output);
  CHECK(good->outcomes.size() == 4);
  CHECK(good->calls.back() == "close");
  CHECK(good->ended["reason"].as_string() == "error");
  CHECK(bad->calls.back() == "close");
}

TEST_CASE("pixels are kept only where somebody asked") {
  Analyzer analyzer({{.name = "n", .adapter = numbering()}});
  const auto source = pattern(5);
  AnalyzeOptions options;
  CHECK_FALSE(analyzer.analyze(*source, options).frames[0].frame);
  options.keep_frames = true;
  CHECK(analyzer.analyze(*source, options).frames[4].frame->size() == Size{160, 32});
  options.collect = false;
  CHECK(analyzer.analyze(*source, options).frames.empty());
}

TEST_CASE("one picture is looked at by all analyses, or those asked for") {
  Analyzer analyzer({{.name = "n", .adapter = numbering(), .every = 10s}, {.name = "c", .adapter = counting()}, {.name = "v", .adapter = visual()}});
  const std::vector<std::byte> grey(std::size_t{32} * 32 * 3, std::byte{128});
  FrameInfo info;
  info.time.media_time = 3s;
  const Frame frame = Frame::copy_of({grey.data(), 96, {32, 32}}, info);
  for (int i = 0; i < 3; ++i) {
    const FrameResult result = analyzer.analyze(frame);
    REQUIRE(result.outcomes.size() == 3);
    CHECK(attribute(result, "c", "seen") == 1);  // each picture is a stream of its own
    CHECK(attribute(result, "v", "brightness_level") == doctest::Approx(0.5).epsilon(0.02));
    CHECK(result.frame_size == Size{32, 32});
  }
  AnalyzeOptions options;
  options.only = {"v"};
  CHECK(analyzer.analyze(frame, options).outcomes.size() == 1);
  options.only = {"w"};
  CHECK(code_of([&] { analyzer.analyze(frame, options); }) == Code::config);
}

TEST_CASE("set_analysis swaps for new runs; a run under way keeps what it started with") {
  Analyzer analyzer({{.name = "n", .adapter = numbering()}});
  Run old = analyzer.start(pattern(50));
  REQUIRE(old.next());
  analyzer.set_analysis({.name = "n", .adapter = counting()});
  analyzer.set_analysis({.name = "m", .adapter = numbering()});
  const auto source = pattern(3);
  const Report report = analyzer.analyze(*source);
  CHECK(attribute(report.frames.back(), "n", "seen") == 3);
  CHECK(report.frames.back().outcomes.size() == 2);
  std::size_t rest = 0;
  while (const auto frame = old.next()) {
    CHECK(attribute(*frame, "n", "sequence") >= 1);
    ++rest;
  }
  CHECK(rest == 49);
  CHECK(analyzer.remove_analysis("m"));
  CHECK_FALSE(analyzer.remove_analysis("m"));
  CHECK(analyzer.analyses().size() == 1);
}

TEST_CASE("health tells what was loaded, run and lost") {
  Analyzer analyzer({{.name = "n", .adapter = numbering()},
                     {.name = "bad", .adapter = own({}, [](const Item&) -> Detections { throw std::runtime_error("lens cap"); })}});
  CHECK_FALSE(analyzer.health()["n"]["loaded"].as_bool());
  const auto source = pattern(4);
  analyzer.analyze(*source);
  const Value health = analyzer.health();
  CHECK(health["n"]["loaded"].as_bool());
  CHECK(health["n"]["jobs"].as_integer() == 4);
  CHECK(health["n"]["errors"].as_integer() == 0);
  CHECK(health["bad"]["errors"].as_integer() == 4);
  CHECK(health["bad"]["last_error"].as_string().find("lens cap") != std::string::npos);
  CHECK(health["n"]["workers"].as_integer() >= 1);
}

TEST_CASE("close() ends runs under way and refuses later calls") {
  Analyzer analyzer({{.name = "n", .adapter = numbering()}});
  Run run = analyzer.start(pattern(1'000'000));
  REQUIRE(run.next());
  analyzer.close();
  analyzer.close();
  std::size_t more = 0;
  while (run.next()) ++more;
  CHECK(more < 100);
  CHECK(run.report().cut_short->code == Code::cancelled);
  const auto source = pattern(1);
  CHECK(code_of([&] { analyzer.analyze(*source); }) == Code::cancelled);
}

TEST_CASE("an adapter that cannot be loaded ends the call with its own words, and is tried again") {
  std::atomic<int> tries{0};
  register_adapter("moody", [&](const Value&) -> std::unique_ptr<DetectionAdapter> {
    if (++tries == 1) throw Error(Code::model, "weights are missing");
    return std::make_unique<Own>(AdapterInfo{}, [](const Item&) { return Detections{}; });
  });
  Analyzer analyzer(std::vector<AnalysisSpec>{{.name = "m", .adapter = AdapterSpec{"moody"}}});
  const auto source = pattern(3);
  CHECK(code_of([&] { analyzer.analyze(*source); }) == Code::model);
  CHECK(analyzer.analyze(*source).answered == 3);
}

TEST_CASE("1000 short sources from 16 threads through one Analyzer: one host, constant threads, files and memory") {
  Analyzer analyzer({{.name = "n", .adapter = numbering(), .every = 100ms}, {.name = "c", .adapter = counting()}, {.name = "v", .adapter = visual()}});
  std::atomic<int> left{0};
  std::atomic<std::uint64_t> answered{0}, wrong{0};
  const auto work_off = [&](int count) {
    left = count;
    std::vector<std::thread> threads;
    for (int i = 0; i < 16; ++i) {
      threads.emplace_back([&] {
        while (left.fetch_sub(1) > 0) {
          const auto source = pattern(10);
          const Report report = analyzer.analyze(*source);
          answered += report.answered;
          for (std::size_t k = 0; k < report.frames.size(); ++k) {
            wrong += attribute(report.frames[k], "c", "seen") != static_cast<double>(k + 1);
            wrong += report.frames[k].info.sequence != k;
          }
        }
      });
    }
    for (auto& thread : threads) thread.join();
  };
  work_off(200);
  const std::size_t threads = entries_of("/proc/self/task"), files = entries_of("/proc/self/fd");
  [[maybe_unused]] const long pages = resident_pages();
  work_off(800);
  CHECK(answered == 10000);
  CHECK(wrong == 0);
  CHECK(entries_of("/proc/self/task") <= threads + 1);
  CHECK(entries_of("/proc/self/fd") == files);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  CHECK(resident_pages() - pages < 16 * 256);  // 16 MiB
#endif
}

TEST_CASE("an Analyzer at module level works in each child, one used before fork() is refused there" * doctest::skip(!may_fork)) {
  Analyzer unused({{.name = "v", .adapter = visual()}});
  auto used = std::make_unique<Analyzer>(std::vector<AnalysisSpec>{{.name = "v", .adapter = visual()}});
  const auto source = pattern(5);
  AnalyzeOptions options;
  options.deadline = 10s;  // starts the watchdog
  REQUIRE(used->analyze(*source, options).answered == 5);
  for (int i = 0; i < 3; ++i) {
    CHECK(in_child([&] {
            const auto mine = pattern(5);
            return unused.analyze(*mine, options).answered == 5 ? 0 : 1;
          }) == 0);
  }
  CHECK(in_child([&] {
          const auto mine = pattern(5);
          int refused = 0;
          const auto refuses = [&](const std::function<void()>& call) {
            try {
              call();
            } catch (const Error& error) {
              refused += error.code == Code::forked && std::string(error.what()).find("before fork()") != std::string::npos;
            }
          };
          refuses([&] { used->analyze(*mine); });
          refuses([&] { used->warm_up(); });
          refuses([&] { used->health(); });
          refuses([&] { used->analyses(); });
          refuses([&] { used->remove_analysis("v"); });
          used->close();
          used.reset();
          Analyzer fresh({{.name = "v", .adapter = visual()}});
          return fresh.analyze(*mine).answered == 5 ? refused : -1;
        }) == 5);
  CHECK(used->analyze(*source).answered == 5);
}

TEST_CASE("a fork in the middle of a run leaves the parent's run whole and ends the child's" * doctest::skip(!may_fork_busy)) {
  Analyzer analyzer({{.name = "v", .adapter = visual()}});
  Run run = analyzer.start(pattern(30));
  REQUIRE(run.next());
  CHECK(in_child([&] {
          int refused = 0;
          try {
            run.next();
          } catch (const Error& error) {
            refused = error.code == Code::forked;
          }
          run.stop();
          run.close();
          { const Run gone = std::move(run); }
          return refused;
        }) == 1);
  std::size_t rest = 0;
  while (run.next()) ++rest;
  CHECK(rest == 29);
}

TEST_CASE("people and motion on real footage: streams side by side see what they see alone") {
  const std::string clip = test::require_clip("vtest.avi");
  if (clip.empty()) return;
  const auto motion_of = [&](Analyzer& analyzer, Nanos start) {
    const auto source = open_source(clip);
    AnalyzeOptions options;
    options.start = start;
    options.max_frames = 60;
    std::vector<std::vector<Box>> boxes;
    for (const auto& frame : analyzer.analyze(*source, options).frames) boxes.push_back(frame["motion"].detections().xyxy);
    return boxes;
  };
  std::vector<std::vector<Box>> first, second;
  {
    Analyzer alone({{.name = "motion", .adapter = motion()}}, {.deterministic = true});
    first = motion_of(alone, 0s);
    second = motion_of(alone, 20s);
  }
  REQUIRE(first.size() == 60);
  REQUIRE(std::any_of(first.begin(), first.end(), [](const auto& boxes) { return !boxes.empty(); }));
  REQUIRE(first != second);
  Analyzer together({{.name = "motion", .adapter = motion(), .where = local({.workers = 4})}});
  auto one = std::async(std::launch::async, [&] { return motion_of(together, 0s); });
  auto two = std::async(std::launch::async, [&] { return motion_of(together, 20s); });
  CHECK(one.get() == first);
  CHECK(two.get() == second);

  Analyzer analyzer({{.name = "people", .adapter = people(), .every = 1s, .min_confidence = 0.6F}});
  const auto source = open_source(clip);
  AnalyzeOptions options;
  options.end = 4s;
  const Report report = analyzer.analyze(*source, options);
  REQUIRE(report.due == 4);
  CHECK(report.answered == 4);
  CHECK(report.stream == "vtest");
  std::size_t found = 0;
  for (const auto& frame : report.frames) found += frame["people"].detections().size();
  CHECK(found >= 4);
}
