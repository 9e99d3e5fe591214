#include <vidloom/core/error.hpp>
#include <vidloom/imaging/image.hpp>

#include <imaging/pixel_buffer.hpp>

#include <string>

namespace vidloom {
inline namespace v0 {

struct Image::Data {
  Size size;
  ImageSpec::Format format;
  Affine display_from_image;
  std::size_t count;
  std::shared_ptr<const std::byte> bytes;
};

Image::Image(std::shared_ptr<const Data> data) noexcept : data_(std::move(data)) {}

Image Image::make(Size size, ImageSpec::Format format, const Affine& display_from_image,
                  const std::function<void(std::span<std::byte>)>& fill) {
  if (size.empty()) {
    throw Error(Code::config, "Image size is " + std::to_string(size.width) + "x" + std::to_string(size.height) + "; use 1x1 or more");
  }
  const std::size_t count =
      static_cast<std::size_t>(size.width) * static_cast<std::size_t>(size.height) * static_cast<std::size_t>(vidloom::channels(format));
  std::shared_ptr<std::byte> bytes = take_pixel_buffer(count);
  fill({bytes.get(), count});
  return Image(std::make_shared<const Data>(Data{size, format, display_from_image, count, std::move(bytes)}));
}

Size Image::size() const noexcept { return data_->size; }
ImageSpec::Format Image::format() const noexcept { return data_->format; }
std::span<const std::byte> Image::bytes() const noexcept { return {data_->bytes.get(), data_->count}; }
const Affine& Image::display_from_image() const noexcept { return data_->display_from_image; }

}  // namespace v0
}  // namespace vidloom
