#include <sinks/ffmpeg/muxer.hpp>

#include <vidloom/core/log.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace vidloom {
namespace {

constexpr std::size_t buffer_bytes = std::size_t{1} << 16;

#if LIBAVFORMAT_VERSION_MAJOR >= 61
using WrittenBytes = const std::uint8_t*;
#else
using WrittenBytes = std::uint8_t*;
#endif

int write_to(void* file, WrittenBytes bytes, int count) {
  const auto* data = reinterpret_cast<const std::byte*>(bytes);
  const int failure = static_cast<OutputFile*>(file)->write({data, static_cast<std::size_t>(count)});
  return failure == 0 ? count : AVERROR(failure);
}

const char* muxer_name(Muxer::Container container) noexcept {
  return container == Muxer::Container::mpegts ? "mpegts" : container == Muxer::Container::mov ? "mov" : "mp4";
}

struct CloseInput {
  void operator()(AVFormatContext* context) const noexcept { avformat_close_input(&context); }
};

}  // namespace

void Muxer::FreeOutput::operator()(AVFormatContext* context) const noexcept {
  if (context->pb) {
    av_freep(&context->pb->buffer);
    avio_context_free(&context->pb);
  }
  avformat_free_context(context);
}

Muxer::Container Muxer::container_of(const std::string& path) {
  std::string ending = std::filesystem::path(path).extension().string();
  std::ranges::transform(ending, ending.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (ending == ".mp4" || ending == ".m4v") return Container::mp4;
  if (ending == ".mov") return Container::mov;
  if (ending == ".ts" || ending == ".m2ts" || ending == ".mts") return Container::mpegts;
  throw Error(Code::config, "the video's name is '" + path + "'; end it in .mp4, .m4v, .mov or .ts");
}

Muxer::Muxer(OutputFile& file, Container container) : file_(file), container_(container) {
  AVFormatContext* context = nullptr;
  if (avformat_alloc_output_context2(&context, nullptr, muxer_name(container), nullptr) < 0 || !context) {
    throw Error(Code::not_built, std::string("this FFmpeg (") + av_version_info() + ") has no muxer '" + muxer_name(container) + "'");
  }
  context_.reset(context);
  auto* buffer = static_cast<unsigned char*>(av::allocated(av_malloc(buffer_bytes)));
  context->pb = avio_alloc_context(buffer, static_cast<int>(buffer_bytes), 1, &file_, nullptr, &write_to, nullptr);
  if (!context->pb) {
    av_free(buffer);
    throw std::bad_alloc();
  }
  context->pb->seekable = 0;
  context->flags |= AVFMT_FLAG_CUSTOM_IO;
  context->max_delay = 0;
}

Muxer::~Muxer() = default;

bool Muxer::takes(AVCodecID codec) const noexcept {
  // FFmpeg's MPEG-TS takes everything, what it has no number for as private data that nobody plays.
  constexpr std::array in_transport{AV_CODEC_ID_AAC, AV_CODEC_ID_AAC_LATM, AV_CODEC_ID_MP2, AV_CODEC_ID_MP3, AV_CODEC_ID_AC3,
                                    AV_CODEC_ID_EAC3, AV_CODEC_ID_DTS, AV_CODEC_ID_TRUEHD, AV_CODEC_ID_OPUS};
  if (container_ == Container::mpegts) return std::ranges::find(in_transport, codec) != in_transport.end();
  return avformat_query_codec(context_->oformat, codec, FF_COMPLIANCE_NORMAL) == 1;
}
bool Muxer::wants_headers_apart() const noexcept { return (context_->oformat->flags & AVFMT_GLOBALHEADER) != 0; }

AVStream& Muxer::add_stream(const AVCodecParameters& parameters, AVRational time_base) {
  AVStream& stream = *av::allocated(avformat_new_stream(context_.get(), nullptr));
  if (avcodec_parameters_copy(stream.codecpar, &parameters) < 0) throw std::bad_alloc();
  stream.codecpar->codec_tag = 0;
  stream.time_base = time_base;
  stream.sample_aspect_ratio = parameters.sample_aspect_ratio;
  return stream;
}

void Muxer::check(int code) {
  if (code < 0 || file_.failure() != 0) fail(code);
}

void Muxer::fail(int code) {
  const std::string why = file_.failure() != 0 ? std::generic_category().message(file_.failure()) : av::error_text(code);
  ended_ = true;
  file_.cut_back();
  throw Error(Code::output, "cannot write " + file_.path() + ": " + why + "; what is in it can be played");
}

void Muxer::begin() {
  av::Dictionary options;
  if (container_ == Container::mpegts) {
    context_->avoid_negative_ts = 0;  // who writes sees to that
    options.set("mpegts_copyts", "1");   // the source's own times, to the tick
    options.set("mpegts_flags", "+resend_headers");
  } else {
    options.set("movflags", "+frag_keyframe+delay_moov+default_base_moof");
    options.set("frag_duration", "500000");
    options.set("min_frag_duration", "250000");
  }
  check(avformat_write_header(context_.get(), options.out()));
  begun_ = true;
}

void Muxer::write(AVPacket& packet, const AVStream& stream, AVRational time_base) {
  av_packet_rescale_ts(&packet, time_base, stream.time_base);
  packet.stream_index = stream.index;
  packet.pos = -1;
  const auto index = static_cast<std::size_t>(stream.index);
  if (last_durations_.size() <= index) last_durations_.resize(index + 1);
  last_durations_[index] = from_pts(packet.duration, av::rational(stream.time_base));
  const int code = av_write_frame(context_.get(), &packet);
  avio_flush(context_->pb);
  check(code);
  ++packets_;
  file_.mark_whole();
}

void Muxer::end() {
  if (!begun_ || ended_) return;
  const int code = av_write_trailer(context_.get());
  avio_flush(context_->pb);
  check(code);
  ended_ = true;
  file_.mark_whole();
  file_.close();
  if (container_ != Container::mpegts && file_.is_regular()) index_in_front();
}

/// Copies the packets into an ordinary file. Where that fails (a full disk), the fragmented one stays: it holds the same.
void Muxer::index_in_front() {
  std::error_code ignored;
  const std::filesystem::path target = std::filesystem::canonical(file_.path(), ignored);
  if (target.empty()) return;
  std::string beside = (target.parent_path() / ("." + target.filename().string() + ".XXXXXX")).string();
  const int made = ::mkstemp(beside.data());
  int code = made < 0 ? AVERROR(errno) : 0;
  if (made >= 0) {
    struct stat status {};
    if (::stat(target.c_str(), &status) == 0 && ::fchmod(made, status.st_mode & 07777) != 0) code = AVERROR(errno);
    ::close(made);
  }
  std::unique_ptr<AVFormatContext, CloseInput> from;
  AVFormatContext* to = nullptr;
  if (code >= 0) {
    AVFormatContext* opened = nullptr;
    code = avformat_open_input(&opened, ("file:" + target.string()).c_str(), av_find_input_format("mov"), nullptr);
    from.reset(opened);
  }
  if (code >= 0) code = avformat_alloc_output_context2(&to, nullptr, muxer_name(container_), ("file:" + beside).c_str());
  if (code >= 0) {
    for (unsigned i = 0; i < from->nb_streams && code >= 0; ++i) {
      const AVStream& source = *from->streams[i];
      AVStream* stream = avformat_new_stream(to, nullptr);
      code = stream ? avcodec_parameters_copy(stream->codecpar, source.codecpar) : AVERROR(ENOMEM);
      if (code < 0) break;
      stream->codecpar->codec_tag = 0;
      stream->time_base = source.time_base;
      stream->sample_aspect_ratio = source.codecpar->sample_aspect_ratio;
      stream->avg_frame_rate = source.avg_frame_rate;
      stream->disposition = source.disposition;
      av_dict_copy(&stream->metadata, source.metadata, 0);
    }
  }
  if (code >= 0) code = avio_open(&to->pb, ("file:" + beside).c_str(), AVIO_FLAG_WRITE);
  if (code >= 0) {
    av::Dictionary options;
    // Room for the index is left in front, as much as it can become: FFmpeg's other way writes the whole file a second time.
    std::int64_t index_bytes = 1 << 14;
    for (unsigned i = 0; i < to->nb_streams; ++i) index_bytes += to->streams[i]->codecpar->extradata_size + 4096;
    options.set("moov_size", std::to_string(std::min<std::int64_t>(index_bytes + 48 * packets_, 1 << 30)));
    code = avformat_write_header(to, options.out());
    const av::PacketPtr packet = av::make_packet();
    while (code >= 0) {
      code = av_read_frame(from.get(), packet.get());
      if (code < 0) {
        if (code == AVERROR_EOF) code = av_write_trailer(to);
        break;
      }
      const int index = packet->stream_index;
      av_packet_rescale_ts(packet.get(), from->streams[index]->time_base, to->streams[index]->time_base);
      packet->pos = -1;
      if (packet->duration == 0) {
        packet->duration = av_rescale_q(last_durations_[static_cast<std::size_t>(index)].count(), {1, 1'000'000'000}, to->streams[index]->time_base);
      }
      code = av_write_frame(to, packet.get());
      av_packet_unref(packet.get());
    }
  }
  if (to && to->pb) {
    const int closed = avio_closep(&to->pb);
    if (code >= 0) code = closed;
  }
  avformat_free_context(to);
  if (code >= 0 && ::rename(beside.c_str(), target.c_str()) != 0) code = AVERROR(errno);
  if (code >= 0) return;
  if (made >= 0) ::unlink(beside.c_str());
  log(LogLevel::warning, "sink", file_.path() + " keeps its index in pieces, which players take as well: it could not be written anew (" + av::error_text(code) + ")");
}

}  // namespace vidloom
