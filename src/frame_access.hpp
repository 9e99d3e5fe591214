#pragma once
/// What Frame does for the library alone.

#include <vidloom/frame.hpp>

#include <imaging/counters.hpp>

#include <memory>

namespace vidloom {
inline namespace v0 {

struct VIDLOOM_API FrameAccess {
  /// The same frame; what is converted of it and its copies counts for `stream` too.
  static Frame counted(const Frame& frame, std::shared_ptr<ImagingCounters> stream);
};

}  // namespace v0
}  // namespace vidloom
