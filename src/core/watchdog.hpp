#pragma once
/// One thread per process that calls back when a deadline passes: the only way out of a blocking Source::read().
/// It starts with the first deadline. Thread-safe.

#include <vidloom/core/time.hpp>

#include <functional>
#include <memory>

namespace vidloom {
inline namespace v0 {

class Watch {
 public:
  /// \param bark  called once, on the watchdog's thread, at `deadline`. Must be short and must not throw.
  Watch(SteadyTime deadline, std::function<void()> bark);
  /// After it `bark` neither runs nor will run.
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

 private:
  struct Entry;
  std::shared_ptr<Entry> entry_;
};

}  // namespace v0
}  // namespace vidloom
