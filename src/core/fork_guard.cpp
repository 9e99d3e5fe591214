#include <core/fork_guard.hpp>

#include <pthread.h>

#include <string>

namespace vidloom {
inline namespace v0 {
namespace {

std::atomic<unsigned> generation{0};

}  // namespace

unsigned process_generation() noexcept {
  static const int registered = pthread_atfork(nullptr, nullptr, [] { generation.fetch_add(1); });
  static_cast<void>(registered);
  return generation.load();
}

void ForkGuard::use(std::string_view what) {
  const long long here = process_generation();
  long long used = -1;
  if (used_in_.compare_exchange_strong(used, here) || used == here) return;
  const std::string name(what);
  throw Error(Code::forked, "this " + name + " was used before fork(); make it at module level and use it only in the worker processes, "
                            "or make a new one after the fork");
}

bool ForkGuard::foreign() const noexcept {
  const long long used = used_in_.load();
  return used >= 0 && used != static_cast<long long>(process_generation());
}

}  // namespace v0
}  // namespace vidloom
