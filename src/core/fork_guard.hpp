#pragma once
/// Threads, locks and loaded models do not survive fork(): what was used before one is refused in the child, at once.

#include <vidloom/core/error.hpp>
#include <vidloom/core/export.hpp>

#include <atomic>
#include <memory>
#include <string_view>

namespace vidloom {
inline namespace v0 {

/// \return 0, and one more in each fork()ed child since the first call. Never throws.
VIDLOOM_API unsigned process_generation() noexcept;

/// \return the one T of this process, made at first use and never destroyed. The child of a fork gets another: the parent's is left alone
/// for good, since its locks may be held by threads that are not here. Thread-safe, takes no lock.
template <class T>
T& of_this_process() {
  struct Made {
    unsigned generation = process_generation();
    T object;
  };
  static std::atomic<Made*> current{nullptr};
  Made* made = current.load(std::memory_order_acquire);
  while (!made || made->generation != process_generation()) {
    auto fresh = std::make_unique<Made>();
    if (current.compare_exchange_strong(made, fresh.get(), std::memory_order_acq_rel)) made = fresh.release();
  }
  return made->object;
}

/// Remembers in which process an object was first used. Thread-safe, takes no lock.
class VIDLOOM_API ForkGuard {
 public:
  /// Marks the object as used here. Throws Error(forked) when a parent process used it before.
  void use(std::string_view what);
  /// \return whether a parent process used it: then nothing of it may be locked, joined or destroyed. Never throws.
  bool foreign() const noexcept;

 private:
  std::atomic<long long> used_in_{-1};
};

}  // namespace v0
}  // namespace vidloom
