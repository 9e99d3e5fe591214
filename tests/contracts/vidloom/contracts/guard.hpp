#pragma once
/// What the contract suites share: a list of what is broken, and a watchdog, because code under test may never come back.

#include <vidloom/core/error.hpp>
#include <vidloom/core/time.hpp>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace vidloom {
inline namespace v0 {
namespace contracts {

/// Sentences that say what is broken; empty: the contract is kept.
using Findings = std::vector<std::string>;

/// Where a suite notes what it sees. Thread-safe.
class Probe {
 public:
  /// Names what is done next, for the finding should it never come back, and starts its clock.
  void step(std::string what) {
    const std::lock_guard lock(mutex_);
    step_ = std::move(what);
    ++steps_;
    changed_.notify_all();
  }
  void fail(const std::string& sentence) {
    const std::lock_guard lock(mutex_);
    if (!abandoned_) findings_.push_back(sentence);
  }
  void expect(bool holds, const std::string& sentence) {
    if (!holds) fail(sentence);
  }
  /// Calls `action`; what it throws becomes a finding. \return whether it threw nothing.
  template <class Action>
  bool call(const std::string& what, Action action) {
    step(what);
    try {
      action();
      return true;
    } catch (const std::exception& error) {
      fail(what + " threw: " + error.what());
    }
    return false;
  }
  bool clean() const {
    const std::lock_guard lock(mutex_);
    return findings_.empty();
  }
  /// Requested when a step takes too long: what blocks should honour it.
  std::stop_token stop() const { return stop_.get_token(); }

 private:
  friend Findings guarded(Nanos timeout, std::function<void(Probe&)> body);
  mutable std::mutex mutex_;
  std::condition_variable changed_{};
  Findings findings_{};
  std::string step_ = "the start";
  std::size_t steps_ = 0;
  bool finished_ = false, abandoned_ = false;
  std::stop_source stop_{};
};

/// Runs `body` on a thread of its own. A step that takes longer than `timeout` ends the suite with a finding; the thread that
/// does not come back is then left behind with what it holds.
inline Findings guarded(Nanos timeout, std::function<void(Probe&)> body) {
  const auto probe = std::make_shared<Probe>();
  std::thread worker([probe, body = std::move(body)] {
    try {
      body(*probe);
    } catch (const std::exception& error) {
      const std::unique_lock lock(probe->mutex_);
      if (!probe->abandoned_) probe->findings_.push_back(probe->step_ + " threw: " + error.what());
    }
    const std::lock_guard lock(probe->mutex_);
    probe->finished_ = true;
    probe->changed_.notify_all();
  });
  std::unique_lock lock(probe->mutex_);
  const auto ended_within = [&](Nanos time) {
    const std::size_t step = probe->steps_;
    return probe->changed_.wait_for(lock, time, [&] { return probe->finished_ || probe->steps_ != step; });
  };
  while (!probe->finished_) {
    if (ended_within(timeout)) continue;
    probe->findings_.push_back(probe->step_ + " did not come back within " + std::to_string(seconds(timeout)) + " s");
    probe->abandoned_ = true;
    lock.unlock();
    probe->stop_.request_stop();
    lock.lock();
    const bool came_back = probe->changed_.wait_for(lock, timeout, [&] { return probe->finished_; });
    const Findings findings = probe->findings_;
    lock.unlock();
    if (came_back)
      worker.join();
    else
      worker.detach();
    return findings;
  }
  lock.unlock();
  worker.join();
  return probe->findings_;
}

}  // namespace contracts
}  // namespace v0
}  // namespace vidloom
