#pragma once
/// Does a Source keep its contract? Run it on your own, in any test framework or none:
///
///     #include <vidloom/contracts/source.hpp>
///     for (const std::string& broken : vidloom::contracts::check_source([] { return std::make_unique<Mine>("clip"); }))
///       std::cerr << broken << '\n';
///
/// The factory is called a few times; each source it gives must deliver the same few pictures (a live one: any pictures).

#include <vidloom/contracts/guard.hpp>
#include <vidloom/contracts/pictures.hpp>
#include <vidloom/source.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <thread>

namespace vidloom {
inline namespace v0 {
namespace contracts {

struct SourceContractOptions {
  Nanos timeout = std::chrono::seconds(20);                 ///< longest open() or read()
  Nanos interrupt_within = std::chrono::milliseconds(500);  ///< from interrupt() to the end of the read() under way
  std::size_t most_frames = 100;                            ///< read of each source at most
};

namespace detail {

class SourceCheck {
 public:
  SourceCheck(Probe& probe, const std::function<std::unique_ptr<Source>()>& make, const SourceContractOptions& options)
      : probe_(probe), make_(make), options_(options) {}

  void run() {
    if (!(source_ = made())) return;
    probe_.call("close() before open()", [&] { source_->close(); });
    if (!read_all("the first time", first_)) return;
    probe_.expect(!first_.empty(), "it ended without one picture and without an Error");
    closed_and_opened_again();
    before_open();
    interrupted();
    seeking();
    demand_from_another_thread();
    probe_.call("destroying an open source", [&] {
      const std::unique_ptr<Source> open = make_();
      SourceContext context{.stream = stream_, .cpu = gate_};
      open->open(context);
      open->read();
    });
  }

 private:
  struct Seen {
    std::uint32_t epoch;
    std::uint64_t sequence;
    Nanos media_time;
    std::uint64_t picture;
  };

  std::unique_ptr<Source> made() {
    std::unique_ptr<Source> source;
    probe_.call("making a source", [&] { source = make_(); });
    probe_.expect(source != nullptr, "the factory gave no source");
    return source;
  }

  bool open(const std::string& when) {
    SourceContext context{.stream = stream_, .cpu = gate_};
    return probe_.call("open() " + when, [&] { info_ = source_->open(context); });
  }

  /// \return the next frame, or nothing at the end or after a throw (ended_ and failed_ say which).
  std::optional<Frame> next(const std::string& when) {
    ended_ = failed_ = false;
    for (;;) {
      std::optional<ReadResult> result;
      if (!probe_.call("read() " + when, [&] { result.emplace(source_->read()); })) {
        failed_ = true;
        return {};
      }
      if (std::holds_alternative<End>(*result)) {
        ended_ = true;
        return {};
      }
      if (auto* frame = std::get_if<Frame>(&*result)) return std::move(*frame);
    }
  }

  bool read_all(const std::string& when, std::vector<Seen>& seen) {
    if (!open(when)) return false;
    probe_.expect(!info_.duration || *info_.duration >= Nanos{0}, "SourceInfo.duration is negative");
    probe_.expect(info_.time_base.num > 0 && info_.time_base.den > 0, "SourceInfo.time_base is not positive");
    std::optional<Frame> kept;  // as whoever analyses slowly keeps one
    std::uint64_t kept_picture = 0;
    while (seen.size() < options_.most_frames) {
      const std::optional<Frame> frame = next(when);
      if (!frame) break;
      check_frame(*frame, seen);
      seen.push_back({frame->info().epoch, frame->info().sequence, frame->info().time.media_time, fingerprint(*frame)});
      if (!kept) kept = frame, kept_picture = seen.back().picture;
      if (!probe_.clean()) break;
    }
    probe_.expect(!kept || fingerprint(*kept) == kept_picture, "the first picture changed after it was handed out; frames are immutable");
    whole_ = ended_;
    const SourceStats stats = source_->stats();
    probe_.expect(stats.decoded == 0 || stats.decoded >= seen.size(),
                  "stats().decoded is " + std::to_string(stats.decoded) + " after " + std::to_string(seen.size()) + " frames");
    probe_.call("close()", [&] { source_->close(); });
    probe_.expect(!kept || fingerprint(*kept) == kept_picture, "a picture that was kept changed when the source was closed");
    return !failed_ && probe_.clean();
  }

  void check_frame(const Frame& frame, const std::vector<Seen>& before) {
    const FrameInfo& info = frame.info();
    const std::string who = "frame " + std::to_string(before.size());
    probe_.expect(info.stream == stream_, who + " does not carry SourceContext.stream");
    probe_.expect(!frame.size().empty(), who + " is empty");
    probe_.expect(info.duration >= Nanos{0}, who + ": its duration is negative");
    probe_.expect(info.time.time_base.num > 0 && info.time.time_base.den > 0, who + ": its time base is not positive");
    probe_.expect(info.time.captured_at.has_value() == (info.time.clock != Clock::none),
                  who + ": captured_at and clock do not belong together");
    const bool new_epoch = before.empty() || info.epoch != before.back().epoch;
    if (new_epoch) {
      probe_.expect(info.sequence == 0, who + ": the first frame of an epoch has sequence " + std::to_string(info.sequence) + "; use 0");
      probe_.expect(before.empty() || info.epoch > before.back().epoch,
                    who + ": epoch goes back from " + (before.empty() ? std::string() : std::to_string(before.back().epoch)));
    } else {
      probe_.expect(info.sequence > before.back().sequence,
                    who + ": sequence goes from " + std::to_string(before.back().sequence) + " to " + std::to_string(info.sequence));
      probe_.expect(info.time.media_time >= before.back().media_time,
                    who + ": media_time steps back from " + std::to_string(seconds(before.back().media_time)) + " to " +
                        std::to_string(seconds(info.time.media_time)) + " s within an epoch");
    }
  }

  void closed_and_opened_again() {
    probe_.call("close() twice", [&] { source_->close(); });
    std::vector<Seen> again;
    if (!read_all("after close()", again) || info_.live) return;
    bool same = again.size() == first_.size();
    for (std::size_t i = 0; same && i < again.size(); ++i) {
      same =
          again[i].media_time == first_[i].media_time && again[i].sequence == first_[i].sequence && again[i].picture == first_[i].picture;
    }
    probe_.expect(same, "opened again it does not deliver the same pictures (" + std::to_string(first_.size()) + ", then " +
                            std::to_string(again.size()) + ")");
  }

  /// Legal: it ends the open() that follows, or does nothing. Either way close() forgets it.
  void before_open() {
    if (!(source_ = made())) return;
    probe_.step("interrupt() before open()");
    source_->interrupt();
    SourceContext context{.stream = stream_, .cpu = gate_};
    probe_.step("open() after an interrupt() before it");
    try {
      source_->open(context);
      source_->read();
    } catch (const Error& error) {
      probe_.expect(error.code == Code::cancelled, std::string("after an interrupt() before open() it threw \"") + error.what() +
                                                       "\" with code " + std::string(to_string(error.code)) + "; use Code::cancelled");
    }
    probe_.call("close() after an interrupt() before open()", [&] { source_->close(); });
    const std::string when = "after interrupt(), close() and open()";
    if (!open(when)) return;
    probe_.expect(next(when).has_value() || info_.live, "no picture " + when + ": close() forgets an interrupt()");
    probe_.call("close()", [&] { source_->close(); });
  }

  void interrupted() {
    if (!(source_ = made()) || !open("before an interrupt()")) return;
    if (!next("before an interrupt()") && failed_) return;
    std::atomic<bool> reading{false};
    std::atomic<SteadyTime::rep> asked_at{0};
    std::thread other([&] {
      reading.wait(false);
      asked_at = std::chrono::steady_clock::now().time_since_epoch().count();
      source_->interrupt();
    });
    probe_.step("read() under interrupt()");
    reading = true;
    reading.notify_one();
    bool over = ended_;
    const SteadyTime patience = std::chrono::steady_clock::now() + options_.interrupt_within + std::chrono::seconds(2);
    while (!over && std::chrono::steady_clock::now() < patience) {
      try {
        over = std::holds_alternative<End>(source_->read());
      } catch (const Error& error) {
        over = true;
        probe_.expect(error.code == Code::cancelled, std::string("an interrupted read() threw \"") + error.what() + "\" with code " +
                                                         std::string(to_string(error.code)) + "; use Code::cancelled");
      }
    }
    const SteadyTime ended_at = std::chrono::steady_clock::now();
    other.join();
    const SteadyTime asked(SteadyTime::duration(asked_at.load()));
    probe_.expect(over, "read() goes on giving pictures after interrupt()");
    probe_.expect(!over || ended_at - asked <= options_.interrupt_within, "read() ended " + std::to_string(seconds(ended_at - asked)) +
                                                                              " s after interrupt(); the contract is " +
                                                                              std::to_string(seconds(options_.interrupt_within)) + " s");
    probe_.call("close() after an interrupt()", [&] { source_->close(); });
    if (!open("after interrupt() and close()")) return;
    probe_.expect(next("after interrupt(), close() and open()").has_value() || info_.live,
                  "no picture after interrupt(), close() and open()");
    probe_.call("close()", [&] { source_->close(); });
  }

  void seeking() {
    if (!(source_ = made()) || !open("before seek()")) return;
    if (!info_.seekable) {
      probe_.step("seek() of a source that cannot");
      try {
        source_->seek(Nanos{0});
        probe_.fail("seek() of a source that says seekable = false did not throw; the default of Source::seek() does");
      } catch (const Error& error) {
        probe_.expect(error.code == Code::config, "seek() of a source that says seekable = false threw code " +
                                                      std::string(to_string(error.code)) + "; use Code::config");
      }
    } else if (!first_.empty()) {
      const std::size_t middle = first_.size() / 2;
      for (const auto& [target, index] :
           {std::pair{first_[middle].media_time, middle}, std::pair{first_.front().media_time, std::size_t{0}}}) {
        seek_to(target, index);
      }
      if (first_.size() > 2 && first_[middle].media_time > first_[middle - 1].media_time + Nanos(2))
        seek_to(first_[middle - 1].media_time + Nanos(1), middle);
    }
    probe_.call("close()", [&] { source_->close(); });
  }

  void seek_to(Nanos target, std::size_t expected) {
    const std::string what = "seek(" + std::to_string(seconds(target)) + " s)";
    if (!probe_.call(what, [&] { source_->seek(target); })) return;
    const std::optional<Frame> frame = next("after " + what);
    if (!frame) return probe_.fail("no picture after " + what);
    // Pictures of one time stand for each other.
    const Nanos got = frame->info().time.media_time;
    probe_.expect(got == first_[expected].media_time, "after " + what + " came the picture of " + std::to_string(seconds(got)) +
                                                          " s; the first at or after it is that of " +
                                                          std::to_string(seconds(first_[expected].media_time)) + " s");
  }

  void demand_from_another_thread() {
    if (!(source_ = made()) || !open("before set_demand()")) return;
    std::atomic<bool> done{false};
    std::thread other([&] {
      const std::array<Demand, 2> demands{Demand{.every = std::chrono::seconds(1)}, Demand{.pixels = Demand::Pixels::luma}};
      for (std::size_t round = 0; !done && round < 1000; ++round) source_->set_demand(std::span(demands).first(round % 3));
    });
    std::vector<Seen> seen;
    while (seen.size() < 20) {
      const std::optional<Frame> frame = next("while another thread calls set_demand()");
      if (!frame) break;
      check_frame(*frame, seen);
      seen.push_back({frame->info().epoch, frame->info().sequence, frame->info().time.media_time, 0});
    }
    done = true;
    other.join();
    probe_.expect(!seen.empty(), "no picture came while another thread called set_demand()");
    probe_.call("close()", [&] { source_->close(); });
  }

  Probe& probe_;
  const std::function<std::unique_ptr<Source>()>& make_;
  const SourceContractOptions& options_;
  const StreamId stream_{7};
  CpuGate gate_{2};
  std::unique_ptr<Source> source_{};
  SourceInfo info_{};
  std::vector<Seen> first_{};
  bool ended_ = false, failed_ = false, whole_ = false;
};

}  // namespace detail

/// \return what is broken, one sentence each; empty: the contract is kept.
inline Findings check_source(const std::function<std::unique_ptr<Source>()>& make, const SourceContractOptions& options = {}) {
  return guarded(options.timeout, [make, options](Probe& probe) { detail::SourceCheck(probe, make, options).run(); });
}

}  // namespace contracts
}  // namespace v0
}  // namespace vidloom
