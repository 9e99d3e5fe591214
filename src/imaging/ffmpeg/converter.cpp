#include <imaging/ffmpeg/converter.hpp>

#include <support/ffmpeg/av.hpp>

extern "C" {
#include <libavutil/imgutils.h>
#include <libavutil/opt.h>
#include <libswscale/swscale.h>
}

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <list>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace vidloom {
namespace {

struct FreeScaler {
  void operator()(SwsContext* scaler) const noexcept { sws_freeContext(scaler); }
};
using ScalerPtr = std::unique_ptr<SwsContext, FreeScaler>;

struct Recipe {
  Size from{}, to{};
  AVPixelFormat from_format = AV_PIX_FMT_NONE, to_format = AV_PIX_FMT_NONE;
  Matrix matrix = Matrix::unknown;
  Range range = Range::unknown;
  ChromaSite site = ChromaSite::unknown;
  Filter filter = Filter::bicubic;
  ColourMode mode = ColourMode::exact;
  friend bool operator==(const Recipe&, const Recipe&) = default;
};

int coefficients_of(Matrix matrix) noexcept {
  switch (matrix) {
    case Matrix::bt709: return SWS_CS_ITU709;
    case Matrix::bt2020: return SWS_CS_BT2020;
    case Matrix::smpte240m: return SWS_CS_SMPTE240M;
    case Matrix::fcc: return SWS_CS_FCC;
    default: return SWS_CS_ITU601;
  }
}

/// Where the chroma samples lie, in 1/256 of a luma pixel from its left and top edge (swscale's src_h_chr_pos, src_v_chr_pos).
std::pair<int, int> chroma_position(ChromaSite site) noexcept {
  switch (site) {
    case ChromaSite::centre: return {128, 128};
    case ChromaSite::top_left: return {0, 0};
    case ChromaSite::top: return {128, 0};
    case ChromaSite::bottom_left: return {0, 256};
    case ChromaSite::bottom: return {128, 256};
    default: return {0, 128};
  }
}

ScalerPtr make_scaler(const Recipe& recipe) {
  ScalerPtr scaler(av::allocated(sws_alloc_context()));
  const auto set = [&](const char* key, std::int64_t value) { av_opt_set_int(scaler.get(), key, value, 0); };
  set("srcw", recipe.from.width);
  set("srch", recipe.from.height);
  set("src_format", recipe.from_format);
  set("dstw", recipe.to.width);
  set("dsth", recipe.to.height);
  set("dst_format", recipe.to_format);
  // Bicubic widens its support when it makes smaller, so that it is antialiased both ways. B = 0, C = 0.5: Catmull-Rom, as
  // Pillow has it (swscale's own default is C = 0.6). Without the accurate flags the result is biased by a level.
  const int accurate = recipe.mode == ColourMode::exact ? SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP : 0;
  set("sws_flags", (recipe.filter == Filter::bilinear ? SWS_BILINEAR : SWS_BICUBIC) | accurate);
  av_opt_set_double(scaler.get(), "param0", 0, 0);
  av_opt_set_double(scaler.get(), "param1", 0.5, 0);
  const AVPixFmtDescriptor* description = av_pix_fmt_desc_get(recipe.from_format);
  if (description->log2_chroma_w == 1) set("src_h_chr_pos", chroma_position(recipe.site).first);
  if (description->log2_chroma_h == 1) set("src_v_chr_pos", chroma_position(recipe.site).second);
  const int* coefficients = sws_getCoefficients(coefficients_of(recipe.matrix));
  const int full = 1;
  sws_setColorspaceDetails(scaler.get(), coefficients, recipe.range == Range::full, coefficients, full, 0, 1 << 16, 1 << 16);
  if (sws_init_context(scaler.get(), nullptr, nullptr) < 0) return nullptr;
  // Once more: what is set before init may be guessed anew by it.
  sws_setColorspaceDetails(scaler.get(), coefficients, recipe.range == Range::full, coefficients, full, 0, 1 << 16, 1 << 16);
  return scaler;
}

/// Scalers in stock. A scaler serves one thread at a time; who needs one takes it out and puts it back.
class ScalerPool {
 public:
  ScalerPtr take(const Recipe& recipe) {
    {
      const std::lock_guard lock(mutex_);
      const auto found = std::find_if(idle_.begin(), idle_.end(), [&](const auto& entry) { return entry.first == recipe; });
      if (found != idle_.end()) {
        ScalerPtr scaler = std::move(found->second);
        idle_.erase(found);
        return scaler;
      }
    }
    return make_scaler(recipe);
  }
  void put(const Recipe& recipe, ScalerPtr scaler) {
    std::list<std::pair<Recipe, ScalerPtr>> evicted;
    const std::lock_guard lock(mutex_);
    idle_.emplace_front(recipe, std::move(scaler));
    if (idle_.size() > capacity) evicted.splice(evicted.begin(), idle_, std::prev(idle_.end()));
  }

 private:
  static constexpr std::size_t capacity = 16;
  std::mutex mutex_;
  std::list<std::pair<Recipe, ScalerPtr>> idle_;  ///< last used first
};

constexpr std::size_t alignment = 64;  ///< of rows, and bytes that may be read or written behind them, as swscale's SIMD does
constexpr std::size_t aligned(std::size_t bytes) noexcept { return (bytes + alignment - 1) / alignment * alignment; }

/// Memory of this thread that stays for the next picture.
std::byte* scratch(std::vector<std::byte>& memory, std::size_t bytes) {
  if (memory.size() < bytes + 2 * alignment) memory.resize(bytes + 2 * alignment);
  void* at = memory.data();
  std::size_t space = memory.size();
  return static_cast<std::byte*>(std::align(alignment, bytes, at, space));
}

struct Source4 {
  std::array<const std::uint8_t*, 4> data{};
  std::array<int, 4> stride{};
};

/// Rows of samples that swscale may not read as they are (no room behind the last one) are copied first.
void make_readable(Source4& source, AVPixelFormat format, Size size, std::array<std::vector<std::byte>, 4>& memory) {
  const AVPixFmtDescriptor& description = *av_pix_fmt_desc_get(format);
  for (std::size_t plane = 0; plane < 4 && source.data[plane]; ++plane) {
    if (plane == 1 && (description.flags & AV_PIX_FMT_FLAG_PAL) != 0) break;
    const bool fits = source.stride[plane] % static_cast<int>(alignment / 2) == 0 &&
                      reinterpret_cast<std::uintptr_t>(source.data[plane]) % (alignment / 4) == 0;
    if (fits) continue;
    const int row = av_image_get_linesize(format, size.width, static_cast<int>(plane));
    const bool chroma = plane == 1 || plane == 2;
    const int rows = chroma ? AV_CEIL_RSHIFT(size.height, description.log2_chroma_h) : size.height;
    if (row <= 0) continue;
    const std::size_t stride = aligned(static_cast<std::size_t>(row));
    std::byte* to = scratch(memory[plane], stride * static_cast<std::size_t>(rows));
    for (int y = 0; y < rows; ++y)
      std::memcpy(to + stride * static_cast<std::size_t>(y), source.data[plane] + std::ptrdiff_t{source.stride[plane]} * y,
                  static_cast<std::size_t>(row));
    source.data[plane] = reinterpret_cast<const std::uint8_t*>(to);
    source.stride[plane] = static_cast<int>(stride);
  }
}

struct Rect {
  int x = 0, y = 0, width = 0, height = 0;
};

/// One axis of an antialiased Catmull-Rom resize of [from, from + length) to `count` samples (Pillow's algorithm).
struct Taps {
  struct Tap {
    int first = 0;
    std::vector<float> weights;
  };
  std::vector<Tap> taps;

  Taps(double from, double length, int count, int limit) {
    const double scale = length / count, support = 2 * std::max(1.0, scale), stretch = 1 / std::max(1.0, scale);
    for (int index = 0; index < count; ++index) {
      const double centre = from + (index + 0.5) * scale;
      Tap tap;
      tap.first = std::clamp(static_cast<int>(std::floor(centre - support + 0.5)), 0, limit - 1);
      const int end = std::clamp(static_cast<int>(std::floor(centre + support + 0.5)), tap.first + 1, limit);
      double sum = 0;
      for (int at = tap.first; at < end; ++at) {
        const double weight = cubic((at + 0.5 - centre) * stretch);
        tap.weights.push_back(static_cast<float>(weight));
        sum += weight;
      }
      for (float& weight : tap.weights) weight = static_cast<float>(weight / sum);
      taps.push_back(std::move(tap));
    }
  }
  static double cubic(double x) noexcept {
    x = std::abs(x);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    if (x < 2) return ((-0.5 * x + 2.5) * x - 4) * x + 2;
    return 0;
  }
};

/// Resizes part of packed 8-bit pixels; the part's edges may lie between pixels.
void resize(std::span<const std::byte> from, Size size, int channels, const Box& part, Size to, std::span<std::byte> out) {
  const Taps across(double{part.x1}, double{part.x2} - part.x1, to.width, size.width);
  const Taps down(double{part.y1}, double{part.y2} - part.y1, to.height, size.height);
  const auto row = static_cast<std::size_t>(to.width * channels);
  std::vector<float> narrow(static_cast<std::size_t>(size.height) * row);
  for (int y = 0; y < size.height; ++y) {
    const std::byte* line = from.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(size.width * channels);
    for (int x = 0; x < to.width; ++x) {
      const auto& tap = across.taps[static_cast<std::size_t>(x)];
      for (int channel = 0; channel < channels; ++channel) {
        float sum = 0;
        for (std::size_t index = 0; index < tap.weights.size(); ++index)
          sum += tap.weights[index] *
                 static_cast<float>(std::to_integer<int>(line[(static_cast<std::size_t>(tap.first) + index) * static_cast<std::size_t>(channels) +
                                                               static_cast<std::size_t>(channel)]));
        narrow[static_cast<std::size_t>(y) * row + static_cast<std::size_t>(x * channels + channel)] = sum;
      }
    }
  }
  for (int y = 0; y < to.height; ++y) {
    const auto& tap = down.taps[static_cast<std::size_t>(y)];
    for (std::size_t x = 0; x < row; ++x) {
      float sum = 0;
      for (std::size_t index = 0; index < tap.weights.size(); ++index)
        sum += tap.weights[index] * narrow[(static_cast<std::size_t>(tap.first) + index) * row + x];
      out[static_cast<std::size_t>(y) * row + x] = static_cast<std::byte>(std::clamp(std::lround(sum), 0L, 255L));
    }
  }
}

class Converter final : public PixelConverter {
 public:
  void convert(const Request& request, std::span<std::byte> out) const override;

 private:
  void convert_rect(const Request& request, AVPixelFormat format, Rect rect, Size to, std::span<std::byte> out) const;
  mutable ScalerPool pool_;
};

AVPixelFormat packed_format(ImageSpec::Format format) noexcept {
  return format == ImageSpec::Format::gray8 ? AV_PIX_FMT_GRAY8 : format == ImageSpec::Format::bgr8 ? AV_PIX_FMT_BGR24 : AV_PIX_FMT_RGB24;
}

void Converter::convert(const Request& request, std::span<std::byte> out) const {
  const Frame& frame = request.frame;
  const std::string name(frame.pixel_format());
  const AVPixelFormat format = av_get_pix_fmt(name.c_str());
  if (format == AV_PIX_FMT_NONE || !sws_isSupportedInput(format))
    throw Error(Code::decode, "pixel format '" + name + "' cannot be converted");
  const int channels = vidloom::channels(request.format);
  const std::size_t bytes =
      static_cast<std::size_t>(request.size.width) * static_cast<std::size_t>(request.size.height) * static_cast<std::size_t>(channels);
  const Size coded = frame.coded_size();
  const Box part{std::max(request.coded_part.x1, 0.0F), std::max(request.coded_part.y1, 0.0F),
                 std::min(request.coded_part.x2, static_cast<float>(coded.width)),
                 std::min(request.coded_part.y2, static_cast<float>(coded.height))};
  if (request.size.empty() || out.size() < bytes || !(part.width() > 0) || !(part.height() > 0))
    throw Error(Code::config, "the part or the size of the picture asked for is empty");

  // Outwards to whole pixels, and to whole chroma samples on the left and top.
  const AVPixFmtDescriptor& description = *av_pix_fmt_desc_get(format);
  const int step_x = std::max(1 << description.log2_chroma_w, (description.flags & AV_PIX_FMT_FLAG_BITSTREAM) != 0 ? 8 : 1);
  const int step_y = 1 << description.log2_chroma_h;
  Rect rect;
  rect.x = static_cast<int>(std::floor(part.x1)) / step_x * step_x;
  rect.y = static_cast<int>(std::floor(part.y1)) / step_y * step_y;
  rect.width = std::min(static_cast<int>(std::ceil(part.x2)), coded.width) - rect.x;
  rect.height = std::min(static_cast<int>(std::ceil(part.y2)), coded.height) - rect.y;

  const bool whole = static_cast<float>(rect.x) == part.x1 && static_cast<float>(rect.y) == part.y1 &&
                     static_cast<float>(rect.x + rect.width) == part.x2 && static_cast<float>(rect.y + rect.height) == part.y2;
  if (whole) {
    convert_rect(request, format, rect, request.size, out);
    return;
  }
  // The part begins between samples: convert around it at full size, then cut exactly.
  const Size around{rect.width, rect.height};
  std::vector<std::byte> pixels(static_cast<std::size_t>(around.width) * static_cast<std::size_t>(around.height) *
                                static_cast<std::size_t>(channels));
  convert_rect(request, format, rect, around, pixels);
  const auto left = static_cast<float>(rect.x), top = static_cast<float>(rect.y);
  const Box inside{part.x1 - left, part.y1 - top, part.x2 - left, part.y2 - top};
  resize(pixels, around, channels, inside, request.size, out);
}

void Converter::convert_rect(const Request& request, AVPixelFormat format, Rect rect, Size to, std::span<std::byte> out) const {
  const Frame& frame = request.frame;
  const ImageSpec::Format to_format = request.format;
  const AVPixFmtDescriptor& description = *av_pix_fmt_desc_get(format);
  const ColourTags colour = effective_colour(frame.info().colour, frame.coded_size());
  Recipe recipe{.from = {rect.width, rect.height},
                .to = to,
                .from_format = format,
                .to_format = packed_format(to_format),
                .matrix = colour.matrix,
                .range = colour.range,
                .site = colour.chroma_site,
                .filter = request.filter,
                .mode = request.mode};
  if (request.mode == ColourMode::opencv_compat) recipe.matrix = Matrix::bt601;  // cv2.VideoCapture sets none
  // JPEG puts chroma in the middle of its four pixels, MPEG-2 and all after it on the left ones.
  if (recipe.site == ChromaSite::unknown) recipe.site = colour.range == Range::full ? ChromaSite::centre : ChromaSite::left;

  Source4 source;
  const auto planes = frame.planes();
  int step[4] = {}, component[4] = {};
  av_image_fill_max_pixsteps(step, component, &description);
  for (std::size_t index = 0; index < std::min<std::size_t>(planes.size(), 4); ++index) {
    std::ptrdiff_t offset = 0;
    if (index == 0 || (description.flags & AV_PIX_FMT_FLAG_PAL) == 0) {
      const bool chroma = index == 1 || index == 2;
      const std::ptrdiff_t x = chroma ? rect.x >> description.log2_chroma_w : rect.x;
      const std::ptrdiff_t y = chroma ? rect.y >> description.log2_chroma_h : rect.y;
      // max_pixsteps counts bits in bitstream formats, and bytes per chroma pair in packed 4:2:2.
      const bool bits = (description.flags & AV_PIX_FMT_FLAG_BITSTREAM) != 0;
      const bool packed_chroma = index == 0 && description.log2_chroma_w > 0 && component[0] != 0;
      offset = y * planes[index].stride + (bits ? x * step[index] / 8 : packed_chroma ? (x >> description.log2_chroma_w) * step[index] : x * step[index]);
    }
    source.data[index] = reinterpret_cast<const std::uint8_t*>(planes[index].data + offset);
    source.stride[index] = static_cast<int>(planes[index].stride);
  }
  static thread_local std::array<std::vector<std::byte>, 4> copies;
  static thread_local std::vector<std::byte> result;
  make_readable(source, format, recipe.from, copies);

  ScalerPtr scaler = pool_.take(recipe);
  if (!scaler) {
    throw Error(Code::decode, "a picture of " + std::to_string(rect.width) + "x" + std::to_string(rect.height) + " " +
                                  std::string(frame.pixel_format()) + " cannot be converted to " + std::to_string(to.width) + "x" +
                                  std::to_string(to.height));
  }
  // swscale writes whole vectors, beyond the end of a row that is no multiple of one.
  const auto row = static_cast<std::size_t>(to.width) * static_cast<std::size_t>(vidloom::channels(to_format));
  const bool direct = row % alignment == 0 && reinterpret_cast<std::uintptr_t>(out.data()) % (alignment / 2) == 0;
  const std::size_t stride = direct ? row : aligned(row);
  std::byte* target = direct ? out.data() : scratch(result, stride * static_cast<std::size_t>(to.height));
  std::uint8_t* const data[4] = {reinterpret_cast<std::uint8_t*>(target), nullptr, nullptr, nullptr};
  const int strides[4] = {static_cast<int>(stride), 0, 0, 0};
  const int rows = sws_scale(scaler.get(), source.data.data(), source.stride.data(), 0, rect.height, data, strides);
  if (rows != to.height) throw Error(Code::decode, "swscale gave " + std::to_string(rows) + " of " + std::to_string(to.height) + " rows");
  pool_.put(recipe, std::move(scaler));
  if (!direct)
    for (std::size_t y = 0; y < static_cast<std::size_t>(to.height); ++y) std::memcpy(out.data() + y * row, target + y * stride, row);
}

}  // namespace

std::shared_ptr<const PixelConverter> make_converter() { return std::make_shared<Converter>(); }

}  // namespace vidloom
