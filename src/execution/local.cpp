#include <core/fork_guard.hpp>
#include <default_strategy.hpp>
#include <execution/host.hpp>
#include <execution/local_runtime.hpp>
#include <vidloom/core/log.hpp>
#include <vidloom/execution/local.hpp>
#include <vidloom/registry.hpp>

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <map>

namespace vidloom {
inline namespace v0 {
namespace {

using namespace std::chrono_literals;

/// How long the end of the last Execution waits for replicas in user code.
constexpr auto patience = 2s;

/// All hosts of this process. Leaked, since threads may outlive main(), and made anew in the child of a fork, where the
/// parent's threads are not.
struct Table {
  struct Entry {
    std::shared_ptr<Host> host;
    std::size_t users = 0;
  };
  std::mutex mutex;
  std::map<std::string, Entry> hosts;
  bool closed = false;
};

std::atomic<Table*> current_table{nullptr};

Table& table() {
  static const int once = [] {
    process_generation();
    current_table = new Table;
    pthread_atfork([] { current_table.load()->mutex.lock(); }, [] { current_table.load()->mutex.unlock(); },
                   [] { current_table = new Table; });
    return 0;
  }();
  static_cast<void>(once);
  return *current_table.load();
}

/// One of an entry's users less; the last one ends the host.
void release(const std::string& key, const std::shared_ptr<Host>& host, bool failed) noexcept {
  {
    Table& all = table();
    const std::lock_guard lock(all.mutex);
    const auto entry = all.hosts.find(key);
    // After a failed load the next user may already have made a new one.
    if (entry != all.hosts.end() && entry->second.host == host) {
      if (--entry->second.users > 0 && !failed) return;
      all.hosts.erase(entry);
    } else if (!failed) {
      return;
    }
  }
  host->stop();
  host->join_threads(std::chrono::steady_clock::now() + patience);
}

class LocalExecution final : public Execution {
 public:
  LocalExecution(std::string key, std::shared_ptr<Host> host, std::function<void()> credits_changed)
      : key_(std::move(key)), host_(std::move(host)), member_(host_->join(std::move(credits_changed))) {
    guard_.use("Execution");
  }
  ~LocalExecution() override {
    if (guard_.foreign()) {  // the parent's threads do not exist here, its locks may be held for ever: leave all of it
      static_cast<void>(new auto(std::move(host_)));
      static_cast<void>(new auto(std::move(member_)));
      return;
    }
    host_->leave(member_);
    release(key_, host_, false);
  }
  AdapterInfo info() const override {
    guard_.use("Execution");
    return host_->info();
  }
  std::size_t credits() const noexcept override { return guard_.foreign() ? 0 : host_->credits(*member_); }
  void submit(Job job) override {
    guard_.use("Execution");
    host_->submit(member_, std::move(job));
  }
  void forget(StreamId stream) noexcept override {
    if (!guard_.foreign()) host_->forget(*member_, stream);
  }

 private:
  mutable ForkGuard guard_;
  const std::string key_;
  std::shared_ptr<Host> host_;
  std::shared_ptr<Host::Member> member_;
};

unsigned workers_of(const LocalOptions& options) {
  if (options.deterministic) return 1;
  if (options.workers > 0) return options.workers;
  if (const char* text = std::getenv("VIDLOOM_THREADS")) {
    char* end = nullptr;
    const long wanted = std::strtol(text, &end, 10);
    if (end == text || *end != '\0' || wanted < 1 || wanted > 4096) {
      throw Error(Code::config, std::string("VIDLOOM_THREADS is '") + text + "'; use a whole number from 1 to 4096");
    }
    return static_cast<unsigned>(wanted);
  }
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof cores, &cores) == 0) return std::max(1U, static_cast<unsigned>(CPU_COUNT(&cores)));
  return std::max(1U, std::thread::hardware_concurrency());
}

class Local final : public ExecutionStrategy {
 public:
  explicit Local(const LocalOptions& options) : options_(options) {}

  std::unique_ptr<Execution> host(const AdapterSpec& spec, std::function<void()> credits_changed) override {
    const unsigned workers = workers_of(options_);
    const std::string key = key_of(spec) + suffix();
    std::shared_ptr<Host> host;
    bool first = false;
    Table& all = table();
    {
      const std::lock_guard lock(all.mutex);
      if (all.closed) throw Error(Code::cancelled, "local execution has been shut down: the process is ending");
      Table::Entry& entry = all.hosts[key];
      if (!entry.host) {
        entry.host = std::make_shared<Host>(spec, workers, options_.deterministic);
        first = true;
      }
      ++entry.users;
      host = entry.host;
    }
    try {
      if (first) host->start();
      host->wait_loaded();
    } catch (...) {
      release(key, host, true);
      throw;
    }
    return std::make_unique<LocalExecution>(key, std::move(host), std::move(credits_changed));
  }

  void check(const AdapterSpec& spec) const override { check_adapter(spec); }

  Value health() const override {
    std::vector<std::pair<std::string, std::shared_ptr<Host>>> mine;
    {
      Table& all = table();
      const std::lock_guard lock(all.mutex);
      const std::string end = suffix();
      for (const auto& [key, entry] : all.hosts) {
        if (key.ends_with(end)) mine.emplace_back(key.substr(0, key.size() - end.size()), entry.host);
      }
    }
    Value health = Value::object();
    for (const auto& [key, host] : mine) health.set(key, host->health());
    return health;
  }

 private:
  std::string suffix() const { return "\n" + std::to_string(options_.workers) + (options_.deterministic ? "d" : ""); }
  const LocalOptions options_;
};

}  // namespace

std::shared_ptr<ExecutionStrategy> local(const LocalOptions& options) { return std::make_shared<Local>(options); }

std::shared_ptr<ExecutionStrategy> default_strategy(bool deterministic) {
  return local({.workers = 0, .deterministic = deterministic});
}

void shutdown_local_execution(Nanos drain) noexcept {
  std::vector<std::shared_ptr<Host>> hosts;
  Table& all = table();
  {
    const std::lock_guard lock(all.mutex);
    all.closed = true;
    for (const auto& [key, entry] : all.hosts) hosts.push_back(entry.host);
  }
  const SteadyTime until = std::chrono::steady_clock::now() + std::min<Nanos>(drain, 1h);
  for (const auto& host : hosts) host->stop();
  for (const auto& host : hosts) host->join_threads(until);
}

}  // namespace v0
}  // namespace vidloom
