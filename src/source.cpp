#include <core/process_width.hpp>
#include <outside_film.hpp>

#include <vidloom/core/error.hpp>
#include <vidloom/source.hpp>

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <new>
#include <numeric>
#include <optional>
#include <thread>

namespace vidloom {
inline namespace v0 {

/// A bad text in VIDLOOM_THREADS is whoever parses settings' to refuse.
unsigned process_width() noexcept {
  if (const char* text = std::getenv("VIDLOOM_THREADS")) {
    unsigned wanted = 0;
    const auto [end, error] = std::from_chars(text, text + std::strlen(text), wanted);
    if (error == std::errc{} && *end == '\0' && wanted > 0) return wanted;
  }
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof cores, &cores) == 0) return static_cast<unsigned>(CPU_COUNT(&cores)) + 1;
  return std::thread::hardware_concurrency() + 1;
}

namespace {

std::optional<Frame> next_frame(Source& source) {
  for (;;) {
    ReadResult next = source.read();
    if (auto* frame = std::get_if<Frame>(&next)) return std::move(*frame);
    if (std::holds_alternative<End>(next)) return std::nullopt;
  }
}

/// Positions of `asked` in ascending order of what they ask for.
template <class T>
std::vector<std::size_t> ascending(std::span<const T> asked) {
  std::vector<std::size_t> order(asked.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return asked[a] < asked[b]; });
  return order;
}

std::vector<Frame> all_of(std::vector<std::optional<Frame>> found) {
  std::vector<Frame> frames;
  frames.reserve(found.size());
  for (std::optional<Frame>& frame : found) frames.push_back(std::move(*frame));
  return frames;
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
std::vector<Frame> Source::frames_at(std::span<const Nanos> media_times) {
  std::vector<std::optional<Frame>> found(media_times.size());
  std::optional<Frame> frame;
  Nanos begin{}, end{};
  for (const std::size_t at : ascending(media_times)) {
    const Nanos time = media_times[at];
    while (!frame || frame->info().time.media_time < time) {
      std::optional<Frame> next = next_frame(*this);
      if (!next) break;
      if (!frame) begin = next->info().time.media_time;
      frame = std::move(next);
      end = frame->info().time.media_time + frame->info().duration;
    }
    const bool behind = frame && time > frame->info().time.media_time && time >= end;
    if (!frame || time < begin || behind) {
      while (std::optional<Frame> next = next_frame(*this)) end = next->info().time.media_time + next->info().duration;
      throw outside_film(time, begin, end);
    }
    found[at] = frame;
  }
  return all_of(std::move(found));
}

std::vector<Frame> Source::frames_by_index(std::span<const std::size_t> indices) {
  std::vector<std::optional<Frame>> found(indices.size());
  std::optional<Frame> frame;
  std::size_t read = 0;
  for (const std::size_t at : ascending(indices)) {
    for (; read <= indices[at]; ++read) {
      frame = next_frame(*this);
      if (!frame) throw outside_film(indices[at], read);
    }
    found[at] = frame;
  }
  return all_of(std::move(found));
}

SourceStats Source::stats() const noexcept { return {}; }

}  // namespace v0
}  // namespace vidloom
