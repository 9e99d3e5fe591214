#pragma once
/// A picture, or a folder of pictures in natural order of their names, told by content and not by suffix. Component: ffmpeg.

#include <vidloom/source.hpp>

#include <cstdint>
#include <memory>
#include <string>

namespace vidloom {
inline namespace v0 {

struct ImagesOptions {
  Trust trust = Trust::automatic;
  std::int64_t max_pixels = 0;  ///< 0: by trust
  double rate = 1;              ///< pictures a second of media time
};
/// A damaged picture in a folder becomes an event; a folder without one readable picture, and a damaged single picture, throw.
VIDLOOM_API std::unique_ptr<Source> images_source(const std::string& path, const ImagesOptions& options = {});

}  // namespace v0
}  // namespace vidloom
