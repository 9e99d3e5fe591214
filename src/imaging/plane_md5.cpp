#include <imaging/plane_md5.hpp>

#include <core/md5.hpp>
#include <vidloom/core/error.hpp>

#include <algorithm>
#include <array>
#include <utility>

namespace vidloom {
namespace {

/// Formats with one plane of whole bytes a position.
constexpr std::array<std::pair<std::string_view, std::size_t>, 62> packed{{
    {"gray", 1},      {"pal8", 1},      {"rgb8", 1},      {"bgr8", 1},      {"rgb4_byte", 1}, {"bgr4_byte", 1}, {"bayer_bggr8", 1},
    {"bayer_rggb8", 1}, {"bayer_gbrg8", 1}, {"bayer_grbg8", 1}, {"ya8", 2},   {"ya16le", 4},    {"ya16be", 4},    {"rgb24", 3},
    {"bgr24", 3},     {"rgba", 4},      {"bgra", 4},      {"argb", 4},      {"abgr", 4},      {"rgb0", 4},      {"bgr0", 4},
    {"0rgb", 4},      {"0bgr", 4},      {"rgb48le", 6},   {"rgb48be", 6},   {"bgr48le", 6},   {"bgr48be", 6},   {"rgba64le", 8},
    {"rgba64be", 8},  {"bgra64le", 8},  {"bgra64be", 8},  {"rgb565le", 2},  {"rgb565be", 2},  {"bgr565le", 2},  {"bgr565be", 2},
    {"rgb555le", 2},  {"rgb555be", 2},  {"bgr555le", 2},  {"bgr555be", 2},  {"rgb444le", 2},  {"rgb444be", 2},  {"bgr444le", 2},
    {"bgr444be", 2},  {"x2rgb10le", 4}, {"x2rgb10be", 4}, {"x2bgr10le", 4}, {"x2bgr10be", 4}, {"xyz12le", 6},   {"xyz12be", 6},
    {"vuya", 4},      {"vuyx", 4},      {"ayuv64le", 8},  {"ayuv64be", 8},  {"gray9le", 2},   {"gray9be", 2},   {"gray10le", 2},
    {"gray10be", 2},  {"gray12le", 2},  {"gray12be", 2},  {"gray14le", 2},  {"gray16le", 2},  {"gray16be", 2},
}};

bool ends_wide(std::string_view name) noexcept { return name.ends_with("le") || name.ends_with("be"); }

}  // namespace

std::size_t row_bytes(std::string_view name, std::size_t plane, int width) {
  const auto positions = static_cast<std::size_t>(std::max(width, 0));
  if (name == "pal8" && plane == 1) return 4 * positions;  // the palette: 256 entries in a row
  if (plane == 0) {
    const auto found = std::find_if(packed.begin(), packed.end(), [&](const auto& entry) { return entry.first == name; });
    if (found != packed.end()) return found->second * positions;
    if (name == "monow" || name == "monob") return (positions + 7) / 8;
    if (name == "yuyv422" || name == "uyvy422" || name == "yvyu422") return (positions + 1) / 2 * 4;
    if (name.starts_with("grayf32")) return 4 * positions;
  }
  const bool pairs = plane == 1;  // one chroma plane with both samples side by side
  for (const std::string_view kind : {"nv12", "nv21", "nv16", "nv24", "nv42"})
    if (name == kind) return pairs ? 2 * positions : positions;
  if (name.starts_with("nv20") || name.starts_with("p0") || name.starts_with("p2") || name.starts_with("p4"))
    return pairs ? 4 * positions : 2 * positions;
  if (name.starts_with("gbrpf32") || name.starts_with("gbrapf32")) return 4 * positions;
  if (name.starts_with("yuv") || name.starts_with("gbr")) return ends_wide(name) ? 2 * positions : positions;
  throw Error(Code::decode, "pixel format '" + std::string(name) + "': how its rows are stored is not known");
}

std::string plane_md5(const Frame& frame) {
  Md5 sum;
  const Crop& crop = frame.info().crop;
  const Size coded = frame.coded_size();
  const auto planes = frame.planes();
  for (std::size_t index = 0; index < planes.size(); ++index) {
    const PlaneView& plane = planes[index];
    Size size = plane.size;
    const std::byte* row = plane.data;
    if (crop.left + crop.top + crop.right + crop.bottom > 0 && size.width > 0 && size.height > 0 && !(index == 1 && frame.pixel_format() == "pal8")) {
      // How far a plane is subsampled shows in its size; a chroma sample belongs to the picture when any of its pixels does.
      const int across = (coded.width + size.width - 1) / size.width, down = (coded.height + size.height - 1) / size.height;
      const int left = crop.left / across, top = crop.top / down;
      size.width = (coded.width - crop.left - crop.right + across - 1) / across;
      size.height = (coded.height - crop.top - crop.bottom + down - 1) / down;
      row += std::ptrdiff_t{top} * plane.stride + static_cast<std::ptrdiff_t>(row_bytes(frame.pixel_format(), index, left));
    }
    const std::size_t bytes = row_bytes(frame.pixel_format(), index, size.width);
    for (int y = 0; y < size.height; ++y, row += plane.stride) sum.update({row, bytes});
  }
  return sum.finish();
}

}  // namespace vidloom
