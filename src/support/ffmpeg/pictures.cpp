#include <support/ffmpeg/pictures.hpp>

#include <vidloom/core/value.hpp>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

namespace vidloom::av {

Orientation orientation_of(const std::int32_t* matrix) noexcept {
  if (!matrix) return {};
  // x' = a x + c y, y' = b x + d y, y downwards (see libavutil/display.h).
  double a = matrix[0];
  const double b = matrix[1];
  double c = matrix[3];
  const double d = matrix[4];
  const double determinant = a * d - b * c;
  if (determinant == 0) return {};
  Orientation result;
  result.mirrored = determinant < 0;
  if (result.mirrored) a = -a;
  const int quarters = static_cast<int>(std::lround(std::atan2(b, a) / (std::numbers::pi / 2)));
  result.rotation_degrees = ((quarters % 4 + 4) % 4) * 90;
  return result;
}

Orientation orientation_of(const AVFrame& frame, Orientation stream) noexcept {
  const AVFrameSideData* side = av_frame_get_side_data(&frame, AV_FRAME_DATA_DISPLAYMATRIX);
  if (!side || side->size < 9 * sizeof(std::int32_t)) return stream;
  return orientation_of(reinterpret_cast<const std::int32_t*>(side->data));
}

AVPixelFormat plain_format(AVPixelFormat format) noexcept {
  switch (format) {
    case AV_PIX_FMT_YUVJ411P: return AV_PIX_FMT_YUV411P;
    case AV_PIX_FMT_YUVJ420P: return AV_PIX_FMT_YUV420P;
    case AV_PIX_FMT_YUVJ422P: return AV_PIX_FMT_YUV422P;
    case AV_PIX_FMT_YUVJ440P: return AV_PIX_FMT_YUV440P;
    case AV_PIX_FMT_YUVJ444P: return AV_PIX_FMT_YUV444P;
    default: return format;
  }
}

namespace {

Matrix matrix_of(AVColorSpace value) noexcept {
  switch (value) {
    case AVCOL_SPC_UNSPECIFIED: return Matrix::unknown;
    case AVCOL_SPC_RGB: return Matrix::rgb;
    case AVCOL_SPC_BT709: return Matrix::bt709;
    case AVCOL_SPC_FCC: return Matrix::fcc;
    case AVCOL_SPC_BT470BG:
    case AVCOL_SPC_SMPTE170M: return Matrix::bt601;
    case AVCOL_SPC_SMPTE240M: return Matrix::smpte240m;
    case AVCOL_SPC_YCGCO: return Matrix::ycgco;
    case AVCOL_SPC_BT2020_NCL: return Matrix::bt2020;
    default: return Matrix::other;
  }
}

Transfer transfer_of(AVColorTransferCharacteristic value) noexcept {
  switch (value) {
    case AVCOL_TRC_UNSPECIFIED: return Transfer::unknown;
    case AVCOL_TRC_BT709:
    case AVCOL_TRC_SMPTE170M:
    case AVCOL_TRC_BT2020_10:
    case AVCOL_TRC_BT2020_12: return Transfer::bt709;
    case AVCOL_TRC_GAMMA22: return Transfer::gamma22;
    case AVCOL_TRC_GAMMA28: return Transfer::gamma28;
    case AVCOL_TRC_SMPTE240M: return Transfer::smpte240m;
    case AVCOL_TRC_LINEAR: return Transfer::linear;
    case AVCOL_TRC_IEC61966_2_1: return Transfer::srgb;
    case AVCOL_TRC_SMPTE2084: return Transfer::pq;
    case AVCOL_TRC_ARIB_STD_B67: return Transfer::hlg;
    default: return Transfer::other;
  }
}

ChromaSite site_of(AVChromaLocation value) noexcept {
  switch (value) {
    case AVCHROMA_LOC_LEFT: return ChromaSite::left;
    case AVCHROMA_LOC_CENTER: return ChromaSite::centre;
    case AVCHROMA_LOC_TOPLEFT: return ChromaSite::top_left;
    case AVCHROMA_LOC_TOP: return ChromaSite::top;
    case AVCHROMA_LOC_BOTTOMLEFT: return ChromaSite::bottom_left;
    case AVCHROMA_LOC_BOTTOM: return ChromaSite::bottom;
    default: return ChromaSite::unknown;
  }
}

}  // namespace

ColourTags colour_of(AVColorSpace matrix, AVColorRange range, AVColorTransferCharacteristic transfer, AVChromaLocation site,
                     AVPixelFormat format) noexcept {
  ColourTags tags{.matrix = matrix_of(matrix), .range = Range::unknown, .transfer = transfer_of(transfer), .chroma_site = site_of(site)};
  if (range == AVCOL_RANGE_JPEG || plain_format(format) != format) {
    tags.range = Range::full;
  } else if (range == AVCOL_RANGE_MPEG) {
    tags.range = Range::limited;
  }
  const AVPixFmtDescriptor* description = av_pix_fmt_desc_get(format);
  if (description && (description->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL)) != 0) {
    tags.matrix = Matrix::rgb;
    if (tags.range == Range::unknown) tags.range = Range::full;
  } else if (description && description->nb_components <= 2 && tags.range == Range::unknown) {
    tags.range = Range::full;  // grey is what pictures come in, and swscale reads every grey so
  }
  return tags;
}

Rational sample_aspect_of(AVRational value) noexcept {
  return value.num > 0 && value.den > 0 ? rational(value) : Rational{1, 1};
}

void describe(const AVFrame& frame, Orientation stream, FrameInfo& info) noexcept {
  const Orientation orientation = orientation_of(frame, stream);
  info.rotation_degrees = orientation.rotation_degrees;
  info.mirrored = orientation.mirrored;
  info.keyframe = is_keyframe(frame);
  info.sample_aspect = sample_aspect_of(frame.sample_aspect_ratio);
  info.colour = colour_of(value_of(frame.colorspace, AVCOL_SPC_NB, AVCOL_SPC_UNSPECIFIED),
                          value_of(frame.color_range, AVCOL_RANGE_NB, AVCOL_RANGE_UNSPECIFIED),
                          value_of(frame.color_trc, AVCOL_TRC_NB, AVCOL_TRC_UNSPECIFIED),
                          value_of(frame.chroma_location, AVCHROMA_LOC_NB, AVCHROMA_LOC_UNSPECIFIED),
                          static_cast<AVPixelFormat>(frame.format));
  const auto code = [](int number) { return static_cast<std::uint8_t>(number < 0 || number > 255 ? 2 : number); };
  info.colour.codes = {code(number_of(frame.color_primaries)), code(number_of(frame.color_trc)), code(number_of(frame.colorspace))};
}

Health health_of(const AVFrame& frame, bool packet_corrupt) noexcept {
  if ((frame.decode_error_flags & FF_DECODE_ERROR_MISSING_REFERENCE) != 0) return Health::after_gap;
  if (frame.decode_error_flags != 0 || packet_corrupt) return Health::concealed;
  // Flagged without an error of its own: a picture before the recovery point, made of references that never came.
  if ((frame.flags & AV_FRAME_FLAG_CORRUPT) != 0) return Health::after_gap;
  return Health::ok;
}

Frame adopt(FramePtr frame, const FrameInfo& info) {
  const auto format = plain_format(static_cast<AVPixelFormat>(frame->format));
  const AVPixFmtDescriptor* description = av_pix_fmt_desc_get(format);
  const char* name = av_get_pix_fmt_name(format);
  if (!description || !name || (description->flags & AV_PIX_FMT_FLAG_HWACCEL) != 0)
    throw Error(Code::decode, "the decoder gave a picture without planes in memory (pixel format " + std::string(name ? name : "?") + ")");
  const int count = av_pix_fmt_count_planes(format);
  std::vector<PlaneView> planes;
  for (int index = 0; index < count && frame->data[index]; ++index) {
    Size size{frame->width, frame->height};
    // Planes 1 and 2 are chroma in every subsampled format; alpha, the fourth, is full size.
    if (index == 1 || index == 2) {
      size.width = AV_CEIL_RSHIFT(size.width, description->log2_chroma_w);
      size.height = AV_CEIL_RSHIFT(size.height, description->log2_chroma_h);
    }
    planes.push_back({reinterpret_cast<const std::byte*>(frame->data[index]), frame->linesize[index], size});
  }
  if ((description->flags & AV_PIX_FMT_FLAG_PAL) != 0 && frame->data[1]) {
    planes.resize(1);
    planes.push_back({reinterpret_cast<const std::byte*>(frame->data[1]), 256 * 4, {256, 1}});
  }
  std::shared_ptr<AVFrame> owner(std::move(frame));
  return Frame::adopt(planes, name, info, std::move(owner));
}

std::int64_t pixel_limit(Trust trust, std::int64_t wanted) {
  const std::int64_t trusted = trust == Trust::untrusted ? 1 << 25 : trust == Trust::lan ? 1 << 26 : 1 << 27;
  if (wanted < 0) throw Error(Code::config, "max_pixels is " + std::to_string(wanted) + "; use 1 or more, or 0 for the limit of the trust");
  return wanted == 0 ? trusted : std::min(wanted, trusted);
}

std::int64_t pixel_limit(const Value& options) {
  Trust trust = Trust::local;
  if (const Value* value = options.find("trust"); value && !value->is_null()) {
    if (value->is_integer()) {
      trust = static_cast<Trust>(value->as_integer());
    } else if (const std::string& word = value->as_string(); word == "untrusted") {
      trust = Trust::untrusted;
    } else if (word == "lan") {
      trust = Trust::lan;
    } else if (word != "local" && word != "automatic" && word != "auto") {
      throw Error(Code::config, "trust is '" + word + "'; use local, lan or untrusted");
    }
  }
  const Value* wanted = options.find("max_pixels");
  return pixel_limit(trust, wanted && !wanted->is_null() ? wanted->as_integer() : 0);
}

Error too_large(const std::string& what, Size size, std::int64_t limit) {
  return Error(Code::source, what + " has pictures of " + std::to_string(size.width) + "x" + std::to_string(size.height) +
                                 "; more than " + std::to_string(limit) + " pixels are refused (option max_pixels, trust)");
}

}  // namespace vidloom::av
