#include <adapters/clip/team.hpp>

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <system_error>

namespace vidloom {
inline namespace v0 {
namespace {

unsigned usable_cores() noexcept {
  if (const char* text = std::getenv("VIDLOOM_THREADS")) {
    const long wanted = std::strtol(text, nullptr, 10);
    if (wanted > 0) return static_cast<unsigned>(std::min(wanted, 256L));
  }
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof cores, &cores) == 0) return std::max(1U, static_cast<unsigned>(CPU_COUNT(&cores)));
  return std::max(1U, std::thread::hardware_concurrency());
}

constexpr int patience = 1000;  // pauses: some tens of microseconds

void pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// The team's lock is held for less time than a sleeper takes to wake up: so nobody sleeps for it unless its holder lost its core.
std::unique_lock<std::mutex> lock_soon(std::mutex& mutex) noexcept {
  std::unique_lock lock(mutex, std::try_to_lock);
  for (int i = 0; i < patience && !lock.owns_lock(); ++i) {
    pause();
    (void)lock.try_lock();
  }
  if (!lock.owns_lock()) lock.lock();
  return lock;
}

}  // namespace

struct Team::Round {
  explicit Round(const Task& given) : task(given) {}
  const Task task;
  std::atomic<std::size_t> next{0};
  void work(unsigned member) noexcept {
    for (std::size_t index = 0; (index = next.fetch_add(1, std::memory_order_relaxed)) < task.count;) task.call(task.work, index, member);
  }
};

std::shared_ptr<Team> Team::shared() {
  static std::mutex mutex;
  static std::weak_ptr<Team> one;
  const std::lock_guard lock(mutex);
  std::shared_ptr<Team> team = one.lock();
  if (!team) one = team = std::make_shared<Team>(usable_cores());
  return team;
}

Team::Team(unsigned width) : width_(std::max(1U, width)) {}

Team::~Team() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    begun_.notify_all();
  }
  for (auto& helper : helpers_) helper.join();
}

void Team::start() noexcept {
  started_ = true;
  try {
    for (unsigned member = 1; member < width_; ++member) helpers_.emplace_back([this, member] { help(member); });
  } catch (const std::system_error&) {
    // The system gives no more threads: those that there are do the work.
  }
}

void Team::run_all(const Task& task) noexcept {
  Round round(task);
  if (width_ == 1 || task.count < 2 || !turn_.try_lock()) return round.work(0);
  const std::lock_guard turn(turn_, std::adopt_lock);
  {
    const auto lock = lock_soon(mutex_);
    if (!started_) start();
    round_ = &round;
    begun_count_.fetch_add(1, std::memory_order_release);
    if (asleep_ > 0) begun_.notify_all();
  }
  round.work(0);
  // Waits for those that came, never for those that did not wake up in time.
  std::unique_lock lock = lock_soon(mutex_);
  round_ = nullptr;
  if (inside_ > 0) {
    lock.unlock();
    for (int i = 0; i < patience && inside_.load(std::memory_order_acquire) > 0; ++i) pause();
    lock.lock();
  }
  left_.wait(lock, [this] { return inside_ == 0; });
}

void Team::help(unsigned member) noexcept {
  pthread_setname_np(pthread_self(), "vl:team");
  std::unique_lock lock(mutex_);
  unsigned seen = begun_count_.load(std::memory_order_relaxed) - (round_ ? 1 : 0);
  for (;;) {
    const auto news = [&] { return ending_ || begun_count_.load(std::memory_order_relaxed) != seen; };
    if (!news()) {
      // The next round mostly begins within microseconds, sooner than a sleeper wakes up; a core is held for it no longer than that.
      lock.unlock();
      for (int i = 0; i < patience && begun_count_.load(std::memory_order_acquire) == seen; ++i) pause();
      lock = lock_soon(mutex_);
      if (!news()) {
        ++asleep_;
        begun_.wait(lock, news);
        --asleep_;
      }
    }
    if (ending_) return;
    seen = begun_count_.load(std::memory_order_relaxed);
    if (!round_) continue;  // over already
    Round& round = *round_;
    ++inside_;
    lock.unlock();
    round.work(member);
    lock = lock_soon(mutex_);
    if (--inside_ == 0) left_.notify_one();
  }
}

}  // namespace v0
}  // namespace vidloom
