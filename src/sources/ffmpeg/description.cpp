#include <sources/ffmpeg/description.hpp>

#include <support/ffmpeg/pictures.hpp>

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>

namespace vidloom {
namespace {

Value pair(AVRational value) { return Value(Value::Array{Value(value.num), Value(value.den)}); }

Value known_pair(AVRational value) { return value.num > 0 && value.den > 0 ? pair(value) : Value(); }

Value seconds_or_null(std::int64_t value, AVRational base) {
  return value == AV_NOPTS_VALUE ? Value() : Value(seconds(from_pts(value, av::rational(base))));
}

Value text_or_null(const char* text) { return text ? Value(text) : Value(); }

Value describe_stream(const AVStream& stream) {
  const AVCodecParameters& parameters = *stream.codecpar;
  Value value = Value::object();
  value.set("index", stream.index);
  value.set("type", text_or_null(av_get_media_type_string(parameters.codec_type)));
  value.set("codec", avcodec_get_name(parameters.codec_id));
  value.set("profile", text_or_null(avcodec_profile_name(parameters.codec_id, parameters.profile)));
  if (parameters.codec_type == AVMEDIA_TYPE_VIDEO) {
    const av::Orientation orientation = av::orientation_of(av::display_matrix_of(stream));
    value.set("width", parameters.width);
    value.set("height", parameters.height);
    value.set("pixel_format", text_or_null(av_get_pix_fmt_name(static_cast<AVPixelFormat>(parameters.format))));
    value.set("frame_rate", known_pair(stream.avg_frame_rate));
    value.set("real_frame_rate", known_pair(stream.r_frame_rate));
    const Rational aspect =
        av::sample_aspect_of(stream.sample_aspect_ratio.num > 0 ? stream.sample_aspect_ratio : parameters.sample_aspect_ratio);
    value.set("sample_aspect", Value::Array{Value(aspect.num), Value(aspect.den)});
    value.set("rotation", orientation.rotation_degrees);
    value.set("mirrored", orientation.mirrored);
    const bool interlaced = parameters.field_order != AV_FIELD_UNKNOWN && parameters.field_order != AV_FIELD_PROGRESSIVE;
    value.set("interlaced", interlaced);
  } else if (parameters.codec_type == AVMEDIA_TYPE_AUDIO) {
    value.set("sample_rate", parameters.sample_rate > 0 ? Value(parameters.sample_rate) : Value());
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(59, 24, 100)
    value.set("channels", parameters.ch_layout.nb_channels > 0 ? Value(parameters.ch_layout.nb_channels) : Value());
#else
    value.set("channels", parameters.channels > 0 ? Value(parameters.channels) : Value());
#endif
  }
  value.set("time_base", pair(stream.time_base));
  value.set("start", seconds_or_null(stream.start_time, stream.time_base));
  value.set("duration", seconds_or_null(stream.duration, stream.time_base));
  value.set("bit_rate", parameters.bit_rate > 0 ? Value(parameters.bit_rate) : Value());
  value.set("frames", stream.nb_frames > 0 ? Value(stream.nb_frames) : Value());
  const AVDictionaryEntry* language = av_dict_get(stream.metadata, "language", nullptr, 0);
  value.set("language", language ? Value(language->value) : Value());
  value.set("default", (stream.disposition & AV_DISPOSITION_DEFAULT) != 0);
  value.set("attached_picture", (stream.disposition & AV_DISPOSITION_ATTACHED_PIC) != 0);
  return value;
}

Value oddities(Demuxer& demuxer, const SourceInfo& info, const AVPacket* first) {
  AVFormatContext& container = demuxer.container();
  const AVStream& stream = demuxer.stream();
  Value list = Value::array();
  if (demuxer.cut_off()) list.push_back("is cut off: its index names pictures behind the end of the file");
  const AVCodecParameters& parameters = *stream.codecpar;
  if (!first) {
    list.push_back("no picture data was found");
  } else {
    if ((first->flags & AV_PKT_FLAG_KEY) == 0) list.push_back("the first picture is not a keyframe: the stream was cut in the middle");
    if (first->pts == AV_NOPTS_VALUE) list.push_back("pictures carry no timestamps: their times are made from the frame rate");
  }
  const double average = stream.avg_frame_rate.den > 0 ? av_q2d(stream.avg_frame_rate) : 0;
  const double finest = stream.r_frame_rate.den > 0 ? av_q2d(stream.r_frame_rate) : 0;
  if (average > 0 && finest > 0 && std::abs(average - finest) > 0.01 * finest)
    list.push_back("variable frame rate: " + std::to_string(average) + " pictures a second on average, the steps fit " + std::to_string(finest));
  if (stream.start_time != AV_NOPTS_VALUE && stream.start_time != 0)
    list.push_back("does not start at 0: the first picture is at " +
                   std::to_string(seconds(from_pts(stream.start_time, av::rational(stream.time_base)))) + " s");
  const av::Orientation orientation = av::orientation_of(av::display_matrix_of(stream));
  if (orientation.rotation_degrees != 0)
    list.push_back("is shown turned by " + std::to_string(orientation.rotation_degrees) + " degrees clockwise");
  if (orientation.mirrored) list.push_back("is shown mirrored");
  const Rational aspect =
      av::sample_aspect_of(stream.sample_aspect_ratio.num > 0 ? stream.sample_aspect_ratio : parameters.sample_aspect_ratio);
  if (aspect.num != aspect.den)
    list.push_back("pixels are not square: " + std::to_string(aspect.num) + ":" + std::to_string(aspect.den));
  if (info.colour.matrix == Matrix::unknown) {
    const ColourTags assumed = effective_colour(info.colour, info.coded_size);
    list.push_back("colour is untagged: " + std::string(to_string(assumed.matrix)) + ", " + std::string(to_string(assumed.range)) +
                   " range is assumed");
  }
  if (parameters.field_order != AV_FIELD_UNKNOWN && parameters.field_order != AV_FIELD_PROGRESSIVE)
    list.push_back("is interlaced: pictures are given woven, as decoded");
  if (container.duration_estimation_method == AVFMT_DURATION_FROM_BITRATE)
    list.push_back("the duration is an estimate from the bit rate");
  int videos = 0;
  for (unsigned index = 0; index < container.nb_streams; ++index) {
    const AVStream& other = *container.streams[index];
    videos += other.codecpar->codec_type == AVMEDIA_TYPE_VIDEO && (other.disposition & AV_DISPOSITION_ATTACHED_PIC) == 0;
  }
  if (videos > 1)
    list.push_back("has " + std::to_string(videos) + " video streams: number " + std::to_string(stream.index) + " is taken, as ffmpeg does");
  return list;
}

}  // namespace

SourceInfo describe_file(Demuxer& demuxer, const AVPacket* first) {
  AVFormatContext& container = demuxer.container();
  const AVStream& stream = demuxer.stream();
  const AVCodecParameters& parameters = *stream.codecpar;
  const auto format = static_cast<AVPixelFormat>(parameters.format);

  SourceInfo info;
  info.seekable = demuxer.seekable();
  if (stream.duration != AV_NOPTS_VALUE && stream.duration > 0) {
    info.duration = from_pts(stream.duration, av::rational(stream.time_base));
  } else if (container.duration != AV_NOPTS_VALUE && container.duration > 0) {
    info.duration = from_pts(container.duration, {1, AV_TIME_BASE});
  }
  info.coded_size = {parameters.width, parameters.height};
  info.size = info.coded_size;
  if (av::orientation_of(av::display_matrix_of(stream)).rotation_degrees % 180 != 0) std::swap(info.size.width, info.size.height);
  info.codec = avcodec_get_name(parameters.codec_id);
  info.time_base = av::rational(stream.time_base);
  info.colour = av::colour_of(av::value_of(parameters.color_space, AVCOL_SPC_NB, AVCOL_SPC_UNSPECIFIED),
                              av::value_of(parameters.color_range, AVCOL_RANGE_NB, AVCOL_RANGE_UNSPECIFIED),
                              av::value_of(parameters.color_trc, AVCOL_TRC_NB, AVCOL_TRC_UNSPECIFIED),
                              av::value_of(parameters.chroma_location, AVCHROMA_LOC_NB, AVCHROMA_LOC_UNSPECIFIED), format);

  Value streams = Value::array();
  for (unsigned index = 0; index < container.nb_streams; ++index) streams.push_back(describe_stream(*container.streams[index]));
  info.details = Value::object();
  info.details.set("container", container.iformat->name);
  info.details.set("container_name", text_or_null(container.iformat->long_name));
  info.details.set("bytes", demuxer.bytes() >= 0 ? Value(demuxer.bytes()) : Value());
  info.details.set("start", container.start_time != AV_NOPTS_VALUE ? seconds_or_null(container.start_time, AVRational{1, AV_TIME_BASE})
                                                                    : seconds_or_null(stream.start_time, stream.time_base));
  info.details.set("probed", !demuxer.quick());
  info.details.set("duration", info.duration ? Value(seconds(*info.duration)) : Value());
  info.details.set("bit_rate", container.bit_rate > 0 ? Value(container.bit_rate) : Value());
  info.details.set("stream", stream.index);
  info.details.set("streams", std::move(streams));
  info.details.set("oddities", oddities(demuxer, info, first));
  return info;
}

}  // namespace vidloom
