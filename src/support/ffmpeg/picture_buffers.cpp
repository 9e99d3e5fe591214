#include <support/ffmpeg/picture_buffers.hpp>

#include <imaging/mapped_memory.hpp>

extern "C" {
#include <libavutil/imgutils.h>
}

#include <algorithm>
#include <array>
#include <new>
#include <utility>

namespace vidloom::av {
namespace {

/// Planes begin on cache lines, and behind each lies what a decoder's vector code may read over its end.
constexpr std::size_t line = 64, behind = 128;

/// Where the planes of one picture lie in one block.
struct Layout {
  std::array<int, 4> strides{};
  std::array<std::size_t, 4> offsets{};
  std::size_t bytes = 0;
};

/// \return how a picture of `codec` is laid out; bytes is 0 where FFmpeg cannot say.
Layout layout_for(AVCodecContext& codec, const AVFrame& frame) noexcept {
  const auto format = static_cast<AVPixelFormat>(frame.format);
  int width = frame.width, height = frame.height;
  std::array<int, AV_NUM_DATA_POINTERS> alignment{};
  avcodec_align_dimensions2(&codec, &width, &height, alignment.data());
  Layout layout;
  const auto aligned = [&] {
    for (std::size_t plane = 0; plane < layout.strides.size(); ++plane) {
      if (alignment[plane] > 1 && layout.strides[plane] % alignment[plane] != 0) return false;
    }
    return true;
  };
  // Chroma strides are shares of the width: it grows to rounder numbers until all of them fit.
  for (int multiple = 1; multiple <= 1 << 12; multiple *= 2) {
    width = (width + multiple - 1) / multiple * multiple;
    if (av_image_fill_linesizes(layout.strides.data(), format, width) < 0) return {};
    if (aligned()) break;
  }
  if (!aligned()) return {};
  std::array<std::ptrdiff_t, 4> strides{};
  std::copy(layout.strides.begin(), layout.strides.end(), strides.begin());
  std::array<std::size_t, 4> sizes{};
  if (av_image_fill_plane_sizes(sizes.data(), format, height, strides.data()) < 0) return {};
  for (std::size_t plane = 0; plane < sizes.size() && sizes[plane] > 0; ++plane) {
    layout.offsets[plane] = layout.bytes;
    layout.bytes += (sizes[plane] + behind + line - 1) / line * line;
  }
  return layout;
}

using Memory = std::shared_ptr<std::byte>;

/// See Note [Large memory].
AVBufferRef* allocate(void*, std::size_t bytes) noexcept try {
  auto memory = std::make_unique<Memory>(map_memory(bytes));
  auto* const data = reinterpret_cast<std::uint8_t*>(memory->get());
  AVBufferRef* const buffer =
      av_buffer_create(data, bytes, [](void* owner, std::uint8_t*) { delete static_cast<Memory*>(owner); }, memory.get(), 0);
  if (buffer) static_cast<void>(memory.release());  // FFmpeg's now
  return buffer;
} catch (const std::bad_alloc&) {
  return nullptr;
}

}  // namespace

int PictureBuffers::get(AVCodecContext& codec, AVFrame& frame, int flags) noexcept {
  const AVPixFmtDescriptor* description = av_pix_fmt_desc_get(static_cast<AVPixelFormat>(frame.format));
  const bool plain = codec.codec_type == AVMEDIA_TYPE_VIDEO && description && (description->flags & AV_PIX_FMT_FLAG_HWACCEL) == 0 &&
                     (codec.codec->capabilities & AV_CODEC_CAP_DR1) != 0;
  const Layout layout = plain ? layout_for(codec, frame) : Layout{};
  if (layout.bytes == 0) return avcodec_default_get_buffer2(&codec, &frame, flags);
  {
    const std::lock_guard lock(mutex_);
    if (!pool_ || bytes_ != layout.bytes) {
      pool_.reset(av_buffer_pool_init2(layout.bytes, nullptr, &allocate, nullptr));
      bytes_ = layout.bytes;
    }
    frame.buf[0] = pool_ ? av_buffer_pool_get(pool_.get()) : nullptr;
  }
  if (!frame.buf[0]) return AVERROR(ENOMEM);
  for (std::size_t plane = 0; plane < layout.strides.size(); ++plane) {
    const bool there = plane == 0 || layout.offsets[plane] > 0;
    frame.data[plane] = there ? frame.buf[0]->data + layout.offsets[plane] : nullptr;
    frame.linesize[plane] = there ? layout.strides[plane] : 0;
  }
  frame.extended_data = frame.data;
  return 0;
}

}  // namespace vidloom::av
