#include <execution/local_runtime.hpp>
#include <vidloom/execution/local.hpp>
#include <vidloom/registry.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <future>
#include <map>
#include <set>
#include <string>
#include <thread>

using namespace vidloom;
using namespace std::chrono_literals;

namespace {

/// A door that the test opens; whoever comes before waits.
class Door {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void pass() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
  }
  void await_visitors(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_ >= count; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
  int waiting_ = 0;
};

/// What the adapters of one test did.
struct Diary {
  std::mutex mutex;
  std::vector<std::size_t> batches;
  std::map<StreamId, std::vector<std::uint64_t>> order;
  std::set<StreamId> inside;
  std::set<std::thread::id> threads;
  int broken_rules = 0, alive = 0, most_alive = 0, states = 0, states_made = 0, loads = 0;
};

struct Memory final : StreamState {
  explicit Memory(Diary& owner) : diary(owner) {
    const std::lock_guard lock(diary.mutex);
    ++diary.states;
    ++diary.states_made;
  }
  ~Memory() override {
    const std::lock_guard lock(diary.mutex);
    --diary.states;
  }
  Diary& diary;
  int seen = 0;
};

struct Behaviour {
  AdapterInfo info{};
  std::function<void(std::span<const Item>, std::span<Result<Detections>>, const BatchContext&)> detect{};
  std::function<void()> load{};
};

class Writing final : public DetectionAdapter {
 public:
  Writing(std::shared_ptr<Diary> diary, std::shared_ptr<const Behaviour> behaviour) : diary_(std::move(diary)), behaviour_(std::move(behaviour)) {
    const std::lock_guard lock(diary_->mutex);
    diary_->most_alive = std::max(diary_->most_alive, ++diary_->alive);
  }
  ~Writing() override {
    const std::lock_guard lock(diary_->mutex);
    --diary_->alive;
  }
  AdapterInfo info() const override { return behaviour_->info; }
  void load() override {
    {
      const std::lock_guard lock(diary_->mutex);
      ++diary_->loads;
    }
    if (behaviour_->load) behaviour_->load();
  }
  std::unique_ptr<StreamState> new_state() override { return std::make_unique<Memory>(*diary_); }
  void detect(std::span<const Item> items, std::span<Result<Detections>> out, const BatchContext& context) override {
    {
      const std::lock_guard lock(diary_->mutex);
      diary_->batches.push_back(items.size());
      diary_->threads.insert(std::this_thread::get_id());
      for (const Item& item : items) {
        const FrameInfo& info = item.frame.info();
        diary_->order[info.stream].push_back(info.sequence);
        if (behaviour_->info.per_stream_state && !diary_->inside.insert(info.stream).second) ++diary_->broken_rules;
      }
    }
    for (std::size_t i = 0; i < items.size(); ++i) {
      Detections found;
      found.attributes.push_back({"sequence", static_cast<double>(items[i].frame.info().sequence)});
      if (auto* memory = static_cast<Memory*>(items[i].state)) found.attributes.push_back({"seen", static_cast<double>(++memory->seen)});
      out[i] = std::move(found);
    }
    if (behaviour_->detect) {
      try {
        behaviour_->detect(items, out, context);
      } catch (...) {
        leave(items);
        throw;
      }
    }
    leave(items);
  }

 private:
  void leave(std::span<const Item> items) {
    const std::lock_guard lock(diary_->mutex);
    for (const Item& item : items) diary_->inside.erase(item.frame.info().stream);
  }
  std::shared_ptr<Diary> diary_;
  std::shared_ptr<const Behaviour> behaviour_;
};

struct Made {
  AdapterSpec spec;
  std::shared_ptr<Diary> diary = std::make_shared<Diary>();
};

Made make(Behaviour behaviour) {
  static std::atomic<int> count{0};
  Made made;
  made.spec.adapter = "writing" + std::to_string(++count);
  register_adapter(made.spec.adapter, [diary = made.diary, shared = std::make_shared<const Behaviour>(std::move(behaviour))](const Value&) {
    return std::make_unique<Writing>(diary, shared);
  });
  return made;
}

Frame picture(std::uint32_t stream, std::uint64_t sequence, std::uint32_t epoch = 0) {
  static const std::array<std::byte, 12> pixels{};
  FrameInfo info;
  info.stream = StreamId{stream};
  info.sequence = sequence;
  info.epoch = epoch;
  return Frame::copy_of({pixels.data(), 6, {2, 2}}, info);
}

/// Collects answers in the order they come.
class Post {
 public:
  Completion receiver(int name = 0) {
    return Completion([this, name](Answer answer) {
      const std::lock_guard lock(mutex_);
      answers_.emplace_back(name, std::move(answer));
      threads_.push_back(std::this_thread::get_id());
      changed_.notify_all();
    });
  }
  /// \return the first `count` answers, once there are so many.
  std::vector<std::pair<int, Answer>> wait(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return answers_.size() >= count; });
    return answers_;
  }
  std::size_t count() {
    const std::lock_guard lock(mutex_);
    return answers_.size();
  }
  std::vector<std::thread::id> threads() {
    const std::lock_guard lock(mutex_);
    return threads_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::pair<int, Answer>> answers_;
  std::vector<std::thread::id> threads_;
};

double attribute(const Answer& answer, const std::string& name) {
  for (const Attribute& one : answer.detections.value().attributes) {
    if (one.name == name) return std::get<double>(one.value);
  }
  return -1;
}

}  // namespace

TEST_CASE("a hosted adapter answers with the trace of how") {
  Made made = make({.info = {.model_sha256 = "abc"}});
  const auto execution = local({.workers = 1})->host(made.spec, {});
  Post post;
  execution->submit({.frame = picture(1, 7), .done = post.receiver()});
  const Answer answer = post.wait(1)[0].second;
  REQUIRE(answer.detections);
  CHECK(attribute(answer, "sequence") == 7);
  CHECK(answer.trace.where == "local");
  CHECK(answer.trace.attempts == 1);
  CHECK(answer.trace.model_sha256 == "abc");
  CHECK(answer.trace.queued >= 0ns);
  CHECK(post.threads()[0] != std::this_thread::get_id());
}

TEST_CASE("jobs of many users of one adapter form common batches") {
  Door door;
  Made made = make({.info = {.max_batch = 4}, .detect = [&](auto, auto, const auto&) { door.pass(); }});
  const auto where = local({.workers = 1});
  const auto one = where->host(made.spec, {}), two = local({.workers = 1})->host(made.spec, {});
  Post post;
  one->submit({.frame = picture(1, 0), .done = post.receiver()});
  door.await_visitors(1);
  for (std::uint32_t i = 1; i <= 2; ++i) {
    one->submit({.frame = picture(1, i), .done = post.receiver()});
    two->submit({.frame = picture(2, i), .done = post.receiver()});
  }
  door.open();
  post.wait(5);
  const std::lock_guard lock(made.diary->mutex);
  CHECK(made.diary->loads == 1);
  CHECK(made.diary->batches == std::vector<std::size_t>{1, 4});
}

TEST_CASE("a job waits at most max_wait for company, and no longer once the batch is full") {
  Made made = make({.info = {.max_batch = 2, .max_wait = 1h}});
  const auto execution = local({.workers = 1})->host(made.spec, {});
  Post post;
  execution->submit({.frame = picture(1, 0), .done = post.receiver()});
  execution->submit({.frame = picture(1, 1), .done = post.receiver()});
  post.wait(2);
  {
    const std::lock_guard lock(made.diary->mutex);
    CHECK(made.diary->batches == std::vector<std::size_t>{2});
  }
  Made hurried = make({.info = {.max_batch = 2, .max_wait = 20ms}});
  const auto other = local({.workers = 1})->host(hurried.spec, {});
  other->submit({.frame = picture(1, 0), .done = post.receiver()});
  CHECK(post.wait(3)[2].second.trace.queued >= 20ms);
}

TEST_CASE("a stream with state is seen in order, one picture at a time, by one state per epoch") {
  Made made = make({.info = {.max_batch = 4, .per_stream_state = true}});
  const auto execution = local({.workers = 4})->host(made.spec, {});
  constexpr std::uint32_t streams = 3;
  constexpr std::uint64_t frames = 100;
  std::atomic<std::size_t> open{0};
  std::mutex mutex;
  std::condition_variable changed;
  std::map<int, std::map<std::uint64_t, double>> seen;  // by number: answers may overtake each other
  std::size_t submitted = 0;
  for (std::uint64_t i = 0; i < frames; ++i) {
    for (std::uint32_t stream = 0; stream < streams; ++stream) {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return execution->credits() > 0; });
      lock.unlock();
      ++submitted;
      execution->submit({.frame = picture(stream, i, i < frames / 2 ? 0 : 1), .done = Completion([&, stream, i](Answer answer) {
                           const std::lock_guard held(mutex);
                           seen[static_cast<int>(stream)][i] = attribute(answer, "seen");
                           changed.notify_all();
                         })});
    }
  }
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] {
      std::size_t all = 0;
      for (const auto& [stream, answers] : seen) all += answers.size();
      return all == submitted;
    });
    for (const auto& [stream, answers] : seen) {
      REQUIRE(answers.size() == frames);
      for (const auto& [number, count] : answers) CHECK(count == static_cast<double>(number % (frames / 2) + 1));
    }
  }
  const std::lock_guard lock(made.diary->mutex);
  CHECK(made.diary->broken_rules == 0);
  CHECK(made.diary->states_made == 2 * streams);
  for (const auto& [stream, order] : made.diary->order) CHECK(std::is_sorted(order.begin(), order.end()));
}

TEST_CASE("forget() ends a stream's state after the jobs already submitted") {
  Made made = make({.info = {.per_stream_state = true}});
  const auto execution = local({.workers = 1})->host(made.spec, {});
  Post post;
  execution->submit({.frame = picture(1, 0), .done = post.receiver()});
  execution->submit({.frame = picture(1, 1), .done = post.receiver()});
  execution->forget(StreamId{1});
  execution->submit({.frame = picture(1, 2), .done = post.receiver()});
  const auto answers = post.wait(3);
  CHECK(attribute(answers[0].second, "seen") == 1);
  CHECK(attribute(answers[1].second, "seen") == 2);
  CHECK(attribute(answers[2].second, "seen") == 1);
}

TEST_CASE("two streams with state never wait for each other") {
  Door door;
  Made made = make({.info = {.per_stream_state = true}, .detect = [&](std::span<const Item> items, auto, const auto&) {
                      if (items[0].frame.info().stream == StreamId{1}) door.pass();
                    }});
  const auto execution = local({.workers = 2})->host(made.spec, {});
  Post post;
  execution->submit({.frame = picture(1, 0), .done = post.receiver(1)});
  door.await_visitors(1);
  execution->submit({.frame = picture(1, 1), .done = post.receiver(1)});
  execution->submit({.frame = picture(2, 0), .done = post.receiver(2)});
  CHECK(post.wait(1)[0].first == 2);
  door.open();
  post.wait(3);
}

TEST_CASE("an idle adapter costs one replica; more come while all are busy") {
  Door door;
  Made made = make({.info = {}, .detect = [&](auto, auto, const auto&) { door.pass(); }});
  const auto where = local({.workers = 3});
  const auto execution = where->host(made.spec, {});
  CHECK(where->health()[key_of(made.spec)]["workers"].as_integer() == 1);
  Post post;
  for (std::uint32_t i = 0; i < 3; ++i) execution->submit({.frame = picture(i, 0), .done = post.receiver()});
  door.await_visitors(3);
  CHECK(where->health()[key_of(made.spec)]["workers"].as_integer() == 3);
  door.open();
  post.wait(3);
  const std::lock_guard lock(made.diary->mutex);
  CHECK(made.diary->threads.size() == 3);
}

TEST_CASE("max_replicas and deterministic bound the replicas") {
  Door door;
  Made made = make({.info = {.max_batch = 8, .max_replicas = 1}, .detect = [&](auto, auto, const auto&) { door.pass(); }});
  for (const LocalOptions options : {LocalOptions{.workers = 4}, LocalOptions{.workers = 4, .deterministic = true}}) {
    const auto execution = local(options)->host(made.spec, {});
    CHECK(execution->info().max_batch == (options.deterministic ? 1 : 8));
    Post post;
    for (std::uint32_t i = 0; i < 4; ++i) execution->submit({.frame = picture(i, 0), .done = post.receiver()});
    door.open();
    post.wait(4);
  }
  const std::lock_guard lock(made.diary->mutex);
  CHECK(made.diary->most_alive == 1);
  CHECK(made.diary->batches.size() >= 5);  // the deterministic four one by one
}

TEST_CASE("jobs beyond the credits are answered overload, never inside submit") {
  Door door;
  Made made = make({.info = {}, .detect = [&](auto, auto, const auto&) { door.pass(); }});
  const auto execution = local({.workers = 1})->host(made.spec, {});
  Post post;
  const std::size_t credits = execution->credits();
  REQUIRE(credits >= 4);
  for (std::size_t i = 0; i < credits; ++i) execution->submit({.frame = picture(1, i), .done = post.receiver()});
  CHECK(execution->credits() == 0);
  execution->submit({.frame = picture(1, credits), .done = post.receiver(1)});
  CHECK(post.count() == 0);
  door.open();
  std::size_t overloaded = 0;
  for (const auto& [name, answer] : post.wait(credits + 1)) {
    if (answer.detections) continue;
    ++overloaded;
    CHECK(name == 1);
    CHECK(answer.detections.error().code == Code::overload);
    CHECK(answer.detections.error().retryable);
  }
  CHECK(overloaded == 1);
  for (const auto thread : post.threads()) CHECK(thread != std::this_thread::get_id());
}

TEST_CASE("credits are shared by those who use one adapter, and what was promised is kept") {
  Made made = make({.info = {.max_batch = 4}});
  const auto where = local({.workers = 1});
  const auto one = where->host(made.spec, {});
  const std::size_t alone = one->credits();
  auto two = where->host(made.spec, {});
  CHECK(two->credits() == alone / 2);
  Post post;
  for (std::size_t i = 0; i < alone; ++i) one->submit({.frame = picture(1, i), .done = post.receiver()});
  for (const auto& [name, answer] : post.wait(alone)) CHECK(static_cast<bool>(answer.detections));
  two.reset();
  CHECK(one->credits() == alone);
}

TEST_CASE("a job whose deadline passed before it starts is not run") {
  Made made = make({});
  const auto execution = local({.workers = 1})->host(made.spec, {});
  Post post;
  execution->submit({.frame = picture(1, 0), .deadline = std::chrono::steady_clock::now() - 1ms, .done = post.receiver()});
  const auto answer = post.wait(1)[0].second;
  REQUIRE_FALSE(answer.detections);
  CHECK(answer.detections.error().code == Code::deadline);
  CHECK(answer.detections.error().retryable);
  const std::lock_guard lock(made.diary->mutex);
  CHECK(made.diary->batches.empty());
}

TEST_CASE("a batch sees its earliest deadline") {
  const SteadyTime soon = std::chrono::steady_clock::now() + 1h;
  std::promise<SteadyTime> told;
  Made made = make({.info = {.max_batch = 2, .max_wait = 2h}, .detect = [&](auto, auto, const BatchContext& context) { told.set_value(context.deadline); }});
  const auto execution = local({.workers = 1})->host(made.spec, {});
  Post post;
  execution->submit({.frame = picture(1, 0), .deadline = soon + 2h, .done = post.receiver()});
  execution->submit({.frame = picture(1, 1), .deadline = soon + 1h, .done = post.receiver()});
  CHECK(told.get_future().get() == soon + 1h);
  post.wait(2);
}

TEST_CASE("a poisonous picture costs only itself") {
  Door door;
  Made made = make({.info = {.max_batch = 4}, .detect = [&](std::span<const Item> items, auto, const auto&) {
                      door.pass();
                      for (const Item& item : items) {
                        if (item.frame.info().sequence == 2) throw std::runtime_error("poison");
                      }
                    }});
  const auto execution = local({.workers = 1})->host(made.spec, {});
  Post post;
  for (int i = 0; i < 5; ++i) execution->submit({.frame = picture(1, static_cast<std::uint64_t>(i)), .done = post.receiver(i)});
  door.open();
  for (const auto& [name, answer] : post.wait(5)) {
    CHECK(static_cast<bool>(answer.detections) == (name != 2));
    if (name != 2) continue;
    CHECK(answer.detections.error().code == Code::model);
    CHECK(std::string(answer.detections.error().what()) == "adapter '" + made.spec.adapter + "': poison");
    CHECK(answer.trace.attempts == 2);
  }
}

TEST_CASE("with state a throw fails its batch and runs nothing twice") {
  Door door;
  Made made = make({.info = {.max_batch = 4, .per_stream_state = true}, .detect = [&](std::span<const Item> items, auto, const auto&) {
                      door.pass();
                      if (items.size() > 1) throw std::runtime_error("poison");
                    }});
  const auto execution = local({.workers = 1})->host(made.spec, {});
  Post post;
  execution->submit({.frame = picture(9, 0), .done = post.receiver()});
  door.await_visitors(1);
  for (std::uint32_t i = 0; i < 3; ++i) execution->submit({.frame = picture(i, 0), .done = post.receiver(1)});
  door.open();
  for (const auto& [name, answer] : post.wait(4)) CHECK(static_cast<bool>(answer.detections) == (name == 0));
  const std::lock_guard lock(made.diary->mutex);
  CHECK(made.diary->batches == std::vector<std::size_t>{1, 3});
}

TEST_CASE("unanswered, malformed and thrown answers become errors that name the adapter") {
  Made silent = make({.detect = [](auto, std::span<Result<Detections>> out, const auto&) { out[0] = Error(Code::internal, "no answer"); }});
  Made crooked = make({.detect = [](auto, std::span<Result<Detections>> out, const auto&) {
    Detections wrong;
    wrong.xyxy.resize(2);
    wrong.confidence.resize(1);
    out[0] = std::move(wrong);
  }});
  Made typed = make({.detect = [](auto, auto, const auto&) { throw Error(Code::budget, "enough", true); }});
  Made odd = make({.detect = [](auto, auto, const auto&) { throw 5; }});
  for (const Made* made : {&silent, &crooked, &typed, &odd}) {
    const auto execution = local({.workers = 1})->host(made->spec, {});
    Post post;
    execution->submit({.frame = picture(1, 0), .done = post.receiver()});
    const auto answer = post.wait(1)[0].second;
    REQUIRE_FALSE(answer.detections);
    const Error& error = answer.detections.error();
    CHECK(error.code == (made == &typed ? Code::budget : Code::model));
    if (made != &typed) CHECK(std::string(error.what()).find(made->spec.adapter) != std::string::npos);
    if (made == &silent) CHECK(std::string(error.what()).find("gave no answer for this picture") != std::string::npos);
  }
}

TEST_CASE("a failed load reaches all who wait, and the next host() tries again") {
  std::atomic<int> loads{0};
  Door door;
  Made made = make({.load = [&] {
    if (++loads > 1) return;
    door.pass();
    throw std::runtime_error("no weights");
  }});
  const auto where = local({.workers = 1});
  std::vector<std::future<std::string>> waiting;
  for (int i = 0; i < 4; ++i) {
    waiting.push_back(std::async(std::launch::async, [&] {
      try {
        where->host(made.spec, {});
        return std::string();
      } catch (const Error& error) {
        return std::string(to_string(error.code)) + ": " + error.what();
      }
    }));
  }
  door.await_visitors(1);
  door.open();
  std::size_t failed = 0;
  for (auto& one : waiting) {  // whoever came after the failure made the second attempt
    const std::string said = one.get();
    if (said.empty()) continue;
    ++failed;
    CHECK(said == "model: adapter '" + made.spec.adapter + "' could not be loaded: no weights");
  }
  CHECK(failed >= 1);
  CHECK_NOTHROW(where->host(made.spec, {}));
}

TEST_CASE("many first users share one load") {
  Made made = make({});
  const auto where = local({.workers = 2});
  std::vector<std::future<std::unique_ptr<Execution>>> hosting;
  for (int i = 0; i < 8; ++i) hosting.push_back(std::async(std::launch::async, [&] { return where->host(made.spec, {}); }));
  std::vector<std::unique_ptr<Execution>> all;
  for (auto& one : hosting) all.push_back(one.get());
  const std::lock_guard lock(made.diary->mutex);
  CHECK(made.diary->loads == 1);
}

TEST_CASE("destroying an execution answers its open jobs first and ends the threads with the last one") {
  Door door;
  Made made = make({.info = {.per_stream_state = true}, .detect = [&](auto, auto, const auto&) { door.pass(); }});
  auto execution = local({.workers = 1})->host(made.spec, {});
  Post post;
  for (std::uint64_t i = 0; i < 3; ++i) execution->submit({.frame = picture(1, i), .done = post.receiver()});
  door.await_visitors(1);
  std::thread ending([&] { execution.reset(); });
  for (const auto& [name, answer] : post.wait(3)) {
    REQUIRE_FALSE(answer.detections);
    CHECK(answer.detections.error().code == Code::cancelled);
  }
  door.open();
  ending.join();
  const std::lock_guard lock(made.diary->mutex);
  CHECK(made.diary->alive == 0);
  CHECK(made.diary->states == 0);
  CHECK(post.count() == 3);
}

TEST_CASE("the stop token tells a batch that nobody wants its answers") {
  Door started;
  std::promise<bool> stopped;
  Made made = make({.detect = [&](auto, auto, const BatchContext& context) {
    std::mutex mutex;
    std::condition_variable_any changed;
    std::unique_lock lock(mutex);
    started.open();
    changed.wait(lock, context.stop, [] { return false; });
    stopped.set_value(context.stop.stop_requested());
  }});
  auto execution = local({.workers = 1})->host(made.spec, {});
  Post post;
  execution->submit({.frame = picture(1, 0), .done = post.receiver()});
  started.pass();
  execution.reset();
  CHECK(stopped.get_future().get());
}

TEST_CASE("a replica stuck in user code is left behind") {
  // Shared with the thread that stays behind, hence kept by it.
  auto door = std::make_shared<Door>();
  auto left = std::make_shared<Door>();
  Made made = make({.detect = [door, left](auto, auto, const auto&) {
    door->pass();
    left->open();
  }});
  auto execution = local({.workers = 1})->host(made.spec, {});
  Post post;
  execution->submit({.frame = picture(1, 0), .done = post.receiver()});
  door->await_visitors(1);
  const auto began = std::chrono::steady_clock::now();
  execution.reset();
  const auto took = std::chrono::steady_clock::now() - began;
  CHECK(took >= 1s);
  CHECK(took < 20s);
  CHECK(post.wait(1)[0].second.detections.error().code == Code::cancelled);
  door->open();
  left->pass();  // it comes back, and finds nobody
}

TEST_CASE("an answer may end the execution it came from") {
  Made made = make({});
  auto execution = local({.workers = 1})->host(made.spec, {});
  std::promise<void> done;
  Execution& submitting = *execution;
  auto holder = std::make_shared<std::unique_ptr<Execution>>(std::move(execution));
  submitting.submit({.frame = picture(1, 0), .done = Completion([&, holder](Answer) {
                       holder->reset();
                       done.set_value();
                     })});
  done.get_future().get();
}

TEST_CASE("health counts what happened") {
  Made made = make({.detect = [](std::span<const Item> items, auto, const auto&) {
    if (items[0].frame.info().sequence == 1) throw std::runtime_error("one went wrong");
  }});
  const auto where = local({.workers = 1});
  const auto execution = where->host(made.spec, {});
  Post post;
  for (std::uint64_t i = 0; i < 3; ++i) execution->submit({.frame = picture(1, i), .done = post.receiver()});
  post.wait(3);
  const Value health = where->health();
  const Value& host = health[key_of(made.spec)];
  CHECK(host["jobs"].as_integer() == 3);
  CHECK(host["batches"].as_integer() == 3);
  CHECK(host["errors"].as_integer() == 1);
  CHECK(host["queue"].as_integer() == 0);
  CHECK(host["last_error"].as_string().find("one went wrong") != std::string::npos);
}
