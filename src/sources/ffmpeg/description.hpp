#pragma once
/// What `vidloom probe` says of a file.

#include <sources/ffmpeg/demuxer.hpp>
#include <vidloom/source.hpp>

namespace vidloom {

/// \param first  the first packet of the chosen stream, or nullptr when there is none.
SourceInfo describe_file(Demuxer& demuxer, const AVPacket* first);

}  // namespace vidloom
