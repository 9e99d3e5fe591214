#include <analyzer/streams.hpp>

#include <algorithm>

namespace vidloom {
inline namespace v0 {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t most_streams = 1024;
constexpr auto longest_idle = 10min;  // a stream's next segment comes sooner, or not at all

}  // namespace

std::shared_ptr<StreamRecord> Streams::enter(const std::string& name, const std::shared_ptr<Board>& board, std::vector<StreamId>& evicted) {
  const SteadyTime now = std::chrono::steady_clock::now();
  const std::lock_guard lock(mutex_);
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    if (entry->first != name && entry->second.line.empty() && entry->second.used < now - longest_idle) {
      evicted.push_back(entry->second.record->id);
      entry = entries_.erase(entry);
    } else {
      ++entry;
    }
  }
  if (!entries_.contains(name) && entries_.size() >= most_streams) {
    auto oldest = entries_.end();
    for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
      if (entry->second.line.empty() && (oldest == entries_.end() || entry->second.used < oldest->second.used)) oldest = entry;
    }
    if (oldest != entries_.end()) {
      evicted.push_back(oldest->second.record->id);
      entries_.erase(oldest);
    }
  }
  Entry& entry = entries_[name];
  const auto me = std::this_thread::get_id();
  if (std::any_of(entry.line.begin(), entry.line.end(), [&](const Place& place) { return place.thread == me; })) {
    throw Error(Code::config, "stream '" + name + "' is still being analysed by an earlier run of this thread; finish or close that one first");
  }
  entry.line.push_back({board, me});
  entry.used = now;
  return entry.record;
}

bool Streams::my_turn(const std::string& name, const std::shared_ptr<Board>& board) {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(name);
  return entry != entries_.end() && !entry->second.line.empty() && entry->second.line.front().board == board;
}

void Streams::leave(const std::string& name, const std::shared_ptr<Board>& board) {
  std::shared_ptr<Board> next;
  {
    const std::lock_guard lock(mutex_);
    const auto entry = entries_.find(name);
    if (entry == entries_.end()) return;
    std::erase_if(entry->second.line, [&](const Place& place) { return place.board == board; });
    entry->second.used = std::chrono::steady_clock::now();
    if (!entry->second.line.empty()) next = entry->second.line.front().board;
  }
  if (next) next->nudge();
}

}  // namespace v0
}  // namespace vidloom
