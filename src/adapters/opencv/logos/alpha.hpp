#pragma once
/// How much of each pixel of a picture is there.

#include <vidloom/frame.hpp>

#include <opencv2/core.hpp>

namespace vidloom {
inline namespace v0 {
namespace logo_search {

/// \return CV_8U of frame.size(), 255 where the picture covers what is behind it; empty where its pixel format has no alpha.
/// Reads packed, planar and palette formats of 8 bits and more.
cv::Mat alpha_of(const Frame& frame);

}  // namespace logo_search
}  // namespace v0
}  // namespace vidloom
