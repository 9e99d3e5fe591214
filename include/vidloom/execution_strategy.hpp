#pragma once
/// ExecutionStrategy: WHERE adapters run. Retries, deadlines, budgets and fallback live behind it; only the host batches.

#include <vidloom/core/export.hpp>
#include <vidloom/detection_adapter.hpp>
#include <vidloom/results.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

namespace vidloom {
inline namespace v0 {

struct Answer {
  Result<Detections> detections;
  Trace trace{};
  bool degraded = false;
};

/// Runs once, when the job is answered. Move-only. Dropped unused it answers Error(internal, "abandoned").
class VIDLOOM_API Completion {
 public:
  explicit Completion(std::function<void(Answer)> done);
  Completion(Completion&&) noexcept;
  Completion& operator=(Completion&&) noexcept;
  ~Completion();
  /// Answers. What the callee throws is logged and swallowed: the host must go on.
  void operator()(Answer answer) &&;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

struct Job {
  Frame frame;
  std::vector<Box> regions{};
  SteadyTime deadline = SteadyTime::max();
  Completion done;
};

/// One adapter hosted somewhere; forms its own batches. Destroying it answers every open job first.
class VIDLOOM_API Execution {
 public:
  virtual ~Execution();
  /// Of what is really loaded there.
  virtual AdapterInfo info() const = 0;
  /// Jobs it takes now; all others wait with the caller.
  virtual std::size_t credits() const noexcept = 0;
  /// Never blocks. `done` runs once, on any thread, never inside submit(). Jobs beyond the credits are answered
  /// Error(overload). The caller must submit a stream's frames in order.
  virtual void submit(Job job) = 0;
  /// The stream ended or began a new epoch: its state may go. Jobs already submitted still run.
  virtual void forget(StreamId stream) noexcept = 0;
};

/// Thread-safe; hosts many adapters.
class VIDLOOM_API ExecutionStrategy {
 public:
  virtual ~ExecutionStrategy();
  /// May block (loads). \param credits_changed  called on any thread when credits() may have grown; must not call back.
  virtual std::unique_ptr<Execution> host(const AdapterSpec& spec, std::function<void()> credits_changed) = 0;
  /// Checks `spec` without loading or starting anything. Throws Error(config, not_built). The default accepts.
  virtual void check(const AdapterSpec& spec) const;
  /// An object for people: workers, queue lengths, errors. The default says nothing.
  virtual Value health() const;
};

}  // namespace v0
}  // namespace vidloom
