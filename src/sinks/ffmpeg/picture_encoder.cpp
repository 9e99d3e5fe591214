#include <sinks/ffmpeg/picture_encoder.hpp>

#include <support/ffmpeg/av.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace vidloom {
namespace {

/// One picture through one encoder.
class Still {
 public:
  /// \param coarseness  of a lossy encoder, 0: it has none.
  Still(AVCodecID id, const char* name, AVPixelFormat format, Size size, int coarseness) : name_(name) {
    const AVCodec* encoder = avcodec_find_encoder(id);
    if (!encoder) throw Error(Code::not_built, std::string("this FFmpeg (") + av_version_info() + ") has no " + name_ + " encoder");
    codec_.reset(av::allocated(avcodec_alloc_context3(encoder)));
    codec_->width = picture_->width = size.width;
    codec_->height = picture_->height = size.height;
    codec_->pix_fmt = format;
    picture_->format = format;
    codec_->time_base = {1, 1};
    codec_->thread_count = 1;
    if (coarseness > 0) {
      codec_->color_range = picture_->color_range = AVCOL_RANGE_JPEG;
      codec_->flags |= AV_CODEC_FLAG_QSCALE;
      codec_->global_quality = picture_->quality = FF_QP2LAMBDA * coarseness;
    }
    if (avcodec_open2(codec_.get(), encoder, nullptr) < 0 || av_frame_get_buffer(picture_.get(), 0) < 0) {
      throw Error(Code::output, "FFmpeg's " + name_ + " encoder refuses a picture of " + std::to_string(size.width) + "x" + std::to_string(size.height));
    }
  }
  std::uint8_t* row(int plane, int y) { return picture_->data[plane] + std::ptrdiff_t{y} * picture_->linesize[plane]; }
  std::vector<std::byte> encoded() {
    const av::PacketPtr packet = av::make_packet();
    int code = avcodec_send_frame(codec_.get(), picture_.get());
    if (code >= 0) code = avcodec_receive_packet(codec_.get(), packet.get());
    if (code == AVERROR(EAGAIN)) {
      avcodec_send_frame(codec_.get(), nullptr);
      code = avcodec_receive_packet(codec_.get(), packet.get());
    }
    if (code < 0) throw Error(Code::output, "FFmpeg's " + name_ + " encoder failed: " + av::error_text(code));
    const auto* bytes = reinterpret_cast<const std::byte*>(packet->data);
    return {bytes, bytes + packet->size};
  }

 private:
  const std::string name_;
  av::CodecPtr codec_;
  av::FramePtr picture_ = av::make_frame();
};

class Encoder final : public PictureEncoder {
 public:
  std::vector<std::byte> png(const PlaneView& rgb8) const override {
    Still still(AV_CODEC_ID_PNG, "PNG", AV_PIX_FMT_RGB24, rgb8.size, 0);
    for (int y = 0; y < rgb8.size.height; ++y) std::memcpy(still.row(0, y), rgb8.data + y * rgb8.stride, static_cast<std::size_t>(rgb8.size.width) * 3);
    return still.encoded();
  }
  std::vector<std::byte> jpeg(const PlaneView& rgb8, int coarseness) const override;
};

/// JFIF's own colours (ITU-T T.871): BT.601, full range. In 16 bits behind the point.
std::array<std::uint8_t, 3> jfif_of(int red, int green, int blue) noexcept {
  const auto level = [](int value) { return static_cast<std::uint8_t>(std::clamp((value + 32768) >> 16, 0, 255)); };
  constexpr int middle = 128 << 16;
  return {level(19595 * red + 38470 * green + 7471 * blue), level(-11059 * red - 21709 * green + 32768 * blue + middle),
          level(32768 * red - 27439 * green - 5329 * blue + middle)};
}

std::vector<std::byte> Encoder::jpeg(const PlaneView& rgb8, int coarseness) const {
  Still still(AV_CODEC_ID_MJPEG, "JPEG", AV_PIX_FMT_YUVJ444P, rgb8.size, std::clamp(coarseness, 2, 31));
  for (int y = 0; y < rgb8.size.height; ++y) {
    const auto* from = reinterpret_cast<const std::uint8_t*>(rgb8.data + y * rgb8.stride);
    const std::array<std::uint8_t*, 3> to{still.row(0, y), still.row(1, y), still.row(2, y)};
    for (int x = 0; x < rgb8.size.width; ++x, from += 3) {
      const std::array<std::uint8_t, 3> colour = jfif_of(from[0], from[1], from[2]);
      for (std::size_t plane = 0; plane < 3; ++plane) to[plane][x] = colour[plane];
    }
  }
  return still.encoded();
}

}  // namespace

std::shared_ptr<const PictureEncoder> make_picture_encoder() { return std::make_shared<Encoder>(); }

}  // namespace vidloom
