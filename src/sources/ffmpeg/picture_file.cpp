#include <sources/ffmpeg/picture_file.hpp>

#include <algorithm>
#include <string_view>

namespace vidloom {
namespace {

using Bytes = std::span<const std::uint8_t>;

bool begins(Bytes bytes, std::string_view with, std::size_t at = 0) noexcept {
  return bytes.size() >= at + with.size() &&
         std::equal(with.begin(), with.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at),
                    [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; });
}

std::size_t big_endian(Bytes bytes, std::size_t at, std::size_t count) noexcept {
  std::size_t value = 0;
  for (std::size_t index = 0; index < count; ++index) value = value << 8 | bytes[at + index];
  return value;
}

std::size_t little_endian(Bytes bytes, std::size_t at, std::size_t count) noexcept {
  std::size_t value = 0;
  for (std::size_t index = count; index-- > 0;) value = value << 8 | bytes[at + index];
  return value;
}

/// ITU-T T.81, B.1: marker segments carry their length; after SOS comes data in which 0xFF is followed by 0 or a restart.
bool jpeg_is_whole(Bytes bytes) noexcept {
  std::size_t at = 2;
  while (at + 1 < bytes.size()) {
    if (bytes[at] != 0xFF) {
      ++at;  // entropy-coded data, or filler between segments
      continue;
    }
    const std::uint8_t marker = bytes[at + 1];
    if (marker == 0xD9) return true;
    const bool alone = marker == 0x00 || marker == 0x01 || (marker >= 0xD0 && marker <= 0xD8);
    if (marker == 0xFF) {
      ++at;
    } else if (alone) {
      at += 2;
    } else {
      if (at + 4 > bytes.size()) return false;
      at += 2 + std::max<std::size_t>(2, big_endian(bytes, at + 2, 2));
    }
  }
  return false;
}

bool png_is_whole(Bytes bytes) noexcept {
  std::size_t at = 8;
  while (at + 12 <= bytes.size()) {
    if (begins(bytes, "IEND", at + 4)) return true;
    const std::size_t length = big_endian(bytes, at, 4);
    if (length > bytes.size()) return false;
    at += length + 12;
  }
  return false;
}

}  // namespace

PictureKind picture_kind(Bytes head) noexcept {
  using namespace std::string_view_literals;
  if (begins(head, "\xFF\xD8\xFF"sv)) return PictureKind::jpeg;
  if (begins(head, "\x89PNG\r\n\x1A\n"sv)) return PictureKind::png;
  if (begins(head, "RIFF"sv) && begins(head, "WEBP"sv, 8)) return PictureKind::webp;
  if (begins(head, "II*\0"sv) || begins(head, "MM\0*"sv)) return PictureKind::tiff;
  if (begins(head, "BM"sv) && head.size() >= 16 && begins(head, "\0\0\0\0"sv, 6)) return PictureKind::bmp;
  if (head.size() >= 3 && head[0] == 'P' && (head[2] == '\n' || head[2] == ' ' || head[2] == '\r' || head[2] == '\t')) {
    switch (head[1]) {
      case '1':
      case '4': return PictureKind::pbm;
      case '2':
      case '5': return PictureKind::pgm;
      case '3':
      case '6': return PictureKind::ppm;
      case '7': return PictureKind::pam;
      default: break;
    }
  }
  std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  if (text.starts_with("<svg") || ((text.starts_with("<?xml") || text.starts_with("<!--") || text.starts_with("<!DOCTYPE svg")) && text.find("<svg") != text.npos)) return PictureKind::svg;
  return PictureKind::none;
}

AVCodecID codec_of(PictureKind kind) noexcept {
  switch (kind) {
    case PictureKind::jpeg: return AV_CODEC_ID_MJPEG;
    case PictureKind::png: return AV_CODEC_ID_PNG;
    case PictureKind::bmp: return AV_CODEC_ID_BMP;
    case PictureKind::webp: return AV_CODEC_ID_WEBP;
    case PictureKind::tiff: return AV_CODEC_ID_TIFF;
    case PictureKind::pbm: return AV_CODEC_ID_PBM;
    case PictureKind::pgm: return AV_CODEC_ID_PGM;
    case PictureKind::ppm: return AV_CODEC_ID_PPM;
    case PictureKind::pam: return AV_CODEC_ID_PAM;
    case PictureKind::svg: return AV_CODEC_ID_SVG;
    case PictureKind::none: break;
  }
  return AV_CODEC_ID_NONE;
}

bool is_whole(PictureKind kind, Bytes bytes) noexcept {
  switch (kind) {
    case PictureKind::jpeg: return jpeg_is_whole(bytes);
    case PictureKind::png: return png_is_whole(bytes);
    case PictureKind::webp: return bytes.size() >= 12 && little_endian(bytes, 4, 4) + 8 <= bytes.size() + 1;
    default: return true;
  }
}

}  // namespace vidloom
