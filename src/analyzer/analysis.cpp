#include <analyzer/analysis.hpp>
#include <vidloom/core/log.hpp>

#include <cxxabi.h>
#include <pthread.h>

#include <algorithm>
#include <cmath>
#include <thread>

namespace vidloom {
inline namespace v0 {

using namespace std::chrono_literals;

// ── Gate ────────────────────────────────────────────────────────────────────────────────────────────────────

bool Gate::submit(Execution& execution, const std::shared_ptr<Board>& board, const std::function<Job()>& make) {
  {
    const std::lock_guard lock(mutex_);
    if (busy_ || (!line_.empty() && line_.front() != board)) {
      if (std::find(line_.begin(), line_.end(), board) == line_.end()) line_.push_back(board);
      return false;
    }
    busy_ = true;
    changed_ = false;
  }
  // Outside the lock, which the strategy's threads may want, yet one at a time: nobody else takes the credit just seen.
  struct Turn {
    Gate& gate;
    const std::shared_ptr<Board>& board;
    bool submitted = false;
    ~Turn() {
      std::shared_ptr<Board> next;
      {
        const std::lock_guard lock(gate.mutex_);
        gate.busy_ = false;
        std::erase(gate.line_, board);
        if (!submitted) gate.line_.push_front(board);
        if ((submitted || gate.changed_) && !gate.line_.empty()) next = gate.line_.front();
      }
      if (next) next->nudge();
    }
  } turn{*this, board};
  if (execution.credits() == 0) return false;
  Job job = make();
  turn.submitted = true;  // a throw from here on ends this job, too
  execution.submit(std::move(job));
  return true;
}

void Gate::leave(const std::shared_ptr<Board>& board) {
  std::shared_ptr<Board> next;
  {
    const std::lock_guard lock(mutex_);
    if (std::erase(line_, board) > 0 && !line_.empty()) next = line_.front();
  }
  if (next) next->nudge();
}

void Gate::credits_changed() {
  std::shared_ptr<Board> next;
  {
    const std::lock_guard lock(mutex_);
    changed_ = true;
    if (!line_.empty()) next = line_.front();
  }
  if (next) next->nudge();
}

// ── Analysis ────────────────────────────────────────────────────────────────────────────────────────────────

Analysis::Analysis(AnalysisSpec the_spec, std::shared_ptr<ExecutionStrategy> place) : spec(std::move(the_spec)), where(std::move(place)) {}

void Analysis::begin_loading() {
  const std::lock_guard lock(mutex_);
  if (state_ != State::cold) return;
  // On a thread of its own, so that whoever waits can still be interrupted, whatever the adapter does meanwhile.
  const std::uint64_t attempt = attempt_ + 1;
  std::thread([self = shared_from_this(), attempt] {
    pthread_setname_np(pthread_self(), "vl:load");
    self->load(attempt);
  }).detach();
  attempt_ = attempt;
  state_ = State::loading;
}

void Analysis::load(std::uint64_t attempt) {
  std::shared_ptr<Execution> hosted;
  AdapterInfo info;
  std::optional<Error> failure;
  try {
    hosted = where->host(spec.adapter, [gate = gate_] { gate->credits_changed(); });
    info = hosted->info();
    if (info.vocabulary && !info.vocabulary->names.empty()) {
      for (const auto& [name, least] : spec.min_confidence.per_class) {
        const auto& names = info.vocabulary->names;
        if (std::find(names.begin(), names.end(), name) != names.end()) continue;
        const std::string near = nearest(name, names);
        throw Error(Code::config, "analyses." + spec.name + ".min_confidence names the class '" + name + "', which adapter '" + spec.adapter.adapter +
                                      "' does not know" + (near.empty() ? "" : "; did you mean '" + near + "'?"));
      }
    }
  } catch (const Error& error) {
    failure.emplace(error);
  } catch (const std::exception& error) {
    failure.emplace(Code::model, "analyses." + spec.name + ": adapter '" + spec.adapter.adapter + "' could not be hosted: " + error.what());
  } catch (abi::__forced_unwind&) {
    throw;
  } catch (...) {
    failure.emplace(Code::model, "analyses." + spec.name + ": adapter '" + spec.adapter.adapter + "' could not be hosted");
  }
  if (failure) hosted.reset();
  {
    const std::lock_guard lock(mutex_);
    if (state_ == State::loading && attempt_ == attempt) {
      if (failure) {
        failure_ = std::move(failure);
        last_error_ = failure_->what();
        state_ = State::cold;
      } else {
        execution_ = std::move(hosted);
        info_ = std::move(info);
        state_ = State::ready;
      }
    }
    changed_.notify_all();
  }
}

void Analysis::wait_loaded(const std::function<void()>& tick, SteadyTime deadline) {
  std::unique_lock lock(mutex_);
  const std::uint64_t attempt = attempt_;
  for (;;) {
    if (state_ == State::ready) return;
    if (state_ == State::closed) throw Error(Code::cancelled, "the Analyzer was closed");
    if (failure_ && (state_ == State::cold || attempt_ != attempt)) throw Error(*failure_);
    const SteadyTime now = std::chrono::steady_clock::now();
    if (now >= deadline) {
      throw Error(Code::deadline, "analyses." + spec.name + ": adapter '" + spec.adapter.adapter + "' was not loaded before the deadline", true);
    }
    if (!tick) {
      if (deadline == SteadyTime::max()) changed_.wait(lock);
      else changed_.wait_until(lock, deadline);
      continue;
    }
    changed_.wait_until(lock, std::min(deadline, now + 50ms));
    lock.unlock();
    tick();
    lock.lock();
  }
}

bool Analysis::loaded() const {
  const std::lock_guard lock(mutex_);
  return state_ == State::ready;
}

std::shared_ptr<Execution> Analysis::execution() const {
  const std::lock_guard lock(mutex_);
  return execution_;
}

bool Analysis::submit(const std::shared_ptr<Board>& board, const std::function<Job()>& make) {
  const auto hosted = execution();
  if (!hosted) throw Error(Code::cancelled, "the Analyzer was closed");
  return gate_->submit(*hosted, board, make);
}

void Analysis::forget(StreamId stream) noexcept {
  if (const auto hosted = execution()) hosted->forget(stream);
}

void Analysis::close() noexcept {
  std::shared_ptr<Execution> hosted;  // destroyed outside the lock: it answers its open jobs
  const std::lock_guard lock(mutex_);
  state_ = State::closed;
  hosted.swap(execution_);
  changed_.notify_all();
}

void Analysis::filter(Detections& detections, Size frame) const {
  const auto select = [&detections](auto keeps) {
    std::vector<bool> keep(detections.size());
    for (std::size_t i = 0; i < keep.size(); ++i) keep[i] = keeps(i);
    if (std::ranges::find(keep, false) != keep.end()) detections.select(keep);
  };
  if (!spec.regions.empty()) select([&](std::size_t i) { return spec.regions.contains(detections.xyxy[i], frame); });
  const MinConfidence& least = spec.min_confidence;
  if (least.all <= 0 && least.per_class.empty()) return;
  const auto reaches = [&](float confidence, std::int32_t class_id) {
    if (std::isnan(confidence)) return true;
    if (!least.per_class.empty()) {
      const auto own = least.per_class.find(std::string(detections.class_name(class_id)));
      if (own != least.per_class.end()) return confidence >= own->second;
    }
    return confidence >= least.all;
  };
  if (!detections.confidence.empty()) {
    select([&](std::size_t i) { return reaches(detections.confidence[i], detections.class_id.empty() ? -1 : detections.class_id[i]); });
  }
  std::erase_if(detections.labels, [&](const Detections::Label& label) { return !reaches(label.confidence, label.class_id); });
}

namespace {

Value text_or_null(const std::string& text) { return text.empty() ? Value() : Value(text); }
Value tidy(float value) { return std::round(static_cast<double>(value) * 1e6) / 1e6; }  // 0.6F reads 0.6, not 0.60000002

}  // namespace

Value Analysis::describe() const {
  Value about = Value::object();
  about.set("adapter", spec.adapter.adapter).set("kind", kind()).set("every", seconds(spec.every));
  if (spec.tolerance > Nanos{0}) about.set("tolerance", seconds(spec.tolerance));
  if (spec.deadline > Nanos{0}) about.set("deadline", seconds(spec.deadline));
  if (spec.min_confidence.per_class.empty()) {
    about.set("min_confidence", tidy(spec.min_confidence.all));
  } else {
    Value by_class = Value::object().set("*", tidy(spec.min_confidence.all));
    for (const auto& [name, least] : spec.min_confidence.per_class) by_class.set(name, tidy(least));
    about.set("min_confidence", std::move(by_class));
  }
  if (!spec.regions_of.empty()) about.set("regions_of", spec.regions_of);
  if (!spec.regions.empty()) about.set("regions", value_of(spec.regions));
  Value names = Value::array();
  if (info_.vocabulary) {
    for (const auto& name : info_.vocabulary->names) names.push_back(name);
  }
  about.set("vocabulary", std::move(names)).set("vocabulary_id", info_.vocabulary ? text_or_null(info_.vocabulary->id) : Value());
  Value model = Value::object().set("name", text_or_null(info_.model_name)).set("sha256", text_or_null(info_.model_sha256));
  if (!info_.precision.empty()) model.set("precision", info_.precision);
  about.set("model", std::move(model));
  about.set("calibration_id", text_or_null(info_.calibration_id));
  return about;
}

void Analysis::count(const Answer& answer) {
  ++jobs_;
  last_answer_ = std::chrono::steady_clock::now();
  if (answer.detections) return;
  ++errors_;
  const std::lock_guard lock(mutex_);
  last_error_ = answer.detections.error().what();
}

Value Analysis::health() const {
  Value health = Value::object();
  bool is_loaded = false;
  {
    const std::lock_guard lock(mutex_);
    is_loaded = state_ == State::ready;
    health.set("adapter", spec.adapter.adapter).set("where", spec.where ? "custom" : "local").set("loaded", is_loaded);
    health.set("jobs", jobs_.load()).set("errors", errors_.load()).set("last_error", text_or_null(last_error_));
  }
  if (is_loaded) {
    if (!info_.precision.empty()) health.set("precision", info_.precision);
    if (!info_.model_name.empty()) health.set("model", Value::object().set("name", info_.model_name).set("id", text_or_null(info_.model_id)));
    const Value hosts = where->health();
    const Value& host = hosts[key_of(spec.adapter)];
    for (const char* key : {"workers", "queue", "batches"}) {
      if (const Value* value = host.find(key)) health.set(key, *value);
    }
  }
  return health;
}

}  // namespace v0
}  // namespace vidloom
