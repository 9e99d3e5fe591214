#pragma once
/// Conversion in plain double arithmetic, written from the definitions and slow: what the kernels are held against.
/// Chroma is raised to luma size by bicubic (a = -0.5) around its site, the matrix applied, the picture resized by Pillow's
/// antialiased algorithm, and clamped once at the end (or before the resize as well, as a reference that goes through 8-bit RGB).

#include <vidloom/frame.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace vidloom::test {

/// Samples in double, any number of them a row.
struct Plane {
  int width = 0, height = 0;
  std::vector<double> at;

  Plane(int w, int h) : width(w), height(h), at(static_cast<std::size_t>(w) * static_cast<std::size_t>(h)) {}
  double& operator()(int x, int y) { return at[static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x)]; }
  double operator()(int x, int y) const { return at[static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x)]; }
};

/// What a YUV format is, in words of its definition.
struct Format {
  std::string name;
  int across = 1, down = 1;  ///< luma samples to a chroma sample
  int bits = 8;
  bool paired = false;       ///< U and V side by side in one plane
  int unused = 0;            ///< bits below the sample
};

inline double catmull_rom(double x) {
  x = std::abs(x);
  return x < 1 ? 1.5 * x * x * x - 2.5 * x * x + 1 : x < 2 ? -0.5 * x * x * x + 2.5 * x * x - 4 * x + 2 : 0;
}

/// One axis of Pillow's resize: outputs by samples.
inline std::vector<std::vector<double>> pillow_weights(int length, int outputs, bool bilinear) {
  std::vector<std::vector<double>> rows;
  const double scale = static_cast<double>(length) / outputs, stretch = std::max(1.0, scale), support = (bilinear ? 1 : 2) * stretch;
  for (int i = 0; i < outputs; ++i) {
    const double centre = (i + 0.5) * scale;
    const int low = std::max(0, static_cast<int>(centre - support + 0.5)), high = std::min(length, static_cast<int>(centre + support + 0.5));
    std::vector<double> row(static_cast<std::size_t>(length), 0.0);
    double sum = 0;
    for (int x = low; x < high; ++x) {
      const double distance = (x - centre + 0.5) / stretch;
      const double weight = bilinear ? std::max(0.0, 1 - std::abs(distance)) : catmull_rom(distance);
      row[static_cast<std::size_t>(x)] = weight;
      sum += weight;
    }
    for (double& weight : row) weight /= sum;
    rows.push_back(std::move(row));
  }
  return rows;
}

/// One axis of raising chroma: luma samples [begin, begin + length) from `count` chroma samples of ratio `ratio`, the first at
/// `site` luma samples from the edge. Samples beyond the edge have no part.
inline std::vector<std::vector<double>> raising_weights(int begin, int length, int first_sample, int count, int ratio, double site) {
  std::vector<std::vector<double>> rows;
  for (int i = 0; i < length; ++i) {
    const double position = (begin + i + 0.5 - site) / ratio;
    std::vector<double> row(static_cast<std::size_t>(count), 0.0);
    double sum = 0;
    for (int j = 0; j < count; ++j) sum += row[static_cast<std::size_t>(j)] = catmull_rom(first_sample + j - position);
    for (double& weight : row) weight /= sum;
    rows.push_back(std::move(row));
  }
  return rows;
}

using Weights = std::vector<std::vector<double>>;
inline Plane filtered(const Plane& from, const Weights& across, const Weights& down) {
  const auto span_of = [](const std::vector<double>& row) {
    const auto first = std::find_if(row.begin(), row.end(), [](double w) { return w != 0; });
    const auto last = std::find_if(row.rbegin(), row.rend(), [](double w) { return w != 0; });
    return std::pair(static_cast<int>(first - row.begin()), static_cast<int>(row.rend() - last));
  };
  Plane narrow(static_cast<int>(across.size()), from.height), result(narrow.width, static_cast<int>(down.size()));
  for (int x = 0; x < narrow.width; ++x) {
    const auto& row = across[static_cast<std::size_t>(x)];
    const auto [begin, end] = span_of(row);
    for (int y = 0; y < from.height; ++y) {
      double sum = 0;
      for (int k = begin; k < end; ++k) sum += row[static_cast<std::size_t>(k)] * from(k, y);
      narrow(x, y) = sum;
    }
  }
  for (int y = 0; y < result.height; ++y) {
    const auto& row = down[static_cast<std::size_t>(y)];
    const auto [begin, end] = span_of(row);
    for (int k = begin; k < end; ++k)
      for (int x = 0; x < result.width; ++x) result(x, y) += row[static_cast<std::size_t>(k)] * narrow(x, k);
  }
  return result;
}

struct Numbers {
  double kr, kb;
};
inline Numbers numbers_of(Matrix matrix) {
  switch (matrix) {
    case Matrix::bt709: return {0.2126, 0.0722};
    case Matrix::bt2020: return {0.2627, 0.0593};
    case Matrix::smpte240m: return {0.212, 0.087};
    case Matrix::fcc: return {0.30, 0.11};
    default: return {0.299, 0.114};
  }
}

inline std::pair<double, double> site_of(ChromaSite site, int across, int down) {
  const bool left = site == ChromaSite::left || site == ChromaSite::top_left || site == ChromaSite::bottom_left;
  const bool top = site == ChromaSite::top || site == ChromaSite::top_left;
  const bool bottom = site == ChromaSite::bottom || site == ChromaSite::bottom_left;
  return {left ? 0.5 : across / 2.0, top ? 0.5 : bottom ? down - 0.5 : down / 2.0};
}

/// R, G, B in 0..255, upright size x size-of-resize, coded orientation, not rounded.
struct Rgb {
  std::vector<Plane> planes;
};

/// The samples of one component of a frame in the units of its depth.
inline Plane samples_of(const Frame& frame, const Format& format, int component) {
  const std::size_t number = component == 0 ? 0 : format.paired ? 1 : static_cast<std::size_t>(component);
  const PlaneView& view = frame.planes()[number];
  Plane plane(view.size.width, view.size.height);
  const int step = component > 0 && format.paired ? 2 : 1, offset = component == 2 && format.paired ? 1 : 0;
  const int bytes = format.bits > 8 ? 2 : 1;
  for (int y = 0; y < plane.height; ++y) {
    for (int x = 0; x < plane.width; ++x) {
      const std::byte* sample = view.data + y * view.stride + (x * step + offset) * bytes;
      int value = std::to_integer<int>(sample[0]);
      if (bytes == 2) value |= std::to_integer<int>(sample[1]) << 8;
      plane(x, y) = value >> format.unused;
    }
  }
  return plane;
}

inline Plane cut(const Plane& from, int x, int y, int width, int height) {
  Plane part(width, height);
  for (int row = 0; row < height; ++row)
    for (int column = 0; column < width; ++column) part(column, row) = from(x + column, y + row);
  return part;
}

struct ReferenceOptions {
  Size resized{};  ///< coded orientation
  bool bilinear = false;
  bool clamp_first = false;  ///< RGB is clamped and rounded to 8 bits before it is resized
};

inline Rgb reference_rgb(const Frame& frame, const Format& format, Matrix matrix, bool full, ChromaSite site, const ReferenceOptions& options) {
  const Crop crop = frame.info().crop;
  const Size coded = frame.coded_size();
  const int width = coded.width - crop.left - crop.right, height = coded.height - crop.top - crop.bottom;
  const Plane luma = cut(samples_of(frame, format, 0), crop.left, crop.top, width, height);
  const auto [site_x, site_y] = site_of(site, format.across, format.down);
  const double unit = 1 << (format.bits - 8), most = (1 << format.bits) - 1;
  std::vector<Plane> chroma;
  for (int component = 1; component <= 2; ++component) {
    const int left = crop.left / format.across, right = (crop.left + width + format.across - 1) / format.across;
    const int top = crop.top / format.down, bottom = (crop.top + height + format.down - 1) / format.down;
    const Plane part = cut(samples_of(frame, format, component), left, top, right - left, bottom - top);
    const Weights across = raising_weights(crop.left, width, left, right - left, format.across, site_x);
    const Weights down = raising_weights(crop.top, height, top, bottom - top, format.down, site_y);
    chroma.push_back(filtered(part, across, down));
  }
  const auto [kr, kb] = numbers_of(matrix);
  const double kg = 1 - kr - kb;
  Rgb rgb{{Plane(width, height), Plane(width, height), Plane(width, height)}};
  for (std::size_t i = 0; i < luma.at.size(); ++i) {
    const double y = full ? luma.at[i] * 255 / most : (luma.at[i] - 16 * unit) * 255 / (219 * unit);
    const double spread = full ? 255 / most : 255 / (224 * unit);
    const double cb = (chroma[0].at[i] - 128 * unit) * spread, cr = (chroma[1].at[i] - 128 * unit) * spread;
    rgb.planes[0].at[i] = y + 2 * (1 - kr) * cr;
    rgb.planes[1].at[i] = y - 2 * (1 - kb) * kb / kg * cb - 2 * (1 - kr) * kr / kg * cr;
    rgb.planes[2].at[i] = y + 2 * (1 - kb) * cb;
  }
  const Weights across = pillow_weights(width, options.resized.width, options.bilinear);
  const Weights down = pillow_weights(height, options.resized.height, options.bilinear);
  for (Plane& plane : rgb.planes) {
    if (options.clamp_first)
      for (double& value : plane.at) value = std::round(std::clamp(value, 0.0, 255.0));
    plane = filtered(plane, across, down);
    for (double& value : plane.at) value = std::clamp(value, 0.0, 255.0);
  }
  return rgb;
}

/// How far two sets of numbers are apart, in 1/255.
struct Distance {
  double mean = 0, p999 = 0, most = 0;
};
inline Distance distance_of(std::vector<double> differences) {
  if (differences.empty()) return {1e9, 1e9, 1e9};
  Distance distance;
  for (double& value : differences) distance.mean += value = std::abs(value);
  distance.mean /= static_cast<double>(differences.size());
  const auto at = static_cast<std::size_t>(0.999 * static_cast<double>(differences.size() - 1));
  std::nth_element(differences.begin(), differences.begin() + static_cast<std::ptrdiff_t>(at), differences.end());
  distance.p999 = differences[at];
  distance.most = *std::max_element(differences.begin(), differences.end());
  return distance;
}

}  // namespace vidloom::test
