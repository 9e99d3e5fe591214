#include <sources/ffmpeg/frame_reader.hpp>

#include <utility>

namespace vidloom {

FrameReader::FrameReader(std::string path, const WakeUp& stop, const Options& options)
    : path_(std::move(path)), stop_(stop), options_(options) {}

void FrameReader::close() noexcept {
  decoder_.reset();
  packet_.reset();
  demuxer_.reset();
  packet_waits_ = draining_ = false;
}

void FrameReader::start() {
  close();
  packet_ = av::make_packet();
  demuxer_ = std::make_unique<Demuxer>(path_, stop_, options_.max_pixels);
  const AVStream& stream = demuxer_->stream();
  decoder_ = std::make_unique<av::Decoder>(
      *stream.codecpar,
      av::Decoder::Options{.threads = options_.threads, .max_pixels = options_.max_pixels, .packet_time_base = stream.time_base}, path_);
  failures_in_a_row_ = 0;
}

AVPacket* FrameReader::peek() {
  if (!packet_waits_ && !draining_) {
    packet_waits_ = demuxer_->read(*packet_);
    stats_.errors += demuxer_->broke_off();
  }
  return packet_waits_ ? packet_.get() : nullptr;
}

void FrameReader::pass() noexcept {
  av_packet_unref(packet_.get());
  packet_waits_ = false;
}

void FrameReader::forget() noexcept {
  pass();
  decoder_->flush();
  draining_ = false;
  failures_in_a_row_ = 0;
}

bool FrameReader::go_to(const PacketPlace& place) {
  forget();
  return packet_waits_ = demuxer_->go_to(place, *packet_);
}

av::FramePtr FrameReader::next(CpuGate& cpu) {
  av::FramePtr frame = av::make_frame();
  for (;;) {
    if (stop_.is_set()) throw Error(Code::cancelled, path_ + ": reading was stopped");
    int code = 0;
    {
      const CpuGate::Pass turn(cpu);
      code = decoder_->receive(*frame);
    }
    if (code >= 0) {
      failures_in_a_row_ = 0;
      return frame;
    }
    if (code == AVERROR_EOF) return nullptr;
    if (code != AVERROR(EAGAIN)) {
      ++stats_.errors;
      // A decoder that fails without end while it is drained has nothing left to give.
      if (draining_ && ++failures_in_a_row_ > 1000) return nullptr;
    }
    if (draining_) continue;

    AVPacket* packet = peek();
    if (packet) decoder_->skip_unreferenced(wants_picture && !wants_picture(*packet));
    {
      const CpuGate::Pass turn(cpu);
      code = decoder_->send(packet, packet && (packet->flags & AV_PKT_FLAG_CORRUPT) != 0);
    }
    if (!packet) {
      draining_ = true;
      continue;
    }
    if (code == AVERROR(EAGAIN)) continue;
    ++stats_.packets;
    if (code < 0) ++stats_.errors;
    pass();
  }
}

}  // namespace vidloom
