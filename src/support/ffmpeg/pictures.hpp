#pragma once
/// From AVFrame to Frame: planes without a copy, geometry, colour tags, health.

#include <support/ffmpeg/av.hpp>
#include <vidloom/frame.hpp>

#include <cstdint>

namespace vidloom::av {

struct Orientation {
  int rotation_degrees = 0;  ///< clockwise, 0 90 180 270
  bool mirrored = false;     ///< left to right, after turning
};
/// \param matrix  FFmpeg's nine numbers; nullptr: upright. Angles between quarter turns go to the nearest.
Orientation orientation_of(const std::int32_t* matrix) noexcept;
/// The frame's own display matrix (EXIF, SEI), else `stream`.
Orientation orientation_of(const AVFrame& frame, Orientation stream) noexcept;

ColourTags colour_of(AVColorSpace matrix, AVColorRange range, AVColorTransferCharacteristic transfer, AVChromaLocation site,
                     AVPixelFormat format) noexcept;

/// "yuvj420p" and its kin by the name of the same layout without the hidden range: "yuv420p". All others as they are.
AVPixelFormat plain_format(AVPixelFormat format) noexcept;

/// 1:1 where the stream says nothing or nonsense.
Rational sample_aspect_of(AVRational value) noexcept;

/// Fills keyframe, sample_aspect, rotation, mirrored, colour of `info` from `frame`.
void describe(const AVFrame& frame, Orientation stream, FrameInfo& info) noexcept;

/// What the decoder says of damage. \param packet_corrupt  the container flagged the bytes it came from.
Health health_of(const AVFrame& frame, bool packet_corrupt) noexcept;

/// Takes the planes; the frame lives as long as any copy of the result. Throws Error(decode) on a format without planes.
Frame adopt(FramePtr frame, const FrameInfo& info);

}  // namespace vidloom::av
