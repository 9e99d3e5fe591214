#pragma once
/// The process-wide part of local execution.

#include <vidloom/core/export.hpp>
#include <vidloom/core/time.hpp>

namespace vidloom {
inline namespace v0 {

/// For whoever ends the process (Python's atexit): answers all open jobs, ends the replica threads and waits for them at most
/// `drain`; a thread that stays in user code is left behind. host() throws Error(cancelled) from then on. Idempotent.
VIDLOOM_API void shutdown_local_execution(Nanos drain) noexcept;

}  // namespace v0
}  // namespace vidloom
