#include <sources/ffmpeg/entry_points.hpp>

#include <support/ffmpeg/av.hpp>

#include <algorithm>

namespace vidloom {
namespace {

using Bytes = std::span<const std::uint8_t>;

/// Calls `use(nal)` for each NAL unit until it returns false.
template <class Use>
void for_each_nal(Bytes bytes, std::size_t length_size, const Use& use) {
  if (length_size > 0) {
    while (bytes.size() > length_size) {
      std::size_t length = 0;
      for (const std::uint8_t byte : bytes.first(length_size)) length = length << 8 | byte;
      bytes = bytes.subspan(length_size);
      length = std::min(length, bytes.size());
      if (length > 0 && !use(bytes.first(length))) return;
      bytes = bytes.subspan(length);
    }
    return;
  }
  static constexpr std::uint8_t start_code[] = {0, 0, 1};
  const auto next = [](Bytes in) { return std::search(in.begin(), in.end(), std::begin(start_code), std::end(start_code)); };
  for (auto at = next(bytes); at != bytes.end();) {
    bytes = bytes.subspan(static_cast<std::size_t>(at - bytes.begin()) + 3);
    // The first bytes say what it is; its end is looked for only when it is passed over.
    if (!bytes.empty() && !use(bytes)) return;
    at = next(bytes);
  }
}

/// ITU-T H.264 D.1.8: whether a supplemental message says that decoding from here is exact at once.
bool recovers_at_once(Bytes sei) {
  std::size_t at = 1;
  while (at + 2 < sei.size() && sei[at] != 0x80) {
    std::size_t type = 0, size = 0;
    for (; at < sei.size() && sei[at] == 0xff; ++at) type += 0xff;
    if (at < sei.size()) type += sei[at++];
    for (; at < sei.size() && sei[at] == 0xff; ++at) size += 0xff;
    if (at < sei.size()) size += sei[at++];
    constexpr std::size_t recovery_point = 6;
    // recovery_frame_cnt as ue(v): 0 is the single bit 1; then exact_match_flag.
    if (type == recovery_point) return at < sei.size() && (sei[at] & 0xc0U) == 0xc0U;
    for (; size > 0 && at < sei.size(); ++at, --size)
      if (at >= 2 && sei[at] == 3 && sei[at - 1] == 0 && sei[at - 2] == 0) ++size;  // an escape is not part of the payload
  }
  return false;
}

}  // namespace

EntryPoints::EntryPoints(const AVCodecParameters& parameters) {
  const Bytes extra(parameters.extradata, static_cast<std::size_t>(std::max(parameters.extradata_size, 0)));
  switch (parameters.codec_id) {
    case AV_CODEC_ID_H264:
      rule_ = Rule::h264;
      if (extra.size() > 4 && extra[0] == 1) length_size_ = (extra[4] & 3U) + 1;
      break;
    case AV_CODEC_ID_HEVC:
      rule_ = Rule::hevc;
      if (extra.size() > 21 && (extra[0] != 0 || extra[1] != 0 || extra[2] > 1)) length_size_ = (extra[21] & 3U) + 1;
      break;
    case AV_CODEC_ID_VP8: rule_ = Rule::vp8; break;
    case AV_CODEC_ID_VP9:
    case AV_CODEC_ID_AV1:
    case AV_CODEC_ID_FFV1:
    case AV_CODEC_ID_FLV1:
    case AV_CODEC_ID_H263: rule_ = Rule::closed_key_flag; break;
    case AV_CODEC_ID_MPEG1VIDEO:
    case AV_CODEC_ID_MPEG2VIDEO:
    case AV_CODEC_ID_MPEG4: rule_ = Rule::key_flag; break;
    default: {
      const AVCodecDescriptor* codec = avcodec_descriptor_get(parameters.codec_id);
      if (codec && (codec->props & AV_CODEC_PROP_INTRA_ONLY) != 0) rule_ = Rule::every_packet;
    }
  }
}

EntryPoints::Verdict EntryPoints::look_at(const AVPacket& packet) {
  const Bytes bytes(packet.data, static_cast<std::size_t>(std::max(packet.size, 0)));
  const bool key = (packet.flags & AV_PKT_FLAG_KEY) != 0;
  Verdict verdict;
  switch (rule_) {
    case Rule::none: break;
    case Rule::every_packet: verdict = {.entry = true, .closed = true}; break;
    case Rule::key_flag: verdict.entry = key; break;
    case Rule::closed_key_flag: verdict = {.entry = key, .closed = key}; break;
    case Rule::vp8:
      // RFC 6386 section 9.1: bit 4 of the frame tag is show_frame.
      verdict = {.shown = bytes.empty() || (bytes[0] & 0x10U) != 0, .entry = key, .closed = key};
      break;
    case Rule::h264:
      if (key) verdict = look_at_h264(bytes);
      break;
    case Rule::hevc: verdict = look_at_hevc(bytes, key); break;
  }
  if ((packet.flags & AV_PKT_FLAG_DISCARD) != 0) verdict.shown = false;
  if ((packet.flags & AV_PKT_FLAG_CORRUPT) != 0) verdict.entry = false;
  return verdict;
}

EntryPoints::Verdict EntryPoints::look_at_h264(Bytes bytes) const {
  Verdict verdict;
  for_each_nal(bytes, length_size_, [&](Bytes nal) {
    const unsigned type = nal[0] & 0x1fU;
    constexpr unsigned sei = 6, idr = 5;
    if (type == sei && recovers_at_once(nal)) verdict.entry = true;
    if (type == idr) verdict = {.entry = true, .closed = true};
    return type < 1 || type > 5;
  });
  return verdict;
}

EntryPoints::Verdict EntryPoints::look_at_hevc(Bytes bytes, bool key) {
  Verdict verdict;
  for_each_nal(bytes, length_size_, [&](Bytes nal) {
    const unsigned type = nal[0] >> 1 & 0x3fU;
    if (type >= 32) return true;  // parameter sets and messages
    // ITU-T H.265 table 7-1: 16..18 BLA, 19..20 IDR, 21 CRA; 8..9 RASL, which after a BLA are not decodable.
    if (type >= 16 && type <= 23) {
      verdict.entry = key && type <= 21;
      verdict.closed = type == 19 || type == 20;
      after_broken_link_ = type <= 18;
    } else if (type == 8 || type == 9) {
      verdict.shown = !after_broken_link_;
    }
    return false;
  });
  return verdict;
}

}  // namespace vidloom
