#pragma once
/// One HTML page of what was found: a video, a timeline per class, pictures of the best moments, and all that failed.
///
///     analyzer.analyze(*source, {.sinks = {report("out.html")}});                              // makes out.mp4 beside it
///     analyzer.analyze(*source, {.sinks = {annotate(video("a.mp4")), report("a.html", {.video = "a.mp4"})}});
///
/// The page needs no network and no other file but its video. It appears under its name at the end, whole; a killed run leaves none.
/// Its size and the sink's memory are bounded, however long the film is: docs/how_to/report.md states the limits.

#include <vidloom/core/export.hpp>
#include <vidloom/sink.hpp>

#include <memory>
#include <string>
#include <vector>

namespace vidloom {
inline namespace v0 {

struct ReportOptions {
  bool overwrite = false;  ///< an existing page (and video of its own) is otherwise refused
  std::string title{};     ///< "": made of the streams' names
  /// A film of the same pictures that the page plays, such as the annotated one of the same run; named from the page relatively.
  /// "": one of its own, annotated, beside the page: out.mp4 for out.html (a second stream's: out-NAME.mp4).
  std::string video{};
  bool plays_source = false;  ///< plays the analysed file itself, no film is made; see plays_in_browsers()
  std::vector<std::string> blur{}, pixelate{};  ///< classes that must not be seen, in its film and its pictures; as AnnotateOptions
  int moments = 24;        ///< pictures kept of a stream, 1 to 200
};

/// \param path  of the page. Checked at once, written when a stream ends and no other is under way.
/// It never asks for RGB of a frame: pictures are made small, of the moments it keeps. One sink takes many streams, from many threads.
/// Throws Error(config) naming the option, Error(output) naming path and reason, Error(not_built) without the ffmpeg component.
VIDLOOM_API std::shared_ptr<Sink> report(const std::string& path, const ReportOptions& options = {});

/// Whether today's browsers play what `uri` names as it is: a local MP4, MOV or WebM file of 8-bit 4:2:0 H.264, VP8, VP9 or AV1.
/// Opens it for a moment. Never throws: false for what cannot be opened.
VIDLOOM_API bool plays_in_browsers(const std::string& uri) noexcept;

}  // namespace v0
}  // namespace vidloom
