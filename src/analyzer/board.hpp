#pragma once
/// Board: where the answers for one run are put up, and what its thread waits at. Outlives the run: a late answer finds it.

#include <vidloom/execution_strategy.hpp>

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <vector>

namespace vidloom {
inline namespace v0 {

class Board {
 public:
  struct Letter {
    std::uint64_t frame;
    std::size_t slot;
    Answer answer;
  };

  void post(Letter letter) {
    {
      const std::lock_guard lock(mutex_);
      if (closed_) return;
      letters_.push_back(std::move(letter));
    }
    changed_.notify_one();
  }
  void nudge() {
    {
      const std::lock_guard lock(mutex_);
      nudged_ = true;
    }
    changed_.notify_one();
  }
  std::vector<Letter> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(letters_, {});
  }
  /// Until something was posted or the board was nudged.
  void wait_until(SteadyTime until) {
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, until, [this] { return nudged_ || !letters_.empty(); });
    nudged_ = false;
  }
  /// Nobody reads any more.
  void close() {
    std::vector<Letter> unread;
    const std::lock_guard lock(mutex_);
    closed_ = true;
    unread.swap(letters_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Letter> letters_;
  bool nudged_ = false, closed_ = false;
};

}  // namespace v0
}  // namespace vidloom
