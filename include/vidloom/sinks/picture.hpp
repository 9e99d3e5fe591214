#pragma once
/// Snapshots: one picture, or a part of it, as a PNG file.
///
///     save_picture(frame, "gate.png");
///     save_crop(frame, detections.xyxy[0], "person.png");
///
/// A file of that name is replaced at once: nobody ever sees half a picture. Thread-safe.

#include <vidloom/core/export.hpp>
#include <vidloom/core/geometry.hpp>
#include <vidloom/frame.hpp>

#include <string>

namespace vidloom {
inline namespace v0 {

/// All of it, cropped and upright, in RGB. \param path  ends in .png.
/// Throws Error(config) on another ending, Error(output) naming path and reason, Error(not_built) without the ffmpeg component.
VIDLOOM_API void save_picture(const Frame& frame, const std::string& path);

/// The pixels that `box` (display pixels) touches. Throws besides Error(config) where it lies outside the picture.
VIDLOOM_API void save_crop(const Frame& frame, const Box& box, const std::string& path);

}  // namespace v0
}  // namespace vidloom
