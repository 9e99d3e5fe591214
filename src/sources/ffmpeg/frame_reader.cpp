#include <sources/ffmpeg/frame_reader.hpp>

#include <support/ffmpeg/decoder_pool.hpp>
#include <support/ffmpeg/pictures.hpp>

#include <algorithm>
#include <thread>
#include <utility>

namespace vidloom {

FrameReader::FrameReader(std::string path, const WakeUp& stop, const Options& options)
    : path_(std::move(path)), stop_(stop), options_(options) {}

void FrameReader::close() noexcept {
  give_decoder_back();
  packet_.reset();
  demuxer_.reset();
  packet_waits_ = draining_ = false;
}

void FrameReader::start(FrameReader* like) {
  close();
  packet_ = av::make_packet();
  demuxer_ = std::make_unique<Demuxer>(path_, stop_, options_.max_pixels, quick_, like ? &like->demuxer() : nullptr);
  if (like) first_ = like->first_;
  if (demuxer_->quick()) {
    take_decoder(1);
    if (complete_parameters()) return;
    decoder_.reset();
    demuxer_ = std::make_unique<Demuxer>(path_, stop_, options_.max_pixels, false, like ? &like->demuxer() : nullptr);
  }
  if (const AVCodecID codec = demuxer_->stream().codecpar->codec_id; !avcodec_find_decoder(codec)) {
    throw Error(Code::decode, path_ + ": this FFmpeg has no decoder for " + av::codec_name(codec));
  }
}

/// What probing would have found: size, format, colour, rate and duration, from the headers of the first picture and the file's tail.
/// \return false: not in there.
bool FrameReader::complete_parameters() {
  AVStream& stream = demuxer_->stream();
  AVRational rate{};
  if (!decoder_->describe(demuxer_->first(), *stream.codecpar, rate)) return false;
  if (stream.avg_frame_rate.num <= 0) stream.avg_frame_rate = rate;
  if (const auto duration = demuxer_->look_for_duration()) stream.duration = *duration;
  return true;
}

av::Decoder::Options FrameReader::decoder_options(int threads) {
  return {.threads = threads, .max_pixels = options_.max_pixels, .packet_time_base = demuxer_->stream().time_base};
}

void FrameReader::take_decoder(int threads) {
  give_decoder_back();
  const av::Decoder::Options options = decoder_options(threads);
  const AVCodecParameters& parameters = *demuxer_->stream().codecpar;
  // The decoder of an unprobed transport stream knows nothing beforehand, not even what this one's first picture said meanwhile.
  const bool unknown = demuxer_->quick() && demuxer_->is_mpegts();
  std::unique_ptr<AVCodecParameters, void (*)(AVCodecParameters*)> bare(
      av::allocated(avcodec_parameters_alloc()), [](AVCodecParameters* self) { avcodec_parameters_free(&self); });
  if (unknown) {
    bare->codec_type = parameters.codec_type;
    bare->codec_id = parameters.codec_id;
    bare->codec_tag = parameters.codec_tag;
  }
  const AVCodecParameters& given = unknown ? *bare : parameters;
  decoder_threads_ = threads;
  pool_key_ = threads == 1 ? av::DecoderPool::key_of(given, options, demuxer_->parameter_sets()) : "";
  if (!pool_key_.empty()) decoder_ = av::DecoderPool::process().take(pool_key_, options, path_);
  if (!decoder_) {
    decoder_ = std::make_unique<av::Decoder>(given, options, path_);
    ++stats_.decoders;
  }
  blameless_ = fresh_ = true;
  failures_in_a_row_ = 0;
}

void FrameReader::give_decoder_back() noexcept {
  if (decoder_ && blameless_ && !pool_key_.empty()) av::DecoderPool::process().give(pool_key_, std::move(decoder_));
  decoder_.reset();
}

/// After it gave all it had: ready for another keyframe.
void FrameReader::empty_decoder() {
  if (decoder_threads_ == threads()) {
    decoder_->flush();
  } else {
    take_decoder(threads());
  }
  decoder_->give_unrecovered();
  draining_ = false;
  failures_in_a_row_ = 0;
}

void FrameReader::rewind() {
  if (!first_ || !go_to(*first_)) start();
}

AVPacket* FrameReader::peek() {
  if (!packet_waits_ && !draining_) {
    packet_waits_ = demuxer_->read(*packet_);
    stats_.errors += demuxer_->broke_off();
    if (packet_waits_ && !first_) first_ = PacketPlace{packet_->pts, packet_->dts, packet_->pos, packet_->size};
  }
  return packet_waits_ ? packet_.get() : nullptr;
}

void FrameReader::pass() noexcept {
  av_packet_unref(packet_.get());
  packet_waits_ = false;
}

void FrameReader::forget() noexcept {
  pass();
  if (decoder_) decoder_->flush();
  draining_ = false;
  failures_in_a_row_ = 0;
}

void FrameReader::finish() {
  decoder().send(nullptr, false);
  draining_ = true;
}

bool FrameReader::go_to(const PacketPlace& place) {
  forget();
  decoder().give_unrecovered();
  blameless_ = false;
  return packet_waits_ = demuxer_->go_to(place, *packet_);
}

av::FramePtr FrameReader::next(CpuGate& cpu, PacketPlan* plan) {
  av::FramePtr frame = av::make_frame();
  if (decoder_ && fresh_ && decoder_threads_ != threads()) give_decoder_back();
  if (!decoder_) take_decoder(threads());
  for (;;) {
    if (stop_.is_set()) stop_.throw_reason(path_);
    int code = 0;
    {
      // A decoder works when it is given a packet, and while it is emptied; else it only hands over what it has.
      std::optional<CpuGate::Pass> turn;
      if (draining_) turn.emplace(cpu);
      code = decoder_->receive(*frame);
    }
    if (code >= 0) {
      failures_in_a_row_ = 0;
      blameless_ = blameless_ && av::health_of(*frame, av::Decoder::packet_corrupt(*frame)) == Health::ok;
      return frame;
    }
    if (code == AVERROR_EOF) {
      if (plan) plan->drained();
      if (!plan || plan->ended()) return nullptr;
      empty_decoder();
      continue;
    }
    if (code != AVERROR(EAGAIN)) {
      ++stats_.errors;
      blameless_ = false;
      // A decoder that fails without end while it is drained has nothing left to give.
      if (draining_ && ++failures_in_a_row_ > 1000) {
        if (plan) plan->drained();
        if (!plan || plan->ended()) return nullptr;
        empty_decoder();
      }
    }
    if (draining_) continue;

    AVPacket* packet = plan ? plan->next() : peek();
    const Need wanted = packet && need ? need(*packet) : Need::picture;
    decoder_->skip_unreferenced(wanted == Need::others);
    blameless_ = blameless_ && wanted == Need::picture;
    {
      const CpuGate::Pass turn(cpu);
      code = decoder_->send(packet, packet && (packet->flags & AV_PKT_FLAG_CORRUPT) != 0);
    }
    if (!packet) {
      draining_ = true;
      continue;
    }
    if (code == AVERROR(EAGAIN)) continue;
    fresh_ = false;
    ++stats_.packets;
    if (code < 0) {
      ++stats_.errors;
      blameless_ = false;
    }
    plan ? plan->taken() : pass();
    if (wanted == Need::last) finish();
  }
}

}  // namespace vidloom
