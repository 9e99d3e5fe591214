#pragma once
/// One PNG of the best moments, for who has no browser at hand: a grid of pictures with what was found drawn on them, and their times.
///
///     analyzer.analyze(*source, {.sinks = {contact_sheet("out.png")}});

#include <vidloom/core/export.hpp>
#include <vidloom/render/annotate.hpp>
#include <vidloom/sink.hpp>

#include <memory>
#include <string>

namespace vidloom {
inline namespace v0 {

struct ContactSheetOptions {
  bool overwrite = false;  ///< an existing file is otherwise refused
  int columns = 4;         ///< 1 to 20
  int cells = 12;          ///< at most so many pictures, 1 to 200: the best of all streams, in the order of time
  int width = 320;         ///< of a picture, in pixels, 64 to 1920; smaller frames are not enlarged
  /// What hides (blur, pixelate) and how it looks. Where an analysis that knows a hidden class has not answered for the very picture,
  /// that picture is not chosen.
  AnnotateOptions drawing{};
};

/// \param path  ends in .png. Checked at once, written when a stream ends and no other is under way: whole or not at all.
/// It takes no RGB of a frame but small ones of the moments it keeps. One sink takes many streams, from many threads.
/// Throws Error(config) naming the option, Error(output) naming path and reason, Error(not_built) without the components ffmpeg and pango.
VIDLOOM_API std::shared_ptr<Sink> contact_sheet(const std::string& path, const ContactSheetOptions& options = {});

}  // namespace v0
}  // namespace vidloom
