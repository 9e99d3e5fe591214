#include <sources/ffmpeg/demuxer.hpp>

#include <sources/ffmpeg/coded_pictures.hpp>
#include <sources/ffmpeg/transport.hpp>
#include <support/ffmpeg/decoder.hpp>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

namespace vidloom {
namespace {

/// \return whether one of the comma-separated names of a demuxer is `name`.
bool is_called(const AVInputFormat& format, std::string_view name) {
  std::string_view names = format.name;
  while (!names.empty()) {
    const auto comma = names.find(',');
    if (names.substr(0, comma) == name) return true;
    if (comma == std::string_view::npos) break;
    names.remove_prefix(comma + 1);
  }
  return false;
}

bool names_other_files(const AVInputFormat& format) {
  constexpr std::string_view kinds[] = {"hls",        "applehttp", "concat",      "dash",  "webm_dash_manifest", "sdp",   "imf",
                                        "vobsub",     "image2",    "image2pipe",  "rtsp",  "sap",                "redir", "tedcaptions",
                                        "avisynth",   "vapoursynth"};
  return std::any_of(std::begin(kinds), std::end(kinds), [&](std::string_view kind) { return is_called(format, kind); });
}

bool is_text(std::string_view head) {
  return !head.empty() && std::all_of(head.begin(), head.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 || byte == '\n' || byte == '\r' || byte == '\t' || byte == '\f';
  });
}

Error playlist(const std::string& path, const AVInputFormat& format) {
  return Error(Code::source, path + " is a playlist, not a video: no other file is opened (format " + format.name + ")");
}

}  // namespace

Demuxer::Demuxer(const std::string& path, const WakeUp& stop, std::int64_t max_pixels, bool quick, const Demuxer* like)
    : path_(path), stop_(stop), max_pixels_(max_pixels) {
  open(!quick);
  if (quick && input_->seekable() && (is_mpegts() || is_mov())) {
    if (open_quick()) return;
    open(true);
  }
  if (like && take_like(*like)) return;
  if (context_->nb_streams == 0 && input_->seekable()) {
    // FFmpeg takes no limits for streams that only show while it probes; so a decoder of ours meets their pictures first.
    look_ahead();
    open(true);
  }
  check_sizes();
  probe();
  check_sizes();
  choose();
}

bool Demuxer::take_like(const Demuxer& other) {
  if (context_->nb_streams != other.context_->nb_streams) return false;
  for (unsigned index = 0; index < context_->nb_streams; ++index) {
    const AVCodecParameters &mine = *context_->streams[index]->codecpar, &theirs = *other.context_->streams[index]->codecpar;
    if (mine.codec_id != theirs.codec_id || mine.codec_type != theirs.codec_type) return false;
  }
  chosen_ = other.chosen_;
  if (avcodec_parameters_copy(stream().codecpar, other.stream().codecpar) < 0) throw std::bad_alloc();
  for (unsigned index = 0; index < context_->nb_streams; ++index)
    if (index != chosen_) context_->streams[index]->discard = AVDISCARD_ALL;
  return true;
}

int Demuxer::refuse_to_open(AVFormatContext* context, AVIOContext**, const char*, int, AVDictionary**) noexcept {
  static_cast<Demuxer*>(context->opaque)->wanted_others_ = true;
  return AVERROR(EPERM);
}

void Demuxer::throw_if_stopped() const {
  if (stop_.is_set()) stop_.throw_reason(path_);
}

void Demuxer::open(bool all_programs) {
  first_.reset();
  context_.reset();
  input_.reset();
  throw_if_stopped();
  input_ = std::make_unique<FileInput>(path_, stop_);

  // By content alone: a name says nothing about what is in a file, and must not choose who reads it.
  const AVInputFormat* format = nullptr;
  const int score = av_probe_input_buffer2(input_->context(), &format, "", nullptr, 0, 0);
  throw_if_stopped();
  if (input_->failure() != 0) throw Error(Code::source, path_ + " cannot be read: " + std::strerror(input_->failure()), true);
  if (format && names_other_files(*format)) throw playlist(path_, *format);
  if (score < 0 || !format || is_called(*format, "tty")) {
    if (is_text(input_->head(512).view())) throw Error(Code::source, path_ + " is a text file, not a video");
    throw Error(Code::source, path_ + " is not a video: nothing in its content is of a format that FFmpeg knows");
  }

  AVFormatContext* context = av::allocated(avformat_alloc_context());
  context->pb = input_->context();
  context->flags |= AVFMT_FLAG_CUSTOM_IO;
  context->opaque = this;
  context->io_open = &Demuxer::refuse_to_open;
  // Our own timeline unwraps; FFmpeg's correction fails at the second wrap.
  context->correct_ts_overflow = 0;
  context->interrupt_callback = {[](void* flag) { return static_cast<const WakeUp*>(flag)->is_set() ? 1 : 0; },
                                 const_cast<WakeUp*>(&stop_)};
  av::Dictionary options;
  options.set("protocol_whitelist", "file");
  if (is_called(*format, "mpegts") && (all_programs || !input_->seekable())) options.set("scan_all_pmts", "1");
  const int code = avformat_open_input(&context, "", format, options.out());
  if (code >= 0) context_.reset(context);
  throw_if_stopped();
  if (wanted_others_) throw playlist(path_, *format);
  if (code < 0) {
    if (input_->failure() != 0) throw Error(Code::source, path_ + " cannot be read: " + std::strerror(input_->failure()), true);
    if (is_called(*format, "mov"))
      throw Error(Code::source, path_ + " is an mp4/mov file without its index (moov): it was cut off or never finished");
    throw Error(Code::source, path_ + " is a damaged " + format->long_name + " file: " + av::error_text(code));
  }
}

bool Demuxer::open_quick() {
  check_sizes();
  if (context_->nb_programs > 1) return false;
  int videos = 0;
  for (unsigned index = 0; index < context_->nb_streams; ++index) {
    const AVStream& stream = *context_->streams[index];
    if (stream.codecpar->codec_type != AVMEDIA_TYPE_VIDEO || (stream.disposition & AV_DISPOSITION_ATTACHED_PIC) != 0) continue;
    ++videos;
    chosen_ = index;
  }
  if (videos != 1) return false;
  const AVCodecParameters& parameters = *stream().codecpar;
  if (parameters.codec_id != AV_CODEC_ID_H264 && parameters.codec_id != AV_CODEC_ID_HEVC &&
      (is_mov() || parameters.codec_id != AV_CODEC_ID_MPEG2VIDEO))
    return false;
  // What the header does not say, only a probe knows.
  if (is_mov() && (stream().duration <= 0 || stream().avg_frame_rate.num <= 0)) return false;
  if (is_mpegts()) refuse_scrambled();
  for (unsigned index = 0; index < context_->nb_streams; ++index)
    if (index != chosen_) context_->streams[index]->discard = AVDISCARD_ALL;
  av::PacketPtr packet = av::make_packet();
  if (!next(*packet)) return false;
  CodedPictures pictures(parameters);
  const auto picture = pictures.look(*packet);
  // Without a whole beginning it takes FFmpeg's probe to find the parameters further on, and to decode as ffmpeg does.
  if (!picture || !picture->entry || !pictures.self_contained() || packet->pts == AV_NOPTS_VALUE) return false;
  parameter_sets_ = pictures.parameter_sets();
  first_ = std::move(packet);
  return quick_ = true;
}

void Demuxer::refuse_scrambled() {
  constexpr unsigned sample_aes = 0xDB;  // stream type of H.264 under Apple's SAMPLE-AES
  constexpr std::size_t look = std::size_t{1} << 16;
  const transport::Count count = transport::count(input_->head(look).view(), stream().id);
  if (stream().codecpar->codec_tag == sample_aes || (count.scrambled > 0 && count.scrambled == count.packets))
    throw Error(Code::source, path_ + " is encrypted: its video packets are scrambled, and no key is known");
}

std::optional<std::int64_t> Demuxer::look_for_duration() {
  if (!is_mpegts()) return std::nullopt;
  const std::int64_t first = first_ ? first_->pts : AV_NOPTS_VALUE;
  if (first == AV_NOPTS_VALUE) return std::nullopt;
  // A picture of more bytes than the last look would hide its own timestamp: then more is looked at.
  for (std::size_t bytes = std::size_t{1} << 16; bytes <= std::size_t{1} << 22; bytes <<= 2) {
    const auto last = transport::latest_pts(input_->tail(bytes).view(), stream().id, first);
    if (!last) continue;
    return transport::distance(first, *last) + first_->duration;
  }
  return std::nullopt;
}

void Demuxer::look_ahead() {
  constexpr int most_packets = 200;
  std::unique_ptr<av::Decoder> decoder;
  const av::PacketPtr packet = av::make_packet();
  const av::FramePtr frame = av::make_frame();
  int stream = -1;
  for (int count = 0; count < most_packets && av_read_frame(context_.get(), packet.get()) >= 0; ++count) {
    const AVCodecParameters& parameters = *context_->streams[packet->stream_index]->codecpar;
    if (!decoder && parameters.codec_type == AVMEDIA_TYPE_VIDEO && avcodec_find_decoder(parameters.codec_id)) {
      decoder = std::make_unique<av::Decoder>(parameters, av::Decoder::Options{.max_pixels = max_pixels_}, path_);
      stream = packet->stream_index;
    }
    if (packet->stream_index == stream) {
      decoder->send(packet.get(), false);
      if (decoder->receive(*frame) >= 0) return;
    }
    av_packet_unref(packet.get());
  }
  throw_if_stopped();
}

void Demuxer::probe() {
  const unsigned known = context_->nb_streams;
  std::vector<AVDictionary*> options(known, nullptr);
  for (AVDictionary*& entry : options) av_dict_set_int(&entry, "max_pixels", max_pixels_, 0);
  const int code = avformat_find_stream_info(context_.get(), known > 0 ? options.data() : nullptr);
  for (AVDictionary*& entry : options) av_dict_free(&entry);
  throw_if_stopped();
  if (wanted_others_) throw playlist(path_, *context_->iformat);
  if (input_->failure() != 0) throw Error(Code::source, path_ + " cannot be read: " + std::strerror(input_->failure()), true);
  if (code < 0 && context_->nb_streams == 0)
    throw Error(Code::source, path_ + " is a damaged " + context_->iformat->long_name + " file: " + av::error_text(code));
}

void Demuxer::check_sizes() const {
  for (unsigned index = 0; index < context_->nb_streams; ++index) {
    const AVStream& stream = *context_->streams[index];
    if (stream.codecpar->codec_type != AVMEDIA_TYPE_VIDEO || (stream.disposition & AV_DISPOSITION_ATTACHED_PIC) != 0) continue;
    const Size size{stream.codecpar->width, stream.codecpar->height};
    if (!size.empty() && std::int64_t{size.width} * size.height > max_pixels_) throw av::too_large(path_, size, max_pixels_);
  }
}

void Demuxer::choose() {
  // The score of the ffmpeg command (open_output_file, 5.1): so that the same stream is taken without any option.
  std::int64_t best = 0;
  bool audio = false, subtitles = false, cover = false;
  for (unsigned index = 0; index < context_->nb_streams; ++index) {
    const AVStream& stream = *context_->streams[index];
    const AVCodecParameters& parameters = *stream.codecpar;
    audio |= parameters.codec_type == AVMEDIA_TYPE_AUDIO;
    subtitles |= parameters.codec_type == AVMEDIA_TYPE_SUBTITLE;
    if (parameters.codec_type != AVMEDIA_TYPE_VIDEO) continue;
    if ((stream.disposition & AV_DISPOSITION_ATTACHED_PIC) != 0) {
      cover = true;
      continue;
    }
    const std::int64_t score = std::int64_t{parameters.width} * parameters.height +
                               ((stream.event_flags & AVSTREAM_EVENT_FLAG_NEW_PACKETS) != 0 ? 100'000'000 : 0) +
                               ((stream.disposition & AV_DISPOSITION_DEFAULT) != 0 ? 5'000'000 : 0) + 1;
    if (score > best) {
      best = score;
      chosen_ = index;
    }
  }
  if (best == 0) {
    std::string has = audio ? (cover ? "has audio and a cover picture" : "has audio") : subtitles ? "has subtitles" : "";
    throw Error(Code::source, path_ + " " + (has.empty() ? "has no video stream" : has + " but no video"));
  }
  for (unsigned index = 0; index < context_->nb_streams; ++index)
    if (index != chosen_) context_->streams[index]->discard = AVDISCARD_ALL;
}

bool Demuxer::indexed() const noexcept { return is_mov() || is_called(*context_->iformat, "matroska"); }

bool Demuxer::is_mpegts() const noexcept { return is_called(*context_->iformat, "mpegts"); }

bool Demuxer::is_mov() const noexcept { return is_called(*context_->iformat, "mov"); }

bool Demuxer::read(AVPacket& packet) {
  if (first_) {
    av_packet_move_ref(&packet, first_.get());
    first_.reset();
    return true;
  }
  return next(packet);
}

bool Demuxer::next(AVPacket& packet) {
  for (;;) {
    const int code = av_read_frame(context_.get(), &packet);
    throw_if_stopped();
    if (code == AVERROR(EAGAIN)) continue;
    if (code < 0) {
      if (input_->failure() != 0)
        throw Error(Code::source, path_ + " cannot be read any further: " + std::strerror(input_->failure()), true);
      broke_off_ = code != AVERROR_EOF || cut_off();
      return false;
    }
    if (packet.stream_index == static_cast<int>(chosen_)) return true;
    av_packet_unref(&packet);
  }
}

bool Demuxer::cut_off() {
  if (!is_mov() || input_->size() < 0) return false;
  for (int index = avformat_index_get_entries_count(&stream()) - 1; index >= 0; --index) {
    const AVIndexEntry* entry = avformat_index_get_entry(&stream(), index);
    if (entry && entry->pos + entry->size > input_->size()) return true;
  }
  return false;
}

bool Demuxer::seek(std::int64_t pts) {
  first_.reset();
  return av_seek_frame(context_.get(), static_cast<int>(chosen_), pts, AVSEEK_FLAG_BACKWARD) >= 0;
}

bool Demuxer::keeps_byte_positions() const noexcept { return is_mpegts() || is_called(*context_->iformat, "mpeg"); }

bool Demuxer::go_to(const PacketPlace& place, AVPacket& packet) {
  // Transport and program streams have no index: FFmpeg searches them by timestamp and lands behind the keyframe. Their packets
  // begin anywhere, so the byte is the way. All others lead to the keyframe at or before a time by an index.
  const bool by_bytes = keeps_byte_positions();
  if (by_bytes && place.position < 0) return false;
  first_.reset();
  const bool by_pts = is_called(*context_->iformat, "matroska");
  const std::int64_t time = by_pts || place.dts == AV_NOPTS_VALUE ? place.pts : place.dts;
  const int code = by_bytes ? av_seek_frame(context_.get(), -1, place.position, AVSEEK_FLAG_BYTE)
                            : av_seek_frame(context_.get(), static_cast<int>(chosen_), time, AVSEEK_FLAG_BACKWARD);
  throw_if_stopped();
  if (code < 0) return false;
  constexpr int patience = 4096;
  for (int passed = 0; passed < patience; ++passed) {
    if (!read(packet)) return false;
    const bool same_place = packet.pos < 0 || place.position < 0 || packet.pos == place.position;
    if (packet.pts == place.pts && packet.size == place.size && same_place) return true;
    av_packet_unref(&packet);
  }
  return false;
}

}  // namespace vidloom
