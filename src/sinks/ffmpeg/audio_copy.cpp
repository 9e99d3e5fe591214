#include <sinks/ffmpeg/audio_copy.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace vidloom {
namespace {

using namespace std::chrono_literals;

int refuse_to_open(AVFormatContext*, AVIOContext**, const char*, int, AVDictionary**) noexcept { return AVERROR(EPERM); }

}  // namespace

std::unique_ptr<AudioCopy> AudioCopy::of(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return nullptr;
  std::unique_ptr<AudioCopy> audio(new AudioCopy);
  AVFormatContext* context = av::allocated(avformat_alloc_context());
  context->correct_ts_overflow = 0;
  const auto usual_open = context->io_open;
  av::Dictionary options;
  options.set("protocol_whitelist", "file");
  if (avformat_open_input(&context, ("file:" + path).c_str(), nullptr, options.out()) < 0) return nullptr;
  audio->context_.reset(context);
  const std::string_view format = context->iformat->name;
  if (format == "hls" || format == "dash" || format == "concat" || format == "image2") return nullptr;  // they name other files
  context->io_open = &refuse_to_open;
  const int found = avformat_find_stream_info(context, nullptr);
  context->io_open = usual_open;
  if (found < 0) return nullptr;
  audio->wraps_ = format == "mpegts";
  audio->clocks_.resize(context->nb_streams);
  const int video = av_find_best_stream(context, AVMEDIA_TYPE_VIDEO, -1, -1, nullptr, 0);
  if (video >= 0) {
    const AVStream& stream = *context->streams[video];
    if (stream.start_time != AV_NOPTS_VALUE) {
      audio->first_picture_ = from_pts(stream.start_time, av::rational(stream.time_base));
      if (audio->wraps_) audio->first_ticks_ = stream.start_time;
    }
  }
  for (unsigned i = 0; i < context->nb_streams; ++i) {
    AVStream& stream = *context->streams[i];
    const bool wanted = stream.codecpar->codec_type == AVMEDIA_TYPE_AUDIO && stream.codecpar->codec_id != AV_CODEC_ID_NONE;
    if (wanted) audio->tracks_.push_back({i, &stream});
    else stream.discard = AVDISCARD_ALL;
  }
  return audio->tracks_.empty() ? nullptr : std::move(audio);
}

void AudioCopy::drop(unsigned index) noexcept {
  context_->streams[index]->discard = AVDISCARD_ALL;
  std::erase_if(tracks_, [index](const Track& track) { return track.index == index; });
}

void AudioCopy::seek(Nanos time) noexcept {
  const std::int64_t target = std::chrono::duration_cast<std::chrono::microseconds>(time).count();
  if (wraps_) return;  // a jump to a wrapped time lands anywhere
  if (avformat_seek_file(context_.get(), -1, INT64_MIN, target, target, 0) < 0) return;
}

Nanos AudioCopy::unwrapped(Clock& clock, const AVStream& stream, std::int64_t ticks) {
  const std::optional<std::int64_t> before = clock.last ? clock.last : first_ticks_;
  if (wraps_ && stream.pts_wrap_bits < 63 && before) {
    const std::int64_t span = std::int64_t{1} << stream.pts_wrap_bits;
    const std::int64_t wraps = (*before - ticks + (*before > ticks ? span / 2 : -(span / 2))) / span;
    ticks += wraps * span;
    if (clock.last) {
      const Nanos step = from_pts(ticks - *clock.last, av::rational(stream.time_base));
      if (step > 10s || step < -1s) ++clock.epoch;
    }
  }
  clock.last = ticks;
  return from_pts(ticks, av::rational(stream.time_base));
}

const AudioCopy::Packet* AudioCopy::peek() {
  while (!next_ && !ended_) {
    av_packet_unref(packet_.get());
    if (av_read_frame(context_.get(), packet_.get()) < 0) {
      ended_ = true;
      break;
    }
    const auto index = static_cast<unsigned>(packet_->stream_index);
    if (std::none_of(tracks_.begin(), tracks_.end(), [index](const Track& track) { return track.index == index; })) continue;
    const std::int64_t ticks = packet_->dts != AV_NOPTS_VALUE ? packet_->dts : packet_->pts;
    if (ticks == AV_NOPTS_VALUE || packet_->size == 0) continue;
    const AVStream& stream = *context_->streams[index];
    Packet packet{.index = index, .packet = packet_.get()};
    packet.time = unwrapped(clocks_[index], stream, ticks);
    packet.duration = from_pts(packet_->duration, av::rational(stream.time_base));
    if (packet_->pts != AV_NOPTS_VALUE) packet.reordered = from_pts(packet_->pts - ticks, av::rational(stream.time_base));
    packet.epoch = clocks_[index].epoch;
    next_ = packet;
  }
  return next_ ? &*next_ : nullptr;
}

void AudioCopy::pop() noexcept { next_.reset(); }

}  // namespace vidloom
