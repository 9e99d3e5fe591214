#include <vidloom/sinks/video.hpp>

#include <core/component.hpp>
#include <vidloom/core/error.hpp>

namespace vidloom {
inline namespace v0 {

std::shared_ptr<Sink> video(const std::string& path, const VideoOptions& options) {
  if (path.empty()) throw Error(Code::config, "the name of the video is empty; use a name that ends in .mp4 or .ts");
  if (options.quality < 0 || options.quality > 51) {
    throw Error(Code::config, "VideoOptions.quality is " + std::to_string(options.quality) + "; use 0 (best) to 51, usual is 20");
  }
  return make_component_sink("video", Value::object()
                                          .set("path", path)
                                          .set("codec", options.codec)
                                          .set("preset", options.preset)
                                          .set("quality", options.quality)
                                          .set("audio", options.audio)
                                          .set("overwrite", options.overwrite));
}

}  // namespace v0
}  // namespace vidloom
