#pragma once
/// Who counts conversions: the process, and the stream a frame belongs to.

#include <vidloom/imaging/imaging_stats.hpp>

#include <atomic>

namespace vidloom {
inline namespace v0 {

/// Of one stream. Frames share it; whoever runs the stream reads it.
struct ImagingCounters {
  std::atomic<std::uint64_t> converted{0}, rgb_full_size{0};
};

/// One picture or tensor was made. \param stream  may be null.
void count_conversion(bool rgb_full_size, ImagingCounters* stream) noexcept;
/// A pixel buffer came from the heap.
void count_buffer() noexcept;

}  // namespace v0
}  // namespace vidloom
