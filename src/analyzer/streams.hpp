#pragma once
/// What an Analyzer remembers of named streams from one segment to the next, and whose turn it is on each. Thread-safe.

#include <analyzer/board.hpp>
#include <core/stream_ids.hpp>

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace vidloom {
inline namespace v0 {

/// Touched by the run whose turn it is.
struct StreamRecord {
  StreamId id = next_stream_id();
  bool seen = false;  // the rest holds only then
  std::uint32_t epoch = 0;
  std::uint64_t next_sequence = 0;
  Nanos last_time{}, last_end{};
};

class Streams {
 public:
  /// Lines up for `name`; `evicted` receives streams that were forgotten for it (the longest unused ones).
  /// Throws Error(config) when this very thread has a run of that stream open: it would wait for itself.
  std::shared_ptr<StreamRecord> enter(const std::string& name, const std::shared_ptr<Board>& board, std::vector<StreamId>& evicted);
  /// \return whether it is this run's turn; if not, its board is nudged when it is.
  bool my_turn(const std::string& name, const std::shared_ptr<Board>& board);
  void leave(const std::string& name, const std::shared_ptr<Board>& board);

 private:
  struct Place {
    std::shared_ptr<Board> board;
    std::thread::id thread;
  };
  struct Entry {
    std::shared_ptr<StreamRecord> record = std::make_shared<StreamRecord>();
    std::deque<Place> line;
    SteadyTime used{};
  };
  std::mutex mutex_;
  std::map<std::string, Entry> entries_;
};

}  // namespace v0
}  // namespace vidloom
