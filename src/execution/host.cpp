#include <execution/host.hpp>
#include <vidloom/core/log.hpp>
#include <vidloom/registry.hpp>

#include <cxxabi.h>
#include <pthread.h>

#include <algorithm>
#include <utility>

namespace vidloom {
inline namespace v0 {
namespace {

SteadyTime now() { return std::chrono::steady_clock::now(); }

/// What an adapter threw, as an Error in our own words. Call it in a catch block.
Error caught(const std::string& adapter, std::string_view doing) {
  const std::string who = "adapter '" + adapter + "'" + std::string(doing) + ": ";
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const std::exception& error) {
    return Error(Code::model, who + error.what());
  } catch (abi::__forced_unwind&) {
    throw;
  } catch (...) {
    return Error(Code::model, who + "threw something that is no std::exception");
  }
}

const std::string unanswered = "no answer";

}  // namespace

struct Host::Slot {
  explicit Slot(std::uint32_t of_epoch) : epoch(of_epoch) {}
  const std::uint32_t epoch;
  std::unique_ptr<StreamState> state;  // touched by one replica at a time: one job of a stream is in flight
};

struct Host::Batch {
  std::stop_source stop;
  std::size_t wanted = 0;
};

struct Host::Ticket {
  Frame frame;
  std::vector<Box> regions;
  SteadyTime deadline, entered;
  std::optional<Completion> done;  // empty once answered
  std::shared_ptr<Member> member;
  std::shared_ptr<Slot> slot;
  std::shared_ptr<Batch> batch;
  StreamId stream() const { return frame.info().stream; }
};

struct Host::Member {
  std::function<void()> credits_changed;
  std::deque<std::shared_ptr<Ticket>> queue;
  Tickets running;
  std::vector<Completion> refused;
  std::size_t promised = 0;  // what credits() said last: honoured even when the share shrinks meanwhile
  std::map<StreamId, std::shared_ptr<Slot>> slots;
  std::set<StreamId> in_flight;
  std::size_t open() const { return queue.size() + running.size(); }
};

struct Host::Replica {
  std::thread thread;
  bool exited = false;
};

Host::Host(AdapterSpec spec, unsigned workers, bool deterministic)
    : spec_(std::move(spec)), workers_(deterministic ? 1 : std::max(1U, workers)), deterministic_(deterministic) {}

Host::~Host() = default;

void Host::start() {
  const std::lock_guard lock(mutex_);
  if (!add_replica()) {
    state_ = State::failed;
    failure_.emplace(Code::internal, "adapter '" + spec_.adapter + "': the system gives no more threads", true);
  }
}

void Host::wait_loaded() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return state_ != State::loading || stopping_; });
  if (failure_) throw Error(*failure_);
  if (stopping_) throw Error(Code::cancelled, "adapter '" + spec_.adapter + "' was given up while it loaded");
}

// ── replicas ────────────────────────────────────────────────────────────────────────────────────────────────

bool Host::may_grow() const {
  return state_ == State::ready && !stopping_ && idle_ == 0 && loading_ == 0 && replicas_.size() < limit_;
}

bool Host::add_replica() {
  const auto replica = std::make_shared<Replica>();
  ++loading_;
  replicas_.push_back(replica);
  try {
    replica->thread = std::thread([self = shared_from_this(), replica] { self->run_replica(replica); });
    return true;
  } catch (const std::system_error& error) {
    replicas_.pop_back();
    --loading_;
    limit_ = std::max<unsigned>(1, static_cast<unsigned>(replicas_.size()));
    log(LogLevel::warning, "execution", "adapter '" + spec_.adapter + "' goes on with fewer replicas: " + error.what());
    return false;
  }
}

void Host::run_replica(const std::shared_ptr<Replica>& replica) {
  pthread_setname_np(pthread_self(), ("vl:" + spec_.adapter).substr(0, 15).c_str());
  struct Leaving {  // also when the thread is cancelled: Python ends threads so at exit
    Host& host;
    Replica& replica;
    bool loading = true;
    ~Leaving() {
      const std::lock_guard lock(host.mutex_);
      if (loading) {
        --host.loading_;
        if (host.state_ == State::loading) {
          host.state_ = State::failed;
          if (!host.failure_) host.failure_.emplace(Code::cancelled, "adapter '" + host.spec_.adapter + "' was given up while it loaded");
        }
      }
      replica.exited = true;
      host.changed_.notify_all();
    }
  } leaving{*this, *replica};

  std::unique_ptr<DetectionAdapter> adapter;
  try {
    adapter = make_adapter(spec_);
    adapter->load();
    AdapterInfo info = adapter->info();
    const std::lock_guard lock(mutex_);
    --loading_;
    leaving.loading = false;
    if (state_ == State::loading) {
      info_ = std::move(info);
      info_.max_batch = deterministic_ ? 1 : std::max<std::size_t>(1, info_.max_batch);
      limit_ = info_.max_replicas == 0 ? workers_ : std::min(workers_, info_.max_replicas);
      state_ = State::ready;
      changed_.notify_all();
    }
  } catch (abi::__forced_unwind&) {
    throw;
  } catch (...) {
    const Error error = caught(spec_.adapter, " could not be loaded");
    const std::lock_guard lock(mutex_);
    if (state_ == State::loading) {
      failure_.emplace(error);
    } else {
      limit_ = static_cast<unsigned>(replicas_.size());  // no further attempt
      log(LogLevel::warning, "execution", "adapter '" + spec_.adapter + "' goes on with fewer replicas: " + error.what());
    }
    return;
  }
  work(*adapter);
}

void Host::work(DetectionAdapter& adapter) {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (!garbage_.empty()) {
      auto garbage = std::exchange(garbage_, {});
      lock.unlock();
      garbage.clear();
      lock.lock();
      continue;
    }
    if (has_refused()) {
      Answers answers;
      for (const auto& member : members_) {
        for (auto& done : std::exchange(member->refused, {})) {
          answers.emplace_back(std::move(done), Answer{Error(Code::overload, "adapter '" + spec_.adapter + "' was handed more jobs than its credits",
                                                             true), {.where = "local", .model_sha256 = info_.model_sha256}});
        }
      }
      lock.unlock();
      for (auto& [done, answer] : answers) std::move(done)(std::move(answer));
      answers.clear();
      lock.lock();
      continue;
    }
    if (stopping_) return;

    Tickets batch = runnable();
    if (batch.empty()) {
      ++idle_;
      work_.wait(lock);
      --idle_;
      continue;
    }
    if (batch.size() < info_.max_batch && info_.max_wait > Nanos{0}) {
      SteadyTime oldest = SteadyTime::max(), deadline = SteadyTime::max();
      for (const auto& ticket : batch) {
        oldest = std::min(oldest, ticket->entered);
        deadline = std::min(deadline, ticket->deadline);
      }
      const SteadyTime company = oldest + info_.max_wait;
      if (company > now() && company < deadline) {
        batch.clear();  // else a job given up meanwhile would end here, with the lock held
        ++idle_;
        work_.wait_until(lock, company);
        --idle_;
        continue;
      }
    }

    const auto handle = std::make_shared<Batch>();
    handle->wanted = batch.size();
    for (const auto& ticket : batch) {
      Member& member = *ticket->member;
      member.queue.erase(std::find(member.queue.begin(), member.queue.end(), ticket));
      member.running.push_back(ticket);
      if (info_.per_stream_state) member.in_flight.insert(ticket->stream());
      ticket->batch = handle;
    }
    ++turn_;
    ++batches_;
    if (!runnable().empty()) {
      if (idle_ > 0) work_.notify_one();
      else if (may_grow()) add_replica();
    }
    lock.unlock();
    detect(adapter, batch);
    batch.clear();
    lock.lock();
  }
}

bool Host::has_refused() const {
  return std::any_of(members_.begin(), members_.end(), [](const auto& member) { return !member->refused.empty(); });
}

/// At most max_batch jobs that may run now, members taking turns; of a stream with state only its first, and none while one of
/// it is in flight.
Host::Tickets Host::runnable() const {
  Tickets found;
  std::vector<Tickets> of_member;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    const Member& member = *members_[(turn_ + i) % members_.size()];
    Tickets& mine = of_member.emplace_back();
    std::set<StreamId> seen;
    for (const auto& ticket : member.queue) {
      if (mine.size() == info_.max_batch) break;
      if (info_.per_stream_state && (member.in_flight.contains(ticket->stream()) || !seen.insert(ticket->stream()).second)) continue;
      mine.push_back(ticket);
    }
  }
  for (std::size_t round = 0; found.size() < info_.max_batch; ++round) {
    const std::size_t before = found.size();
    for (const auto& mine : of_member) {
      if (round < mine.size() && found.size() < info_.max_batch) found.push_back(mine[round]);
    }
    if (found.size() == before) break;
  }
  return found;
}

void Host::detect(DetectionAdapter& adapter, const Tickets& batch) {
  const SteadyTime began = now();
  std::vector<Answer> answers;
  for (const auto& ticket : batch) {
    answers.push_back({Error(Code::internal, unanswered),
                       {.where = "local", .model_sha256 = info_.model_sha256, .queued = std::max(Nanos{0}, Nanos(began - ticket->entered))}});
  }

  // Who may run: not those whose time is over, nor those whose state cannot be made.
  std::vector<std::size_t> chosen;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    Ticket& ticket = *batch[i];
    if (ticket.deadline <= began) {
      answers[i].detections = Error(Code::deadline, "adapter '" + spec_.adapter + "' had no time for this picture before its deadline", true);
      continue;
    }
    if (info_.per_stream_state && !ticket.slot->state) {
      try {
        ticket.slot->state = adapter.new_state();
      } catch (abi::__forced_unwind&) {
        throw;
      } catch (...) {
        answers[i].detections = caught(spec_.adapter, " could not make its state of a stream");
        continue;
      }
    }
    chosen.push_back(i);
  }

  const auto run = [&](std::span<const std::size_t> which) {
    std::vector<Item> items;
    std::vector<Result<Detections>> out;
    BatchContext context{SteadyTime::max(), batch[which.front()]->batch->stop.get_token()};
    for (const std::size_t i : which) {
      const Ticket& ticket = *batch[i];
      items.push_back({ticket.frame, ticket.slot ? ticket.slot->state.get() : nullptr, ticket.regions});
      out.emplace_back(Error(Code::internal, unanswered));
      context.deadline = std::min(context.deadline, ticket.deadline);
      ++answers[i].trace.attempts;
    }
    const SteadyTime start = now();
    bool threw = false;
    try {
      adapter.detect(items, out, context);
    } catch (abi::__forced_unwind&) {
      throw;
    } catch (...) {
      threw = true;
      const Error error = caught(spec_.adapter, "");
      for (auto& result : out) result = error;
    }
    const Nanos ran = now() - start;
    for (std::size_t k = 0; k < which.size(); ++k) {
      Answer& answer = answers[which[k]];
      answer.trace.ran += ran;
      answer.detections = std::move(out[k]);
      if (answer.detections) {
        try {
          answer.detections.value().check();
        } catch (const Error& error) {
          answer.detections = Error(error.code, "adapter '" + spec_.adapter + "': " + error.what());
        }
      } else if (answer.detections.error().code == Code::internal && answer.detections.error().what() == unanswered) {
        answer.detections = Error(Code::model, "adapter '" + spec_.adapter + "' gave no answer for this picture");
      }
    }
    return !threw;
  };

  // One poisonous picture must not cost its company: after a throw each is tried alone. Not with per-stream state, which
  // the failed run may already have moved on: seeing a picture twice would be worse than failing it.
  if (!chosen.empty() && !run(chosen) && chosen.size() > 1 && !info_.per_stream_state) {
    for (const std::size_t i : chosen) {
      if (batch[i]->batch->stop.stop_requested()) break;
      run(std::span(&i, 1));
    }
  }
  finish(batch, std::move(answers));
}

std::optional<Completion> Host::take_completion(Ticket& ticket) { return std::exchange(ticket.done, std::nullopt); }

void Host::finish(const Tickets& batch, std::vector<Answer> answers) {
  Answers wanted;
  std::vector<std::function<void()>> nudges;
  {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < batch.size(); ++i) {
      Ticket& ticket = *batch[i];
      Member& member = *ticket.member;
      ++jobs_;
      if (!answers[i].detections) {
        ++errors_;
        last_error_ = answers[i].detections.error().what();
      }
      const bool was_full = member.open() >= share();
      if (info_.per_stream_state) member.in_flight.erase(ticket.stream());
      std::erase(member.running, batch[i]);
      if (auto done = take_completion(ticket)) {
        wanted.emplace_back(std::move(*done), std::move(answers[i]));
        if (was_full && member.credits_changed) nudges.push_back(member.credits_changed);
      }
    }
  }
  for (auto& [done, answer] : wanted) std::move(done)(std::move(answer));
  for (const auto& nudge : nudges) nudge();
}

// ── members ─────────────────────────────────────────────────────────────────────────────────────────────────

std::size_t Host::capacity() const { return std::max<std::size_t>(4, std::size_t{limit_} * info_.max_batch * 2); }
std::size_t Host::share() const { return std::max<std::size_t>(1, capacity() / std::max<std::size_t>(1, members_.size())); }

std::shared_ptr<Host::Member> Host::join(std::function<void()> credits_changed) {
  auto member = std::make_shared<Member>();
  member->credits_changed = std::move(credits_changed);
  const std::lock_guard lock(mutex_);
  members_.push_back(member);
  return member;
}

void Host::leave(const std::shared_ptr<Member>& member) noexcept {
  Answers answers;
  std::vector<std::stop_source> stops;
  std::vector<std::function<void()>> nudges;
  const auto give_up = [&](Completion done) {
    answers.emplace_back(std::move(done), Answer{Error(Code::cancelled, "the analysis was closed before adapter '" + spec_.adapter + "' answered"),
                                                 {.where = "local", .model_sha256 = info_.model_sha256}});
  };
  Tickets tickets;  // their pictures are let go outside the lock
  {
    const std::lock_guard lock(mutex_);
    tickets.assign(member->queue.begin(), member->queue.end());
    tickets.insert(tickets.end(), member->running.begin(), member->running.end());
    for (const auto& ticket : tickets) {
      if (auto done = take_completion(*ticket)) give_up(std::move(*done));
      if (ticket->batch && --ticket->batch->wanted == 0) stops.push_back(ticket->batch->stop);
    }
    for (auto& done : std::exchange(member->refused, {})) give_up(std::move(done));
    member->queue.clear();
    for (auto& [stream, slot] : std::exchange(member->slots, {})) garbage_.push_back(std::move(slot));
    for (const auto& ticket : tickets) {
      if (!ticket->batch && ticket->slot) garbage_.push_back(std::move(ticket->slot));  // a running one's goes with its batch
    }
    std::erase(members_, member);
    for (const auto& other : members_) {
      if (other->credits_changed) nudges.push_back(other->credits_changed);
    }
    work_.notify_all();
  }
  for (auto& [done, answer] : answers) std::move(done)(std::move(answer));
  for (auto& stop : stops) stop.request_stop();
  for (const auto& nudge : nudges) nudge();
}

std::size_t Host::credits(Member& member) noexcept {
  const std::lock_guard lock(mutex_);
  const std::size_t open = member.open(), granted = share();
  member.promised = stopping_ || open >= granted ? 0 : granted - open;
  return member.promised;
}

void Host::submit(const std::shared_ptr<Member>& member, Job job) {
  const std::lock_guard lock(mutex_);
  if (stopping_) throw Error(Code::cancelled, "local execution has been shut down: the process is ending");
  if (member->open() >= share() && member->promised == 0) {
    member->refused.push_back(std::move(job.done));
    work_.notify_one();
    return;
  }
  if (member->promised > 0) --member->promised;
  auto ticket = std::make_shared<Ticket>(
      Ticket{std::move(job.frame), std::move(job.regions), job.deadline, now(), std::move(job.done), member, nullptr, nullptr});
  if (info_.per_stream_state) {
    auto& slot = member->slots[ticket->stream()];
    if (!slot || slot->epoch != ticket->frame.info().epoch) {
      if (slot) garbage_.push_back(std::move(slot));
      slot = std::make_shared<Slot>(ticket->frame.info().epoch);
    }
    ticket->slot = slot;
  }
  member->queue.push_back(std::move(ticket));
  if (idle_ > 0) work_.notify_one();
  else if (may_grow() && !runnable().empty()) add_replica();
}

void Host::forget(Member& member, StreamId stream) noexcept {
  const std::lock_guard lock(mutex_);
  const auto slot = member.slots.find(stream);
  if (slot == member.slots.end()) return;
  garbage_.push_back(std::move(slot->second));  // jobs already submitted hold it too
  member.slots.erase(slot);
  work_.notify_one();
}

// ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────

void Host::stop() noexcept {
  std::vector<std::shared_ptr<Member>> members;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    members = members_;
    work_.notify_all();
    changed_.notify_all();
  }
  for (const auto& member : members) leave(member);
}

void Host::join_threads(SteadyTime until) noexcept {
  std::vector<std::thread> ended, stuck;
  {
    std::unique_lock lock(mutex_);
    const auto me = std::this_thread::get_id();
    const auto done = [&] {
      return std::all_of(replicas_.begin(), replicas_.end(), [&](const auto& replica) { return replica->exited || replica->thread.get_id() == me; });
    };
    changed_.wait_until(lock, until, done);
    for (const auto& replica : replicas_) {
      if (replica->thread.joinable()) (replica->exited && replica->thread.get_id() != me ? ended : stuck).push_back(std::move(replica->thread));
    }
    replicas_.clear();
  }
  for (auto& thread : ended) thread.join();
  for (auto& thread : stuck) {
    if (thread.get_id() != std::this_thread::get_id()) {
      log(LogLevel::warning, "execution", "adapter '" + spec_.adapter + "' did not return in time: its thread is left behind");
    }
    thread.detach();
  }
}

Value Host::health() const {
  const std::lock_guard lock(mutex_);
  std::size_t queue = 0;
  for (const auto& member : members_) queue += member->queue.size();
  const auto workers = std::count_if(replicas_.begin(), replicas_.end(), [](const auto& replica) { return !replica->exited; });
  Value health = Value::object();
  health.set("adapter", spec_.adapter).set("loaded", state_ == State::ready).set("workers", workers).set("queue", queue);
  health.set("jobs", jobs_).set("batches", batches_).set("errors", errors_);
  health.set("last_error", last_error_.empty() ? Value() : Value(last_error_));
  return health;
}

}  // namespace v0
}  // namespace vidloom
