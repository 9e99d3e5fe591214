#pragma once
/// Run::Impl: one source on its way through the analyses. Everything here happens on the caller's thread but for what
/// RunControl and Board are for.
///
/// A frame's way: read_one() -> admit() (which analyses are due) -> submit_ready() (jobs, in order) -> take_answers() ->
/// deliver() (sinks, report, caller). Frames wait in `pending_`, which is bounded; reading stops while a job wants a credit.

#include <analyzer/analysis.hpp>
#include <analyzer/company.hpp>
#include <analyzer/streams.hpp>
#include <core/fork_guard.hpp>
#include <core/watchdog.hpp>
#include <imaging/counters.hpp>
#include <vidloom/core/waiting.hpp>

#include <atomic>
#include <deque>
#include <exception>
#include <functional>
#include <optional>
#include <stop_token>

namespace vidloom {
inline namespace v0 {

/// How other threads end a run.
class RunControl {
 public:
  explicit RunControl(std::shared_ptr<Board> board) : board_(std::move(board)) {}
  void stop() noexcept;
  bool stopped() const noexcept { return stopped_.load(); }
  void interrupt() noexcept;
  /// The source while it may be interrupted, else null.
  void watch(Source* source) noexcept;

 private:
  const std::shared_ptr<Board> board_;
  std::atomic<bool> stopped_{false};
  std::mutex mutex_;
  Source* source_ = nullptr;
};

/// What a run takes from its Analyzer.
struct RunContext {
  std::vector<std::shared_ptr<Analysis>> analyses;        // this run's; those of regions_of among them
  std::shared_ptr<Streams> streams;
  std::function<void(StreamId)> forget;                    // a stream, in all analyses
  std::function<void(RunControl*)> ended;
  bool all_due = false;                                    // one picture, whatever its time
};

class Run::Impl {
 public:
  Impl(std::shared_ptr<Source> source, AnalyzeOptions options, RunContext context);
  ~Impl();

  const std::shared_ptr<RunControl>& control() const noexcept { return control_; }
  void open();
  std::optional<FrameResult> next();
  void close() noexcept;
  bool foreign() const noexcept { return guard_.foreign(); }
  const SourceInfo& info() const noexcept { return info_; }
  const Report& report() const noexcept { return report_; }
  Report take_report() { return std::move(report_); }
  SourceStats stats() const noexcept;

 private:
  struct Slot {
    enum class State : std::uint8_t { regions, wanted, submitted, done } state = State::wanted;
    std::size_t analysis;               // index into analyses_
    SteadyTime since{};                 // wanted from then on, or handed over then
    std::vector<Box> regions{};
    std::optional<Outcome> outcome{};
    bool told = false;                  // to the sinks that want each answer alone
  };
  struct Pending {
    std::uint64_t number = 0;
    std::optional<StreamEvent> event{};  // then nothing else
    FrameResult result{};
    std::optional<Frame> frame{};        // while somebody needs its pixels
    std::vector<Slot> slots{};
    bool complete() const;
  };

  void wait_for_turn();
  void load();
  void open_sinks();
  void tick();
  WhileWaiting ticking();
  std::optional<FrameResult> step();
  void read_one();
  void admit(const Frame& frame);
  bool due(const AnalysisSpec& spec, Nanos time, std::optional<Nanos> before) const;
  void account_for_skipped(const FrameInfo& last);
  void end_reading(const char* reason, std::optional<Error> why = {});
  void take_answers();
  void submit_ready();
  void settle(Pending& pending, Slot& slot, Answer answer);
  void fail(Slot& slot, Error error);
  bool resolve_regions(Pending& pending, Slot& slot);
  void expire();
  SteadyTime next_deadline() const;
  SteadyTime deadline_of(const Slot& slot) const;
  void leave_lines();
  std::optional<FrameResult> deliver(Pending pending);
  void deliver_each();
  void account(const FrameResult& result);
  void finish();
  std::exception_ptr close_sinks() noexcept;
  std::size_t window() const;

  ForkGuard guard_;
  const std::shared_ptr<Source> source_;
  const AnalyzeOptions options_;
  const RunContext context_;
  const std::vector<std::shared_ptr<Analysis>>& analyses_ = context_.analyses;
  const std::shared_ptr<Board> board_ = std::make_shared<Board>();
  const std::shared_ptr<RunControl> control_ = std::make_shared<RunControl>(board_);
  const SteadyTime began_;
  const SteadyTime deadline_;  // of the call
  std::optional<std::stop_callback<std::function<void()>>> stopping_;
  std::optional<Watch> watch_;
  std::optional<InCompany> company_;

  SourceInfo info_;
  Report report_;
  SourceStats last_stats_{};
  std::uint64_t unhealthy_ = 0;
  StreamId stream_ = StreamId{};
  std::shared_ptr<StreamRecord> record_;  // of a named stream
  std::size_t sinks_open_ = 0;
  std::vector<SinkInfo> wants_;  // of each sink
  bool sinks_want_every_ = false, sinks_want_pixels_ = false, sinks_want_each_ = false;

  bool opened_ = false, reading_ = false, closed_ = false;
  std::string reason_ = "stopped";
  std::exception_ptr failure_;             // of the source, no Error: thrown after the last result
  std::optional<SteadyTime> drain_until_;  // after stop(): how long answers under way are waited for
  SteadyTime last_tick_{};

  std::deque<Pending> pending_;
  std::uint64_t next_number_ = 0;
  std::uint64_t seen_ = 0, concealed_ = 0;  // frames read
  std::uint64_t taken_ = 0;                 // pictures inside start..end, those included that no demand needed
  std::shared_ptr<ImagingCounters> conversions_ = std::make_shared<ImagingCounters>();  // shared with the frames
  std::optional<Nanos> previous_time_, first_time_;
  std::uint32_t epoch_ = 0, source_epoch_ = 0;
  std::uint64_t sequence_base_ = 0;
  Nanos last_end_{};
};

}  // namespace v0
}  // namespace vidloom
