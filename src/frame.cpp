#include <vidloom/core/error.hpp>
#include <vidloom/frame.hpp>

#include <core/component.hpp>
#include <frame_access.hpp>
#include <imaging/counters.hpp>
#include <imaging/luma.hpp>
#include <imaging/orientation.hpp>
#include <imaging/pixel_buffer.hpp>
#include <imaging/plane_resizer.hpp>
#include <imaging/slot.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

namespace vidloom {
inline namespace v0 {
namespace {

constexpr std::size_t most_planes = 4;
constexpr std::int64_t most_pixels = std::int64_t{1} << 28;  // of a picture somebody asks for

std::string to_text(Size size) { return std::to_string(size.width) + "x" + std::to_string(size.height); }

void check_pixels(Size size, std::string_view field) {
  if (static_cast<std::int64_t>(size.width) * size.height > most_pixels) {
    throw Error(Code::config, std::string(field) + " is " + to_text(size) + "; use at most " + std::to_string(most_pixels) + " pixels");
  }
}

/// Everything conversion depends on beside the planes.
struct Geometry {
  Crop crop{};
  Orientation orientation{};
  ColourTags colour{};

  explicit Geometry(const FrameInfo& info) : crop(info.crop), orientation{info.rotation_degrees, info.mirrored}, colour(info.colour) {}
  friend bool operator==(const Geometry& a, const Geometry& b) noexcept {
    const auto key = [](const Geometry& g) {
      return std::tuple(g.crop.left, g.crop.top, g.crop.right, g.crop.bottom, g.orientation.degrees, g.orientation.mirrored,
                        g.colour.matrix, g.colour.range, g.colour.transfer, g.colour.chroma_site);
    };
    return key(a) == key(b);
  }
};

/// Reads rgb24, bgr24 and gray, and the luma of YUV formats, at unchanged size.
class CoreReader {
 public:
  CoreReader(std::string_view pixel_format, bool tagged_full_range) : luma_(luma_layout(pixel_format)) {
    if (luma_) {
      grey_ = pixel_format == "gray";
      full_range_ = luma_->full_range || tagged_full_range;
    } else if (pixel_format == "rgb24") {
      red_ = 0;
    } else if (pixel_format == "bgr24") {
      red_ = 2;
    }
  }
  bool reads_to(ImageSpec::Format format) const noexcept {
    if (red_ >= 0 || grey_) return true;
    return format == ImageSpec::Format::gray8 && luma_ && luma_->bytes == 1;
  }
  void read(const PlaneView& part, ImageSpec::Format format, std::byte* out) const noexcept {
    const auto value = [](std::byte sample) { return std::to_integer<unsigned>(sample); };
    const auto rows = [&](const auto& row) {
      for (int y = 0; y < part.size.height; ++y) row(part.data + y * part.stride);
    };
    const std::size_t width = static_cast<std::size_t>(part.size.width);
    if (red_ < 0 && format == ImageSpec::Format::gray8) {
      const std::array<std::uint8_t, 256> table = grey_from_luma(full_range_);
      rows([&](const std::byte* in) {
        in += luma_->offset;
        for (std::size_t x = 0; x < width; ++x, in += luma_->step) *out++ = std::byte{table[std::to_integer<std::size_t>(*in)]};
      });
    } else if (red_ < 0) {
      rows([&](const std::byte* in) {
        for (std::size_t x = 0; x < width; ++x, out += 3) out[0] = out[1] = out[2] = in[x];
      });
    } else if (format == ImageSpec::Format::gray8) {
      rows([&](const std::byte* in) {
        for (std::size_t x = 0; x < width; ++x, in += 3) *out++ = std::byte{grey_of(value(in[red_]), value(in[1]), value(in[2 - red_]))};
      });
    } else if ((red_ == 0) == (format == ImageSpec::Format::rgb8)) {
      rows([&](const std::byte* in) {
        std::memcpy(out, in, width * 3);
        out += width * 3;
      });
    } else {
      rows([&](const std::byte* in) {
        for (std::size_t x = 0; x < width; ++x, in += 3, out += 3) {
          out[0] = in[2];
          out[1] = in[1];
          out[2] = in[0];
        }
      });
    }
  }

 private:
  std::optional<LumaLayout> luma_;
  std::ptrdiff_t red_ = -1;  // byte of a packed pixel; below zero: not packed RGB
  bool grey_ = false;
  bool full_range_ = false;
};

/// Bytes from pixel to pixel of the first plane, as far as core reads it itself.
std::ptrdiff_t pixel_bytes(std::string_view pixel_format) noexcept {
  if (pixel_format == "rgb24" || pixel_format == "bgr24") return 3;
  const auto layout = luma_layout(pixel_format);
  return layout ? layout->step : 1;
}

}  // namespace

/// The picture, and what was made of it under one geometry: shared by all copies, whatever the rest of their info.
struct Picture {
  struct Made {
    ImageSpec spec;
    std::mutex mutex;  // held while converting: whoever else asks for the same waits and shares
    std::optional<Image> image{};
    explicit Made(const ImageSpec& wanted) : spec(wanted) {}
  };
  std::array<PlaneView, most_planes> planes{};
  std::size_t plane_count = 0;
  std::string pixel_format{};
  std::shared_ptr<const void> owner{};
  Geometry geometry;
  Size cropped{};  // coded orientation
  Size upright{};
  PlaneView part{};  // the first plane, cropped
  std::optional<PixelLayout> layout{};  // nothing: the converter reads it

  mutable std::mutex mutex{};  // guards the list, not the images
  mutable std::vector<std::shared_ptr<Made>> images{};
  mutable std::mutex luma_mutex{};
  mutable std::shared_ptr<const std::byte> luma{};

  Picture(std::span<const PlaneView> views, std::string_view format, const FrameInfo& info, std::shared_ptr<const void> keeper)
      : plane_count(views.size()), pixel_format(format), owner(std::move(keeper)), geometry(info) {
    std::ranges::copy(views, planes.begin());
    const Crop& crop = info.crop;
    const PlaneView& first = planes.front();
    cropped = {first.size.width - crop.left - crop.right, first.size.height - crop.top - crop.bottom};
    if (std::min({crop.left, crop.top, crop.right, crop.bottom}) < 0 || cropped.empty()) {
      throw Error(Code::config, "FrameInfo.crop leaves " + to_text(cropped) + " of a picture of " + to_text(first.size) +
                                    "; use sides of 0 or more that leave at least one pixel");
    }
    upright = geometry.orientation.turned(cropped);
    part = {first.data + crop.top * first.stride + crop.left * pixel_bytes(format), first.stride, cropped};
    layout = pixel_layout(format);
  }

  std::span<const PlaneView> views() const noexcept { return std::span(planes).first(plane_count); }

  /// The cropped picture as `spec`, upright. \param out  spec.size.height * width * channels bytes.
  void convert(const Frame& frame, const ImageSpec& spec, std::span<std::byte> out) const {
    const Orientation& orientation = geometry.orientation;
    const Size coded = orientation.turned(spec.size);
    const int count = channels(spec.format);
    if (coded == cropped && reader_serves(spec)) {
      turned(coded, count, out, [&](std::span<std::byte> whole) { reader().read(part, spec.format, whole.data()); });
      return;
    }
    if (!layout) {
      turned(coded, count, out, [&](std::span<std::byte> whole) { convert_elsewhere(frame, coded, spec, whole); });
      return;
    }
    PlaneTarget target{.data = out.data(), .right = count, .down = std::ptrdiff_t{count} * spec.size.width, .channel = 1, .channels = count};
    if (spec.format == ImageSpec::Format::bgr8) {
      target.data += 2;
      target.channel = -1;
    }
    convert_window(coded, {0, 0, spec.size.width, spec.size.height}, spec.filter, spec.mode, target);
  }

  /// Part of the picture resized to `coded`. \param upright_part  of the upright resized picture.
  /// \param target  of the upright part: pixel (0, 0) of it at target.data.
  void convert_window(Size coded, const Window& upright_part, Filter filter, ColourMode mode, PlaneTarget target) const {
    const Orientation& orientation = geometry.orientation;
    const Orientation::Walk walk = orientation.walk(coded);
    const auto coded_pixel = [&](int x, int y) {
      const std::ptrdiff_t at = walk.first + x * walk.right + y * walk.down;
      return std::pair(static_cast<int>(at % coded.width), static_cast<int>(at / coded.width));
    };
    const auto [x1, y1] = coded_pixel(upright_part.x, upright_part.y);
    const auto [x2, y2] = coded_pixel(upright_part.x + upright_part.width - 1, upright_part.y + upright_part.height - 1);
    const Window window{std::min(x1, x2), std::min(y1, y2), std::abs(x1 - x2) + 1, std::abs(y1 - y2) + 1};
    const Affine upright_from_coded = orientation.upright_from_coded(coded);
    const auto upright_steps = [&](float across, float down) {  // bytes
      return static_cast<std::ptrdiff_t>(across) * target.right + static_cast<std::ptrdiff_t>(down) * target.down;
    };
    const auto& m = upright_from_coded.m;
    const float left = static_cast<float>(window.x) + 0.5F, top = static_cast<float>(window.y) + 0.5F;
    target.data += upright_steps(m[0] * left + m[1] * top + m[2] - 0.5F - static_cast<float>(upright_part.x),
                                 m[3] * left + m[4] * top + m[5] - 0.5F - static_cast<float>(upright_part.y));
    const std::ptrdiff_t right = upright_steps(m[0], m[3]), down = upright_steps(m[1], m[4]);
    target.right = right;
    target.down = down;
    convert_planes({.planes = views(),
                    .pixel_format = pixel_format,
                    .layout = *layout,
                    .crop = geometry.crop,
                    .colour = geometry.colour,
                    .mode = mode,
                    .filter = filter,
                    .resized = coded,
                    .window = window},
                   target);
  }

  /// \param out  8 bits, coded orientation.
  void luma_of_rgb(const Frame& frame, std::span<std::byte> out) const {
    if (!layout) return convert_elsewhere(frame, cropped, {.format = ImageSpec::Format::gray8}, out);
    convert_planes({.planes = views(),
                    .pixel_format = pixel_format,
                    .layout = *layout,
                    .crop = geometry.crop,
                    .colour = geometry.colour,
                    .resized = cropped,
                    .window = {0, 0, cropped.width, cropped.height}},
                   {.data = out.data(), .right = 1, .down = cropped.width, .channels = 1});
  }

  /// Through the converter, coded orientation.
  void convert_elsewhere(const Frame& frame, Size coded, const ImageSpec& spec, std::span<std::byte> out) const {
    const float left = static_cast<float>(geometry.crop.left);
    const float top = static_cast<float>(geometry.crop.top);
    const Box box{left, top, left + static_cast<float>(cropped.width), top + static_cast<float>(cropped.height)};
    pixel_converter(pixel_format).convert({frame, box, coded, spec.format, spec.filter, spec.mode}, out);
  }

  std::shared_ptr<Made> made(const ImageSpec& spec) const {
    const std::lock_guard lock(mutex);
    for (const auto& entry : images) {
      if (entry->spec == spec) return entry;
    }
    return images.emplace_back(std::make_shared<Made>(spec));
  }

 private:
  CoreReader reader() const {
    const ColourTags colour = effective_colour(geometry.colour, planes.front().size);
    return CoreReader(pixel_format, colour.range == Range::full);
  }
  bool reader_serves(const ImageSpec& spec) const {
    const bool is_yuv = layout && layout->model == PixelLayout::Model::yuv;
    return reader().reads_to(spec.format) && !(is_yuv && spec.mode == ColourMode::opencv_compat);
  }
  /// Lets `make` write the picture in coded orientation and turns it.
  template <class Make>
  void turned(Size coded, int channels, std::span<std::byte> out, const Make& make) const {
    const Orientation& orientation = geometry.orientation;
    if (orientation.upright()) return make(out);
    const std::shared_ptr<std::byte> scratch = take_pixel_buffer(out.size());
    const std::span<std::byte> whole(scratch.get(), out.size());
    make(whole);
    orientation.turn(whole, coded, channels, out);
  }
};

struct Frame::Data {
  FrameInfo info;
  std::shared_ptr<const Picture> picture;
  std::shared_ptr<ImagingCounters> counters{};
};

Frame FrameAccess::counted(const Frame& frame, std::shared_ptr<ImagingCounters> stream) {
  return Frame(std::make_shared<const Frame::Data>(Frame::Data{frame.data_->info, frame.data_->picture, std::move(stream)}));
}

Frame::Frame(std::shared_ptr<const Data> data) noexcept : data_(std::move(data)) {}

Frame Frame::copy_of(PlaneView rgb8, const FrameInfo& info) {
  const std::ptrdiff_t row = std::ptrdiff_t{3} * rgb8.size.width;
  if (rgb8.size.empty() || !rgb8.data) throw Error(Code::config, "the picture is " + to_text(rgb8.size) + "; use 1x1 or more");
  check_pixels(rgb8.size, "the picture");
  if (std::abs(rgb8.stride) < row) {
    throw Error(Code::config,
                "the picture's stride is " + std::to_string(rgb8.stride) + " bytes; use 3 * width = " + std::to_string(row) + " or more");
  }
  std::shared_ptr<std::byte> bytes = take_pixel_buffer(static_cast<std::size_t>(row) * static_cast<std::size_t>(rgb8.size.height));
  for (int y = 0; y < rgb8.size.height; ++y) {
    std::memcpy(bytes.get() + y * row, rgb8.data + y * rgb8.stride, static_cast<std::size_t>(row));
  }
  const PlaneView packed{bytes.get(), row, rgb8.size};
  return adopt({&packed, 1}, "rgb24", info, std::move(bytes));
}

Frame Frame::adopt(std::span<const PlaneView> planes, std::string_view pixel_format, const FrameInfo& info,
                   std::shared_ptr<const void> owner) {
  if (planes.empty() || planes.size() > most_planes) {
    throw Error(Code::config, "a frame was given " + std::to_string(planes.size()) + " planes; use 1 to 4");
  }
  for (const PlaneView& plane : planes) {
    if (!plane.data || plane.size.empty()) throw Error(Code::config, "a plane of the frame is " + to_text(plane.size) + " or has no data");
  }
  if (pixel_format.empty()) throw Error(Code::config, "the frame's pixel format is empty; use FFmpeg's name, such as yuv420p");
  if (const int degrees = info.rotation_degrees; degrees != 0 && degrees != 90 && degrees != 180 && degrees != 270) {
    throw Error(Code::config, "FrameInfo.rotation_degrees is " + std::to_string(degrees) + "; use 0, 90, 180 or 270");
  }
  auto picture = std::make_shared<const Picture>(planes, pixel_format, info, std::move(owner));
  return Frame(std::make_shared<const Data>(Data{info, std::move(picture), {}}));
}

const FrameInfo& Frame::info() const noexcept { return data_->info; }
Device Frame::device() const noexcept { return Device::cpu; }
Size Frame::size() const noexcept { return data_->picture->upright; }
Size Frame::coded_size() const noexcept { return data_->picture->planes.front().size; }
std::string_view Frame::pixel_format() const noexcept { return data_->picture->pixel_format; }
std::span<const PlaneView> Frame::planes() const noexcept { return data_->picture->views(); }

PlaneView Frame::luma() const {
  const Picture& picture = *data_->picture;
  const std::optional<LumaLayout> layout = luma_layout(picture.pixel_format);
  if (layout && layout->plain()) return picture.part;

  const std::size_t width = static_cast<std::size_t>(picture.cropped.width);
  const std::size_t height = static_cast<std::size_t>(picture.cropped.height);
  const std::lock_guard lock(picture.luma_mutex);
  if (!picture.luma) {
    const std::shared_ptr<std::byte> bytes = take_pixel_buffer(width * height);
    if (layout) {  // the same numbers with fewer bits, hence the stream's own range
      std::byte* out = bytes.get();
      const unsigned half = layout->shift > 0 ? 1U << (layout->shift - 1) : 0U;
      for (int y = 0; y < picture.cropped.height; ++y) {
        const std::byte* in = picture.part.data + y * picture.part.stride + layout->offset;
        for (std::size_t x = 0; x < width; ++x, in += layout->step) {
          unsigned value = std::to_integer<unsigned>(in[0]);
          if (layout->bytes == 2) value |= std::to_integer<unsigned>(in[1]) << 8;
          *out++ = static_cast<std::byte>(std::min(255U, (value + half) >> layout->shift));
        }
      }
    } else {
      // In coded orientation, as all luma is.
      const CoreReader reader(picture.pixel_format, true);
      if (reader.reads_to(ImageSpec::Format::gray8)) reader.read(picture.part, ImageSpec::Format::gray8, bytes.get());
      else picture.luma_of_rgb(*this, {bytes.get(), width * height});
    }
    picture.luma = bytes;
  }
  return {picture.luma.get(), static_cast<std::ptrdiff_t>(width), picture.cropped};
}

Affine Frame::display_from_luma() const noexcept {
  return data_->picture->geometry.orientation.upright_from_coded(data_->picture->cropped);
}

Image Frame::image(const ImageSpec& spec) const {
  const Picture& picture = *data_->picture;
  ImageSpec wanted = spec;
  if (wanted.size == Size{}) wanted.size = picture.upright;
  if (wanted.size.empty()) {
    throw Error(Code::config, "ImageSpec.size is " + to_text(wanted.size) + "; use 1x1 or more, or 0x0 for the frame's own size");
  }
  check_pixels(wanted.size, "ImageSpec.size");

  const std::shared_ptr<Picture::Made> made = picture.made(wanted);
  const std::lock_guard lock(made->mutex);
  if (!made->image) {
    const Affine display_from_image = upright_from_slot(picture.upright, {.resized = wanted.size});
    made->image = Image::make(wanted.size, wanted.format, display_from_image,
                              [&](std::span<std::byte> out) { picture.convert(*this, wanted, out); });
    count_conversion(wanted.format != ImageSpec::Format::gray8 && wanted.size == picture.upright, data_->counters.get());
  }
  return *made->image;
}

namespace {

/// The picture's visible part into the slot, and grey around it.
void write_planes(const Picture& picture, const SlotPlace& place, const TensorSpec& spec, std::span<std::byte> slot) {
  pad_slot(place, spec, slot);
  const int left = std::max(place.x, 0), right = std::min(place.x + place.resized.width, spec.size.width);
  const int top = std::max(place.y, 0), bottom = std::min(place.y + place.resized.height, spec.size.height);
  const auto element = static_cast<std::ptrdiff_t>(bytes_of(spec.dtype));
  const std::ptrdiff_t row = element * spec.size.width;
  PlaneTarget target{.data = slot.data() + top * row + left * element, .right = element, .down = row, .channel = row * spec.size.height};
  switch (spec.dtype) {
    case TensorSpec::DType::u8: target.dtype = FinishTask::DType::u8; break;
    case TensorSpec::DType::f16: target.dtype = FinishTask::DType::f16; break;
    case TensorSpec::DType::bf16: target.dtype = FinishTask::DType::bf16; break;
    case TensorSpec::DType::f32: target.dtype = FinishTask::DType::f32; break;
  }
  for (std::size_t c = 0; c < 3; ++c) {
    target.scale[c] = 1 / (255 * spec.std[c]);
    target.bias[c] = -spec.mean[c] / spec.std[c];
  }
  const Window part{left - place.x, top - place.y, right - left, bottom - top};
  picture.convert_window(picture.geometry.orientation.turned(place.resized), part, spec.filter, spec.mode, target);
}

}  // namespace

Affine Frame::write_tensor(const TensorSpec& spec, std::span<std::byte> slot) const {
  if (spec.device != Device::cpu) {
    throw Error(Code::not_built, "TensorSpec.device is cuda:" + std::to_string(static_cast<int>(spec.device)) +
                                     ", but write_tensor() writes into the CPU's memory; use vidloom::write_tensors() or to_tensor() of "
                                     "<vidloom/interop/torch.hpp>, in Python vl.torch.tensor(frame, size, device=\"cuda\")");
  }
  if (spec.size.empty()) throw Error(Code::config, "TensorSpec.size is " + to_text(spec.size) + "; use 1x1 or more");
  check_pixels(spec.size, "TensorSpec.size");
  if (slot.size() < slot_bytes(spec)) {
    throw Error(Code::config, "the slot holds " + std::to_string(slot.size()) + " bytes; a tensor of 3x" +
                                  std::to_string(spec.size.height) + "x" + std::to_string(spec.size.width) + " needs " +
                                  std::to_string(slot_bytes(spec)));
  }
  for (const float deviation : spec.std) {
    if (deviation == 0 || !std::isfinite(deviation)) {
      throw Error(Code::config, "TensorSpec.std holds " + std::to_string(deviation) + "; use finite numbers other than 0");
    }
  }
  const Picture& picture = *data_->picture;
  const Orientation& orientation = picture.geometry.orientation;
  const SlotPlace place = place_in_slot(picture.upright, spec);
  check_pixels(place.resized, "the picture resized for TensorSpec.fit");
  count_conversion(!picture.layout && place.resized == picture.upright, data_->counters.get());
  if (picture.layout) {
    write_planes(picture, place, spec, slot);
  } else {
    // Resized whole and then cropped, as the models' own preprocessing does: pixels beside the crop have their part in its border.
    const std::size_t bytes = std::size_t{3} * static_cast<std::size_t>(place.resized.width) * static_cast<std::size_t>(place.resized.height);
    const std::shared_ptr<std::byte> scratch = take_pixel_buffer(bytes);
    const ImageSpec whole{.filter = spec.filter, .mode = spec.mode};
    picture.convert_elsewhere(*this, orientation.turned(place.resized), whole, {scratch.get(), bytes});
    fill_slot({scratch.get(), bytes}, orientation, place, spec, slot);
  }
  return upright_from_slot(picture.upright, place);
}

Frame Frame::with_info(const FrameInfo& info) const {
  const Picture& picture = *data_->picture;
  if (Geometry(info) == picture.geometry) return Frame(std::make_shared<const Data>(Data{info, data_->picture, data_->counters}));
  return FrameAccess::counted(adopt(picture.views(), picture.pixel_format, info, picture.owner), data_->counters);
}

ColourTags effective_colour(const ColourTags& tags, Size coded) noexcept {
  ColourTags result = tags;
  if (result.matrix == Matrix::unknown) result.matrix = coded.height >= 720 ? Matrix::bt709 : Matrix::bt601;
  if (result.range == Range::unknown) result.range = Range::limited;
  return result;
}

std::string_view to_string(Clock clock) noexcept {
  switch (clock) {
    case Clock::none: return "none";
    case Clock::device: return "device";
    case Clock::rtcp: return "rtcp";
    case Clock::sei: return "sei";
    case Clock::playlist: return "playlist";
    case Clock::arrival: return "arrival";
  }
  return "none";
}

std::string_view to_string(Health health) noexcept {
  switch (health) {
    case Health::ok: return "ok";
    case Health::concealed: return "concealed";
    case Health::after_gap: return "after_gap";
  }
  return "ok";
}

std::string_view to_string(Matrix matrix) noexcept {
  switch (matrix) {
    case Matrix::unknown: return "unknown";
    case Matrix::rgb: return "rgb";
    case Matrix::bt601: return "bt601";
    case Matrix::bt709: return "bt709";
    case Matrix::bt2020: return "bt2020";
    case Matrix::smpte240m: return "smpte240m";
    case Matrix::fcc: return "fcc";
    case Matrix::ycgco: return "ycgco";
    case Matrix::other: return "other";
  }
  return "unknown";
}

std::string_view to_string(Range range) noexcept {
  switch (range) {
    case Range::unknown: return "unknown";
    case Range::limited: return "limited";
    case Range::full: return "full";
  }
  return "unknown";
}

std::string_view to_string(Transfer transfer) noexcept {
  switch (transfer) {
    case Transfer::unknown: return "unknown";
    case Transfer::bt709: return "bt709";
    case Transfer::gamma22: return "gamma22";
    case Transfer::gamma28: return "gamma28";
    case Transfer::linear: return "linear";
    case Transfer::srgb: return "srgb";
    case Transfer::smpte240m: return "smpte240m";
    case Transfer::pq: return "pq";
    case Transfer::hlg: return "hlg";
    case Transfer::other: return "other";
  }
  return "unknown";
}

std::string_view to_string(ChromaSite site) noexcept {
  switch (site) {
    case ChromaSite::unknown: return "unknown";
    case ChromaSite::left: return "left";
    case ChromaSite::centre: return "centre";
    case ChromaSite::top_left: return "top_left";
    case ChromaSite::top: return "top";
    case ChromaSite::bottom_left: return "bottom_left";
    case ChromaSite::bottom: return "bottom";
  }
  return "unknown";
}

}  // namespace v0
}  // namespace vidloom
