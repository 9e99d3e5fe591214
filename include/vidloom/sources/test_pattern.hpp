#pragma once
/// Our own test pattern, in libvidloom itself: colour bars, a moving square, a clock, and the frame number as a barcode that
/// survives encoding, scaling and a screenshot. `test:` or `test:size=640x360,rate=30000/1001,frames=300,start=10`.

#include <vidloom/core/geometry.hpp>
#include <vidloom/core/time.hpp>
#include <vidloom/imaging/image.hpp>
#include <vidloom/source.hpp>

#include <cstdint>
#include <memory>
#include <optional>

namespace vidloom {
inline namespace v0 {

struct TestPatternOptions {
  Size size{640, 360};       ///< any; the barcode needs 32 x 16, and the clock 50 columns beside it
  Rational rate{25, 1};      ///< frames a second
  std::uint64_t frames = 250;
  Nanos start{0};            ///< media time of frame 0, rounded to a frame
};
VIDLOOM_API std::unique_ptr<Source> test_pattern(const TestPatternOptions& options = {});

/// \return the frame number in the pattern's barcode, or nothing when it cannot be read for certain (checksum).
VIDLOOM_API std::optional<std::uint32_t> read_barcode(const Image& image);

}  // namespace v0
}  // namespace vidloom
