// The video sink: pictures through one encoder, its packets and the file's own sound into one container.
#include <imaging/yuv_picture.hpp>
#include <sinks/ffmpeg/audio_copy.hpp>
#include <sinks/ffmpeg/muxer.hpp>
#include <sinks/ffmpeg/output_file.hpp>
#include <sinks/ffmpeg/sinks.hpp>
#include <support/ffmpeg/encoder.hpp>

extern "C" {
#include <libavcodec/bsf.h>
}

#include <vidloom/core/log.hpp>

#include <algorithm>
#include <chrono>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace vidloom {
namespace {

using namespace std::chrono_literals;

constexpr AVRational nanoseconds{1, 1'000'000'000};

/// A time base as exact as the source's and no coarser than a millisecond, so that a mended time finds a place between two ticks.
AVRational fine(Rational source) noexcept {
  AVRational base{1, 90'000};
  if (source.num <= 0 || source.den <= 0) return base;
  if (av_reduce(&base.num, &base.den, source.num, source.den, std::numeric_limits<int>::max()) == 0) return {1, 90'000};
  const std::int64_t parts = (std::int64_t{1000} * base.num + base.den - 1) / base.den;
  if (parts > 1) {
    AVRational finer{0, 1};
    if (av_reduce(&finer.num, &finer.den, base.num, std::int64_t{base.den} * parts, std::numeric_limits<int>::max()) != 0) return finer;
  }
  return base;
}

/// "/clips/a.mp4" of "file:/clips/a.mp4", "segment:..." and the like; itself otherwise.
std::string path_of(const std::string& uri) {
  for (const std::string_view scheme : {"file:", "segment:"})
    if (uri.starts_with(scheme)) return uri.substr(scheme.size());
  return uri;
}

class VideoSink final : public Sink {
 public:
  VideoSink(const std::string& path, av::Encoder::Options encoding, bool audio, bool overwrite)
      : container_(Muxer::container_of(path)), encoding_(std::move(encoding)), wants_audio_(audio), file_(path, overwrite) {}
  ~VideoSink() override { give_up(); }

  SinkInfo info() const override { return {.every_frame = true, .pixels = true}; }
  void open(StreamId stream, const SourceInfo& source) override;
  void write(const FrameResult& result) override;
  void event(StreamId stream, const StreamEvent& event) override;
  void close(StreamId stream) noexcept override;

 private:
  struct FreeFilter {
    void operator()(AVBSFContext* filter) const noexcept { av_bsf_free(&filter); }
  };
  struct AudioTrack {
    unsigned index;  ///< in the source
    const AVStream* stream;
    std::unique_ptr<AVBSFContext, FreeFilter> filter{};  ///< takes MPEG-TS' headers off AAC; null: nothing to do
    std::int64_t last = std::numeric_limits<std::int64_t>::min();
  };

  void begin(const Frame& first);
  void open_audio(Nanos first_picture);
  std::unique_ptr<AVBSFContext, FreeFilter> filter_for(const AudioCopy::Track& track) const;
  Nanos placed(const FrameInfo& info);
  void encode(const Frame& frame, Nanos time);
  void drain();
  void write_audio(std::optional<Nanos> until);
  void finish(bool whole_source);
  void give_up() noexcept;

  const Muxer::Container container_;
  av::Encoder::Options encoding_;
  const bool wants_audio_;
  std::optional<StreamId> stream_;
  std::string uri_;
  bool finished_ = false;

  AVRational time_base_{1, 90'000};
  std::vector<Nanos> offsets_;  ///< added to the source's times, by epoch
  std::uint32_t epoch_ = 0;
  std::int64_t last_pts_ = std::numeric_limits<std::int64_t>::min();
  Nanos end_{};                 ///< of the last picture, in the film
  Nanos shift_{};               ///< added to all: MPEG-TS has no negative times
  std::optional<Nanos> audio_from_;  ///< sound before it is left out
  bool first_packet_ = true, size_told_ = false;
  Size size_{};

  OutputFile file_;  ///< outlives what writes into it
  std::optional<Muxer> muxer_;
  std::optional<av::Encoder> encoder_;
  AVStream* video_ = nullptr;
  std::unique_ptr<AudioCopy> audio_;
  std::vector<AudioTrack> tracks_;
  av::PacketPtr packet_ = av::make_packet();
};

void VideoSink::open(StreamId stream, const SourceInfo& source) {
  if (stream_) {
    throw Error(Code::config, file_.path() + (finished_ ? " is finished; a video takes one stream, once: make a new sink"
                                                        : " takes one stream, and has one; give each stream its own video"));
  }
  stream_ = stream;
  if (!source.live) uri_ = path_of(source.uri);
}

/// The time of a picture in the film. Timelines that begin anew follow on.
Nanos VideoSink::placed(const FrameInfo& info) {
  const Nanos time = info.time.media_time;
  if (info.epoch != epoch_) {
    epoch_ = info.epoch;
    offsets_.push_back(end_ - time);
  }
  return time + offsets_.back();
}

void VideoSink::begin(const Frame& first) {
  const FrameInfo& info = first.info();
  time_base_ = fine(info.time.time_base);
  epoch_ = info.epoch;
  const Nanos time = info.time.media_time;
  muxer_.emplace(file_, container_);
  encoding_.headers_apart = muxer_->wants_headers_apart();
  encoder_.emplace(first, time_base_, info.duration, encoding_);
  if (encoding_.codec.empty() && std::string_view(encoder_->name()) != "libx264") {
    log(LogLevel::warning, "sink", file_.path() + ": this FFmpeg has no libx264; the encoder is " + encoder_->name());
  }
  AVCodecParameters* parameters = av::allocated(avcodec_parameters_alloc());
  const int code = avcodec_parameters_from_context(parameters, &encoder_->codec());
  if (code >= 0) video_ = &muxer_->add_stream(*parameters, encoder_->time_base());
  avcodec_parameters_free(&parameters);
  if (code < 0) throw std::bad_alloc();
  video_->avg_frame_rate = encoder_->codec().framerate;
  if (wants_audio_) open_audio(time);
  Nanos zero = time;  // MP4 begins with its first picture; sound a little earlier goes into its edit list, as encoders' padding does
  if (audio_ && !audio_from_) {
    if (const AudioCopy::Packet* packet = audio_->peek(); packet && packet->time < time - 100ms) zero = packet->time;
  }
  offsets_.assign(1, container_ == Muxer::Container::mpegts ? Nanos{0} : -zero);
  muxer_->begin();
}

void VideoSink::open_audio(Nanos first_picture) {
  audio_ = uri_.empty() ? nullptr : AudioCopy::of(uri_);
  if (!audio_) return;
  const auto all = audio_->tracks();
  for (const AudioCopy::Track& track : all) {
    const AVCodecParameters& parameters = *track.stream->codecpar;
    if (!muxer_->takes(parameters.codec_id)) {
      log(LogLevel::warning, "sink", file_.path() + " has no sound: " + avcodec_get_name(parameters.codec_id) +
                                         " cannot be put into it as it is; use another container");
      audio_->drop(track.index);
      continue;
    }
    AVStream& stream = muxer_->add_stream(parameters, track.stream->time_base);
    stream.disposition = track.stream->disposition;
    av_dict_copy(&stream.metadata, track.stream->metadata, 0);
    tracks_.push_back({track.index, &stream, filter_for(track)});
  }
  if (tracks_.empty()) {
    audio_.reset();
    return;
  }
  // A film that was begun in its middle has its sound from there on.
  if (const auto begins = audio_->first_picture(); begins && first_picture > *begins + 1ms) {
    audio_from_ = first_picture;
    audio_->seek(first_picture);
  }
}

/// MP4 keeps once what MPEG-TS repeats before each AAC packet. The muxer's own filter comes too late for a file in fragments.
std::unique_ptr<AVBSFContext, VideoSink::FreeFilter> VideoSink::filter_for(const AudioCopy::Track& track) const {
  const AVCodecParameters& parameters = *track.stream->codecpar;
  if (container_ == Muxer::Container::mpegts || parameters.codec_id != AV_CODEC_ID_AAC || parameters.extradata_size > 0) return nullptr;
  const AVBitStreamFilter* kind = av_bsf_get_by_name("aac_adtstoasc");
  AVBSFContext* filter = nullptr;
  if (!kind || av_bsf_alloc(kind, &filter) < 0) throw Error(Code::not_built, "this FFmpeg has no filter aac_adtstoasc, which the sound needs; use audio = false");
  std::unique_ptr<AVBSFContext, FreeFilter> owned(filter);
  filter->time_base_in = track.stream->time_base;
  if (avcodec_parameters_copy(filter->par_in, &parameters) < 0 || av_bsf_init(filter) < 0) throw std::bad_alloc();
  return owned;
}

void VideoSink::write(const FrameResult& result) {
  if (finished_ || !result.frame) return;
  const Frame upright = YuvPicture::is_upright(*result.frame) ? *result.frame : YuvPicture::upright_of(*result.frame).frame();
  if (!encoder_) begin(upright);
  if (upright.size() != size_) {
    if (!size_.empty() && !std::exchange(size_told_, true)) {
      log(LogLevel::warning, "sink", file_.path() + ": the pictures change their size; the later ones are scaled to " + std::to_string(size_.width) + "x" +
                                         std::to_string(size_.height));
    }
    if (size_.empty()) size_ = upright.size();
  }
  encode(upright, placed(result.info));
}

void VideoSink::encode(const Frame& frame, Nanos time) {
  std::int64_t pts = av_rescale_q(time.count(), nanoseconds, time_base_);
  if (pts <= last_pts_) pts = last_pts_ + 1;  // two pictures at one time: both are there
  last_pts_ = pts;
  const Nanos duration = frame.info().duration;
  end_ = std::max(end_, from_pts(pts, av::rational(time_base_)) + duration);
  encoder_->send(frame, pts, av_rescale_q(duration.count(), nanoseconds, time_base_));
  drain();
}

void VideoSink::drain() {
  const AVRational base = encoder_->time_base();
  while (encoder_->receive(*packet_)) {
    const Nanos dts = from_pts(packet_->dts, av::rational(base));
    if (std::exchange(first_packet_, false) && container_ == Muxer::Container::mpegts) {
      Nanos earliest = dts;
      if (audio_ && !audio_from_) {
        if (const AudioCopy::Packet* sound = audio_->peek()) earliest = std::min(earliest, sound->time + offsets_.front());
      }
      if (earliest < Nanos{0}) shift_ = from_pts(-av_rescale_q_rnd(earliest.count(), nanoseconds, {1, 90'000}, AV_ROUND_DOWN), {1, 90'000});
    }
    write_audio(dts);
    const std::int64_t shift = av_rescale_q(shift_.count(), nanoseconds, video_->time_base);
    av_packet_rescale_ts(packet_.get(), base, video_->time_base);
    packet_->pts += shift;
    packet_->dts += shift;
    muxer_->write(*packet_, *video_, video_->time_base);
    av_packet_unref(packet_.get());
  }
}

/// Sound that begins at or before `until` in the film; nothing: up to the end of the source.
void VideoSink::write_audio(std::optional<Nanos> until) {
  while (audio_) {
    const AudioCopy::Packet* next = audio_->peek();
    if (!next || next->epoch >= offsets_.size()) return;  // the pictures have not come to that jump yet
    const Nanos time = next->time + offsets_[next->epoch];
    if (until && time > *until) return;
    const auto track = std::find_if(tracks_.begin(), tracks_.end(), [&](const AudioTrack& one) { return one.index == next->index; });
    const bool early = audio_from_ && next->epoch == 0 && next->time < *audio_from_;
    AVPacket& packet = *next->packet;
    bool whole = true;
    if (track->filter && !early) {  // one in, one out; a damaged one is left out
      whole = av_bsf_send_packet(track->filter.get(), &packet) >= 0 && av_bsf_receive_packet(track->filter.get(), &packet) >= 0;
    }
    if (!early && whole) {
      const AVRational base = track->stream->time_base;
      std::int64_t dts = av_rescale_q((time + shift_).count(), nanoseconds, base);
      if (dts <= track->last) dts = track->last + 1;
      track->last = dts;
      packet.dts = dts;
      packet.pts = dts + av_rescale_q(next->reordered.count(), nanoseconds, base);
      packet.duration = av_rescale_q(next->duration.count(), nanoseconds, base);
      muxer_->write(packet, *track->stream, base);
    }
    audio_->pop();
  }
}

/// \param whole_source  its sound goes on to its end, else to that of the last picture.
void VideoSink::finish(bool whole_source) {
  if (std::exchange(finished_, true)) return;
  if (!encoder_) return;  // there was no picture
  encoder_->finish();
  drain();
  write_audio(whole_source ? std::nullopt : std::optional(end_ - 1ns));
  muxer_->end();
}

void VideoSink::event(StreamId, const StreamEvent& event) {
  if (event.kind != StreamEvent::Kind::ended) return;
  finish(event.detail == "end_of_file");
}

void VideoSink::close(StreamId) noexcept { give_up(); }

/// For who never told of the end. What the disk refused before is not tried again.
void VideoSink::give_up() noexcept {
  if (finished_ || file_.failure() != 0) {
    finished_ = true;
    return;
  }
  try {
    finish(false);
  } catch (const std::exception& error) {
    log(LogLevel::error, "sink", error.what());
  }
}

}  // namespace

std::unique_ptr<Sink> make_film_sink(const Value& options) {
  av::Encoder::Options encoding;
  encoding.codec = options["codec"].as_string();
  encoding.preset = options["preset"].as_string();
  encoding.quality = static_cast<int>(options["quality"].as_integer());
  return std::make_unique<VideoSink>(options["path"].as_string(), std::move(encoding), options["audio"].as_bool(), options["overwrite"].as_bool());
}

}  // namespace vidloom
