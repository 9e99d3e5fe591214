#include <sources/ffmpeg/reading_crew.hpp>

#include <core/fork_guard.hpp>
#include <core/process_width.hpp>

#include <pthread.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <new>
#include <optional>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>

namespace vidloom {
namespace {

using namespace std::chrono_literals;

/// Segments follow each other with gaps: what was crowded stays so for a while, or callers would read every other one by themselves.
constexpr std::chrono::nanoseconds afterwards = 2s;
/// A file system that does not answer holds the threads of the crew. Callers then read by themselves, so much later.
constexpr auto patience = 5s;

/// One for a process. Thread-safe. Never destroyed: its threads stay.
class Crew {
 public:
  /// An open source: they are counted.
  class Seat {
   public:
    Seat() : crew_(of_this_process<Crew>()) { ++crew_.seats_; }
    ~Seat() { --crew_.seats_; }
    Seat(const Seat&) = delete;
    Seat& operator=(const Seat&) = delete;

    /// Calls work(), here or on a thread of the crew, and gives or throws what it does.
    template <class Work>
    auto run(const Work& work) {
      using Result = std::invoke_result_t<Work>;
      std::exception_ptr failure;
      if constexpr (std::is_void_v<Result>) {
        crew_.run([&] { guarded(failure, work); });
        if (failure) std::rethrow_exception(failure);
      } else {
        std::optional<Result> result;
        crew_.run([&] { guarded(failure, [&] { result.emplace(work()); }); });
        if (failure) std::rethrow_exception(failure);
        return std::move(*result);
      }
    }

   private:
    template <class Work>
    static void guarded(std::exception_ptr& failure, const Work& work) noexcept {
      try {
        work();
      } catch (...) {
        failure = std::current_exception();
      }
    }
    Crew& crew_;
  };

 private:
  struct Task {
    std::function<void()> work;  ///< throws nothing
    enum class State { waiting, begun, done } state = State::waiting;
    std::condition_variable changed{};
  };

  void run(std::function<void()> work) {
    if (!crowded()) return work();
    Task task{.work = std::move(work)};
    std::unique_lock lock(mutex_);
    if (!enlist(task)) {
      lock.unlock();
      return task.work();
    }
    wanted_.notify_one();
    if (!task.changed.wait_for(lock, patience, [&] { return task.state != Task::State::waiting; })) {
      waiting_.erase(std::find(waiting_.begin(), waiting_.end(), &task));
      lock.unlock();
      return task.work();
    }
    task.changed.wait(lock, [&] { return task.state == Task::State::done; });
  }

  bool crowded() noexcept {
    if (generation_ != process_generation()) return false;  // threads and lock are the parent's
    const std::chrono::nanoseconds now = std::chrono::steady_clock::now().time_since_epoch();
    if (seats_.load(std::memory_order_relaxed) > width_) {
      crowded_until_.store(now + afterwards, std::memory_order_relaxed);
      return true;
    }
    return now < crowded_until_.load(std::memory_order_relaxed);
  }

  /// \return false: the system gives no memory, or no thread and the crew has none.
  bool enlist(Task& task) noexcept {
    try {
      waiting_.push_back(&task);
    } catch (const std::bad_alloc&) {
      return false;
    }
    if (idle_ >= waiting_.size() || threads_ == width_) return true;
    try {
      std::thread([this] { serve(); }).detach();
      ++threads_;
    } catch (const std::system_error&) {
    }
    if (threads_ == 0) waiting_.pop_back();
    return threads_ > 0;
  }

  void serve() {
    pthread_setname_np(pthread_self(), "vl:reading");
    std::unique_lock lock(mutex_);
    for (;;) {
      ++idle_;
      wanted_.wait(lock, [this] { return !waiting_.empty(); });
      --idle_;
      Task& task = *waiting_.front();
      waiting_.pop_front();
      task.state = Task::State::begun;
      lock.unlock();
      task.work();
      lock.lock();
      task.state = Task::State::done;
      task.changed.notify_one();  // under the lock: the task ends with its caller's waiting
    }
  }

  const unsigned generation_ = process_generation();
  const unsigned width_ = process_width();
  std::atomic<unsigned> seats_{0};
  std::atomic<std::chrono::nanoseconds> crowded_until_{std::chrono::nanoseconds::min()};  ///< on the steady clock
  std::mutex mutex_;
  std::condition_variable wanted_;
  std::deque<Task*> waiting_;
  unsigned threads_ = 0, idle_ = 0;
};

class ReadByCrew final : public Source {
  template <class Work>
  auto run(const Work& work) {
    return seat_ ? seat_->run(work) : work();
  }

 public:
  ReadByCrew(std::unique_ptr<Source> source, std::string path) : path_(std::move(path)), source_(std::move(source)) {}
  ~ReadByCrew() override { ReadByCrew::close(); }

  SourceInfo open(SourceContext& context) override {
    struct stat status{};
    if (::stat(path_.c_str(), &status) == 0 && S_ISREG(status.st_mode)) seat_.emplace();
    return run([&] { return source_->open(context); });
  }
  ReadResult read() override {
    return run([&] { return source_->read(); });
  }
  void interrupt() noexcept override { source_->interrupt(); }
  void close() noexcept override {
    run([&] { source_->close(); });
    seat_.reset();
  }
  void set_demand(std::span<const Demand> demands) noexcept override { source_->set_demand(demands); }
  void seek(Nanos media_time) override {
    run([&] { source_->seek(media_time); });
  }
  std::vector<Frame> frames_at(std::span<const Nanos> media_times) override {
    return run([&] { return source_->frames_at(media_times); });
  }
  std::vector<Frame> frames_by_index(std::span<const std::size_t> indices) override {
    return run([&] { return source_->frames_by_index(indices); });
  }
  SourceStats stats() const noexcept override { return source_->stats(); }

 private:
  const std::string path_;
  const std::unique_ptr<Source> source_;
  std::optional<Crew::Seat> seat_;  ///< while a file is open
};

}  // namespace

std::unique_ptr<Source> read_by_crew(std::unique_ptr<Source> source, std::string path) {
  return std::make_unique<ReadByCrew>(std::move(source), std::move(path));
}

}  // namespace vidloom
