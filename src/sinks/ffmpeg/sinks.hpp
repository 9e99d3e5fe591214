#pragma once
/// The sinks of the ffmpeg component, as its registry takes them.

#include <vidloom/core/value.hpp>
#include <vidloom/sink.hpp>

#include <memory>

namespace vidloom {

/// \param options  "path", "codec", "preset", "quality", "audio", "overwrite": all there, checked by video().
std::unique_ptr<Sink> make_film_sink(const Value& options);

}  // namespace vidloom
