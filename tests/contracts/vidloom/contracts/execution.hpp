#pragma once
/// Does an ExecutionStrategy keep its contract? Run it on your own, in any test framework or none:
///
///     #include <vidloom/contracts/execution.hpp>
///     for (const std::string& broken : vidloom::contracts::check_execution([] { return my_strategy(); })) std::cerr << broken << '\n';
///
/// It registers adapters named "contract_probe..." in this process, so it is for strategies that run adapters here. They tell
/// what reached them; jobs tell when and on which thread they were answered.

#include <vidloom/contracts/guard.hpp>
#include <vidloom/contracts/pictures.hpp>
#include <vidloom/execution_strategy.hpp>
#include <vidloom/registry.hpp>

#include <algorithm>
#include <atomic>
#include <optional>
#include <set>
#include <thread>

namespace vidloom {
inline namespace v0 {
namespace contracts {

struct ExecutionContractOptions {
  Nanos timeout = std::chrono::seconds(20);              ///< longest host(), and longest wait for an answer
  Nanos submit_within = std::chrono::milliseconds(200);  ///< longest submit()
};

namespace detail {

// What a probe adapter does with a picture, said by its pts.
constexpr std::int64_t bad_item = 1000, throws = 2000, returns_nothing = 3000;

/// What the probe adapters saw, and whether they may go on.
struct Observed {
  std::mutex mutex{};
  std::condition_variable changed{};
  bool held = false;  // detect() waits
  std::set<StreamId> in_flight{};
  std::size_t largest_batch = 0, empty_batches = 0, two_of_a_stream = 0, without_state = 0, running = 0;

  void hold(bool on) {
    const std::lock_guard lock(mutex);
    held = on;
    changed.notify_all();
  }
};

class ProbeAdapter final : public DetectionAdapter {
 public:
  ProbeAdapter(std::shared_ptr<Observed> observed, bool stateful) : observed_(std::move(observed)), stateful_(stateful) {}
  AdapterInfo info() const override {
    AdapterInfo info;
    info.kind = "visual";
    info.demand.pixels = Demand::Pixels::none;
    info.max_batch = 4;
    info.per_stream_state = stateful_;
    info.lists = {.detections = false, .attributes = true};
    return info;
  }
  struct Count final : StreamState {
    int seen = 0;
  };
  std::unique_ptr<StreamState> new_state() override { return stateful_ ? std::make_unique<Count>() : nullptr; }

  void detect(std::span<const Item> items, std::span<Result<Detections>> out, const BatchContext& context) override {
    enter(items, context);
    struct Leaving {
      Observed& observed;
      std::span<const Item> items;
      ~Leaving() {
        const std::lock_guard lock(observed.mutex);
        for (const Item& item : items) observed.in_flight.erase(item.frame.info().stream);
        --observed.running;
      }
    } leaving{*observed_, items};
    for (std::size_t i = 0; i < items.size(); ++i) {
      const std::int64_t pts = items[i].frame.info().time.pts;
      auto* count = static_cast<Count*>(items[i].state);
      if (pts == throws) throw std::runtime_error("the probe adapter throws");
      if (pts == bad_item) out[i] = Error(Code::model, "a bad item");
      if (pts >= bad_item) continue;
      Detections found;
      found.attributes = {{"pts", static_cast<double>(pts)}, {"seen", count ? static_cast<double>(++count->seen) : 0.0}};
      out[i] = std::move(found);
    }
  }

 private:
  void enter(std::span<const Item> items, const BatchContext& context) {
    const std::stop_callback wake(context.stop, [observed = observed_] {
      const std::lock_guard locked(observed->mutex);
      observed->changed.notify_all();
    });
    std::unique_lock lock(observed_->mutex);
    ++observed_->running;
    observed_->largest_batch = std::max(observed_->largest_batch, items.size());
    if (items.empty()) ++observed_->empty_batches;
    for (const Item& item : items) {
      if (stateful_ && !item.state) ++observed_->without_state;
      if (!observed_->in_flight.insert(item.frame.info().stream).second && stateful_) ++observed_->two_of_a_stream;
    }
    observed_->changed.notify_all();
    observed_->changed.wait(lock, [&] { return !observed_->held || context.stop.stop_requested(); });
  }
  std::shared_ptr<Observed> observed_;
  bool stateful_;
};

/// Jobs under way and what became of them.
struct Ledger {
  struct Entry {
    StreamId stream{};
    std::int64_t pts = 0;
    std::size_t answers = 0;
    std::optional<Answer> answer{};
    bool inside_submit = false;
  };
  std::mutex mutex{};
  std::condition_variable changed{};
  std::vector<Entry> entries{};
  std::size_t answered = 0;
  std::uint64_t credit_calls = 0;
  std::thread::id submitting{};

  bool wait_all(Nanos timeout) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, timeout, [&] { return answered >= entries.size(); });
  }
};

class ExecutionCheck {
 public:
  ExecutionCheck(Probe& probe, const std::function<std::shared_ptr<ExecutionStrategy>()>& make, const ExecutionContractOptions& options)
      : probe_(probe), make_(make), options_(options) {}

  void run() {
    probe_.call("making a strategy", [&] { strategy_ = make_(); });
    if (!strategy_) return probe_.fail("the factory gave no strategy");
    many_streams(false);
    many_streams(true);
    if (!probe_.clean()) return;
    state_per_stream_and_epoch();
    bad_items();
    deadlines();
    beyond_the_credits();
    destroyed_with_open_jobs(false);
    destroyed_with_open_jobs(true);
    unknown_adapter();
  }

 private:
  /// Hosts a fresh probe adapter under a name of its own.
  void host(bool stateful) {
    static std::atomic<unsigned> names{0};
    observed_ = std::make_shared<Observed>();
    ledger_ = std::make_shared<Ledger>();
    const std::string name = "contract_probe_" + std::to_string(++names);
    register_adapter(name, [observed = observed_, stateful](const Value&) { return std::make_unique<ProbeAdapter>(observed, stateful); });
    probe_.call("host()", [&] {
      execution_ = strategy_->host({name}, [ledger = ledger_] {
        const std::lock_guard lock(ledger->mutex);
        ++ledger->credit_calls;
        ledger->changed.notify_all();
      });
    });
    if (!execution_) throw std::runtime_error("host() gave no execution");
    const AdapterInfo info = execution_->info();
    probe_.expect(info.per_stream_state == stateful, "info().per_stream_state is not that of the hosted adapter");
    probe_.expect(info.kind == "visual", "info().kind is \"" + info.kind + "\", not that of the hosted adapter");
    probe_.expect(execution_->credits() > 0, "credits() is 0 with nothing submitted: nobody could ever begin");
  }
  void close() {
    observed_->hold(false);
    probe_.step("destroying an execution");
    execution_.reset();
  }

  /// Submits whatever the credits are.
  void submit(std::uint32_t stream, std::int64_t pts, SteadyTime deadline = SteadyTime::max(), std::uint32_t epoch = 0) {
    FrameInfo info = info_at(static_cast<std::uint64_t>(pts), stream);
    info.epoch = epoch;
    static const std::vector<std::byte> black(std::size_t{3} * 16 * 16);
    Frame frame = Frame::copy_of({black.data(), 48, {16, 16}}, info);
    const std::shared_ptr<Ledger> ledger = ledger_;
    std::size_t index = 0;
    {
      const std::lock_guard lock(ledger->mutex);
      index = ledger->entries.size();
      ledger->entries.push_back({.stream = StreamId{stream}, .pts = pts});
      ledger->submitting = std::this_thread::get_id();
    }
    Completion done([ledger, index](Answer answer) {
      const std::lock_guard lock(ledger->mutex);
      Ledger::Entry& entry = ledger->entries[index];
      entry.inside_submit = entry.inside_submit || ledger->submitting == std::this_thread::get_id();
      if (++entry.answers == 1) {
        entry.answer.emplace(std::move(answer));
        ++ledger->answered;
      }
      ledger->changed.notify_all();
    });
    probe_.step("submit()");
    const SteadyTime before = std::chrono::steady_clock::now();
    execution_->submit({.frame = std::move(frame), .deadline = deadline, .done = std::move(done)});
    const Nanos took = std::chrono::steady_clock::now() - before;
    {
      const std::lock_guard lock(ledger->mutex);
      ledger->submitting = {};
    }
    probe_.expect(took <= options_.submit_within, "submit() took " + std::to_string(seconds(took)) + " s; it must never block");
  }

  /// Waits until a job may be submitted, as the contract wants it: told by credits_changed.
  bool wait_for_credit() {
    probe_.step("waiting for a credit");
    const SteadyTime until = std::chrono::steady_clock::now() + options_.timeout / 2;
    for (;;) {
      std::uint64_t calls = 0;
      {
        const std::lock_guard lock(ledger_->mutex);
        calls = ledger_->credit_calls;
      }
      if (execution_->credits() > 0) return true;
      std::unique_lock lock(ledger_->mutex);
      if (!ledger_->changed.wait_until(lock, until, [&] { return ledger_->credit_calls != calls; })) {
        lock.unlock();
        probe_.fail(execution_->credits() > 0 ? "credits() grew from 0 without a call of credits_changed" : "no credit came back");
        return false;
      }
    }
  }

  /// \return whether all jobs were answered; checks what can be said of every answer.
  bool settle(const std::string& what) {
    probe_.step(what + ": waiting for the answers");
    const bool all = ledger_->wait_all(options_.timeout / 2);
    const std::lock_guard lock(ledger_->mutex);
    if (!all)
      probe_.fail(what + ": " + std::to_string(ledger_->entries.size() - ledger_->answered) + " of " +
                  std::to_string(ledger_->entries.size()) + " jobs were never answered");
    for (const Ledger::Entry& entry : ledger_->entries) {
      const std::string job = what + ": the job of picture " + std::to_string(entry.pts);
      if (entry.answers > 1) probe_.fail(job + " was answered " + std::to_string(entry.answers) + " times");
      if (entry.inside_submit) probe_.fail(job + " was answered inside submit(); answer on another thread");
      if (entry.answer) probe_.expect(!entry.answer->trace.where.empty(), job + ": Trace::where is empty");
    }
    return all;
  }

  static double attribute(const Answer& answer, std::size_t index) {
    return std::get<double>(answer.detections.value().attributes.at(index).value);
  }
  static std::string outcome_of(const std::optional<Answer>& answer) {
    if (!answer) return "nothing";
    return answer->detections
               ? "a result"
               : "Error(" + std::string(to_string(answer->detections.error().code)) + ", \"" + answer->detections.error().what() + "\")";
  }

  void many_streams(bool stateful) {
    const std::string what = stateful ? "four streams with state" : "four streams";
    host(stateful);
    for (std::int64_t pts = 0; pts < 60; ++pts) {
      for (std::uint32_t stream = 0; stream < 4; ++stream) {
        if (!wait_for_credit()) return close();
        submit(stream, pts);
      }
    }
    if (!settle(what)) return close();
    for (const Ledger::Entry& entry : ledger_->entries) {
      if (!entry.answer->detections) {
        probe_.fail(what + ": a job within the credits was answered " + outcome_of(entry.answer));
        break;
      }
      probe_.expect(attribute(*entry.answer, 0) == static_cast<double>(entry.pts),
                    what + ": picture " + std::to_string(entry.pts) + " got the answer of another");
      if (!stateful) continue;
      probe_.expect(attribute(*entry.answer, 1) == static_cast<double>(entry.pts + 1),
                    what + ": picture " + std::to_string(entry.pts) + " of a stream was its " +
                        std::to_string(static_cast<int>(attribute(*entry.answer, 1))) +
                        ". in the adapter; a stream's pictures come in order, to one state");
      if (!probe_.clean()) break;
    }
    {
      const std::lock_guard lock(observed_->mutex);
      probe_.expect(observed_->two_of_a_stream == 0, what + ": two pictures of one stream were in the adapter at once");
      probe_.expect(observed_->without_state == 0, what + ": a picture came without its state");
      probe_.expect(observed_->empty_batches == 0, what + ": detect() was called without items");
      probe_.expect(observed_->largest_batch <= 4,
                    what + ": a batch of " + std::to_string(observed_->largest_batch) + " exceeds max_batch 4");
    }
    close();
  }

  void state_per_stream_and_epoch() {
    host(true);
    const auto seen = [&](std::uint32_t stream, std::int64_t pts, std::uint32_t epoch) {
      if (!wait_for_credit()) return -1.0;
      submit(stream, pts, SteadyTime::max(), epoch);
      if (!settle("state per stream")) return -1.0;
      const std::lock_guard lock(ledger_->mutex);
      const auto& answer = ledger_->entries.back().answer;
      return answer->detections ? attribute(*answer, 1) : -1.0;
    };
    seen(1, 0, 0);
    seen(2, 0, 0);
    probe_.expect(seen(1, 1, 0) == 2, "a stream's second picture did not meet the state of its first");
    probe_.expect(seen(1, 2, 1) == 1, "a new epoch of a stream met the state of the old one");
    execution_->forget(StreamId{2});
    probe_.expect(seen(2, 1, 0) == 1, "after forget() a stream met its old state");
    probe_.expect(seen(1, 3, 1) == 2, "forget() of one stream cost another its state");
    execution_->forget(StreamId{77});  // never seen: nothing to forget
    close();
  }

  void bad_items() {
    host(false);
    for (const std::int64_t pts : {std::int64_t{1}, bad_item, std::int64_t{2}, std::int64_t{3}}) {
      if (wait_for_credit()) submit(static_cast<std::uint32_t>(pts % 7), pts);
    }
    if (!settle("a bad item")) return close();
    for (const Ledger::Entry& entry : ledger_->entries) {
      const bool failed = !entry.answer->detections;
      probe_.expect(failed == (entry.pts == bad_item),
                    "beside a bad item: picture " + std::to_string(entry.pts) + " was answered " + outcome_of(entry.answer));
      if (failed && entry.pts == bad_item)
        probe_.expect(entry.answer->detections.error().code == Code::model,
                      "the adapter's own Error(model) came back as " + outcome_of(entry.answer));
    }
    // One after the other, so that they share no batch.
    for (const std::int64_t pts : {throws, returns_nothing, std::int64_t{4}}) {
      if (!wait_for_credit()) return close();
      submit(1, pts);
      if (!settle("an adapter that throws")) return close();
      const std::lock_guard lock(ledger_->mutex);
      const auto& answer = ledger_->entries.back().answer;
      probe_.expect(static_cast<bool>(answer->detections) == (pts == 4), std::string(pts == throws ? "a throw of the adapter"
                                                                                     : pts == 4    ? "the picture after a throw"
                                                                                                   : "an item left unanswered") +
                                                                             " was answered " + outcome_of(answer));
      if (pts == throws && !answer->detections)
        probe_.expect(answer->detections.error().code == Code::model,
                      "a throw of the adapter was answered " + outcome_of(answer) + "; use Code::model");
    }
    close();
  }

  void deadlines() {
    host(false);
    if (!wait_for_credit()) return close();
    submit(1, 1, std::chrono::steady_clock::now() - std::chrono::milliseconds(1));
    if (!settle("a deadline that has passed")) return close();
    {
      const std::lock_guard lock(ledger_->mutex);
      const auto& answer = ledger_->entries.back().answer;
      probe_.expect(!answer->detections && answer->detections.error().code == Code::deadline,
                    "a job whose deadline had passed was answered " + outcome_of(answer) + "; use Code::deadline");
    }
    if (wait_for_credit()) submit(1, 2, std::chrono::steady_clock::now() + std::chrono::hours(1));
    if (settle("a deadline in an hour")) {
      const std::lock_guard lock(ledger_->mutex);
      const auto& answer = ledger_->entries.back().answer;
      probe_.expect(static_cast<bool>(answer->detections), "a job with an hour left was answered " + outcome_of(answer));
    }
    close();
  }

  void beyond_the_credits() {
    host(false);
    observed_->hold(true);
    std::int64_t pts = 0;
    while (pts < 10000 && execution_->credits() > 0) submit(static_cast<std::uint32_t>(pts % 5), pts), ++pts;
    probe_.expect(execution_->credits() == 0, "10000 jobs wait and there are still credits: nothing is bounded");
    const std::size_t granted = ledger_->entries.size();
    submit(1, 999);  // refused at once, or when a thread is free to say so
    observed_->hold(false);
    settle("more jobs than credits");
    check_refused(granted);
    close();
  }
  void check_refused(std::size_t granted) {
    const std::lock_guard lock(ledger_->mutex);
    for (std::size_t i = 0; i < ledger_->entries.size(); ++i) {
      const auto& answer = ledger_->entries[i].answer;
      if (!answer) continue;
      if (i < granted) {
        probe_.expect(static_cast<bool>(answer->detections), "a job within the credits was answered " + outcome_of(answer));
      } else {
        probe_.expect(!answer->detections && answer->detections.error().code == Code::overload,
                      "a job beyond the credits was answered " + outcome_of(answer) + "; use Code::overload");
      }
    }
  }

  /// \param stuck  while the adapter is in detect() and looks at its stop token only
  void destroyed_with_open_jobs(bool stuck) {
    host(false);
    observed_->hold(stuck);
    for (std::int64_t pts = 0; pts < 100 && execution_->credits() > 0; ++pts) submit(static_cast<std::uint32_t>(pts % 3), pts);
    if (stuck) {
      probe_.step("waiting for the adapter to begin");
      std::unique_lock lock(observed_->mutex);
      observed_->changed.wait(lock, [&] { return observed_->running > 0; });
    }
    probe_.step(stuck ? "destroying an execution whose adapter waits for its stop token" : "destroying an execution with open jobs");
    execution_.reset();
    {
      const std::lock_guard lock(ledger_->mutex);
      probe_.expect(ledger_->answered == ledger_->entries.size(), "destroying the execution left " +
                                                                      std::to_string(ledger_->entries.size() - ledger_->answered) + " of " +
                                                                      std::to_string(ledger_->entries.size()) + " jobs without an answer");
    }
    observed_->hold(false);
    settle("destroying an execution");
  }

  void unknown_adapter() {
    probe_.step("host() of an unknown adapter");
    try {
      const auto hosted = strategy_->host({"contract_no_such_adapter"}, [] {});
      probe_.fail("host() of an unknown adapter did not throw");
    } catch (const Error& error) {
      probe_.expect(error.code == Code::config,
                    "host() of an unknown adapter threw code " + std::string(to_string(error.code)) + "; use Code::config");
    }
  }

  Probe& probe_;
  const std::function<std::shared_ptr<ExecutionStrategy>()>& make_;
  const ExecutionContractOptions& options_;
  std::shared_ptr<ExecutionStrategy> strategy_{};
  std::shared_ptr<Observed> observed_{};
  std::shared_ptr<Ledger> ledger_{};
  std::unique_ptr<Execution> execution_{};
};

}  // namespace detail

/// \param make  makes the strategy; called once.
/// \return what is broken, one sentence each; empty: the contract is kept.
inline Findings check_execution(const std::function<std::shared_ptr<ExecutionStrategy>()>& make,
                                const ExecutionContractOptions& options = {}) {
  return guarded(options.timeout, [make, options](Probe& probe) { detail::ExecutionCheck(probe, make, options).run(); });
}

}  // namespace contracts
}  // namespace v0
}  // namespace vidloom
