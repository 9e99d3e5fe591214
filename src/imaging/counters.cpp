#include <imaging/counters.hpp>

namespace vidloom {
inline namespace v0 {
namespace {

ImagingCounters of_process;
std::atomic<std::uint64_t> buffers{0};

void add(ImagingCounters& counters, bool rgb_full_size) noexcept {
  counters.converted.fetch_add(1, std::memory_order_relaxed);
  if (rgb_full_size) counters.rgb_full_size.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

void count_conversion(bool rgb_full_size, ImagingCounters* stream) noexcept {
  add(of_process, rgb_full_size);
  if (stream) add(*stream, rgb_full_size);
}

void count_buffer() noexcept { buffers.fetch_add(1, std::memory_order_relaxed); }

ImagingStats imaging_stats() noexcept {
  const auto value = [](const std::atomic<std::uint64_t>& counter) { return counter.load(std::memory_order_relaxed); };
  return {value(of_process.converted), value(of_process.rgb_full_size), value(buffers)};
}

}  // namespace v0
}  // namespace vidloom
