#include <support/ffmpeg/decoder.hpp>
#include <support/ffmpeg/encoder.hpp>

extern "C" {
#include <libavutil/opt.h>
#include <libswscale/swscale.h>
}

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace vidloom::av {
namespace {

constexpr std::array<const char*, 3> usual_encoders{"libx264", "libopenh264", "mpeg4"};

const AVCodec& find_encoder(const std::string& name) {
  if (!name.empty()) {
    const AVCodec* codec = avcodec_find_encoder_by_name(name.c_str());
    if (codec && codec->type == AVMEDIA_TYPE_VIDEO) return *codec;
    std::string there;
    for (const char* usual : usual_encoders)
      if (avcodec_find_encoder_by_name(usual)) there += (there.empty() ? "" : ", ") + std::string(usual);
    throw Error(Code::not_built, "codec is '" + name + "', which this FFmpeg (" + av_version_info() + ") has no video encoder for; it has " + there);
  }
  for (const char* usual : usual_encoders)
    if (const AVCodec* codec = avcodec_find_encoder_by_name(usual)) return *codec;
  throw Error(Code::not_built, std::string("this FFmpeg (") + av_version_info() + ") has none of libx264, libopenh264 and mpeg4; install one with libx264");
}

AVChromaLocation location_of(ChromaSite site) noexcept {
  switch (site) {
    case ChromaSite::left: return AVCHROMA_LOC_LEFT;
    case ChromaSite::centre: return AVCHROMA_LOC_CENTER;
    case ChromaSite::top_left: return AVCHROMA_LOC_TOPLEFT;
    case ChromaSite::top: return AVCHROMA_LOC_TOP;
    case ChromaSite::bottom_left: return AVCHROMA_LOC_BOTTOMLEFT;
    case ChromaSite::bottom: return AVCHROMA_LOC_BOTTOM;
    case ChromaSite::unknown: break;
  }
  return AVCHROMA_LOC_UNSPECIFIED;
}

AVRational ratio(Rational value) noexcept {
  AVRational result{0, 1};
  av_reduce(&result.num, &result.den, value.num, value.den, std::numeric_limits<int>::max());
  return result;
}

int even(int side) noexcept { return side + (side & 1); }

}  // namespace

void Encoder::FreeScaler::operator()(SwsContext* scaler) const noexcept { sws_freeContext(scaler); }
Encoder::~Encoder() = default;

Encoder::Encoder(const Frame& first, AVRational time_base, Nanos usual_duration, const Options& options)
    : given_time_base_(time_base), keyframes_(options.keyframes) {
  const AVCodec& encoder = find_encoder(options.codec);
  codec_.reset(allocated(avcodec_alloc_context3(&encoder)));
  AVCodecContext& codec = *codec_;
  const FrameInfo& info = first.info();
  codec.width = even(first.size().width);
  codec.height = even(first.size().height);
  codec.pix_fmt = AV_PIX_FMT_YUV420P;
  codec.sample_aspect_ratio = ratio(info.sample_aspect);
  codec.time_base = time_base;
  // MPEG-4 part 2 counts a second in 16 bits.
  if (encoder.id == AV_CODEC_ID_MPEG4 && time_base.den > 65535) codec.time_base = {1, 60000};
  codec.framerate = usual_duration > Nanos{0} ? av_d2q(1e9 / static_cast<double>(usual_duration.count()), 120'000) : AVRational{25, 1};
  codec.thread_count = options.threads;
  const ColourTags& colour = info.colour;
  codec.color_primaries = static_cast<AVColorPrimaries>(colour.codes.primaries);
  codec.color_trc = static_cast<AVColorTransferCharacteristic>(colour.codes.transfer);
  codec.colorspace = static_cast<AVColorSpace>(colour.codes.matrix);
  codec.color_range = colour.range == Range::full ? AVCOL_RANGE_JPEG : colour.range == Range::limited ? AVCOL_RANGE_MPEG : AVCOL_RANGE_UNSPECIFIED;
  codec.chroma_sample_location = location_of(colour.chroma_site);
  codec.log_level_offset = silent;  // x264 tells its statistics to everybody
  codec.gop_size = 600;  // keyframes are asked for by time
  if (options.headers_apart) codec.flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
  Dictionary given;
  if (std::string_view(encoder.name) == "libx264") {
    given.set("preset", options.preset);
    given.set("crf", std::to_string(options.quality));
    given.set("forced-idr", "1");
  } else {
    const double pixels = static_cast<double>(codec.width) * codec.height * av_q2d(codec.framerate);
    codec.bit_rate = static_cast<std::int64_t>(std::clamp(pixels * 0.15, 2e5, 1e8));
  }
  if (const int code = avcodec_open2(&codec, &encoder, given.out()); code < 0) {
    throw Error(Code::config, std::string("the encoder ") + encoder.name + " refuses pictures of " + std::to_string(codec.width) + "x" +
                                  std::to_string(codec.height) + (options.preset.empty() ? "" : " or the preset '" + options.preset + "'") + ": " +
                                  error_text(code));
  }
}

FramePtr Encoder::empty_picture() const {
  FramePtr picture = make_frame();
  picture->format = codec_->pix_fmt;
  picture->width = codec_->width;
  picture->height = codec_->height;
  if (av_frame_get_buffer(picture.get(), 0) < 0) throw std::bad_alloc();
  return picture;
}

/// The frame's own memory where it has the encoder's size, else a copy: padded, or scaled.
FramePtr Encoder::picture_of(const Frame& frame) {
  const auto planes = frame.planes();
  const Size size = frame.size();
  if (size.width == codec_->width && size.height == codec_->height) {
    FramePtr picture = make_frame();
    picture->format = codec_->pix_fmt;
    picture->width = size.width;
    picture->height = size.height;
    for (std::size_t i = 0; i < 3; ++i) {
      picture->data[i] = reinterpret_cast<std::uint8_t*>(const_cast<std::byte*>(planes[i].data));
      picture->linesize[i] = static_cast<int>(planes[i].stride);
    }
    auto owner = std::make_unique<Frame>(frame);
    picture->buf[0] = allocated(av_buffer_create(
        picture->data[0], static_cast<std::size_t>(planes[0].size.height) * static_cast<std::size_t>(std::abs(planes[0].stride)),
        [](void* kept, std::uint8_t*) { delete static_cast<Frame*>(kept); }, owner.get(), AV_BUFFER_FLAG_READONLY));
    owner.release();
    return picture;
  }
  FramePtr picture = empty_picture();
  if (even(size.width) == codec_->width && even(size.height) == codec_->height) {
    for (std::size_t i = 0; i < 3; ++i) {
      const PlaneView& plane = planes[i];
      const int width = i == 0 ? codec_->width : codec_->width / 2, height = i == 0 ? codec_->height : codec_->height / 2;
      for (int y = 0; y < height; ++y) {
        std::uint8_t* row = picture->data[i] + std::ptrdiff_t{y} * picture->linesize[i];
        std::memcpy(row, plane.data + std::min(y, plane.size.height - 1) * plane.stride, static_cast<std::size_t>(plane.size.width));
        if (width > plane.size.width) row[width - 1] = row[width - 2];
      }
    }
    return picture;
  }
  scaler_.reset(sws_getCachedContext(scaler_.release(), size.width, size.height, AV_PIX_FMT_YUV420P, codec_->width, codec_->height, AV_PIX_FMT_YUV420P,
                                     SWS_BICUBIC, nullptr, nullptr, nullptr));
  if (!scaler_) throw std::bad_alloc();
  const std::uint8_t* data[4] = {};
  int strides[4] = {};
  for (std::size_t i = 0; i < 3; ++i) {
    data[i] = reinterpret_cast<const std::uint8_t*>(planes[i].data);
    strides[i] = static_cast<int>(planes[i].stride);
  }
  sws_scale(scaler_.get(), data, strides, 0, size.height, picture->data, picture->linesize);
  return picture;
}

void Encoder::send(const Frame& frame, std::int64_t pts, std::int64_t duration) {
  const FramePtr picture = picture_of(frame);
  picture->pts = av_rescale_q(pts, given_time_base_, codec_->time_base);
  picture->color_range = codec_->color_range;
  picture->color_primaries = codec_->color_primaries;
  picture->color_trc = codec_->color_trc;
  picture->colorspace = codec_->colorspace;
  picture->chroma_location = codec_->chroma_sample_location;
  picture->sample_aspect_ratio = codec_->sample_aspect_ratio;
  if (!last_key_ || from_pts(pts - *last_key_, rational(given_time_base_)) >= keyframes_) {
    picture->pict_type = AV_PICTURE_TYPE_I;
    last_key_ = pts;
  }
  durations_[picture->pts] = av_rescale_q(duration, given_time_base_, codec_->time_base);
  if (const int code = avcodec_send_frame(codec_.get(), picture.get()); code < 0) {
    throw Error(Code::output, std::string("the encoder ") + name() + " refused a picture: " + error_text(code));
  }
}

void Encoder::finish() {
  if (const int code = avcodec_send_frame(codec_.get(), nullptr); code < 0 && code != AVERROR_EOF) {
    throw Error(Code::output, std::string("the encoder ") + name() + " could not be ended: " + error_text(code));
  }
}

bool Encoder::receive(AVPacket& packet) {
  const int code = avcodec_receive_packet(codec_.get(), &packet);
  if (code == AVERROR(EAGAIN) || code == AVERROR_EOF) return false;
  if (code < 0) throw Error(Code::output, std::string("the encoder ") + name() + " failed: " + error_text(code));
  if (const auto known = durations_.find(packet.pts); known != durations_.end()) {
    packet.duration = known->second;
    durations_.erase(known);
  }
  return true;
}

}  // namespace vidloom::av
