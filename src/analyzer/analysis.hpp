#pragma once
/// Analysis: one AnalysisSpec and, once used, where it is hosted. Shared by all runs; replaced, never changed. Thread-safe.

#include <analyzer/board.hpp>
#include <vidloom/analyzer.hpp>

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

namespace vidloom {
inline namespace v0 {

/// Hands an Execution's credits to the runs that want them, first come, first served: one wakes per credit.
class Gate {
 public:
  /// Submits if a credit is free and it is this run's turn. \return false: `board` is nudged when to try again.
  bool submit(Execution& execution, const std::shared_ptr<Board>& board, const std::function<Job()>& make);
  /// This run wants no credit now.
  void leave(const std::shared_ptr<Board>& board);
  void credits_changed();

 private:
  std::mutex mutex_;
  std::deque<std::shared_ptr<Board>> line_;
  bool busy_ = false, changed_ = false;
};

class Analysis : public std::enable_shared_from_this<Analysis> {
 public:
  Analysis(AnalysisSpec spec, std::shared_ptr<ExecutionStrategy> where);

  const AnalysisSpec spec;
  const std::shared_ptr<ExecutionStrategy> where;

  /// Starts loading unless that is done or under way. All users share one attempt; after a failed one the next user tries again.
  void begin_loading();
  /// Blocks until loaded, calling `tick` every 50 ms. Throws what loading threw, Error(deadline, cancelled), what `tick` throws.
  void wait_loaded(const std::function<void()>& tick, SteadyTime deadline);
  bool loaded() const;
  /// Of what is loaded. \pre wait_loaded() returned.
  const AdapterInfo& info() const noexcept { return info_; }
  const std::string& kind() const noexcept { return spec.kind.empty() ? info_.kind : spec.kind; }

  bool submit(const std::shared_ptr<Board>& board, const std::function<Job()>& make);
  void leave_line(const std::shared_ptr<Board>& board) { gate_->leave(board); }
  void forget(StreamId stream) noexcept;
  /// Gives the hosted adapter back; submit() throws Error(cancelled) from then on.
  void close() noexcept;

  /// Keeps rows and labels that reach min_confidence, and those without a confidence; of the rows those in the regions.
  void filter(Detections& detections, Size frame) const;
  /// As the `start` record shows it.
  Value describe() const;
  Value health() const;
  /// Counts an answer, for health() and to tell a slow host from a stuck one.
  void count(const Answer& answer);
  SteadyTime last_answer() const { return last_answer_.load(); }

 private:
  void load(std::uint64_t attempt);
  std::shared_ptr<Execution> execution() const;

  const std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  enum class State : std::uint8_t { cold, loading, ready, closed } state_ = State::cold;
  std::uint64_t attempt_ = 0;
  std::optional<Error> failure_;  // of the last attempt
  std::shared_ptr<Execution> execution_;
  AdapterInfo info_;  // written once, before state_ becomes ready
  std::atomic<std::uint64_t> jobs_{0}, errors_{0};
  std::atomic<SteadyTime> last_answer_{SteadyTime{}};
  std::string last_error_;
};

}  // namespace v0
}  // namespace vidloom
