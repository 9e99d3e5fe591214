#include <analyzer/company.hpp>

#include <malloc.h>

#include <atomic>
#include <chrono>
#include <cstdint>

namespace vidloom {
inline namespace v0 {
namespace {

using namespace std::chrono_literals;

// In the child of a fork() these are the parent's: a run it had open never leaves, and then nothing is trimmed.
std::atomic<int> at_work{0};
std::atomic<bool> company{false};
std::atomic<std::int64_t> trimmed_at{0};
constexpr std::chrono::nanoseconds least_pause = 50ms;

}  // namespace

InCompany::InCompany() noexcept {
  if (at_work.fetch_add(1) > 0) company = true;
}

InCompany::~InCompany() {
  if (at_work.fetch_sub(1) != 1 || !company) return;
#ifdef __GLIBC__
  const std::int64_t now = std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
  std::int64_t before = trimmed_at;
  if (now - before < least_pause.count() || !trimmed_at.compare_exchange_strong(before, now)) return;
  company = false;
  ::malloc_trim(0);
#endif
}

}  // namespace v0
}  // namespace vidloom
