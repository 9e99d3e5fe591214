#include "bare.hpp"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
}

#include <memory>
#include <stdexcept>

namespace bare {
namespace {

struct CloseInput {
  void operator()(AVFormatContext* context) const noexcept { avformat_close_input(&context); }
};
struct FreeCodec {
  void operator()(AVCodecContext* codec) const noexcept { avcodec_free_context(&codec); }
};
struct FreePacket {
  void operator()(AVPacket* packet) const noexcept { av_packet_free(&packet); }
};
struct FreeFrame {
  void operator()(AVFrame* frame) const noexcept { av_frame_free(&frame); }
};

int checked(int code, const char* what) {
  if (code < 0) throw std::runtime_error(std::string(what) + " failed");
  return code;
}

/// One file, one decoder, one packet, one frame.
class Chain {
 public:
  Chain(const std::string& path, int threads, bool probe) : threads_(threads) {
    AVFormatContext* context = nullptr;
    checked(avformat_open_input(&context, path.c_str(), nullptr, nullptr), "avformat_open_input");
    input_.reset(context);
    if (probe) checked(avformat_find_stream_info(context, nullptr), "avformat_find_stream_info");
  }

  /// \return false at the end. The packet is of the first video stream.
  bool read() {
    av_packet_unref(packet_.get());
    while (av_read_frame(input_.get(), packet_.get()) >= 0) {
      const AVStream& stream = *input_->streams[packet_->stream_index];
      if (stream_ < 0 && stream.codecpar->codec_type == AVMEDIA_TYPE_VIDEO) open_decoder(stream);
      if (packet_->stream_index == stream_) return true;
      av_packet_unref(packet_.get());
    }
    return false;
  }
  bool is_key() const { return (packet_->flags & AV_PKT_FLAG_KEY) != 0; }
  void send() { checked(avcodec_send_packet(codec_.get(), packet_.get()), "avcodec_send_packet"); }
  void end() { avcodec_send_packet(codec_.get(), nullptr); }
  void flush() { avcodec_flush_buffers(codec_.get()); }
  bool receive() { return avcodec_receive_frame(codec_.get(), frame_.get()) >= 0; }
  const AVFrame& frame() const { return *frame_; }

 private:
  void open_decoder(const AVStream& stream) {
    const AVCodec* codec = avcodec_find_decoder(stream.codecpar->codec_id);
    if (!codec) throw std::runtime_error("no decoder");
    codec_.reset(avcodec_alloc_context3(codec));
    checked(avcodec_parameters_to_context(codec_.get(), stream.codecpar), "avcodec_parameters_to_context");
    codec_->thread_count = threads_;
    codec_->pkt_timebase = stream.time_base;
    checked(avcodec_open2(codec_.get(), codec, nullptr), "avcodec_open2");
    stream_ = stream.index;
  }

  int threads_, stream_ = -1;
  std::unique_ptr<AVFormatContext, CloseInput> input_;
  std::unique_ptr<AVCodecContext, FreeCodec> codec_;
  std::unique_ptr<AVPacket, FreePacket> packet_{av_packet_alloc()};
  std::unique_ptr<AVFrame, FreeFrame> frame_{av_frame_alloc()};
};

}  // namespace

void first_picture(const std::string& path, const Use& use) {
  Chain chain(path, 1, false);
  while (chain.read() && !chain.is_key()) {
  }
  chain.send();
  chain.end();
  if (chain.receive()) use(chain.frame());
}

void keyframes(const std::string& path, const Use& use) {
  Chain chain(path, 1, false);
  while (chain.read()) {
    if (!chain.is_key()) continue;
    chain.send();
    chain.end();
    while (chain.receive()) use(chain.frame());
    chain.flush();
  }
}

void all_pictures(const std::string& path, int threads, const Use& use) {
  Chain chain(path, threads, false);
  while (chain.read()) {
    chain.send();
    while (chain.receive()) use(chain.frame());
  }
  chain.end();
  while (chain.receive()) use(chain.frame());
}

void first_picture_probed(const std::string& path, const Use& use) {
  Chain chain(path, 1, true);
  while (chain.read()) {
    chain.send();
    if (chain.receive()) return use(chain.frame());
  }
}

}  // namespace bare
