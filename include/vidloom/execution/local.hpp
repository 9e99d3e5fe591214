#pragma once
/// Runs adapters in this process. Replicas are shared process-wide per (adapter, options), so jobs of many threads and
/// streams form common batches. Threads start with the first hosted adapter and are named.

#include <vidloom/execution_strategy.hpp>

#include <memory>

namespace vidloom {
inline namespace v0 {

struct LocalOptions {
  unsigned workers = 0;        ///< replicas of one adapter; 0: VIDLOOM_THREADS, or as many as cores
  bool deterministic = false;  ///< one worker, batch 1
};
/// Equal options share everything.
VIDLOOM_API std::shared_ptr<ExecutionStrategy> local(const LocalOptions& options = {});

}  // namespace v0
}  // namespace vidloom
