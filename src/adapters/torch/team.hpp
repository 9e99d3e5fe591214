#pragma once
/// The threads that share one picture's arithmetic. One team a process, whatever the number of models; it lives while one does.

#include <vidloom/core/export.hpp>

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
  unsigned inside_ = 0, asleep_ = 0;  // helpers in it, helpers that a notification has to wake
  std::atomic<unsigned> begun_count_{0};
  bool ending_ = false, started_ = false;
  std::vector<std::thread> helpers_;
};

}  // namespace v0
}  // namespace vidloom
