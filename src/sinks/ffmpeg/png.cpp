#include <sinks/ffmpeg/png.hpp>

#include <support/ffmpeg/av.hpp>

#include <cstring>

namespace vidloom {
namespace {

class Png final : public PictureEncoder {
 public:
  std::vector<std::byte> png(const PlaneView& rgb8) const override;
};

std::vector<std::byte> Png::png(const PlaneView& rgb8) const {
  const AVCodec* encoder = avcodec_find_encoder(AV_CODEC_ID_PNG);
  if (!encoder) throw Error(Code::not_built, std::string("this FFmpeg (") + av_version_info() + ") has no PNG encoder");
  const av::CodecPtr codec(av::allocated(avcodec_alloc_context3(encoder)));
  codec->width = rgb8.size.width;
  codec->height = rgb8.size.height;
  codec->pix_fmt = AV_PIX_FMT_RGB24;
  codec->time_base = {1, 1};
  codec->thread_count = 1;
  const av::FramePtr picture = av::make_frame();
  picture->format = AV_PIX_FMT_RGB24;
  picture->width = rgb8.size.width;
  picture->height = rgb8.size.height;
  if (avcodec_open2(codec.get(), encoder, nullptr) < 0 || av_frame_get_buffer(picture.get(), 0) < 0) {
    throw Error(Code::output, "FFmpeg's PNG encoder refuses a picture of " + std::to_string(rgb8.size.width) + "x" + std::to_string(rgb8.size.height));
  }
  for (int y = 0; y < rgb8.size.height; ++y) {
    std::memcpy(picture->data[0] + std::ptrdiff_t{y} * picture->linesize[0], rgb8.data + y * rgb8.stride, static_cast<std::size_t>(rgb8.size.width) * 3);
  }
  const av::PacketPtr packet = av::make_packet();
  int code = avcodec_send_frame(codec.get(), picture.get());
  if (code >= 0) code = avcodec_receive_packet(codec.get(), packet.get());
  if (code == AVERROR(EAGAIN)) {
    avcodec_send_frame(codec.get(), nullptr);
    code = avcodec_receive_packet(codec.get(), packet.get());
  }
  if (code < 0) throw Error(Code::output, "FFmpeg's PNG encoder failed: " + av::error_text(code));
  const auto* bytes = reinterpret_cast<const std::byte*>(packet->data);
  return {bytes, bytes + packet->size};
}

}  // namespace

std::shared_ptr<const PictureEncoder> make_picture_encoder() { return std::make_shared<Png>(); }

}  // namespace vidloom
