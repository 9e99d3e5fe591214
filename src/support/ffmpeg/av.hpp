#pragma once
/// Owners for FFmpeg's C handles, and the few places where FFmpeg 5.1 to 8 differ.

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/avutil.h>
#include <libavutil/display.h>
#include <libavutil/error.h>
#include <libavutil/frame.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
}

#include <vidloom/core/error.hpp>
#include <vidloom/core/geometry.hpp>
#include <vidloom/core/time.hpp>
#include <vidloom/source.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>

namespace vidloom::av {

struct FreeFrame {
  void operator()(AVFrame* frame) const noexcept { av_frame_free(&frame); }
};
struct FreePacket {
  void operator()(AVPacket* packet) const noexcept { av_packet_free(&packet); }
};
struct FreeCodec {
  void operator()(AVCodecContext* codec) const noexcept { avcodec_free_context(&codec); }
};
using FramePtr = std::unique_ptr<AVFrame, FreeFrame>;
using PacketPtr = std::unique_ptr<AVPacket, FreePacket>;
using CodecPtr = std::unique_ptr<AVCodecContext, FreeCodec>;

/// \return `handle`; throws std::bad_alloc when FFmpeg could not allocate it.
template <class T>
T* allocated(T* handle) {
  if (!handle) throw std::bad_alloc();
  return handle;
}
inline FramePtr make_frame() { return FramePtr(allocated(av_frame_alloc())); }
inline PacketPtr make_packet() { return PacketPtr(allocated(av_packet_alloc())); }

/// The number in a field that FFmpeg fills from the file. A damaged one gives numbers that the enum does not have, and to read them
/// as the enum is undefined in C++.
template <class Enum>
int number_of(const Enum& field) noexcept {
  static_assert(std::is_enum_v<Enum> && sizeof(Enum) == sizeof(int));
  int number = 0;
  std::memcpy(&number, &field, sizeof number);
  return number;
}

/// The same as an enum: `unknown` for a number of `end` or more.
template <class Enum>
Enum value_of(const Enum& field, Enum end, Enum unknown) noexcept {
  const int number = number_of(field);
  return number >= 0 && number < static_cast<int>(end) ? static_cast<Enum>(number) : unknown;
}

/// Options for one call. What FFmpeg did not take stays inside.
class Dictionary {
 public:
  Dictionary() = default;
  Dictionary(const Dictionary&) = delete;
  Dictionary& operator=(const Dictionary&) = delete;
  ~Dictionary() { av_dict_free(&entries_); }
  void set(const char* key, const std::string& value) { av_dict_set(&entries_, key, value.c_str(), 0); }
  AVDictionary** out() noexcept { return &entries_; }

 private:
  AVDictionary* entries_ = nullptr;
};

/// \return FFmpeg's own words for a negative return code.
inline std::string error_text(int code) {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(code, text, sizeof text);
  return text;
}

inline Rational rational(AVRational value) noexcept { return {value.num, value.den}; }
inline std::optional<std::int64_t> timestamp(std::int64_t value) noexcept {
  return value == AV_NOPTS_VALUE ? std::nullopt : std::optional(value);
}

inline bool is_keyframe(const AVFrame& frame) noexcept {
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(58, 7, 100)
  return (frame.flags & AV_FRAME_FLAG_KEY) != 0;
#else
  return frame.key_frame != 0;
#endif
}

inline bool is_interlaced(const AVFrame& frame) noexcept {
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(58, 7, 100)
  return (frame.flags & AV_FRAME_FLAG_INTERLACED) != 0;
#else
  return frame.interlaced_frame != 0;
#endif
}

/// In units of the packet's time base; 0: not known.
inline std::int64_t duration_of(const AVFrame& frame) noexcept {
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(57, 30, 100)
  return frame.duration;
#else
  return frame.pkt_duration;
#endif
}

/// A number that travels with a packet to the frame decoded from it, whatever the reordering.
inline void prepare_tags([[maybe_unused]] AVCodecContext& codec) noexcept {
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 3, 100)
  codec.flags |= AV_CODEC_FLAG_COPY_OPAQUE;
#endif
}
inline void set_tag([[maybe_unused]] AVCodecContext& codec, [[maybe_unused]] AVPacket& packet, std::intptr_t tag) noexcept {
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 3, 100)
  packet.opaque = reinterpret_cast<void*>(tag);
#else
  codec.reordered_opaque = tag;
#endif
}
inline std::intptr_t tag_of(const AVFrame& frame) noexcept {
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 3, 100)
  return reinterpret_cast<std::intptr_t>(frame.opaque);
#else
  return static_cast<std::intptr_t>(frame.reordered_opaque);
#endif
}

/// \return the stream's display matrix (nine numbers), or nullptr.
inline const std::int32_t* display_matrix_of(const AVStream& stream) noexcept {
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 29, 100)
  const AVCodecParameters& parameters = *stream.codecpar;
  const AVPacketSideData* data =
      av_packet_side_data_get(parameters.coded_side_data, parameters.nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
  if (!data || data->size < 9 * sizeof(std::int32_t)) return nullptr;
  return reinterpret_cast<const std::int32_t*>(data->data);
#else
  std::size_t size = 0;
  const std::uint8_t* data = av_stream_get_side_data(&stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
  return data && size >= 9 * sizeof(std::int32_t) ? reinterpret_cast<const std::int32_t*>(data) : nullptr;
#endif
}

/// \return how many pixels a picture may have: `wanted`, or by trust when that is 0; never more than trust allows.
std::int64_t pixel_limit(Trust trust, std::int64_t wanted);
/// Reads "trust" and "max_pixels" from a source's options. Throws Error(config).
std::int64_t pixel_limit(const Value& options);
/// The error for a picture of `size`, thrown before it is decoded.
Error too_large(const std::string& what, Size size, std::int64_t limit);

}  // namespace vidloom::av
