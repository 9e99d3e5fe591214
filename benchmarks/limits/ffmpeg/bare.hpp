#pragma once
/// The least code around libavformat and libavcodec: no probing, no error handling beyond a throw. What it needs is the limit of a row.

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/imgutils.h>
#include <libswscale/swscale.h>
}

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace bare {

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* pointer) const {
    Free(&pointer);
  }
};
using Packet = std::unique_ptr<AVPacket, Deleter<av_packet_free>>;
using Frame = std::unique_ptr<AVFrame, Deleter<av_frame_free>>;
using Format = std::unique_ptr<AVFormatContext, Deleter<avformat_close_input>>;
using Codec = std::unique_ptr<AVCodecContext, Deleter<avcodec_free_context>>;

inline void check(int code, const char* what) {
  if (code < 0) throw std::runtime_error(std::string(what) + " failed: " + std::to_string(code));
}

class Demuxer {
 public:
  explicit Demuxer(const std::string& path) {
    const bool ts = path.size() > 3 && path.compare(path.size() - 3, 3, ".ts") == 0;
    AVFormatContext* format = nullptr;
    check(avformat_open_input(&format, path.c_str(), ts ? av_find_input_format("mpegts") : nullptr, nullptr), path.c_str());
    format_.reset(format);
    choose();
  }
  AVStream& stream() const { return *format_->streams[static_cast<unsigned>(video_)]; }
  double seconds(std::int64_t pts) const { return static_cast<double>(pts) * av_q2d(stream().time_base); }
  /// \return the next video packet, or null at the end.
  Packet next() {
    Packet packet(av_packet_alloc());
    while (av_read_frame(format_.get(), packet.get()) >= 0) {
      if (video_ < 0) choose();
      if (packet->stream_index == video_) return packet;
      av_packet_unref(packet.get());
    }
    return nullptr;
  }
  std::vector<Packet> all() {
    std::vector<Packet> packets;
    while (Packet packet = next()) packets.push_back(std::move(packet));
    return packets;
  }

 private:
  void choose() {
    for (unsigned i = 0; i < format_->nb_streams; ++i) {
      if (format_->streams[i]->codecpar->codec_type == AVMEDIA_TYPE_VIDEO) {
        if (video_ < 0) video_ = static_cast<int>(i);
      } else {
        format_->streams[i]->discard = AVDISCARD_ALL;
      }
    }
  }
  Format format_;
  int video_ = -1;
};

class Decoder {
 public:
  Decoder(const AVStream& stream, int threads) {
    const AVCodec* codec = avcodec_find_decoder(stream.codecpar->codec_id);
    codec_.reset(avcodec_alloc_context3(codec));
    check(avcodec_parameters_to_context(codec_.get(), stream.codecpar), "parameters");
    codec_->pkt_timebase = stream.time_base;
    codec_->thread_count = threads;
    check(avcodec_open2(codec_.get(), codec, nullptr), "avcodec_open2");
  }
  AVCodecContext& context() const { return *codec_; }
  void flush() { avcodec_flush_buffers(codec_.get()); }
  /// Sends one packet (null: drains) and gives every picture that comes out to `use`.
  template <class Use>
  void feed(const AVPacket* packet, const Use& use) {
    check(avcodec_send_packet(codec_.get(), packet), "send");
    while (avcodec_receive_frame(codec_.get(), frame_.get()) >= 0) use(*frame_);
  }

 private:
  Codec codec_;
  Frame frame_{av_frame_alloc()};
};

}  // namespace bare
