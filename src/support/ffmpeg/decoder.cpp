#include <support/ffmpeg/decoder.hpp>

#include <vidloom/core/log.hpp>

#include <algorithm>
#include <thread>

namespace vidloom::av {
Decoder::Decoder(const AVCodecParameters& parameters, const Options& options, const std::string& what)
    : what_(what), limit_(options.max_pixels) {
  const AVCodec* codec = avcodec_find_decoder(parameters.codec_id);
  if (!codec) throw Error(Code::decode, what + ": this FFmpeg has no decoder for " + codec_name(parameters.codec_id));
  codec_.reset(allocated(avcodec_alloc_context3(codec)));
  if (const int code = avcodec_parameters_to_context(codec_.get(), &parameters); code < 0)
    throw Error(Code::decode, what + ": bad parameters for " + codec->name + ": " + error_text(code));
  codec_->opaque = this;
  codec_->get_buffer2 = &Decoder::get_buffer;
#if LIBAVCODEC_VERSION_MAJOR < 60
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  codec_->thread_safe_callbacks = 1;
#pragma GCC diagnostic pop
#endif
  // Two more than cores: a picture is handed out only when the oldest one is whole, so with as many threads as cores one of them waits for
  // its turn while the caller works on the picture before. Measured on 2 cores, 1080p H.264: 17 % less time than 2 threads, with and without
  // a conversion by the caller; a third one more changes nothing.
  const int chosen = static_cast<int>(std::max(1U, std::thread::hardware_concurrency())) + 2;
  codec_->thread_count = std::min(options.threads > 0 ? options.threads : chosen, 16);
  codec_->pkt_timebase = options.packet_time_base;
  // The crop of the stream to the pixel, not to what the CPU likes its rows aligned to.
  codec_->flags |= AV_CODEC_FLAG_UNALIGNED;
  if (options.strict) codec_->err_recognition = AV_EF_EXPLODE | AV_EF_CRCCHECK | AV_EF_BITSTREAM | AV_EF_BUFFER;
  if (!ffmpeg_log_routed()) codec_->log_level_offset = silent;
  if (options.drawn_side > 0 && codec->id == AV_CODEC_ID_SVG) {
    // librsvg's wrapper keeps the aspect: both sides are what it must fit into.
    av_opt_set_int(codec_->priv_data, "width", options.drawn_side, 0);
    av_opt_set_int(codec_->priv_data, "height", options.drawn_side, 0);
  }
  prepare_tags(*codec_);
  if (const int code = avcodec_open2(codec_.get(), codec, nullptr); code < 0)
    throw Error(Code::decode, what + ": the decoder " + codec->name + " refuses this stream: " + error_text(code));
  first_delay_ = codec_->has_b_frames;
}

int Decoder::get_buffer(AVCodecContext* codec, AVFrame* frame, int flags) noexcept {
  auto& self = *static_cast<Decoder*>(codec->opaque);
  const int width = std::max(frame->width, codec->width), height = std::max(frame->height, codec->height);
  if (std::int64_t{width} * height > self.limit_) {
    self.refused_ = static_cast<std::uint64_t>(width) << 32 | static_cast<std::uint32_t>(height);
    return AVERROR(ENOMEM);
  }
  if (self.describing_) return AVERROR_EXIT;
  return self.buffers_.get(*codec, *frame, flags);
}

bool Decoder::describe(AVPacket& packet, AVCodecParameters& parameters, AVRational& rate) {
  // A decoder asks for memory once it has read all headers of a picture, and before it decodes: there it is stopped.
  describing_ = true;
  const FramePtr frame = make_frame();
  send(&packet, false);
  receive(*frame);
  describing_ = false;
  const bool known = codec_->width > 0 && codec_->height > 0 && codec_->pix_fmt != AV_PIX_FMT_NONE;
  if (known) {
    avcodec_parameters_from_context(&parameters, codec_.get());
    rate = codec_->framerate;
  }
  flush();
  return known;
}

int Decoder::checked(int code) const {
  if (const std::uint64_t refused = refused_; refused != 0)
    throw too_large(what_, {static_cast<int>(refused >> 32), static_cast<int>(refused & 0xffffffffU)}, limit_);
  return code;
}

int Decoder::send(AVPacket* packet, bool corrupt) {
  if (packet) set_tag(*codec_, *packet, corrupt ? 1 : 0);
  return checked(avcodec_send_packet(codec_.get(), packet));
}

int Decoder::receive(AVFrame& frame) {
  const int code = checked(avcodec_receive_frame(codec_.get(), &frame));
  if (code >= 0) {
    // AV_NOPTS_VALUE is less than any other.
    const auto step = [this](std::int64_t& last, std::int64_t now) {
      if (now == AV_NOPTS_VALUE) return;
      in_order_ = in_order_ && now > last;
      last = now;
    };
    step(last_pts_, frame.pts);
    step(last_dts_, frame.pkt_dts);
  }
  return code;
}

void Decoder::flush() noexcept {
  avcodec_flush_buffers(codec_.get());
  last_pts_ = last_dts_ = AV_NOPTS_VALUE;
}

}  // namespace vidloom::av
