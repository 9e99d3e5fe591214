#include <analyzer/run.hpp>

#include <core/utf8.hpp>
#include <frame_access.hpp>
#include <vidloom/core/log.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace vidloom {
inline namespace v0 {
namespace {

using namespace std::chrono_literals;

/// How long a stopped run waits for answers that are under way.
constexpr auto drain = 2s;
constexpr std::size_t least_window = 8, most_window = 64;
constexpr std::int64_t window_bytes = 256 << 20;

SteadyTime now() { return std::chrono::steady_clock::now(); }

SteadyTime after(SteadyTime start, Nanos wait) {
  if (wait <= Nanos{0} || wait > SteadyTime::max() - start) return SteadyTime::max();
  return start + std::chrono::duration_cast<SteadyTime::duration>(wait);
}

std::int64_t floor_of(Nanos time, Nanos step) {
  const std::int64_t quotient = time / step;
  return time % step < Nanos{0} ? quotient - 1 : quotient;
}

/// "street" for /clips/street.mp4, "test" for test:frames=9, "cam" for rtsp://host/live/cam?token=...
std::string name_after(const std::string& uri) {
  std::string path = uri;
  const auto colon = uri.find(':');
  if (colon != std::string::npos && colon > 1 && uri.find('/') > colon) {
    const std::string scheme = uri.substr(0, colon);
    if (uri.compare(colon, 3, "://") != 0 && scheme != "file" && scheme != "segment" && scheme != "images") return scheme;
    path = uri.substr(colon + 1);
    if (uri.compare(colon, 3, "://") == 0 && scheme != "file") path = path.substr(0, path.find_first_of("?#"));
  }
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  std::string stem = path.substr(path.find_last_of('/') + 1);
  if (const auto dot = stem.find_last_of('.'); dot != std::string::npos && dot > 0) stem.resize(dot);
  return stem.empty() ? "stream" : stem;
}

}  // namespace

// ── RunControl ──────────────────────────────────────────────────────────────────────────────────────────────

void RunControl::stop() noexcept {
  stopped_ = true;
  interrupt();
  board_->nudge();
}

void RunControl::interrupt() noexcept {
  const std::lock_guard lock(mutex_);  // keeps the source alive meanwhile
  if (source_ != nullptr) source_->interrupt();
}

void RunControl::watch(Source* source) noexcept {
  const std::lock_guard lock(mutex_);
  source_ = source;
  if (source_ != nullptr && stopped_) source_->interrupt();
}

// ── opening ─────────────────────────────────────────────────────────────────────────────────────────────────

Run::Impl::Impl(std::shared_ptr<Source> source, AnalyzeOptions options, RunContext context)
    : source_(std::move(source)),
      options_(std::move(options)),
      context_(std::move(context)),
      began_(now()),
      deadline_(after(began_, options_.deadline)) {
  guard_.use("Run");
  if (!source_) throw Error(Code::config, "the source is null");
  if (options_.deadline < Nanos{0}) throw Error(Code::config, "AnalyzeOptions.deadline is negative; use zero for none");
  if (options_.start && options_.end && *options_.end <= *options_.start) {
    throw Error(Code::config, "end is not after start; the range holds no picture");
  }
  for (const auto& sink : options_.sinks) {
    if (!sink) throw Error(Code::config, "AnalyzeOptions.sinks holds a null sink");
  }
  for (const auto& analysis : analyses_) report_.counts.emplace_back(analysis->spec.name, decltype(report_.counts)::value_type::second_type{});
  report_.segment = options_.segment;
  report_.context = options_.context;
}

Run::Impl::~Impl() { close(); }

void Run::Impl::open() {
  try {
    if (options_.stop.stop_possible()) stopping_.emplace(options_.stop, [control = control_] { control->stop(); });
    if (deadline_ != SteadyTime::max()) {
      watch_.emplace(deadline_, [control = control_, board = board_] {
        control->interrupt();
        board->nudge();
      });
    }
    if (!context_.all_due) company_.emplace();
    wait_for_turn();
    control_->watch(source_.get());
    SourceContext source_context{.stream = stream_, .cpu = CpuGate::process()};
    opened_ = true;  // close() is legal from here on, also after a throw
    info_ = [&] {
      const WhileWaiting hook = ticking();
      return source_->open(source_context);
    }();
    if (!options_.stream.empty()) info_.stream = options_.stream;
    if (info_.stream.empty()) info_.stream = valid_utf8(name_after(info_.uri));
    report_.stream = info_.stream;
    if (report_.segment && !report_.segment->duration) report_.segment->duration = info_.duration;
    load();
    if (options_.start && info_.seekable) source_->seek(*options_.start);
    open_sinks();
    reading_ = true;
  } catch (const Error& error) {
    const bool late = now() >= deadline_;
    reason_ = "error";
    close();
    if (error.code == Code::cancelled && late) throw Error(Code::deadline, "the deadline passed before the first picture was read", true);
    throw;
  } catch (...) {
    close();
    throw;
  }
}

void Run::Impl::wait_for_turn() {
  if (options_.stream.empty()) {
    stream_ = next_stream_id();
    return;
  }
  std::vector<StreamId> evicted;
  record_ = context_.streams->enter(options_.stream, board_, evicted);
  stream_ = record_->id;
  for (const StreamId stream : evicted) context_.forget(stream);
  while (!context_.streams->my_turn(options_.stream, board_)) {
    tick();
    if (control_->stopped()) throw Error(Code::cancelled, "stopped while waiting for an earlier run of stream '" + options_.stream + "'");
    if (now() >= deadline_) {
      throw Error(Code::deadline, "an earlier run of stream '" + options_.stream + "' did not end before the deadline", true);
    }
    board_->wait_until(std::min(deadline_, now() + 50ms));
  }
}

void Run::Impl::load() {
  for (const auto& analysis : analyses_) analysis->begin_loading();
  for (const auto& analysis : analyses_) {
    analysis->wait_loaded(
        [this] {
          tick();
          if (control_->stopped()) throw Error(Code::cancelled, "stopped while the adapters were loading");
        },
        deadline_);
  }
}

void Run::Impl::open_sinks() {
  info_.analyses = Value::object();
  std::vector<Demand> demands;
  for (const auto& analysis : analyses_) {
    info_.analyses.set(analysis->spec.name, analysis->describe());
    Demand demand = analysis->info().demand;
    demand.every = analysis->spec.every;
    demand.tolerance = analysis->spec.tolerance;
    if (options_.keep_frames) demand.pixels = Demand::Pixels::colour;
    demands.push_back(demand);
  }
  for (const auto& sink : options_.sinks) {
    const SinkInfo& wants = wants_.emplace_back(sink->info());
    sinks_want_each_ = sinks_want_each_ || wants.each;
    sinks_want_every_ = sinks_want_every_ || wants.every_frame;
    sinks_want_pixels_ = sinks_want_pixels_ || wants.pixels;
    if (wants.every_frame) demands.push_back({.pixels = wants.pixels ? Demand::Pixels::colour : Demand::Pixels::none});
  }
  // A source that cannot seek is read from its beginning: what comes before `start` is known only when it comes.
  if (options_.start && !info_.seekable) demands.assign(1, {});
  for (Demand& demand : demands) {
    if (context_.all_due) demand.every = Nanos{0};
    demand.first = options_.max_frames;
  }
  if (sinks_want_pixels_) {
    for (Demand& demand : demands) demand = {.every = demand.every, .tolerance = demand.tolerance, .pixels = Demand::Pixels::colour, .first = demand.first};
  }
  source_->set_demand(demands);
  for (const auto& sink : options_.sinks) {
    ++sinks_open_;  // a sink whose open() threw is closed, too
    sink->open(stream_, info_);
  }
}

// ── the loop ────────────────────────────────────────────────────────────────────────────────────────────────

WhileWaiting Run::Impl::ticking() { return WhileWaiting(options_.poll ? std::function<void()>([this] { tick(); }) : nullptr); }

/// What the caller wants done now and then; its exceptions go through.
void Run::Impl::tick() {
  if (!options_.poll) return;
  const SteadyTime time = now();
  if (time - last_tick_ < 20ms) return;
  last_tick_ = time;
  options_.poll();
}

std::optional<FrameResult> Run::Impl::next() {
  guard_.use("Run");
  if (closed_) return std::nullopt;
  try {
    std::optional<FrameResult> result = step();
    leave_lines();  // the caller may take its time now
    report_.elapsed = now() - began_;
    if (!result) finish();
    if (!result && failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
    return result;
  } catch (const Error& error) {
    reason_ = "error";
    close();
    throw;
  } catch (...) {
    reason_ = "stopped";
    close();
    throw;
  }
}

std::optional<FrameResult> Run::Impl::step() {
  for (;;) {
    take_answers();
    submit_ready();
    if (sinks_want_each_) deliver_each();
    while (!pending_.empty() && pending_.front().complete()) {
      Pending pending = std::move(pending_.front());
      pending_.pop_front();
      const bool was_event = pending.event.has_value();
      auto result = deliver(std::move(pending));
      if (was_event && sinks_want_each_) deliver_each();  // what waited behind it
      if (result) return result;
    }
    tick();
    if (control_->stopped() && !drain_until_) {
      drain_until_ = now() + drain;
      if (reading_) end_reading("stopped", Error(Code::cancelled, "stopped before the end of " + info_.stream));
    }
    if (now() >= deadline_ && reading_) {
      end_reading("deadline", Error(Code::deadline, "the deadline passed before all of " + info_.stream + " was analysed", true));
    }
    expire();
    if (!pending_.empty() && pending_.front().complete()) continue;
    if (!reading_ && pending_.empty()) return std::nullopt;
    const auto starved = [](const Pending& pending) {
      return std::any_of(pending.slots.begin(), pending.slots.end(), [](const Slot& slot) { return slot.state == Slot::State::wanted; });
    };
    if (reading_ && pending_.size() < window() && std::none_of(pending_.begin(), pending_.end(), starved)) {
      read_one();
      continue;
    }
    const SteadyTime longest = now() + (options_.poll ? Nanos(50ms) : Nanos(1h));
    board_->wait_until(std::min(longest, next_deadline()));
  }
}

/// Frames that may wait at once: enough for two full batches, and not more pixels than is decent.
std::size_t Run::Impl::window() const {
  std::size_t frames = least_window;
  for (const auto& analysis : analyses_) frames = std::max(frames, 2 * analysis->info().max_batch);
  const std::int64_t bytes = std::max<std::int64_t>(1, std::int64_t{info_.size.width} * info_.size.height * 3 / 2);
  return std::clamp<std::size_t>(std::min(frames, static_cast<std::size_t>(window_bytes / bytes)), 2, most_window);
}

void Run::Impl::end_reading(const char* reason, std::optional<Error> why) {
  reading_ = false;
  reason_ = reason;
  if (why) report_.cut_short.emplace(std::move(*why));
}

void Run::Impl::read_one() {
  if (options_.max_frames > 0 && taken_ >= options_.max_frames) return end_reading("max_frames");
  ReadResult read = End{};
  try {
    const WhileWaiting hook = ticking();
    read = source_->read();
  } catch (const Error& error) {
    if (control_->stopped()) return;  // step() sees to it
    if (now() >= deadline_) return;
    if (seen_ == 0) throw;
    log(LogLevel::info, "analyzer", info_.stream + " ended early: " + error.what());  // the report says so
    return end_reading("error", error);
  } catch (const std::exception& error) {  // the source's own kind: leaves as it is, behind the results that are under way
    if (seen_ == 0) throw;
    failure_ = std::current_exception();
    return end_reading("error", Error(Code::source, info_.stream + " ended early: " + error.what()));
  }
  if (auto* frame = std::get_if<Frame>(&read)) {
    admit(*frame);
  } else if (auto* event = std::get_if<StreamEvent>(&read)) {
    if (event->kind == StreamEvent::Kind::new_epoch) previous_time_.reset();
    Pending& pending = pending_.emplace_back();
    pending.number = next_number_++;
    pending.event = std::move(*event);
  } else if (const auto& last = std::get<End>(read).last) {
    account_for_skipped(*last);
  } else if (seen_ == 0 && !options_.start) {
    throw Error(Code::decode, info_.stream + (info_.uri.empty() ? "" : " (" + info_.uri + ")") + " gave no picture");
  } else if (taken_ == 0) {
    throw Error(Code::config, fmt::format("start is {:g} s, but {} has no picture at or after it", seconds(*options_.start), info_.stream));
  } else {
    end_reading("end_of_file");
  }
}

/// \param before  time of the picture before it, as far as that is known.
bool Run::Impl::due(const AnalysisSpec& spec, Nanos time, std::optional<Nanos> before) const {
  if (context_.all_due || spec.every <= Nanos{0} || !before) return true;
  return floor_of(time, spec.every) > floor_of(*before, spec.every);
}

/// The end of a stream whose last pictures no demand needed: they count all the same.
void Run::Impl::account_for_skipped(const FrameInfo& last) {
  const bool same_epoch = seen_ > 0 && last.epoch == source_epoch_;
  const bool behind = options_.end && last.time.media_time >= *options_.end;
  const Nanos end = behind ? *options_.end : last.time.media_time + last.duration;
  taken_ += last.skipped;
  last_end_ = end;
  if (!first_time_) first_time_ = std::min(last.time.media_time, last.skipped_from + last.duration);
  report_.duration = std::max(report_.duration, end - *first_time_);
  if (record_ && !behind) {
    const bool follows = seen_ > 0 || (record_->seen && last.time.media_time > record_->last_time);
    if (seen_ > 0 && !same_epoch) sequence_base_ = 0;
    if (seen_ == 0 && follows) sequence_base_ = record_->next_sequence;
    if (seen_ == 0 && !follows) epoch_ = record_->seen ? record_->epoch + 1 : 0;
    if (seen_ == 0 && follows) epoch_ = record_->epoch;
    record_->seen = true;
    record_->epoch = epoch_;
    record_->next_sequence = sequence_base_ + last.sequence + 1;
    record_->last_time = last.time.media_time;
    record_->last_end = end;
  }
  const bool enough = options_.max_frames > 0 && taken_ >= options_.max_frames;
  end_reading(enough ? "max_frames" : behind ? "end" : "end_of_file");
}

void Run::Impl::admit(const Frame& frame) {
  FrameInfo info = frame.info();
  const Nanos time = info.time.media_time;
  if (seen_++ > 0 && info.epoch != source_epoch_) {
    previous_time_.reset();
    if (taken_ > 0) {
      epoch_ += info.epoch - source_epoch_;
      sequence_base_ = 0;
    }
  }
  source_epoch_ = info.epoch;
  if (options_.start && time < *options_.start) {
    previous_time_ = time;
    return;
  }
  if (options_.end && time >= *options_.end) {
    // Pictures that nobody needed filled the range to its end.
    if (first_time_ && info.skipped > 0) report_.duration = std::max(report_.duration, *options_.end - *first_time_);
    return end_reading("end");
  }
  taken_ += info.skipped;
  if (options_.max_frames > 0 && taken_ >= options_.max_frames) return end_reading("max_frames");
  ++taken_;
  const Nanos begin = info.skipped > 0 ? info.skipped_from : time;  // about where the first of the skipped pictures is
  if (!first_time_) {
    first_time_ = info.skipped > 0 ? std::min(time, begin + info.duration) : time;
    epoch_ = info.epoch;
    if (record_ && record_->seen) {
      // The same stream's next segment: state and epoch go on when it follows; else all begins anew.
      if (time > record_->last_time && begin <= record_->last_end + 1s) {
        epoch_ = record_->epoch;
        sequence_base_ = record_->next_sequence;
        previous_time_ = record_->last_time;
      } else {
        epoch_ = record_->epoch + 1;
        context_.forget(stream_);
      }
    }
  }
  if (info.health != Health::ok) ++concealed_;
  last_end_ = time + info.duration;
  report_.duration = std::max(report_.duration, last_end_ - first_time_.value_or(time));
  info.stream = stream_;
  info.epoch = epoch_;
  info.sequence += sequence_base_;
  if (record_) {
    record_->seen = true;
    record_->epoch = epoch_;
    record_->next_sequence = info.sequence + 1;
    record_->last_time = time;
    record_->last_end = last_end_;
  }

  std::vector<Slot> slots;
  std::vector<bool> is_due(analyses_.size());
  std::optional<Nanos> before = previous_time_;
  if (!before && info.skipped > 0) before = info.skipped_from;
  if (!before && info.duration > Nanos{0}) before = time - info.duration;
  for (std::size_t i = 0; i < analyses_.size(); ++i) is_due[i] = due(analyses_[i]->spec, time, before);
  previous_time_ = time;
  // Who looks inside another's boxes is due where that one is, which may look inside a third's.
  const auto due_with_others = [&](std::size_t i) {
    for (std::size_t depth = 0; depth < analyses_.size(); ++depth) {
      if (!is_due[i]) return false;
      const std::string& other = analyses_[i]->spec.regions_of;
      if (other.empty()) return true;
      i = static_cast<std::size_t>(
          std::find_if(analyses_.begin(), analyses_.end(), [&](const auto& analysis) { return analysis->spec.name == other; }) - analyses_.begin());
    }
    return false;
  };
  for (std::size_t i = 0; i < analyses_.size(); ++i) {
    if (!due_with_others(i)) continue;
    const Analysis& analysis = *analyses_[i];
    Slot& slot = slots.emplace_back(Slot{.analysis = i, .since = now()});
    if (analysis.info().demand.healthy_only && info.health != Health::ok) {
      slot.outcome.emplace(Error(Code::unhealthy, "the picture is damaged (" + std::string(to_string(info.health)) + "); '" + analysis.spec.name +
                                                      "' wants whole ones"),
                           Trace{}, analysis.kind(), Outcome::Status::dropped);
      slot.outcome->lists = analysis.info().lists;
      slot.state = Slot::State::done;
      ++unhealthy_;
    } else if (!analysis.spec.regions_of.empty()) {
      slot.state = Slot::State::regions;
    } else if (!analysis.spec.regions.include.empty()) {
      slot.regions = analysis.spec.regions.boxes(frame.size());
    }
  }
  if (slots.empty() && !sinks_want_every_) return;

  Pending& pending = pending_.emplace_back();
  pending.number = next_number_++;
  pending.slots = std::move(slots);
  pending.frame = FrameAccess::counted(frame.with_info(info), conversions_);
  pending.result.info = info;
  pending.result.frame_size = frame.size();
  pending.result.stream = info_.stream;
  pending.result.segment = report_.segment;
  pending.result.context = options_.context;
  if (pending.slots.empty() && !sinks_want_pixels_) pending.frame.reset();
}

// ── jobs and answers ────────────────────────────────────────────────────────────────────────────────────────

bool Run::Impl::Pending::complete() const {
  return event || std::all_of(slots.begin(), slots.end(), [](const Slot& slot) { return slot.state == Slot::State::done; });
}

void Run::Impl::fail(Slot& slot, Error error) {
  const Analysis& analysis = *analyses_[slot.analysis];
  slot.outcome.emplace(std::move(error), Trace{.where = analysis.spec.where ? "" : "local"}, analysis.kind(), Outcome::Status::failed);
  slot.outcome->lists = analysis.info().lists;
  slot.state = Slot::State::done;
}

void Run::Impl::settle(Pending& pending, Slot& slot, Answer answer) {
  const Analysis& analysis = *analyses_[slot.analysis];
  if (answer.detections) {
    Detections& detections = answer.detections.value();
    if (!detections.vocabulary) detections.vocabulary = analysis.info().vocabulary;
    analysis.filter(detections, pending.result.frame_size);
    slot.outcome.emplace(std::move(detections), std::move(answer.trace), analysis.kind(),
                         answer.degraded ? Outcome::Status::degraded : Outcome::Status::ok);
  } else {
    slot.outcome.emplace(answer.detections.error(), std::move(answer.trace), analysis.kind(), Outcome::Status::failed);
  }
  slot.outcome->lists = analysis.info().lists;
  slot.state = Slot::State::done;
  const bool pixels_wanted = options_.keep_frames || sinks_want_pixels_;
  if (pending.complete() && !pixels_wanted) pending.frame.reset();
}

void Run::Impl::take_answers() {
  for (Board::Letter& letter : board_->take()) {
    // Numbers rise along pending_; an answer that came after its deadline finds its frame gone or its slot done.
    const auto pending = std::lower_bound(pending_.begin(), pending_.end(), letter.frame,
                                          [](const Pending& one, std::uint64_t number) { return one.number < number; });
    if (pending == pending_.end() || pending->number != letter.frame) continue;
    Slot& slot = pending->slots[letter.slot];
    if (slot.state == Slot::State::submitted) settle(*pending, slot, std::move(letter.answer));
  }
}

/// \return whether the slot waits on for the other's answer.
bool Run::Impl::resolve_regions(Pending& pending, Slot& slot) {
  const Analysis& analysis = *analyses_[slot.analysis];
  const std::string& other = analysis.spec.regions_of;
  const auto of_other = std::find_if(pending.slots.begin(), pending.slots.end(),
                                     [&](const Slot& one) { return analyses_[one.analysis]->spec.name == other; });
  if (of_other == pending.slots.end()) {
    fail(slot, Error(Code::internal, "'" + other + "' was not asked about this picture"));
    return false;
  }
  if (of_other->state != Slot::State::done) return true;
  if (!of_other->outcome->answered()) {
    const Error& cause = of_other->outcome->error();
    fail(slot, Error(cause.code, "looks inside the boxes of '" + other + "', which did not answer: " + cause.what(), cause.retryable, cause.retry_after));
    return false;
  }
  for (const Box& box : of_other->outcome->detections().xyxy) {
    const Box inside = clip(box, pending.result.frame_size);
    if (!analysis.spec.regions.empty() && !analysis.spec.regions.contains(inside, pending.result.frame_size)) continue;
    if (inside.width() > 0 && inside.height() > 0) slot.regions.push_back(inside);
  }
  if (slot.regions.empty()) {  // nowhere to look; to the adapter no regions would mean everywhere
    Detections nothing;
    nothing.vocabulary = analysis.info().vocabulary;
    slot.outcome.emplace(std::move(nothing), Trace{.where = "local"}, analysis.kind());
    slot.outcome->lists = analysis.info().lists;
    slot.state = Slot::State::done;
    return false;
  }
  slot.state = Slot::State::wanted;
  slot.since = now();
  return false;
}

void Run::Impl::submit_ready() {
  std::vector<bool> blocked(analyses_.size());  // an earlier frame's job of that analysis waits: order is kept
  for (Pending& pending : pending_) {
    bool again = true;
    while (again) {  // an answer known at once may be what a later analysis waits for
      again = false;
      for (Slot& slot : pending.slots) {
        if (slot.state == Slot::State::regions && !resolve_regions(pending, slot)) again = true;
      }
    }
    for (std::size_t i = 0; i < pending.slots.size(); ++i) {
      Slot& slot = pending.slots[i];
      if (slot.state == Slot::State::regions) blocked[slot.analysis] = true;
      if (slot.state != Slot::State::wanted || blocked[slot.analysis]) continue;
      Analysis& analysis = *analyses_[slot.analysis];
      const SteadyTime start = now();
      bool handed_over = false;
      try {
        handed_over = analysis.submit(board_, [&] {
          return Job{*pending.frame, slot.regions, std::min(deadline_, after(start, analysis.spec.deadline)),
                     Completion([board = board_, analysis_ = analyses_[slot.analysis], number = pending.number, i](Answer answer) {
                       analysis_->count(answer);
                       board->post({number, i, std::move(answer)});
                     })};
        });
      } catch (const Error& error) {
        fail(slot, error);
        continue;
      }
      if (!handed_over) {
        blocked[slot.analysis] = true;
        continue;
      }
      slot.state = Slot::State::submitted;
      slot.since = start;
    }
    if (pending.complete() && !options_.keep_frames && !sinks_want_pixels_) pending.frame.reset();
  }
}

/// A job that found no credit only times out when its host has answered nobody for so long: a busy host is no stuck one.
SteadyTime Run::Impl::deadline_of(const Slot& slot) const {
  if (slot.state == Slot::State::done) return SteadyTime::max();
  SteadyTime until = std::min(deadline_, drain_until_.value_or(SteadyTime::max()));
  const Analysis& analysis = *analyses_[slot.analysis];
  if (slot.state == Slot::State::submitted) until = std::min(until, after(slot.since, analysis.spec.deadline));
  if (slot.state == Slot::State::wanted) until = std::min(until, after(std::max(slot.since, analysis.last_answer()), analysis.spec.deadline));
  return until;
}

SteadyTime Run::Impl::next_deadline() const {
  SteadyTime next = deadline_;
  for (const Pending& pending : pending_) {
    for (const Slot& slot : pending.slots) next = std::min(next, deadline_of(slot));
  }
  return next;
}

void Run::Impl::expire() {
  const SteadyTime time = now();
  for (Pending& pending : pending_) {
    for (Slot& slot : pending.slots) {
      if (slot.state == Slot::State::done || deadline_of(slot) > time) continue;
      const std::string& name = analyses_[slot.analysis]->spec.name;
      if (drain_until_ && *drain_until_ <= time) fail(slot, Error(Code::cancelled, "stopped before '" + name + "' answered"));
      else if (deadline_ <= time) fail(slot, Error(Code::deadline, "no answer of '" + name + "' before the deadline of the call", true));
      else fail(slot, Error(Code::deadline, fmt::format("no answer of '{}' within {:g} s", name, seconds(analyses_[slot.analysis]->spec.deadline)), true));
    }
  }
}

void Run::Impl::leave_lines() {
  for (const auto& analysis : analyses_) analysis->leave_line(board_);
}

// ── results ─────────────────────────────────────────────────────────────────────────────────────────────────

/// To the sinks that wait for no other analysis: each answer alone, in the order of frames within its analysis.
void Run::Impl::deliver_each() {
  std::vector<bool> behind(analyses_.size());
  for (Pending& pending : pending_) {
    if (pending.event) return;  // what came after it stays after it
    for (Slot& slot : pending.slots) {
      if (slot.state != Slot::State::done) behind[slot.analysis] = true;
      if (behind[slot.analysis] || std::exchange(slot.told, true)) continue;
      FrameResult alone = pending.result;
      alone.outcomes.emplace_back(analyses_[slot.analysis]->spec.name, *slot.outcome);
      alone.analyzed_at = wall_now();
      if (sinks_want_pixels_) alone.frame = pending.frame;
      for (std::size_t i = 0; i < options_.sinks.size(); ++i) {
        if (wants_[i].each) options_.sinks[i]->write(alone);
      }
    }
  }
}

std::optional<FrameResult> Run::Impl::deliver(Pending pending) {
  if (pending.event) {
    for (const auto& sink : options_.sinks) sink->event(stream_, *pending.event);
    return std::nullopt;
  }
  FrameResult& result = pending.result;
  for (Slot& slot : pending.slots) result.outcomes.emplace_back(analyses_[slot.analysis]->spec.name, std::move(*slot.outcome));
  result.analyzed_at = wall_now();
  result.frame = std::move(pending.frame);
  if (!options_.keep_frames && !sinks_want_pixels_) result.frame.reset();
  const bool was_due = !result.outcomes.empty();
  if (was_due) account(result);
  for (std::size_t i = 0; i < options_.sinks.size(); ++i) {
    if (was_due ? !wants_[i].each : wants_[i].every_frame) options_.sinks[i]->write(result);
  }
  if (!was_due) return std::nullopt;
  if (!options_.keep_frames) result.frame.reset();
  if (options_.collect) report_.frames.push_back(result);
  return std::move(result);
}

void Run::Impl::account(const FrameResult& result) {
  bool answered = true, degraded = false, failed = false;
  for (const auto& [name, outcome] : result.outcomes) {
    answered = answered && outcome.answered();
    degraded = degraded || outcome.status() == Outcome::Status::degraded || outcome.status() == Outcome::Status::stale;
    failed = failed || !outcome.answered();
    const auto counts = std::find_if(report_.counts.begin(), report_.counts.end(), [&name = name](const auto& one) { return one.first == name; });
    const std::string_view word = to_string(outcome.status());
    const auto count = std::find_if(counts->second.begin(), counts->second.end(), [&](const auto& one) { return one.first == word; });
    if (count == counts->second.end()) counts->second.emplace_back(word, 1);
    else ++count->second;
  }
  ++report_.due;
  if (answered) ++report_.answered;
  if (degraded && !failed) ++report_.degraded;
  if (failed) ++report_.failed;
}

SourceStats Run::Impl::stats() const noexcept {
  if (closed_ || !opened_ || guard_.foreign()) return last_stats_;
  SourceStats stats = source_->stats();
  stats.decoded = std::max(stats.decoded, seen_);  // a source of the user's need not count
  stats.concealed = std::max(stats.concealed, concealed_);
  stats.converted = conversions_->converted.load(std::memory_order_relaxed);
  stats.rgb_full_size = conversions_->rgb_full_size.load(std::memory_order_relaxed);
  return stats;
}

// ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────

/// Ends the outputs. \return the first failure.
std::exception_ptr Run::Impl::close_sinks() noexcept {
  std::exception_ptr first;
  StreamEvent ended{.kind = StreamEvent::Kind::ended, .detail = reason_};
  Value counts = Value::object(), drops = Value::object();
  for (const auto& [name, by_status] : report_.counts) {
    Value count = Value::object();
    for (const auto& [status, n] : by_status) count.set(status, n);
    counts.set(name, std::move(count));
  }
  if (unhealthy_ > 0) drops.set("unhealthy", unhealthy_);
  const SourceStats& stats = last_stats_;
  ended.data.set("reason", reason_);
  ended.data.set("frames", Value::object().set("decoded", stats.decoded).set("concealed", stats.concealed).set("packets", stats.packets)
                               .set("skipped", stats.skipped)
                               .set("repairs", stats.repairs).set("errors", stats.errors)
                               .set("converted", stats.converted).set("rgb_full_size", stats.rgb_full_size));
  ended.data.set("counts", std::move(counts)).set("drops", std::move(drops));
  ended.data.set("duration", seconds(report_.duration)).set("elapsed", seconds(report_.elapsed));
  const std::size_t open = std::exchange(sinks_open_, 0);
  for (std::size_t i = 0; i < open; ++i) {
    Sink& sink = *options_.sinks[i];
    try {
      sink.event(stream_, ended);
    } catch (...) {
      if (!first) first = std::current_exception();
    }
    sink.close(stream_);
  }
  return first;
}

void Run::Impl::finish() {
  if (closed_) return;
  if (opened_ && !guard_.foreign()) last_stats_ = stats();
  closed_ = true;
  if (guard_.foreign()) return;  // the parent's locks may be held for ever, its threads are not here
  stopping_.reset();
  watch_.reset();
  control_->watch(nullptr);
  leave_lines();
  board_->close();
  pending_.clear();
  reading_ = false;
  report_.elapsed = now() - began_;
  const std::exception_ptr failure = close_sinks();
  if (opened_) source_->close();
  if (record_) context_.streams->leave(options_.stream, board_);
  else for (const auto& analysis : analyses_) analysis->forget(stream_);
  context_.ended(control_.get());
  company_.reset();
  if (failure) std::rethrow_exception(failure);
}

void Run::Impl::close() noexcept {
  if (!closed_ && !pending_.empty() && reason_ != "error") reason_ = "stopped";  // read, yet not wanted any more
  try {
    finish();
  } catch (const std::exception& error) {
    log(LogLevel::error, "analyzer", info_.stream + ": an output could not be finished: " + error.what());
  } catch (...) {
    log(LogLevel::error, "analyzer", info_.stream + ": an output could not be finished");
  }
}

// ── Run ─────────────────────────────────────────────────────────────────────────────────────────────────────

Run::Run(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Run::Run(Run&&) noexcept = default;
Run::~Run() {
  if (impl_ && impl_->foreign()) static_cast<void>(impl_.release());  // threads and locks of the parent's: leave all of it
}
std::optional<FrameResult> Run::next() { return impl_->next(); }
void Run::stop() noexcept {
  if (!impl_->foreign()) impl_->control()->stop();
}
const SourceInfo& Run::info() const noexcept { return impl_->info(); }
const Report& Run::report() const noexcept { return impl_->report(); }
SourceStats Run::stats() const noexcept { return impl_->stats(); }
void Run::close() noexcept {
  if (!impl_->foreign()) impl_->close();
}

}  // namespace v0
}  // namespace vidloom
