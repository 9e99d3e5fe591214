#include <vidloom/core/log.hpp>

#include <core/utf8.hpp>
#include <vidloom/core/error.hpp>

#include <pthread.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <deque>
#include <mutex>

namespace vidloom {
inline namespace v0 {

namespace {

constexpr std::size_t most_records = 1024;
constexpr std::size_t most_bytes = 4096;  // of one message
constexpr std::string_view names[] = {"debug", "info", "warning", "error", "off"};

struct Queue {
  std::mutex mutex;
  std::deque<LogRecord> records;
  std::uint64_t dropped = 0;
  std::atomic<LogLevel> level{LogLevel::warning};

  void push(LogRecord record) {
    const std::lock_guard lock(mutex);
    if (records.size() == most_records) {
      records.pop_front();
      ++dropped;
    }
    records.push_back(std::move(record));
  }

  Queue() {
    const char* wanted = std::getenv("VIDLOOM_LOG_LEVEL");
    if (wanted == nullptr || *wanted == '\0') return;
    try {
      level = parse_log_level(wanted);
    } catch (const Error& error) {
      push({LogLevel::warning, "log", valid_utf8(std::string("environment variable VIDLOOM_LOG_LEVEL: ") + error.what()), wall_now()});
    }
  }
};

// Never destroyed: whatever runs at exit may still log. Locked around fork(), or a child could inherit a lock nobody opens.
Queue& queue() {
  static Queue& instance = []() -> Queue& {
    static Queue* const made = new Queue;
    pthread_atfork([] { made->mutex.lock(); }, [] { made->mutex.unlock(); }, [] { made->mutex.unlock(); });
    return *made;
  }();
  return instance;
}

std::atomic<bool> ffmpeg_routed{false};

}  // namespace

std::string_view to_string(LogLevel level) noexcept {
  const auto index = static_cast<std::size_t>(level);
  return index < std::size(names) ? names[index] : "off";
}

LogLevel parse_log_level(std::string_view text) {
  std::string word(text);
  for (char& c : word) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  for (std::size_t i = 0; i < std::size(names); ++i) {
    if (word == names[i]) return static_cast<LogLevel>(i);
  }
  throw Error(Code::config, "log level is \"" + std::string(text) + "\"; use debug, info, warning, error or off");
}

void set_log_level(LogLevel level) noexcept { queue().level.store(level, std::memory_order_relaxed); }
LogLevel log_level() noexcept { return queue().level.load(std::memory_order_relaxed); }

void log(LogLevel level, std::string_view area, std::string_view message) noexcept {
  if (level >= LogLevel::off || level < log_level()) return;
  try {
    queue().push({level, std::string(area), valid_utf8(message.substr(0, most_bytes)), wall_now()});
  } catch (const std::exception&) {
    // Out of memory: the record is lost, its sender goes on.
  }
}

std::vector<LogRecord> take_log(std::uint64_t* dropped) {
  std::deque<LogRecord> taken;
  {
    Queue& source = queue();
    const std::lock_guard lock(source.mutex);
    taken.swap(source.records);
    if (dropped != nullptr) *dropped = std::exchange(source.dropped, 0);
  }
  return {std::make_move_iterator(taken.begin()), std::make_move_iterator(taken.end())};
}

void route_ffmpeg_log() noexcept { ffmpeg_routed.store(true); }
bool ffmpeg_log_routed() noexcept { return ffmpeg_routed.load(); }

}  // namespace v0
}  // namespace vidloom
