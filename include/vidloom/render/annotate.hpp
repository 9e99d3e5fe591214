#pragma once
/// Draws what was found onto the pictures, straight on their Y, U and V.
///
///     auto out = annotate(video("street-boxes.mp4"));
///     auto private_out = annotate(video("street-private.mp4"), {.pixelate = {"person"}});
///     analyzer.analyze(*source, {.sinks = {out, private_out}});
///
/// What stands on which picture: a result on the picture it is of, never on one before it; on pictures that were not analysed the
/// latest result, for one `every` (and `tolerance`) of its analysis at the longest, within one epoch. A failed analysis draws nothing.

#include <vidloom/core/export.hpp>
#include <vidloom/frame.hpp>
#include <vidloom/results.hpp>
#include <vidloom/sink.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace vidloom {
inline namespace v0 {

struct Rgb { std::uint8_t red = 0, green = 0, blue = 0; };

/// How one kind of result looks. Unset: a colour per class.
struct KindStyle {
  bool boxes = true;             ///< the outline: the polygon where there is one, else the box
  bool labels = true;            ///< class, confidence, tracker number or text beside it; labels of the whole picture at its top left
  std::optional<Rgb> colour{};   ///< in sRGB, as pictures on a screen are
  float line = 1;                ///< thickness, times the usual one
};

struct AnnotateOptions {
  /// Class names whose boxes are made unrecognisable; "*": every class. Where the analysis that knows the class failed, the whole
  /// picture is. On pictures between two looks the last boxes are covered: look at each (`every` 0) where nobody may be seen.
  std::vector<std::string> blur{}, pixelate{};
  float scale = 1;               ///< of lines and letters; 1: letters of 1/36 of the shorter side, 10 pixels at least
  std::string font = "Sans";     ///< a family as fontconfig knows it; missing letters come from others
  std::map<std::string, KindStyle> kinds{};  ///< "object", "face", ...; "motion" draws no labels and "visual" nothing unless they are here
};

/// Gives `to` every picture of the stream with what was found drawn on it. A picture with nothing to draw is passed on as it is.
/// Throws Error(config) on a null sink or a bad option, Error(not_built) where labels need the pango component and it is missing.
VIDLOOM_API std::shared_ptr<Sink> annotate(std::shared_ptr<Sink> to, const AnnotateOptions& options = {});

/// One picture with its own results, upright. Throws as annotate().
VIDLOOM_API Frame annotated(const Frame& frame, const FrameResult& result, const AnnotateOptions& options = {});

}  // namespace v0
}  // namespace vidloom
