#include <imaging/yuv_picture.hpp>

#include <imaging/colour_matrix.hpp>
#include <imaging/orientation.hpp>
#include <imaging/pixel_buffer.hpp>
#include <imaging/pixel_layout.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

namespace vidloom {
inline namespace v0 {
namespace {

constexpr std::ptrdiff_t alignment = 64;  // of rows

Size chroma_of(Size size) noexcept { return {(size.width + 1) / 2, (size.height + 1) / 2}; }

/// Where the samples of an upright picture stand in a coded plane: sample (x, y) is `across[x] + down[y]` bytes from its beginning.
struct Walk {
  std::vector<std::ptrdiff_t> across, down;
};

/// \param size  of the upright plane. \param pixels  upright pixels to a sample of it, both ways.
/// \param second  the last of these pixels rather than the first.
/// \param log2_across, log2_down  coded pixels to a sample of the coded plane.
Walk walk_of(Size size, int pixels, bool second, const Orientation& orientation, const Crop& crop, Size cropped, const PixelLayout::Component& component,
             const PlaneView& plane, int bytes, int log2_across, int log2_down) {
  const Affine map = orientation.upright_from_coded(cropped);  // its own shape: each side is one side of the coded picture
  const Size upright = orientation.turned(cropped);
  Walk walk;
  // The coded side along an upright one, and whether it runs against it.
  const auto fill = [&](std::vector<std::ptrdiff_t>& steps, int count, int length, bool is_coded_x, bool backwards) {
    steps.resize(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) {
      const int pixel = std::min(i * pixels + (second ? pixels - 1 : 0), length - 1);
      const int coded = backwards ? length - 1 - pixel : pixel;
      const std::ptrdiff_t at = is_coded_x ? (coded + crop.left) >> log2_across : (coded + crop.top) >> log2_down;
      steps[static_cast<std::size_t>(i)] = is_coded_x ? (component.offset + at * component.step) * bytes : at * plane.stride;
    }
  };
  const auto& m = map.m;  // upright x = m0 X + m1 Y + m2, upright y = m3 X + m4 Y + m5
  fill(walk.across, size.width, upright.width, m[0] != 0, m[0] < 0 || m[1] < 0);
  fill(walk.down, size.height, upright.height, m[3] != 0, m[3] < 0 || m[4] < 0);
  return walk;
}

/// Calls take(out, row, x) over tiles: turned pictures are read across their rows.
template <class Take>
void tiled(const YuvPicture::Plane& plane, const Take& take) {
  constexpr int tile = 64;
  for (int top = 0; top < plane.size.height; top += tile) {
    const int bottom = std::min(top + tile, plane.size.height);
    for (int left = 0; left < plane.size.width; left += tile) {
      const int right = std::min(left + tile, plane.size.width);
      for (int y = top; y < bottom; ++y) {
        std::byte* const row = plane.data + y * plane.stride;
        for (int x = left; x < right; ++x) row[x] = take(static_cast<std::size_t>(x), static_cast<std::size_t>(y));
      }
    }
  }
}

bool runs_on(const std::vector<std::ptrdiff_t>& steps) noexcept {
  for (std::size_t i = 1; i < steps.size(); ++i)
    if (steps[i] != steps[i - 1] + 1) return false;
  return true;
}

/// Whole samples of `depth` bits, in 8.
struct Reader {
  const std::byte* data;
  int bytes, shift, depth;
  unsigned operator()(std::ptrdiff_t at) const noexcept {
    if (bytes == 1) return std::to_integer<unsigned>(data[at]);
    std::uint16_t sample = 0;
    std::memcpy(&sample, data + at, sizeof sample);
    const unsigned value = static_cast<unsigned>(sample) >> shift, half = 1U << (depth - 9);
    return std::min((value + half) >> (depth - 8), 255U);
  }
};

void copy_plane(const YuvPicture::Plane& to, const Reader& from, const Walk& walk) {
  if (from.bytes == 1 && runs_on(walk.across)) {
    for (int y = 0; y < to.size.height; ++y) {
      std::memcpy(to.data + y * to.stride, from.data + walk.across[0] + walk.down[static_cast<std::size_t>(y)], static_cast<std::size_t>(to.size.width));
    }
  } else if (from.bytes == 1) {
    tiled(to, [&](std::size_t x, std::size_t y) { return from.data[walk.across[x] + walk.down[y]]; });
  } else {
    tiled(to, [&](std::size_t x, std::size_t y) { return static_cast<std::byte>(from(walk.across[x] + walk.down[y])); });
  }
}

void average_plane(const YuvPicture::Plane& to, const Reader& from, const Walk& first, const Walk& last) {
  tiled(to, [&](std::size_t x, std::size_t y) {
    const unsigned sum = from(first.across[x] + first.down[y]) + from(last.across[x] + first.down[y]) + from(first.across[x] + last.down[y]) +
                         from(last.across[x] + last.down[y]);
    return static_cast<std::byte>((sum + 2) / 4);
  });
}

}  // namespace

YuvPicture::YuvPicture(Size size, const FrameInfo& info) : info_(info) {
  const auto aligned = [](int bytes) { return (std::ptrdiff_t{bytes} + alignment - 1) / alignment * alignment; };
  const Size half = chroma_of(size);
  const std::ptrdiff_t row = aligned(size.width), half_row = aligned(half.width);
  const std::ptrdiff_t luma = row * size.height, chroma = half_row * half.height;
  memory_ = take_pixel_buffer(static_cast<std::size_t>(luma + 2 * chroma));
  planes_ = {{{memory_.get(), row, size}, {memory_.get() + luma, half_row, half}, {memory_.get() + luma + chroma, half_row, half}}};
  const Orientation orientation{info.rotation_degrees, info.mirrored};
  if (orientation.swaps_sides()) std::swap(info_.sample_aspect.num, info_.sample_aspect.den);
  info_.rotation_degrees = 0;
  info_.mirrored = false;
  info_.crop = {};
}

bool YuvPicture::is_upright(const Frame& frame) noexcept {
  const FrameInfo& info = frame.info();
  const Crop& crop = info.crop;
  return info.rotation_degrees == 0 && !info.mirrored && crop.left == 0 && crop.top == 0 && crop.right == 0 && crop.bottom == 0 &&
         frame.pixel_format() == format;
}

YuvPicture YuvPicture::upright_of(const Frame& frame) {
  YuvPicture picture(frame.size(), frame.info());
  const auto layout = pixel_layout(frame.pixel_format());
  if (!layout || layout->model == PixelLayout::Model::rgb) {
    picture.take_rgb(frame);
  } else {
    picture.take_planes(frame);
  }
  return picture;
}

void YuvPicture::take_planes(const Frame& frame) {
  const PixelLayout layout = *pixel_layout(frame.pixel_format());
  const FrameInfo& from = frame.info();
  const Orientation orientation{from.rotation_degrees, from.mirrored};
  const Size cropped = orientation.turned(frame.size());
  const auto walk = [&](int plane, bool second, const PixelLayout::Component& component) {
    const bool chroma = plane > 0;
    return walk_of(planes_[static_cast<std::size_t>(plane)].size, chroma ? 2 : 1, second, orientation, from.crop, cropped, component,
                   frame.planes()[static_cast<std::size_t>(component.plane)], layout.bytes, chroma ? layout.log2_across : 0,
                   chroma ? layout.log2_down : 0);
  };
  for (int plane = 0; plane < 3; ++plane) {
    const Plane& to = planes_[static_cast<std::size_t>(plane)];
    if (plane >= layout.count) {  // grey
      for (int y = 0; y < to.size.height; ++y) std::memset(to.data + y * to.stride, 128, static_cast<std::size_t>(to.size.width));
      continue;
    }
    const PixelLayout::Component& component = layout.components[static_cast<std::size_t>(plane)];
    const Reader reader{frame.planes()[static_cast<std::size_t>(component.plane)].data, layout.bytes, layout.shift, layout.depth};
    const bool finer = plane > 0 && (layout.log2_across < 1 || layout.log2_down < 1);
    if (finer) average_plane(to, reader, walk(plane, false, component), walk(plane, true, component));
    else copy_plane(to, reader, walk(plane, false, component));
  }
  if (layout.full_range) info_.colour.range = Range::full;
  effective_ = effective_colour(info_.colour, frame.coded_size());
}

void YuvPicture::take_rgb(const Frame& frame) {
  const Image image = frame.image({.format = ImageSpec::Format::rgb8});
  ColourTags& colour = info_.colour;
  colour.range = Range::limited;
  colour.matrix = Matrix::unknown;
  colour.matrix = effective_colour(colour, frame.coded_size()).matrix;
  colour.codes.matrix = colour.matrix == Matrix::bt709 ? 1 : 6;
  effective_ = colour;
  const YuvFromRgb yuv(effective_);
  const auto* pixels = image.bytes().data();
  const auto value = [&](int x, int y) { return pixels + y * image.stride() + std::ptrdiff_t{3} * x; };
  const auto level = [](std::byte byte) { return std::to_integer<int>(byte); };
  for (int y = 0; y < planes_[0].size.height; ++y) {
    std::byte* const row = planes_[0].data + y * planes_[0].stride;
    for (int x = 0; x < planes_[0].size.width; ++x) {
      const std::byte* rgb = value(x, y);
      row[x] = static_cast<std::byte>(yuv.luma(level(rgb[0]), level(rgb[1]), level(rgb[2])));
    }
  }
  for (int y = 0; y < planes_[1].size.height; ++y) {
    for (int x = 0; x < planes_[1].size.width; ++x) {
      const int right = std::min(2 * x + 1, planes_[0].size.width - 1), below = std::min(2 * y + 1, planes_[0].size.height - 1);
      const std::byte* const four[] = {value(2 * x, 2 * y), value(right, 2 * y), value(2 * x, below), value(right, below)};
      int sum[3] = {};
      for (const std::byte* rgb : four)
        for (int c = 0; c < 3; ++c) sum[c] += level(rgb[c]);
      const auto [u, v] = yuv.chroma(sum[0], sum[1], sum[2], 4);
      planes_[1].data[y * planes_[1].stride + x] = static_cast<std::byte>(u);
      planes_[2].data[y * planes_[2].stride + x] = static_cast<std::byte>(v);
    }
  }
}

Frame YuvPicture::frame() const {
  const std::array<PlaneView, 3> views{{{planes_[0].data, planes_[0].stride, planes_[0].size},
                                        {planes_[1].data, planes_[1].stride, planes_[1].size},
                                        {planes_[2].data, planes_[2].stride, planes_[2].size}}};
  return Frame::adopt(views, format, info_, memory_);
}

}  // namespace v0
}  // namespace vidloom
