#pragma once
/// Where an analysis runs when its spec does not say: in this process. Written by execution/, used by analyzer/.

#include <vidloom/execution_strategy.hpp>

#include <memory>

namespace vidloom {
inline namespace v0 {

std::shared_ptr<ExecutionStrategy> default_strategy(bool deterministic);

}  // namespace v0
}  // namespace vidloom
