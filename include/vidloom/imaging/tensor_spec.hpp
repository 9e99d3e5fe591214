#pragma once
/// What model input somebody wants of a Frame: planar RGB, channels first (3, height, width).

#include <vidloom/core/geometry.hpp>
#include <vidloom/imaging/image_spec.hpp>

#include <cstddef>
#include <cstdint>

namespace vidloom {
inline namespace v0 {

enum class Device : std::int16_t { cpu = -1 };  ///< 0 and up: that CUDA ordinal

struct TensorSpec {
  /// stretch: both sides to `size`. letterbox: whole picture inside, centred, 114/255 around it.
  /// centre_crop: short side to `size` (square), long side int(size * long / short), then the centred square with a floored
  /// offset, as Hugging Face's CLIPImageProcessor does.
  enum class Fit : std::uint8_t { stretch, letterbox, centre_crop };
  enum class DType : std::uint8_t { u8, f16, bf16, f32 };
  Size size{};
  Fit fit = Fit::centre_crop;
  float mean[3] = {0, 0, 0};  ///< subtracted from 0..1 values, in R, G, B order; not for u8
  float std[3] = {1, 1, 1};   ///< then divided by
  DType dtype = DType::f32;   ///< u8 holds 0..255 (rounded), all others 0..1 before mean and std (not rounded to 1/255)
  Device device = Device::cpu;
  Filter filter = Filter::bicubic;
  ColourMode mode = ColourMode::exact;
};

constexpr std::size_t bytes_of(TensorSpec::DType dtype) noexcept {
  return dtype == TensorSpec::DType::u8 ? 1 : dtype == TensorSpec::DType::f32 ? 4 : 2;
}
/// \return bytes of one slot: 3 * height * width * bytes_of(dtype).
constexpr std::size_t slot_bytes(const TensorSpec& spec) noexcept {
  return std::size_t{3} * static_cast<std::size_t>(spec.size.width) * static_cast<std::size_t>(spec.size.height) *
         bytes_of(spec.dtype);
}

}  // namespace v0
}  // namespace vidloom
