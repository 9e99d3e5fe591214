#pragma once
/// Memory for pictures and for what is remembered of them, straight from the system where it is large.
///
/// Note [Large memory]. glibc serves large blocks from pages of their own only until the first of them is freed: then its
/// threshold rises to that size, and from then on they lie in the arenas of whichever threads asked, between small blocks that
/// live longer. A process that analyses segments from many threads would so swing by tens of MB. The remedy, mallopt(), is the
/// process's own to use and not a library's; so the few kinds of block that matter come from here and go back at once.

#include <vidloom/core/export.hpp>

#include <cstddef>
#include <memory>

namespace vidloom {
inline namespace v0 {

/// \return `bytes` bytes, all zero, 64-byte aligned. From `least_mapped` bytes up they are pages of their own, which the system
/// gets back when the last copy goes; the heap's below. Throws std::bad_alloc. Thread-safe.
VIDLOOM_API std::shared_ptr<std::byte> map_memory(std::size_t bytes);

inline constexpr std::size_t least_mapped = std::size_t{32} << 10;

}  // namespace v0
}  // namespace vidloom
