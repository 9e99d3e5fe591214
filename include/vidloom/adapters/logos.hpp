#pragma once
/// Brand marks, found by reference pictures: photographs of labels, flat marks (PNG with transparency, SVG). Component: opencv;
/// the pictures are read by the component ffmpeg.
///
///     Analyzer analyzer({{.name = "brands", .adapter = logos({.references = "brands/"}), .every = 500ms}});

#include <vidloom/detection_adapter.hpp>

#include <string>

namespace vidloom {
inline namespace v0 {

struct LogosOptions {
  /// A picture, or a folder of them. A picture's brand, and class name, is its sub-folder of that folder, else its file's name
  /// without the extension. JPEG, PNG, WebP, TIFF, BMP, PNM, and SVG where FFmpeg has librsvg.
  std::string references{};
  int max_instances = 8;        ///< most finds of one brand in a picture, the most confident first; 1 or more
  std::string method = "auto";  ///< auto, features (local features: prints, any angle) or shape (edges: up to 45 degrees)
};
/// class_id counts brands in the order of their names; polygon: the four corners of the reference's visible part, clockwise from its
/// upper left, in display pixels; raw_score: verified inliers (1 and more) or normalised cross-correlation (up to 1).
VIDLOOM_API AdapterSpec logos(const LogosOptions& options);

}  // namespace v0
}  // namespace vidloom
