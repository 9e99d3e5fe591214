#pragma once
/// What conversion did in this process so far: proof that steady state allocates nothing and that nobody asked for full-size RGB.

#include <vidloom/core/export.hpp>

#include <cstdint>

namespace vidloom {
inline namespace v0 {

struct ImagingStats {
  std::uint64_t converted = 0;          ///< pictures and tensors made; those answered from memory do not count
  std::uint64_t rgb_full_size = 0;      ///< of those, RGB or BGR pictures of a frame's own size
  std::uint64_t buffers_allocated = 0;  ///< pixel buffers taken from the heap: none in steady state
};

/// Since the process began, all threads. Thread-safe.
VIDLOOM_API ImagingStats imaging_stats() noexcept;

}  // namespace v0
}  // namespace vidloom
