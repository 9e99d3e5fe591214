#pragma once
/// What a still camera sees when nothing moves: per pixel a few Gaussians, weighed by how often each was seen.
///
/// Z. Zivkovic, "Improved adaptive Gaussian mixture model for background subtraction", ICPR 2004, and Z. Zivkovic and F. van der
/// Heijden, "Efficient adaptive density estimation per image pixel for the task of background subtraction", Pattern Recognition
/// Letters 27, 2006: equations 4 to 6 for the updates, 10 for the background. The constants are those of OpenCV's MOG2, whose
/// answers it gives; its own implementation because MOG2's memory, 60 bytes a pixel and stream, comes from the heap of whichever
/// thread first calls it (Note [Large memory]).

#include <vidloom/core/export.hpp>
#include <vidloom/core/geometry.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace vidloom {
inline namespace v0 {

/// One stream's. One thread at a time.
class VIDLOOM_API BackgroundModel {
 public:
  /// \param threshold  squared distance in standard deviations from which a pixel is no background; MOG2's default is 16.
  BackgroundModel(Size size, int history, double threshold);

  /// Compares a picture with what was learned and learns from it, the first ones fastest.
  /// \param grey    size.width * size.height samples without padding.
  /// \param moving  as many; receives 255 where the picture is not background, else 0.
  void learn(std::span<const std::uint8_t> grey, std::span<std::uint8_t> moving);

 private:
  struct Gaussian {
    float weight, variance, mean;
  };
  static constexpr std::size_t most = 5;  // per pixel
  struct Pixel {
    Gaussian modes[most];  // heaviest first
  };
  bool is_background(Pixel& pixel, std::uint8_t& used, float value, float rate, float forgetting) const;

  std::size_t pixels_;
  int history_;
  float threshold_;
  int seen_ = 0;
  std::shared_ptr<std::byte> memory_;
  Pixel* models_;
  std::uint8_t* used_;  // modes of each pixel
};

}  // namespace v0
}  // namespace vidloom
