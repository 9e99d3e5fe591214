#include <sources/ffmpeg/coded_pictures.hpp>

#include <algorithm>

namespace vidloom {
namespace {

unsigned byte(std::string_view bytes, std::size_t at) noexcept { return at < bytes.size() ? static_cast<unsigned char>(bytes[at]) : 0; }

/// Bits of a NAL unit, the emulation prevention bytes taken out. Behind the end come zeros; ended() says so.
class Bits {
 public:
  explicit Bits(std::string_view unit, std::size_t most = 4096) {
    unit = unit.substr(0, most);
    bytes_.reserve(unit.size());
    for (std::size_t at = 0; at < unit.size(); ++at) {
      const bool prevention = at >= 2 && unit[at] == 3 && unit[at - 1] == 0 && unit[at - 2] == 0;
      if (!prevention) bytes_ += unit[at];
    }
  }
  bool ended() const noexcept { return at_ > bytes_.size() * 8; }
  std::size_t left() const noexcept { return ended() ? 0 : bytes_.size() * 8 - at_; }
  unsigned bit() noexcept {
    const std::size_t at = at_++;
    return at / 8 < bytes_.size() ? byte(bytes_, at / 8) >> (7 - at % 8) & 1 : 0;
  }
  unsigned get(int bits) noexcept {
    unsigned value = 0;
    while (bits-- > 0) value = value << 1 | bit();
    return value;
  }
  void skip(std::size_t bits) noexcept { at_ += bits; }
  /// Exp-Golomb, unsigned (H.264 9.1).
  unsigned ue() noexcept {
    int zeros = 0;
    while (zeros < 32 && !ended() && bit() == 0) ++zeros;
    return zeros >= 32 ? 0xFFFFFFFFU : (1U << zeros) - 1 + get(zeros);
  }
  int se() noexcept {
    const unsigned value = ue();
    return (value & 1) != 0 ? static_cast<int>(value / 2 + 1) : -static_cast<int>(value / 2);
  }

 private:
  std::string bytes_;
  std::size_t at_ = 0;
};

/// Takes the next unit off `bytes`, without its start code or length. Empty at the end.
std::string_view next_unit(std::string_view& bytes, std::size_t length_bytes) {
  using namespace std::string_view_literals;
  if (length_bytes > 0) {
    if (bytes.size() <= length_bytes) return {};
    std::size_t length = 0;
    for (std::size_t at = 0; at < length_bytes; ++at) length = length << 8 | byte(bytes, at);
    const std::string_view unit = bytes.substr(length_bytes, length);
    bytes.remove_prefix(std::min(bytes.size(), length_bytes + length));
    return unit;
  }
  const std::size_t start = bytes.find("\0\0\1"sv);
  if (start == std::string_view::npos) return {};
  bytes.remove_prefix(start + 3);
  const std::size_t end = bytes.find("\0\0\1"sv);
  std::string_view unit = bytes.substr(0, end);
  bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end);
  // Zeros belong to the next start code, or fill up; a unit ends with a set bit.
  while (unit.size() > 1 && unit.back() == 0) unit.remove_suffix(1);
  return unit;
}

/// Supplemental enhancement of H.264: \return recovery_frame_cnt when there is a recovery point (D.1.8), else -1.
int recovery_frames(std::string_view unit) {
  Bits bits(unit.substr(1));
  while (bits.left() > 16) {
    unsigned type = 0, size = 0, part = 0;
    do type += part = bits.get(8);
    while (part == 255 && !bits.ended());
    do size += part = bits.get(8);
    while (part == 255 && !bits.ended());
    if (type == 6) return static_cast<int>(std::min(bits.ue(), 1U << 20));
    bits.skip(std::size_t{size} * 8);
  }
  return -1;
}

void skip_scaling_list(Bits& bits, int size) {
  // Modulo 256 (7.3.2.1.1.1), without a sign: damage may say any 32-bit difference.
  unsigned last = 8, next = 8;
  for (int index = 0; index < size && next != 0; ++index) {
    next = (last + static_cast<unsigned>(bits.se())) % 256;
    if (next != 0) last = next;
  }
}

void skip_hrd(Bits& bits) {
  const unsigned count = std::min(bits.ue(), 31U) + 1;
  bits.skip(8);
  for (unsigned index = 0; index < count; ++index) {
    bits.ue();
    bits.ue();
    bits.skip(1);
  }
  bits.skip(20);
}

}  // namespace

CodedPictures::CodedPictures(const AVCodecParameters& parameters) {
  const AVCodecDescriptor* about = avcodec_descriptor_get(parameters.codec_id);
  switch (parameters.codec_id) {
    case AV_CODEC_ID_H264: kind_ = Kind::h264; break;
    case AV_CODEC_ID_HEVC: kind_ = Kind::hevc; break;
    case AV_CODEC_ID_MPEG1VIDEO:
    case AV_CODEC_ID_MPEG2VIDEO: kind_ = Kind::mpeg2; break;
    case AV_CODEC_ID_VP8: kind_ = Kind::vp8; break;
    case AV_CODEC_ID_VP9: kind_ = Kind::vp9; break;
    case AV_CODEC_ID_AV1: kind_ = Kind::av1; break;
    default:
      if (about && (about->props & AV_CODEC_PROP_INTRA_ONLY) != 0) kind_ = Kind::intra;
      break;
  }
  says_delay_ = kind_ != Kind::h264;
  if (parameters.extradata_size > 0)
    read_extradata({reinterpret_cast<const char*>(parameters.extradata), static_cast<std::size_t>(parameters.extradata_size)});
}

void CodedPictures::read_extradata(std::string_view extradata) {
  if (kind_ == Kind::h264 && byte(extradata, 0) == 1) {  // AVCDecoderConfigurationRecord, ISO/IEC 14496-15
    length_bytes_ = (byte(extradata, 4) & 3) + 1;
    std::string_view rest = extradata.substr(std::min<std::size_t>(extradata.size(), 6));
    for (unsigned count = byte(extradata, 5) & 31; count > 0 && !rest.empty(); --count)
      sequence_ = read_h264_parameters(next_unit(rest, 2)) || sequence_;
    picture_ = byte(rest, 0) > 0 && rest.size() > 3;
  } else if (kind_ == Kind::h264) {
    for (std::string_view unit; !(unit = next_unit(extradata, 0)).empty();)
      if ((byte(unit, 0) & 31) == 7) read_h264_parameters(unit);
  } else if (kind_ == Kind::hevc && byte(extradata, 0) == 1 && extradata.size() > 22) {  // HEVCDecoderConfigurationRecord
    length_bytes_ = (byte(extradata, 21) & 3) + 1;
    layers_ = static_cast<int>(byte(extradata, 21) >> 3 & 7);
    std::string_view rest = extradata.substr(23);
    for (unsigned arrays = byte(extradata, 22); arrays > 0 && rest.size() > 3; --arrays) {
      const unsigned type = byte(rest, 0) & 63;
      unsigned units = byte(rest, 1) << 8 | byte(rest, 2);
      rest.remove_prefix(3);
      for (; units > 0 && !next_unit(rest, 2).empty(); --units) see_hevc_parameters(type);
    }
  } else if (kind_ == Kind::hevc) {
    for (std::string_view unit; !(unit = next_unit(extradata, 0)).empty();)
      if ((byte(unit, 0) >> 1 & 63) == 32) layers_ = static_cast<int>(byte(unit, 3) >> 1 & 7) + 1;
  }
}

bool CodedPictures::self_contained() const noexcept {
  switch (kind_) {
    case Kind::h264: return sequence_ && picture_ && says_delay_ && frames_only_;
    case Kind::hevc: return video_ && sequence_ && picture_;
    case Kind::mpeg2: return sequence_ && frames_only_;
    default: return false;
  }
}

std::optional<CodedPicture> CodedPictures::look(const AVPacket& packet) {
  const std::string_view bytes(reinterpret_cast<const char*>(packet.data), packet.data ? static_cast<std::size_t>(packet.size) : 0);
  if (bytes.empty() || (packet.flags & (AV_PKT_FLAG_CORRUPT | AV_PKT_FLAG_DISCARD)) != 0) return std::nullopt;
  const bool key = (packet.flags & AV_PKT_FLAG_KEY) != 0;
  switch (kind_) {
    case Kind::h264: return look_h264(bytes);
    case Kind::hevc: return look_hevc(bytes);
    case Kind::mpeg2: return look_mpeg2(bytes);
    case Kind::intra: return CodedPicture{.entry = true, .closed = true, .reference = false};
    case Kind::vp8: return CodedPicture{.entry = key, .closed = key, .shown = (byte(bytes, 0) & 0x10) != 0};
    case Kind::vp9:
    case Kind::av1: return CodedPicture{.entry = key, .closed = key};
    case Kind::unknown: break;
  }
  return std::nullopt;
}

/// \return whether it is a sequence parameter set (7.3.2.1.1) that could be read.
bool CodedPictures::read_h264_parameters(std::string_view unit) {
  if ((byte(unit, 0) & 31) != 7) return false;
  Bits bits(unit.substr(1));
  const unsigned profile = bits.get(8);
  bits.skip(16);
  bits.ue();
  bool separate = false;
  for (const unsigned high : {100U, 110U, 122U, 244U, 44U, 83U, 86U, 118U, 128U, 138U, 139U, 134U, 135U}) {
    if (profile != high) continue;
    const unsigned chroma = bits.ue();
    if (chroma == 3) separate = bits.bit() != 0;
    bits.ue();
    bits.ue();
    bits.skip(1);
    if (bits.bit() != 0)
      for (unsigned list = 0; list < (chroma == 3 ? 12U : 8U); ++list)
        if (bits.bit() != 0) skip_scaling_list(bits, list < 6 ? 16 : 64);
  }
  const unsigned frame_num_bits = bits.ue() + 4;
  const unsigned order = bits.ue();
  if (order == 0) bits.ue();
  if (order == 1) {
    bits.skip(1);
    bits.se();
    bits.se();
    for (unsigned left = std::min(bits.ue(), 255U); left > 0; --left) bits.se();
  }
  bits.ue();
  bits.skip(1);
  bits.ue();
  bits.ue();
  const bool frames_only = bits.bit() != 0;
  if (!frames_only) bits.skip(1);
  bits.skip(1);
  if (bits.bit() != 0)
    for (int side = 0; side < 4; ++side) bits.ue();
  bool delay = false;
  if (bits.bit() != 0) {  // video usability information, E.1.1
    if (bits.bit() != 0 && bits.get(8) == 255) bits.skip(32);
    if (bits.bit() != 0) bits.skip(1);
    if (bits.bit() != 0) {
      bits.skip(4);
      if (bits.bit() != 0) bits.skip(24);
    }
    if (bits.bit() != 0) {
      bits.ue();
      bits.ue();
    }
    if (bits.bit() != 0) bits.skip(65);
    const bool nal_hrd = bits.bit() != 0;
    if (nal_hrd) skip_hrd(bits);
    const bool vcl_hrd = bits.bit() != 0;
    if (vcl_hrd) skip_hrd(bits);
    if (nal_hrd || vcl_hrd) bits.skip(1);
    bits.skip(1);
    delay = bits.bit() != 0;
  }
  if (bits.ended() || frame_num_bits > 16) return false;
  // Pictures without reordering come out in the order they go in, whatever is said.
  says_delay_ = delay || order == 2;
  frames_only_ = frames_only;
  separate_planes_ = separate;
  frame_num_bits_ = static_cast<int>(frame_num_bits);
  return true;
}

std::optional<CodedPicture> CodedPictures::look_h264(std::string_view bytes) {
  CodedPicture picture;
  std::string sets;
  int pictures = 0, recovery = -1;
  bool intra = true, instant = false;
  for (std::string_view unit; !(unit = next_unit(bytes, length_bytes_)).empty();) {
    const unsigned type = byte(unit, 0) & 31;
    if (type == 7 || type == 8) {
      if (type == 7 && !read_h264_parameters(unit)) return std::nullopt;
      (type == 7 ? sequence_ : picture_) = true;
      sets.append(unit);
    } else if (type == 6) {
      recovery = std::max(recovery, recovery_frames(unit));
    } else if (type >= 2 && type <= 4) {
      return std::nullopt;  // data partitions: a picture in parts that may be lost one by one
    } else if (type == 1 || type == 5) {
      Bits bits(unit.substr(1), 32);
      const bool begins = bits.ue() == 0;
      const unsigned slice = bits.ue() % 5;
      intra = intra && (slice == 2 || slice == 4);
      picture.reference = (byte(unit, 0) & 0x60) != 0;
      instant = instant || type == 5;
      pictures += begins;
      if (!frames_only_) {
        bits.ue();
        if (separate_planes_) bits.skip(2);
        bits.skip(static_cast<std::size_t>(frame_num_bits_));
        if (bits.bit() != 0) return std::nullopt;  // a field; two packets may be one picture
      }
    }
  }
  if (!sets.empty()) parameter_sets_ = std::move(sets);
  if (pictures != (separate_planes_ ? 3 : 1) || frame_num_bits_ == 0) return std::nullopt;
  picture.closed = instant;
  picture.entry = instant || (intra && recovery == 0);
  return picture;
}

void CodedPictures::see_hevc_parameters(unsigned type) noexcept {
  if (type >= 32 && type <= 34) (type == 32 ? video_ : type == 33 ? sequence_ : picture_) = true;
}

std::optional<CodedPicture> CodedPictures::look_hevc(std::string_view bytes) {
  CodedPicture picture;
  std::string sets;
  int pictures = 0;
  for (std::string_view unit; !(unit = next_unit(bytes, length_bytes_)).empty();) {
    if (unit.size() < 3) continue;
    const unsigned type = byte(unit, 0) >> 1 & 63;
    const int layer = static_cast<int>(byte(unit, 1) & 7) - 1;
    if (((byte(unit, 0) & 1) << 5 | byte(unit, 1) >> 3) != 0) continue;  // of another layer: not decoded
    if (type >= 32 && type <= 34) {
      if (type == 32) layers_ = static_cast<int>(byte(unit, 3) >> 1 & 7) + 1;
      see_hevc_parameters(type);
      sets.append(unit);
    } else if (type <= 9 || (type >= 16 && type <= 21)) {
      pictures += (byte(unit, 2) & 0x80) != 0;
      if (type >= 16 && type <= 18) return std::nullopt;  // a broken link: what is shown before it is lost
      picture.entry = type >= 19;
      picture.closed = type == 20;
      // Even types are for no other picture of their layer; only in the highest layer that means for none.
      picture.reference = !(type <= 8 && type % 2 == 0 && layers_ > 0 && layer == layers_ - 1);
    } else if (type <= 31) {
      return std::nullopt;
    }
  }
  if (!sets.empty()) parameter_sets_ = std::move(sets);
  if (pictures != 1) return std::nullopt;
  return picture;
}

std::optional<CodedPicture> CodedPictures::look_mpeg2(std::string_view bytes) {
  CodedPicture picture;
  int pictures = 0, fields = 0;
  bool sequence = false;
  unsigned type = 0;
  std::string sets;
  for (std::string_view unit; !(unit = next_unit(bytes, 0)).empty();) {
    const unsigned code = byte(unit, 0);
    if (code == 0xB3) {
      sequence = sequence_ = true;
      sets.append(unit);
    } else if (code == 0xB5 && pictures == 0) {
      sets.append(unit);
      if (byte(unit, 1) >> 4 == 1) frames_only_ = (byte(unit, 2) & 8) != 0;  // progressive_sequence
    } else if (code == 0xB5 && byte(unit, 1) >> 4 == 8) {
      fields += (byte(unit, 3) & 3) != 3;
    } else if (code == 0) {
      if (pictures++ == 0) type = byte(unit, 2) >> 3 & 7;
    }
  }
  if (sequence) parameter_sets_ = std::move(sets);
  if (type < 1 || type > 3 || !(pictures == 1 ? fields == 0 : pictures == 2 && fields == 2)) return std::nullopt;
  picture.entry = type == 1 && sequence;
  picture.reference = type != 3;
  return picture;
}

}  // namespace vidloom
