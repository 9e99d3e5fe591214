#pragma once
/// One decoder: packets in, pictures out, none larger than allowed. One thread at a time.

#include <support/ffmpeg/av.hpp>
#include <support/ffmpeg/picture_buffers.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string>

namespace vidloom::av {

/// FFmpeg prints what it thinks of broken bytes; with this log_level_offset a codec stays silent. Damage is reported by
/// health and counts instead. (From 256 up FFmpeg keeps colours in the level.)
constexpr int silent = 100;

class Decoder {
 public:
  struct Options {
    int threads = 1;                ///< 0: enough to keep all cores busy
    std::int64_t max_pixels = 0;    ///< checked before the memory of a picture is taken
    AVRational packet_time_base{0, 1};
    bool strict = false;            ///< any error in the bytes refuses the picture
    int drawn_side = 0;             ///< longest side at which a vector picture (SVG) is drawn, in pixels; 0: its own
  };
  /// \param what  begins the messages: the file's name.
  /// Throws Error(decode) when this FFmpeg has no such decoder or refuses the parameters.
  Decoder(const AVCodecParameters& parameters, const Options& options, const std::string& what);
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  /// \param packet  nullptr: no more will come, give what is left. \return FFmpeg's code.
  /// Throws Error(source) when a picture is larger than allowed.
  int send(AVPacket* packet, bool corrupt);
  int receive(AVFrame& frame);
  /// Forgets all packets and pictures; the next packet is a keyframe.
  void flush() noexcept;
  /// From now on pictures also come out that FFmpeg takes for not recovered; those that are so are flagged corrupt. Begun at an
  /// H.264 recovery point and drained soon after, the decoder of FFmpeg 5.1 otherwise keeps whole pictures to itself.
  void give_unrecovered(bool on = true) noexcept {
    if (codec_->codec_id != AV_CODEC_ID_H264) return;
    codec_->flags = on ? codec_->flags | AV_CODEC_FLAG_OUTPUT_CORRUPT : codec_->flags & ~AV_CODEC_FLAG_OUTPUT_CORRUPT;
  }
  /// From the next packet on: pictures that no other refers to are not decoded. No other picture changes by that.
  void skip_unreferenced(bool skip) noexcept { codec_->skip_frame = skip ? AVDISCARD_NONREF : AVDISCARD_DEFAULT; }
  /// Packets that go in before the first picture comes out, at most.
  int delay() const noexcept { return codec_->has_b_frames + std::max(codec_->thread_count, 1) - 1; }
  /// Reads the beginning of `packet` as far as the decoder must to know what it will give, and forgets it again: size, format,
  /// colour, rate go into `parameters`, which were those the decoder was made with. \return false: no picture begins there.
  /// Throws as send(). \pre one thread, nothing sent since the last flush().
  bool describe(AVPacket& packet, AVCodecParameters& parameters, AVRational& rate);
  /// Whether the container flagged the bytes of this frame. \pre it came from receive().
  static bool packet_corrupt(const AVFrame& frame) noexcept { return tag_of(frame) == 1; }

  const char* name() const noexcept { return codec_->codec->name; }
  int threads() const noexcept { return codec_->thread_count; }

 private:
  friend class DecoderPool;
  static int get_buffer(AVCodecContext* codec, AVFrame* frame, int flags) noexcept;
  int checked(int code) const;

  std::string what_;
  std::int64_t limit_;
  std::atomic<std::uint64_t> refused_{0};  ///< width << 32 | height of a picture over the limit
  int first_delay_ = 0;                    ///< has_b_frames as it was before the first packet
  std::int64_t last_pts_ = AV_NOPTS_VALUE, last_dts_ = AV_NOPTS_VALUE;  ///< of the picture given last
  bool in_order_ = true;                   ///< no timestamp of a picture was equal to or below the one before
  bool describing_ = false;                ///< no picture may get memory
  PictureBuffers buffers_;
  CodecPtr codec_;                         ///< last: its threads use the members above
};

/// \return "h264", "mjpeg", ...
inline std::string codec_name(AVCodecID id) { return avcodec_get_name(id); }

}  // namespace vidloom::av
