#pragma once
/// StreamIds, unique in this process: hosts keep state by them across Analyzers.

#include <vidloom/frame.hpp>

#include <atomic>

namespace vidloom {
inline namespace v0 {

inline StreamId next_stream_id() noexcept {
  static std::atomic<std::uint32_t> next{1};
  return StreamId{next.fetch_add(1)};
}

}  // namespace v0
}  // namespace vidloom
