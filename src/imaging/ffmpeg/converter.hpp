#pragma once
/// The one PixelConverter: any of FFmpeg's pixel formats to packed 8-bit RGB, BGR or grey, by swscale's accurate path.

#include <core/component.hpp>

#include <memory>

namespace vidloom {

std::shared_ptr<const PixelConverter> make_converter();

}  // namespace vidloom
