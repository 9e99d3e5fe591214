#pragma once
/// Memory for pictures, reused: in steady state no picture costs an allocation of its pixels. Thread-safe.

#include <vidloom/core/export.hpp>

#include <cstddef>
#include <memory>

namespace vidloom {
inline namespace v0 {

/// \return `bytes` uninitialised bytes, 64-byte aligned. They return to a small process-wide pool (at most 16 buffers and
/// 128 MiB, then the heap) when the last copy goes. Throws std::bad_alloc.
VIDLOOM_API std::shared_ptr<std::byte> take_pixel_buffer(std::size_t bytes);

}  // namespace v0
}  // namespace vidloom
