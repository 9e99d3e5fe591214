#pragma once
/// What adapters and sinks need of a stream. The union of all demands reaches the running source, which may then do less.

#include <vidloom/core/geometry.hpp>
#include <vidloom/core/time.hpp>

#include <cstdint>

namespace vidloom {
inline namespace v0 {

/// The pictures that serve a demand, of those of the stream:
/// `every` 0: each. Else one per tick, a multiple of `every` on media_time: the first picture at or after it. Where `tolerance`
/// is not 0 the first keyframe at or after the tick serves as well, if it comes no later than `tolerance` after the tick and
/// before the next one: with a tolerance of one GOP or more, keyframes alone serve. So does any picture in between that
/// another demand has decoded. A source that cannot tell keyframes gives the first picture.
/// The first picture of a stream counts as preceded by one its own duration earlier: who starts just after a tick has missed it.
struct Demand {
  Nanos every{0};
  Nanos tolerance{0};
  enum class Pixels : std::uint8_t { none, luma, colour } pixels = Pixels::colour;
  Size largest_useful{};         ///< more pixels than this are of no use; empty: no limit
  bool healthy_only = false;     ///< damaged pictures are answered `dropped` with Code::unhealthy
  bool keyframes_only = false;   ///< other pictures are of no use: `every` picks among keyframes, however late they come
  std::uint64_t first = 0;       ///< only the first so many pictures of the stream are of use, needed or not; 0: all
};

}  // namespace v0
}  // namespace vidloom
