#pragma once
/// The one PictureEncoder: PNG and JPEG by FFmpeg's encoders.

#include <core/component.hpp>

#include <memory>

namespace vidloom {

std::shared_ptr<const PictureEncoder> make_picture_encoder();

}  // namespace vidloom
