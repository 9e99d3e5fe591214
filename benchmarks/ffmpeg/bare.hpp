#pragma once
/// Bare libavformat and libavcodec, used as well as one can: the physical limit of every decode row. No Vidloom in here.
///
/// Each function opens the file, gives the pictures to `use` in showing order and closes everything. Nothing is probed: the
/// container names the codec, the decoder reads the rest from the stream (mp4 and mkv: from the container).

extern "C" {
#include <libavutil/frame.h>
}

#include <functional>
#include <string>

namespace bare {

using Use = std::function<void(const AVFrame&)>;

/// The first key packet and a drain: one picture. Throws std::runtime_error, as all of these.
void first_picture(const std::string& path, const Use& use);
/// Each key packet and a drain. One thread: key packets hold nothing that a second one could do.
void keyframes(const std::string& path, const Use& use);
/// Every packet. \param threads  frame threads; 1: none.
void all_pictures(const std::string& path, int threads, const Use& use);
/// As the libraries' own examples do it, with avformat_find_stream_info and no drain: what the fast ways are compared with.
void first_picture_probed(const std::string& path, const Use& use);

}  // namespace bare
