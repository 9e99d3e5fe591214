#include <core/fork_guard.hpp>
#include <core/watchdog.hpp>

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace vidloom {
inline namespace v0 {

struct Watch::Entry {
  SteadyTime deadline;
  std::function<void()> bark;
  unsigned process;
  enum class State { waiting, barking, done } state = State::waiting;
};

namespace {

/// Leaked, and made anew in the child of a fork: the thread may outlive main().
struct Kennel {
  std::mutex mutex;
  std::condition_variable changed, barked;
  std::vector<std::shared_ptr<void>> entries;
  bool running = false;
};

std::atomic<Kennel*> kennel{nullptr};

Kennel& the_kennel() {
  static const int once = [] {
    process_generation();
    kennel = new Kennel;
    pthread_atfork([] { kennel.load()->mutex.lock(); }, [] { kennel.load()->mutex.unlock(); }, [] { kennel = new Kennel; });
    return 0;
  }();
  static_cast<void>(once);
  return *kennel.load();
}

}  // namespace

Watch::Watch(SteadyTime deadline, std::function<void()> bark)
    : entry_(std::make_shared<Entry>(Entry{deadline, std::move(bark), process_generation()})) {
  Kennel& home = the_kennel();
  const std::lock_guard lock(home.mutex);
  if (!home.running) {
    std::thread thread([&home] {
      pthread_setname_np(pthread_self(), "vl:watchdog");
      std::unique_lock held(home.mutex);
      for (;;) {
        const auto earlier = [](const auto& a, const auto& b) {
          return static_cast<Entry*>(a.get())->deadline < static_cast<Entry*>(b.get())->deadline;
        };
        const auto first = std::min_element(home.entries.begin(), home.entries.end(), earlier);
        if (first == home.entries.end()) {
          home.changed.wait(held);
          continue;
        }
        const auto entry = std::static_pointer_cast<Entry>(*first);
        if (entry->deadline > std::chrono::steady_clock::now()) {
          home.changed.wait_until(held, entry->deadline);
          continue;
        }
        home.entries.erase(first);
        entry->state = Entry::State::barking;
        held.unlock();
        entry->bark();
        held.lock();
        entry->state = Entry::State::done;
        home.barked.notify_all();
      }
    });
    thread.detach();
    home.running = true;
  }
  home.entries.push_back(entry_);
  home.changed.notify_one();
}

Watch::~Watch() {
  if (entry_->process != process_generation()) return;
  Kennel& home = the_kennel();
  std::unique_lock lock(home.mutex);
  std::erase(home.entries, std::static_pointer_cast<void>(entry_));
  home.barked.wait(lock, [this] { return entry_->state != Entry::State::barking; });
}

}  // namespace v0
}  // namespace vidloom
