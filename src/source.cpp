#include <vidloom/core/error.hpp>
#include <vidloom/source.hpp>

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <new>
#include <thread>

namespace vidloom {
inline namespace v0 {
namespace {

/// Cores this process may use; VIDLOOM_THREADS says otherwise. A bad text there is whoever parses settings' to refuse.
unsigned process_width() noexcept {
  if (const char* text = std::getenv("VIDLOOM_THREADS")) {
    unsigned wanted = 0;
    const auto [end, error] = std::from_chars(text, text + std::strlen(text), wanted);
    if (error == std::errc{} && *end == '\0' && wanted > 0) return wanted;
  }
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof cores, &cores) == 0) return std::max(1U, static_cast<unsigned>(CPU_COUNT(&cores)));
  return std::max(1U, std::thread::hardware_concurrency());
}

alignas(CpuGate) std::byte process_gate[sizeof(CpuGate)];

}  // namespace

CpuGate::CpuGate(unsigned width) : left_(std::max(1U, width)) {}

CpuGate& CpuGate::process() {
  // Never destroyed, and made anew in the child of a fork: passes held by the parent's other threads stay behind there.
  static CpuGate* const gate = [] {
    CpuGate* made = new (process_gate) CpuGate(process_width());
    pthread_atfork(nullptr, nullptr, [] { new (process_gate) CpuGate(process_width()); });
    return made;
  }();
  return *gate;
}

CpuGate::Pass::Pass(CpuGate& gate) : gate_(gate) {
  std::unique_lock lock(gate_.mutex_);
  gate_.free_.wait(lock, [this] { return gate_.left_ > 0; });
  --gate_.left_;
}

CpuGate::Pass::~Pass() {
  {
    const std::lock_guard lock(gate_.mutex_);
    ++gate_.left_;
  }
  gate_.free_.notify_one();
}

Source::~Source() = default;
void Source::set_demand(std::span<const Demand>) noexcept {}
void Source::seek(Nanos) { throw Error(Code::config, "this source cannot seek; read it from its beginning"); }
SourceStats Source::stats() const noexcept { return {}; }

}  // namespace v0
}  // namespace vidloom
