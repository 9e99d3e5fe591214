#pragma once
/// Image: a packed, upright picture that owns its bytes. Copies share them. Immutable, thread-safe.
///
///     const Image small = frame.image({.size = {320, 180}, .format = ImageSpec::Format::bgr8});
///     for (Box& box : boxes) box = small.to_display(box);

#include <vidloom/core/export.hpp>
#include <vidloom/core/geometry.hpp>
#include <vidloom/imaging/image_spec.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <span>

namespace vidloom {
inline namespace v0 {

class VIDLOOM_API Image {
 public:
  /// Allocates size.height * size.width * channels bytes and lets `fill` write them once (rows without padding).
  /// \param display_from_image  maps pixels of this picture to display pixels of the frame it came from.
  /// Throws Error(config) on an empty size, and whatever `fill` throws.
  static Image make(Size size, ImageSpec::Format format, const Affine& display_from_image,
                    const std::function<void(std::span<std::byte>)>& fill);

  Size size() const noexcept;
  ImageSpec::Format format() const noexcept;
  int channels() const noexcept { return vidloom::channels(format()); }
  /// Rows follow each other without padding: byte (y, x, c) is at (y * width + x) * channels + c.
  std::span<const std::byte> bytes() const noexcept;
  std::ptrdiff_t stride() const noexcept { return static_cast<std::ptrdiff_t>(size().width) * channels(); }
  const Affine& display_from_image() const noexcept;
  /// \return `box_in_image` in display pixels of the frame.
  Box to_display(const Box& box_in_image) const noexcept { return map_box(display_from_image(), box_in_image); }

 private:
  struct Data;
  explicit Image(std::shared_ptr<const Data> data) noexcept;
  std::shared_ptr<const Data> data_;
};

}  // namespace v0
}  // namespace vidloom
