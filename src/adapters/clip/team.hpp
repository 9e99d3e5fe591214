#pragma once
/// The threads that share one picture's arithmetic. One team a process, whatever the number of models; it lives while one does.

#include <vidloom/core/export.hpp>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace vidloom {
inline namespace v0 {

class VIDLOOM_API Team {
 public:
  /// As wide as this process has cores (VIDLOOM_THREADS: as wide as that says). Starts its threads at the first use.
  static std::shared_ptr<Team> shared();
  explicit Team(unsigned width);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  /// Threads that may work at once, the caller among them.
  unsigned width() const noexcept { return width_; }

  /// Calls work(index, member) for each index below `count`, on the caller's and other threads, in any order; member is below
  /// width() and no two calls have the same at the same time. A thread whose core is taken by others simply takes fewer; while the
  /// team is at work for somebody else the caller does all of it. `work` does not throw.
  template <class Work>
  void run(std::size_t count, const Work& work) {
    static_assert(std::is_nothrow_invocable_v<const Work&, std::size_t, unsigned>, "say noexcept");
    run_all({count, &work, [](const void* of, std::size_t index, unsigned member) noexcept { (*static_cast<const Work*>(of))(index, member); }});
  }
  /// The same, each thread in a row of indices of its own, in their order, until that is done; then it takes from others' rows. So
  /// work(index) may mostly expect to be followed by work(index + 1) on the same core.
  template <class Work>
  void run_in_rows(std::size_t count, const Work& work) {
    struct alignas(64) Row { std::atomic<std::size_t> next; std::size_t end; };
    constexpr std::size_t most = 16;
    Row rows[most];
    const std::size_t number = std::max<std::size_t>(1, std::min({std::size_t{width_}, most, count}));
    for (std::size_t i = 0; i < number; ++i) rows[i].next.store(count * i / number, std::memory_order_relaxed), rows[i].end = count * (i + 1) / number;
    run(number, [&](std::size_t first, unsigned member) noexcept {
      for (std::size_t i = 0; i < number; ++i) {
        Row& row = rows[(first + i) % number];
        for (std::size_t index = 0; (index = row.next.fetch_add(1, std::memory_order_relaxed)) < row.end;) work(index, member);
      }
    });
  }

 private:
  struct Task {
    std::size_t count;
    const void* work;
    void (*call)(const void*, std::size_t, unsigned) noexcept;
  };
  struct Round;
  void run_all(const Task& task) noexcept;
  void help(unsigned member) noexcept;
  void start() noexcept;

  const unsigned width_;
  std::mutex turn_;  // held by the caller whose work is being done
  std::mutex mutex_;
  std::condition_variable begun_, left_;
  Round* round_ = nullptr;  // what may be joined now
  std::atomic<unsigned> inside_{0};  // helpers in it; written under the lock
  unsigned asleep_ = 0;              // helpers that a notification has to wake
  std::atomic<unsigned> begun_count_{0};
  bool ending_ = false, started_ = false;
  std::vector<std::thread> helpers_;
};

}  // namespace v0
}  // namespace vidloom
