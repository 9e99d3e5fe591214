#pragma once
/// What a thread does while it waits inside a source: how a signal handler ends the wait for a silent pipe.
///
///     const WhileWaiting hook([] { if (interrupted) throw Interrupted(); });
///     source->read();  // throws Interrupted soon after, also where no byte ever comes

#include <vidloom/core/export.hpp>

#include <functional>

namespace vidloom {
inline namespace v0 {

/// For as long as it lives, sources that wait for bytes on this thread call `call` every 50 ms or so. What it throws leaves their
/// open(), read() or seek(), after which only close() is legal. Nested: the inner one counts. Of one thread, which also ends it.
class VIDLOOM_API WhileWaiting {
 public:
  explicit WhileWaiting(std::function<void()> call);
  ~WhileWaiting();
  WhileWaiting(const WhileWaiting&) = delete;
  WhileWaiting& operator=(const WhileWaiting&) = delete;
  /// For sources. \return this thread's, or null: then nothing need be called, and a wait may be as long as it is.
  static const std::function<void()>* current() noexcept;

 private:
  const std::function<void()> call_;
  const std::function<void()>* const outer_;
};

}  // namespace v0
}  // namespace vidloom
