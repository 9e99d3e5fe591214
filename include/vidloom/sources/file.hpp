#pragma once
/// A video file of any container and codec FFmpeg decodes. Component: ffmpeg.

#include <vidloom/source.hpp>

#include <cstdint>
#include <memory>
#include <string>

namespace vidloom {
inline namespace v0 {

struct FileOptions {
  Trust trust = Trust::automatic;
  std::int64_t max_pixels = 0;  ///< a larger picture is refused before it is decoded; 0: by trust
  int threads = 0;              ///< of the decoder; 0: enough to keep all cores busy
};
/// Opens nothing yet. Only this one file is ever read: playlists and files that name others are refused.
VIDLOOM_API std::unique_ptr<Source> file_source(const std::string& path, const FileOptions& options = {});

}  // namespace v0
}  // namespace vidloom
