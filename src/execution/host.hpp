#pragma once
/// Host: one adapter in this process, its replicas and their threads, and the jobs of all who share it.
///
/// Replica threads hold the Host, never its users: one that is stuck in user code can be left behind. No lock is held while
/// an adapter, a completion or a state of a stream runs.

#include <vidloom/execution_strategy.hpp>

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace vidloom {
inline namespace v0 {

class Host : public std::enable_shared_from_this<Host> {
 public:
  struct Member;  // one Execution's share

  Host(AdapterSpec spec, unsigned workers, bool deterministic);
  ~Host();

  /// Starts the first replica.
  void start();
  /// Blocks until the first replica has loaded. Throws what loading threw, Error(cancelled) when ended meanwhile.
  void wait_loaded();
  const AdapterInfo& info() const noexcept { return info_; }  // after wait_loaded()

  std::shared_ptr<Member> join(std::function<void()> credits_changed);
  /// Answers all open jobs of `member` first.
  void leave(const std::shared_ptr<Member>& member) noexcept;
  std::size_t credits(Member& member) noexcept;
  void submit(const std::shared_ptr<Member>& member, Job job);
  void forget(Member& member, StreamId stream) noexcept;

  /// No more work: answers open jobs and lets the replicas end. Does not wait. Idempotent.
  void stop() noexcept;
  /// After stop(): waits for the replica threads until `until`; those in user code by then are left behind.
  void join_threads(SteadyTime until) noexcept;
  Value health() const;

 private:
  struct Slot;    // what the adapter remembers of one (stream, epoch)
  struct Batch;   // who still wants the answers of a running batch
  struct Ticket;  // one job
  struct Replica;
  using Tickets = std::vector<std::shared_ptr<Ticket>>;
  using Answers = std::vector<std::pair<Completion, Answer>>;

  void run_replica(const std::shared_ptr<Replica>& replica);
  void work(DetectionAdapter& adapter);
  void detect(DetectionAdapter& adapter, const Tickets& batch);
  void finish(const Tickets& batch, std::vector<Answer> answers);
  bool add_replica();          // with mutex_ held
  bool may_grow() const;       // with mutex_ held
  Tickets runnable() const;    // with mutex_ held
  std::size_t share() const;   // with mutex_ held
  std::size_t capacity() const;
  std::optional<Completion> take_completion(Ticket& ticket);  // with mutex_ held
  bool has_refused() const;

  const AdapterSpec spec_;
  const unsigned workers_;
  const bool deterministic_;
  AdapterInfo info_;  // written once, before state_ becomes ready

  mutable std::mutex mutex_;
  std::condition_variable work_, changed_;
  enum class State : std::uint8_t { loading, ready, failed } state_ = State::loading;
  std::optional<Error> failure_;
  bool stopping_ = false;
  std::vector<std::shared_ptr<Replica>> replicas_;
  unsigned idle_ = 0, loading_ = 0, limit_ = 1;
  std::vector<std::shared_ptr<Member>> members_;
  mutable std::size_t turn_ = 0;               // whose job begins the next batch
  std::vector<std::shared_ptr<Slot>> garbage_;  // destroyed by a replica: states are user code
  std::uint64_t jobs_ = 0, batches_ = 0, errors_ = 0;
  std::string last_error_;
};

}  // namespace v0
}  // namespace vidloom
