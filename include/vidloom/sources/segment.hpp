#pragma once
/// One segment of an HLS stream (.ts), whole on disk. Component: ffmpeg.

#include <vidloom/source.hpp>

#include <cstdint>
#include <memory>
#include <string>

namespace vidloom {
inline namespace v0 {

struct SegmentOptions {
  Trust trust = Trust::automatic;
  std::int64_t max_pixels = 0;  ///< 0: by trust
  int threads = 1;              ///< of the decoder: many segments run side by side
};
VIDLOOM_API std::unique_ptr<Source> segment_source(const std::string& path, const SegmentOptions& options = {});

}  // namespace v0
}  // namespace vidloom
