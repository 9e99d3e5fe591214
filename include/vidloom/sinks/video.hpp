#pragma once
/// A film of what is analysed: every picture of the source, encoded anew at its own time, with the source's sound.
///
///     analyzer.analyze(*source, {.sinks = {video("copy.mp4")}});
///     analyzer.analyze(*source, {.sinks = {annotate(video("boxes.mp4"))}});   // <vidloom/render/annotate.hpp>
///
/// What stands under the name can be played at any time: while it grows, after a kill, after a full disk.

#include <vidloom/sink.hpp>

#include <memory>
#include <string>

namespace vidloom {
inline namespace v0 {

struct VideoOptions {
  bool overwrite = false;     ///< an existing file is otherwise refused; emptied when the first picture is written, not before
  std::string codec{};        ///< FFmpeg's name of an encoder; "": libx264, else the next best that FFmpeg has, which the log names
  std::string preset = "veryfast";  ///< of libx264: ultrafast ... veryslow
  int quality = 20;           ///< of libx264, 0 to 51: its constant rate factor; less is better and larger
  bool audio = true;          ///< the packets of the source's sound, as they are, where it is a file and the container takes them
};

/// \param path  ends in .mp4, .m4v, .mov or .ts. Opened or created at once; a file that was created and never written to is removed
///              again with the sink.
/// Pictures are written upright and cropped, 8-bit 4:2:0, with the source's colour tags and sample aspect. MPEG-TS keeps the source's
/// timestamps; MP4 begins at zero. One sink takes one stream, once: open() throws Error(config) for a second.
/// Throws Error(config) on a bad option, Error(output) naming path and reason, Error(not_built) without the ffmpeg component; write() and
/// event() throw Error(output), after which the file ends with its last whole piece.
VIDLOOM_API std::shared_ptr<Sink> video(const std::string& path, const VideoOptions& options = {});

}  // namespace v0
}  // namespace vidloom
