#pragma once
/// Whether products may be made by tiles (Intel's AMX).

#include <vidloom/core/export.hpp>

namespace vidloom {
inline namespace v0 {

struct Amx {
  bool bf16 = false, int8 = false;
};

/// What this processor has and the system lets this process use: it keeps the tiles of those threads alone that asked, so the first call asks,
/// for the whole process. Thread-safe. Never throws.
VIDLOOM_API Amx usable_amx() noexcept;

}  // namespace v0
}  // namespace vidloom
