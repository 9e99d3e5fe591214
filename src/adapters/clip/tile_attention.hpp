#pragma once
/// Attention in bf16 by tiles of AMX.

#include <adapters/clip/narrow_kernels.hpp>

namespace vidloom {
inline namespace v0 {

/// NarrowKernels::attend, or null where this CPU (or this build) has no such instructions.
using NarrowAttend = void (*)(const NarrowAttention& attention) noexcept;
NarrowAttend tile_attention() noexcept;

}  // namespace v0
}  // namespace vidloom
