#include <imaging/colour_matrix.hpp>

#include <cmath>

namespace vidloom {
inline namespace v0 {
namespace {

struct Luma {
  double red, blue;
};
Luma luma_of(Matrix matrix) noexcept {
  switch (matrix) {
    case Matrix::bt709: return {0.2126, 0.0722};
    case Matrix::bt2020: return {0.2627, 0.0593};
    case Matrix::smpte240m: return {0.212, 0.087};
    case Matrix::fcc: return {0.30, 0.11};
    default: return {0.299, 0.114};
  }
}

}  // namespace

ResolvedColour resolve_colour(const PixelLayout& layout, const ColourTags& tags, Size coded, ColourMode mode) noexcept {
  const ColourTags known = effective_colour(tags, coded);
  ResolvedColour result;
  result.full_range = layout.full_range || known.range == Range::full;
  if (mode == ColourMode::opencv_compat) return result;
  result.matrix = known.matrix;
  ChromaSite site = known.chroma_site;
  if (site == ChromaSite::unknown) site = result.full_range ? ChromaSite::centre : ChromaSite::left;
  const auto first = [](int log2, int position) {  // position: 0 on the first luma sample, 1 midway, 2 on the last
    const auto last = static_cast<float>((1 << log2) - 1);
    return 0.5F + last * static_cast<float>(position) / 2;
  };
  const bool left = site == ChromaSite::left || site == ChromaSite::top_left || site == ChromaSite::bottom_left;
  const bool top = site == ChromaSite::top || site == ChromaSite::top_left;
  const bool bottom = site == ChromaSite::bottom || site == ChromaSite::bottom_left;
  result.site_across = first(layout.log2_across, left ? 0 : 1);
  result.site_down = first(layout.log2_down, top ? 0 : bottom ? 2 : 1);
  return result;
}

ColourMatrix colour_matrix(const PixelLayout& layout, const ResolvedColour& colour, bool grey) noexcept {
  const double full = 255.0 * (1 << (layout.bits - 8)) / ((1 << layout.bits) - 1);  // of 8-bit values that are all ones in `bits`
  double rows[3][4] = {};
  if (layout.model == PixelLayout::Model::rgb) {
    for (int i = 0; i < 3; ++i) rows[i][i] = full;
    if (grey) {  // the weights of grey_of()
      const double weights[3] = {4899.0 / 16384, 9617.0 / 16384, 1868.0 / 16384};
      for (int i = 0; i < 3; ++i) rows[0][i] = full * weights[i];
    }
  } else {
    const double luma = colour.full_range ? full : 255.0 / 219, luma_zero = colour.full_range ? 0 : 16;
    for (auto& row : rows) {
      row[0] = luma;
      row[3] = -luma * luma_zero;
    }
    if (layout.model == PixelLayout::Model::yuv && !grey) {
      const double chroma = colour.full_range ? full : 255.0 / 224;
      double from_chroma[3][2];
      if (colour.matrix == Matrix::ycgco) {
        const double cgco[3][2] = {{-1, 1}, {1, 0}, {-1, -1}};
        for (int i = 0; i < 3; ++i)
          for (int j = 0; j < 2; ++j) from_chroma[i][j] = cgco[i][j];
      } else {
        const auto [kr, kb] = luma_of(colour.matrix);
        const double kg = 1 - kr - kb;
        const double table[3][2] = {{0, 2 * (1 - kr)}, {-2 * kb * (1 - kb) / kg, -2 * kr * (1 - kr) / kg}, {2 * (1 - kb), 0}};
        for (int i = 0; i < 3; ++i)
          for (int j = 0; j < 2; ++j) from_chroma[i][j] = table[i][j];
      }
      for (int i = 0; i < 3; ++i) {
        for (int j = 0; j < 2; ++j) {
          rows[i][1 + j] = chroma * from_chroma[i][j];
          rows[i][3] -= 128 * rows[i][1 + j];
        }
      }
    }
  }
  ColourMatrix matrix;
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 4; ++j) matrix[i][j] = static_cast<float>(rows[i][j]);
  return matrix;
}

YuvFromRgb::YuvFromRgb(const ColourTags& colour) noexcept {
  const bool full = colour.range == Range::full;
  const double luma = full ? 1 : 219.0 / 255, chroma = full ? 1 : 224.0 / 255;
  const auto row = [](double red, double green, double blue, double zero) {
    const auto fixed = [](double value) { return static_cast<std::int64_t>(std::lround(value * one)); };
    return Row{fixed(red), fixed(green), fixed(blue), fixed(zero)};
  };
  if (colour.matrix == Matrix::ycgco) {
    y_ = row(luma / 4, luma / 2, luma / 4, full ? 0 : 16);
    u_ = row(-chroma / 4, chroma / 2, -chroma / 4, 128);
    v_ = row(chroma / 2, 0, -chroma / 2, 128);
    return;
  }
  const auto [kr, kb] = luma_of(colour.matrix);
  const double kg = 1 - kr - kb, blue = chroma / (2 * (1 - kb)), red = chroma / (2 * (1 - kr));
  y_ = row(luma * kr, luma * kg, luma * kb, full ? 0 : 16);
  u_ = row(-blue * kr, -blue * kg, blue * (1 - kb), 128);
  v_ = row(red * (1 - kr), -red * kg, -red * kb, 128);
}

}  // namespace v0
}  // namespace vidloom
