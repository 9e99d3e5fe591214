#pragma once
/// One encoder: upright pictures in, packets out, as many. One thread at a time.

#include <support/ffmpeg/av.hpp>
#include <vidloom/frame.hpp>

#include <map>
#include <optional>
#include <string>

struct SwsContext;

namespace vidloom::av {

class Encoder {
 public:
  struct Options {
    std::string codec{};   ///< FFmpeg's name of an encoder; "": the first of libx264, libopenh264, mpeg4 that it has
    std::string preset = "veryfast";  ///< of libx264
    int quality = 20;      ///< libx264's constant rate factor, 0 to 51; smaller is better and larger
    int threads = 0;       ///< 0: as the encoder likes
    Nanos keyframes{std::chrono::seconds(2)};  ///< at most so far apart
    bool headers_apart = false;  ///< parameter sets in the container, not before each keyframe
  };
  /// \param first  gives size, sample aspect and colour tags for all; upright yuv420p. Odd sides become even ones: their last row or
  ///               column is repeated, since 4:2:0 video has none. Later pictures of other sizes are scaled to it.
  /// \param time_base  of what send() takes. \param usual_duration  of a picture; 0: not known.
  /// Throws Error(not_built) when FFmpeg has no such encoder, Error(config) when that refuses the options.
  Encoder(const Frame& first, AVRational time_base, Nanos usual_duration, const Options& options);
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;
  ~Encoder();

  /// \param pts  larger than the last one.
  void send(const Frame& frame, std::int64_t pts, std::int64_t duration);
  /// No more will come.
  void finish();
  /// Gives the next packet, times in time_base(). \return false: none yet, or none any more.
  bool receive(AVPacket& packet);

  const AVCodecContext& codec() const noexcept { return *codec_; }
  AVRational time_base() const noexcept { return codec_->time_base; }
  const char* name() const noexcept { return codec_->codec->name; }

 private:
  FramePtr picture_of(const Frame& frame);
  FramePtr empty_picture() const;

  const AVRational given_time_base_;
  const Nanos keyframes_;
  std::map<std::int64_t, std::int64_t> durations_;  ///< by pts, of what is inside the encoder
  std::optional<std::int64_t> last_key_;
  struct FreeScaler {
    void operator()(SwsContext* scaler) const noexcept;
  };
  std::unique_ptr<SwsContext, FreeScaler> scaler_;
  CodecPtr codec_;
};

}  // namespace vidloom::av
