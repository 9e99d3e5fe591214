#include <sources/ffmpeg/description.hpp>
#include <sources/ffmpeg/frame_reader.hpp>
#include <sources/ffmpeg/sources.hpp>
#include <sources/ffmpeg/timeline.hpp>
#include <support/ffmpeg/pictures.hpp>

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace vidloom {
namespace {

using namespace std::chrono_literals;

class FileSource final : public Source {
 public:
  FileSource(std::string uri, std::int64_t max_pixels, int threads)
      : uri_(std::move(uri)), path_(path_of(uri_)), reader_(path_, stop_, {.max_pixels = max_pixels, .threads = threads}) {}

  SourceInfo open(SourceContext& context) override;
  ReadResult read() override;
  void interrupt() noexcept override { stop_.set(); }
  void close() noexcept override {
    reset();
    stop_.clear();
  }
  void seek(Nanos media_time) override;
  SourceStats stats() const noexcept override { return reader_.stats(); }

 private:
  /// A decoded picture that is not yet handed out. `info` lacks its sequence number.
  struct Picture {
    av::FramePtr pixels;
    FrameInfo info;
    std::string format;  ///< size and pixel format, to notice a change
    bool new_epoch = false;
  };

  void reset() noexcept;
  void start();
  void start_timeline();
  std::optional<Picture> next_picture();
  bool land_near(Nanos media_time, std::optional<Picture>& picture);
  ReadResult hand_out(Picture picture);

  const std::string uri_, path_;
  WakeUp stop_;
  FrameReader reader_;

  StreamId stream_{};
  CpuGate* cpu_ = nullptr;
  Nanos usual_duration_{};
  av::Orientation orientation_;
  Timeline timeline_;
  std::uint32_t epoch_ = 0;
  std::uint64_t next_sequence_ = 0;
  std::uint64_t pictures_ = 0;  ///< decoded since the demuxer was opened
  std::string format_;
  std::deque<ReadResult> waiting_;  ///< an event's frame, behind it; at most three
};

void FileSource::reset() noexcept {
  waiting_.clear();
  reader_.close();
  cpu_ = nullptr;
}

SourceInfo FileSource::open(SourceContext& context) {
  reset();
  reader_.stats() = {};
  epoch_ = 0;
  next_sequence_ = 0;
  format_.clear();
  stream_ = context.stream;
  reader_.probe_always(context.details);
  start();
  cpu_ = &context.cpu;
  SourceInfo info = describe_file(reader_.demuxer(), reader_.peek());
  info.uri = redact(uri_);
  return info;
}

void FileSource::start() {
  reader_.start();
  const AVStream& stream = reader_.demuxer().stream();
  orientation_ = av::orientation_of(av::display_matrix_of(stream));
  const AVRational rate = stream.avg_frame_rate.num > 0 ? stream.avg_frame_rate : stream.r_frame_rate;
  usual_duration_ = rate.num > 0 && rate.den > 0 ? from_pts(1, {rate.den, rate.num}) : 0ns;
  pictures_ = 0;
  start_timeline();
}

void FileSource::start_timeline() {
  const AVStream& stream = reader_.demuxer().stream();
  timeline_ = Timeline({.time_base = av::rational(stream.time_base),
                        .wrap_bits = stream.pts_wrap_bits,
                        .jumps_begin_epochs = reader_.demuxer().is_mpegts()});
}

std::optional<FileSource::Picture> FileSource::next_picture() {
  Picture picture;
  picture.pixels = reader_.next(*cpu_);
  if (!picture.pixels) {
    if (pictures_ == 0) {
      throw Error(Code::decode, path_ + " gave no picture: " + std::to_string(reader_.stats().packets) + " packets of " +
                                    av::codec_name(reader_.demuxer().stream().codecpar->codec_id) + " were read, " +
                                    std::to_string(reader_.stats().errors) + " of them damaged");
    }
    return std::nullopt;
  }
  const AVFrame& frame = *picture.pixels;
  const Rational time_base = av::rational(reader_.demuxer().stream().time_base);
  FrameInfo& info = picture.info;
  info.stream = stream_;
  const std::int64_t ticks = av::duration_of(frame);
  info.duration = ticks > 0 ? from_pts(ticks, time_base) : usual_duration_;
  const auto pts = av::timestamp(frame.best_effort_timestamp);
  const Timeline::Stamp stamp = timeline_.next(pts, info.duration);
  info.time.media_time = stamp.media_time;
  info.time.time_base = time_base;
  info.time.pts = pts ? *pts
                      : av_rescale_q(stamp.media_time.count(), AVRational{1, 1'000'000'000}, reader_.demuxer().stream().time_base);
  info.time.received_at = std::chrono::steady_clock::now();
  av::describe(frame, orientation_, info);
  info.health = av::health_of(frame, av::Decoder::packet_corrupt(frame));
  const char* format = av_get_pix_fmt_name(static_cast<AVPixelFormat>(frame.format));
  picture.format = std::to_string(frame.width) + "x" + std::to_string(frame.height) + " " + (format ? format : "?");
  picture.new_epoch = stamp.new_epoch;
  ++pictures_;
  SourceStats& stats = reader_.stats();
  ++stats.decoded;
  stats.concealed += info.health != Health::ok;
  stats.repairs += stamp.repaired;
  return picture;
}

ReadResult FileSource::hand_out(Picture picture) {
  if (picture.new_epoch) {
    ++epoch_;
    next_sequence_ = 0;
    waiting_.emplace_back(StreamEvent{StreamEvent::Kind::new_epoch, "timestamps jumped", Value()});
  }
  if (picture.format != format_) {
    if (!format_.empty())
      waiting_.emplace_back(StreamEvent{StreamEvent::Kind::format_change, format_ + " became " + picture.format, Value()});
    format_ = picture.format;
  }
  picture.info.epoch = epoch_;
  picture.info.sequence = next_sequence_++;
  waiting_.emplace_back(av::adopt(std::move(picture.pixels), picture.info));
  ReadResult next = std::move(waiting_.front());
  waiting_.pop_front();
  return next;
}

ReadResult FileSource::read() {
  if (!reader_.is_open() || !cpu_) throw Error(Code::config, path_ + ": read() before open()");
  if (stop_.is_set()) throw Error(Code::cancelled, path_ + ": reading was stopped");
  if (!waiting_.empty()) {
    ReadResult next = std::move(waiting_.front());
    waiting_.pop_front();
    return next;
  }
  std::optional<Picture> picture = next_picture();
  if (!picture) return End{};
  return hand_out(std::move(*picture));
}

/// Jumps by the container's index; \return whether the jump can be trusted: it gave a whole picture at or before the time.
bool FileSource::land_near(Nanos media_time, std::optional<Picture>& picture) {
  if (!reader_.demuxer().indexed()) return false;
  constexpr Nanos margin = 1s;  // an index is by decoding time, which runs ahead of showing time
  const std::int64_t pts =
      av_rescale_q((media_time - margin).count(), AVRational{1, 1'000'000'000}, reader_.demuxer().stream().time_base);
  if (!reader_.demuxer().seek(pts)) return false;
  reader_.forget();
  start_timeline();
  picture = next_picture();
  return picture && picture->info.keyframe && picture->info.health == Health::ok && picture->info.time.media_time <= media_time;
}

void FileSource::seek(Nanos media_time) {
  if (!reader_.is_open() || !cpu_) throw Error(Code::config, path_ + ": seek() before open()");
  if (!reader_.demuxer().seekable()) throw Error(Code::config, path_ + " is a pipe: it cannot be sought");
  waiting_.clear();
  std::optional<Picture> picture;
  if (!land_near(media_time, picture)) {
    // Without an index that can be trusted (MPEG-TS seeks land late) only decoding from the start is exact.
    start();
    picture = next_picture();
  }
  while (picture && picture->info.time.media_time < media_time) {
    if (picture->new_epoch) {
      ++epoch_;
      next_sequence_ = 0;
    }
    picture = next_picture();
  }
  if (picture) waiting_.push_back(hand_out(std::move(*picture)));
}

}  // namespace

std::unique_ptr<Source> make_file_source(const Value& options, int threads) {
  if (const Value* wanted = options.find("threads"); wanted && !wanted->is_null()) {
    const std::int64_t value = wanted->as_integer();
    if (value < 0 || value > 64) throw Error(Code::config, "threads is " + std::to_string(value) + "; use 0 (enough for all cores) to 64");
    threads = static_cast<int>(value);
  }
  return std::make_unique<FileSource>(options["uri"].as_string(), av::pixel_limit(options), threads);
}

}  // namespace vidloom
