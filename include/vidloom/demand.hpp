#pragma once
/// What adapters and sinks need of a stream. The union of all demands reaches the running source, which may then do less.

#include <vidloom/core/geometry.hpp>
#include <vidloom/core/time.hpp>

#include <cstdint>

namespace vidloom {
inline namespace v0 {

struct Demand {
  Nanos every{0};      ///< 0: each frame. Else one per tick of media_time: the first frame at or after each multiple
  Nanos tolerance{0};  ///< so much later is as good: with one GOP or more, keyframes alone may serve
  enum class Pixels : std::uint8_t { none, luma, colour } pixels = Pixels::colour;
  Size largest_useful{};      ///< more pixels than this are of no use; empty: no limit
  bool healthy_only = false;  ///< damaged pictures are answered `dropped` with Code::unhealthy
};

}  // namespace v0
}  // namespace vidloom
