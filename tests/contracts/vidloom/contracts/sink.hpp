#pragma once
/// Does a Sink keep its contract? Run it on your own, in any test framework or none:
///
///     #include <vidloom/contracts/sink.hpp>
///     for (const std::string& broken : vidloom::contracts::check_sink([] { return std::make_shared<Mine>("out"); }))
///       std::cerr << broken << '\n';
///
/// It is given results of every shape, of several streams from several threads, and events, in the order the contract allows.

#include <vidloom/contracts/guard.hpp>
#include <vidloom/contracts/pictures.hpp>
#include <vidloom/sink.hpp>

#include <algorithm>
#include <limits>
#include <optional>
#include <thread>

namespace vidloom {
inline namespace v0 {
namespace contracts {

/// What a stream was given before it was closed.
struct WrittenStream {
  std::string name;
  std::size_t results = 0, events = 0;
};

struct SinkContractOptions {
  Nanos timeout = std::chrono::seconds(20);  ///< longest call
  std::size_t results = 20;                  ///< written per stream
  bool one_stream = false;                   ///< the sink takes one stream, once, as a film does
  /// Looks whether the output of a stream just closed is whole, while other streams are still open. \return what is not.
  std::function<Findings(const WrittenStream&)> whole{};
};

/// \return results of every shape a sink may meet, in turn.
inline FrameResult result_of(const std::string& stream, std::uint32_t id, std::uint64_t picture, bool pixels) {
  FrameResult result{.info = info_at(picture, id)};
  result.frame_size = {320, 180};
  result.stream = stream;
  result.analyzed_at = wall_now();
  result.context = std::make_shared<const Value>(Value::object().set("session", "s-17 \"é\""));
  if (pixels) result.frame = scene_frame(result.frame_size, picture, 0, id);
  const float none = std::numeric_limits<float>::quiet_NaN();
  Detections boxes;
  boxes.vocabulary = Vocabulary::of({"person", "caf\xC3\xA9 \"quoted\"\n"});
  for (std::uint64_t i = 0; i < picture % 3; ++i) {
    boxes.xyxy.push_back({10.25F, 20, 100, 170});
    boxes.confidence.push_back(i == 0 ? 0.5F : none);
    boxes.raw_score.push_back(1.5F);
    boxes.class_id.push_back(static_cast<std::int32_t>(i));
  }
  const Trace trace{.where = "local", .attempts = 1, .ran = std::chrono::milliseconds(3)};
  result.outcomes.emplace_back("boxes", Outcome(boxes, trace, "object"));
  if (picture % 2 == 0) {
    Detections whole;
    whole.attributes = {{"level", 0.5},
                        {"palette", std::vector<double>{1, 2, 3, 4, 5, 6}, "", 3},
                        {"word", std::string("ok")},
                        {"unknown", std::numeric_limits<double>::quiet_NaN()}};
    whole.partial = picture % 4 == 0;
    result.outcomes.emplace_back("levels", Outcome(whole, trace, "visual"));
  }
  if (picture % 5 == 3) result.outcomes.emplace_back("late", Outcome(Error(Code::deadline, "no answer within 0.2 s", true), trace, "logo"));
  if (picture % 5 == 4)
    result.outcomes.emplace_back("lost", Outcome(Error(Code::lag, "the picture was too old"), trace, "text", Outcome::Status::dropped));
  return result;
}

namespace detail {

class SinkCheck {
 public:
  SinkCheck(Probe& probe, const std::function<std::shared_ptr<Sink>()>& make, const SinkContractOptions& options)
      : probe_(probe), make_(make), options_(options) {}

  void run() {
    if (!(sink_ = made())) return;
    probe_.call("info()", [&] { info_ = sink_->info(); });
    if (options_.one_stream) {
      alone();
    } else {
      interleaved();
      from_threads();
    }
    probe_.call("destroying the sink", [&] { sink_.reset(); });
    // Whoever is interrupted may open and never write, or never close.
    if (!(sink_ = made())) return;
    open("empty", 20);
    close({"empty", 0, 0}, 20);
    if (options_.one_stream && !(sink_ = made())) return;
    open("abandoned", 21);
    write("abandoned", 21, 0);
    probe_.call("destroying a sink with an open stream", [&] { sink_.reset(); });
  }

 private:
  std::shared_ptr<Sink> made() {
    std::shared_ptr<Sink> sink;
    probe_.call("making a sink", [&] { sink = make_(); });
    probe_.expect(sink != nullptr, "the factory gave no sink");
    return sink;
  }

  void open(const std::string& stream, std::uint32_t id) {
    SourceInfo source{
        .size = {320, 180}, .codec = "h264", .time_base = {1, 10}, .coded_size = {320, 180}, .uri = stream + ".mp4", .stream = stream};
    probe_.call("open() of stream " + stream, [&] { sink_->open(StreamId{id}, source); });
  }
  void write(const std::string& stream, std::uint32_t id, std::uint64_t picture) {
    const FrameResult result = result_of(stream, id, picture, info_.pixels);
    probe_.call("write() of result " + std::to_string(picture) + " of stream " + stream, [&] { sink_->write(result); });
  }
  void event(std::uint32_t id, StreamEvent::Kind kind, const std::string& detail) {
    StreamEvent event{.kind = kind, .detail = detail};
    if (kind == StreamEvent::Kind::ended) event.data = Value::object().set("reason", "end_of_file");
    probe_.call("event()", [&] { sink_->event(StreamId{id}, event); });
  }
  void close(const WrittenStream& written, std::uint32_t id) {
    probe_.step("close() of stream " + written.name);
    sink_->close(StreamId{id});
    if (!options_.whole) return;
    for (const std::string& sentence : options_.whole(written)) probe_.fail("stream " + written.name + " after close(): " + sentence);
  }

  void alone() {
    open("only", 1);
    for (std::uint64_t picture = 0; picture < options_.results; ++picture) {
      write("only", 1, picture);
      if (picture == 3) event(1, StreamEvent::Kind::gap, "2 pictures lost");
    }
    event(1, StreamEvent::Kind::ended, "end_of_file");
    close({"only", options_.results, 0}, 1);
  }

  /// Two streams in turn; one is closed while the other goes on.
  void interleaved() {
    open("first", 1);
    open("second", 2);
    for (std::uint64_t picture = 0; picture < options_.results; ++picture) {
      write("first", 1, picture);
      if (picture == 3) event(1, StreamEvent::Kind::gap, "2 pictures lost");
      write("second", 2, picture);
      if (picture == 5) event(2, StreamEvent::Kind::format_change, "320x180");
    }
    if (info_.every_frame) {
      FrameResult nothing = result_of("first", 1, options_.results, info_.pixels);
      nothing.outcomes.clear();
      probe_.call("write() of a frame on which nothing was due", [&] { sink_->write(nothing); });
    }
    event(1, StreamEvent::Kind::ended, "end_of_file");
    close({"first", options_.results + (info_.every_frame ? 1 : 0), 1}, 1);
    event(2, StreamEvent::Kind::new_epoch, "opened again");
    for (std::uint64_t picture = 0; picture < 3; ++picture) write("second", 2, picture);
    event(2, StreamEvent::Kind::ended, "end_of_file");
    close({"second", options_.results + 3, 2}, 2);
  }

  /// Different streams may call from different threads.
  void from_threads() {
    probe_.step("four streams from four threads");
    std::vector<std::thread> threads;
    for (std::uint32_t id = 10; id < 14; ++id) {
      threads.emplace_back([this, id] {
        const std::string name = "thread" + std::to_string(id);
        open(name, id);
        for (std::uint64_t picture = 0; picture < options_.results; ++picture) write(name, id, picture);
        event(id, StreamEvent::Kind::ended, "end_of_file");
        close({name, options_.results, 0}, id);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

  Probe& probe_;
  const std::function<std::shared_ptr<Sink>()>& make_;
  const SinkContractOptions& options_;
  std::shared_ptr<Sink> sink_{};
  SinkInfo info_{};
};

}  // namespace detail

/// \return what is broken, one sentence each; empty: the contract is kept.
inline Findings check_sink(const std::function<std::shared_ptr<Sink>()>& make, const SinkContractOptions& options = {}) {
  return guarded(options.timeout, [make, options](Probe& probe) { detail::SinkCheck(probe, make, options).run(); });
}

}  // namespace contracts
}  // namespace v0
}  // namespace vidloom
