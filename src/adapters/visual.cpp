#include <vidloom/adapters/visual.hpp>

#include <adapters/options.hpp>
#include <core/builtin.hpp>
#include <imaging/luma.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

namespace vidloom {
inline namespace v0 {
namespace {

using Colour = std::array<double, 3>;

// Longest side of the picture that colours are taken from: more pixels change a dominant colour by a level or two.
constexpr int colour_size = 100;
constexpr int most_rounds = 24;

/// The parts of each row to look at: all of it without regions, else the union of the regions.
class Rows {
 public:
  Rows(Size size, std::span<const Box> regions, const Affine& here_from_display) : size_(size), everything_(regions.empty()) {
    boxes_.reserve(regions.size());
    for (const Box& region : regions) boxes_.push_back(clip(map_box(here_from_display, region), size));
    std::sort(boxes_.begin(), boxes_.end(), [](const Box& a, const Box& b) { return a.x1 < b.x1; });
  }
  /// Calls `use(first, end)` for each part of row `y` whose pixel centres are wanted, from left to right.
  template <class Use>
  void each_part(int y, Use use) const {
    if (everything_) return use(0, size_.width);
    int done = 0;
    const auto centre = static_cast<float>(y) + 0.5F;
    for (const Box& box : boxes_) {
      if (centre < box.y1 || centre >= box.y2) continue;
      const int first = std::max(done, static_cast<int>(std::ceil(box.x1 - 0.5F)));
      const int end = std::min(size_.width, static_cast<int>(std::ceil(box.x2 - 0.5F)));
      if (first < end) use(first, end), done = end;
    }
  }

 private:
  Size size_;
  bool everything_;
  std::vector<Box> boxes_{};
};

/// Whether luma() runs from 0 to 255: made of RGB, or a format that always does, or tagged so.
bool is_full_range(const Frame& frame) {
  const std::optional<LumaLayout> layout = luma_layout(frame.pixel_format());
  if (!layout || layout->full_range) return true;
  return effective_colour(frame.info().colour, frame.coded_size()).range == Range::full;
}

struct Levels {
  double brightness, contrast;
};

/// Mean and standard deviation of luma', 0..1 from the black to the white of the stream's range.
Levels levels_of(const Frame& frame, std::span<const Box> regions) {
  const PlaneView luma = frame.luma();
  const Rows rows(luma.size, regions, inverse(frame.display_from_luma()));
  // Four histograms: neighbouring pixels are often equal, and one counter would wait for its own last write.
  std::array<std::array<std::uint32_t, 256>, 4> histograms{};
  for (int y = 0; y < luma.size.height; ++y) {
    const auto* row = reinterpret_cast<const std::uint8_t*>(luma.data + y * luma.stride);
    rows.each_part(y, [&](int first, int end) {
      int x = first;
      for (; x + 4 <= end; x += 4) {
        ++histograms[0][row[x]], ++histograms[1][row[x + 1]], ++histograms[2][row[x + 2]], ++histograms[3][row[x + 3]];
      }
      for (; x < end; ++x) ++histograms[0][row[x]];
    });
  }
  const bool full = is_full_range(frame);
  const double black = full ? 0 : 16, white = full ? 255 : 235;
  double count = 0, sum = 0, squares = 0;
  for (std::size_t value = 0; value < 256; ++value) {
    const double pixels = static_cast<double>(histograms[0][value]) + histograms[1][value] + histograms[2][value] + histograms[3][value];
    const double level = std::clamp((static_cast<double>(value) - black) / (white - black), 0.0, 1.0);
    count += pixels, sum += pixels * level, squares += pixels * level * level;
  }
  const double mean = sum / count;
  return {mean, std::sqrt(std::max(0.0, squares / count - mean * mean))};
}

/// Puts the colours of the wanted pixels into `colours`.
void collect_colours(const Image& image, std::span<const Box> regions, std::vector<Colour>& colours) {
  const Rows rows(image.size(), regions, inverse(image.display_from_image()));
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(image.bytes().data());
  colours.clear();
  colours.reserve(image.bytes().size() / 3);
  for (int y = 0; y < image.size().height; ++y) {
    rows.each_part(y, [&](int first, int end) {
      for (const auto* rgb = bytes + y * image.stride() + first * 3; first < end; ++first, rgb += 3) {
        colours.push_back({static_cast<double>(rgb[0]), static_cast<double>(rgb[1]), static_cast<double>(rgb[2])});
      }
    });
  }
}

/// Mean of HSV's saturation: (max - min) / max of a pixel's R, G, B, 0 where all are 0.
double saturation_of(const std::vector<Colour>& colours) {
  double sum = 0;
  for (const auto& [r, g, b] : colours) {
    const double most = std::max({r, g, b}), least = std::min({r, g, b});
    if (most > 0) sum += (most - least) / most;
  }
  return sum / static_cast<double>(colours.size());
}

struct Part {
  std::span<Colour> colours;
  Colour mean{};
  double scatter = 0;  // sum of squared distances to the mean, and the channel that has most of it
  std::size_t widest = 0;
  explicit Part(std::span<Colour> of) : colours(of) {
    Colour squares{};
    for (const Colour& colour : of) {
      for (std::size_t c = 0; c < 3; ++c) mean[c] += colour[c], squares[c] += colour[c] * colour[c];
    }
    const auto count = static_cast<double>(of.size());
    double most = -1;
    for (std::size_t c = 0; c < 3; ++c) {
      mean[c] /= count;
      const double of_channel = squares[c] - count * mean[c] * mean[c];
      scatter += of_channel;
      if (of_channel > most) most = of_channel, widest = c;
    }
  }
};

/// k-means (Lloyd, "Least squares quantization in PCM", 1982) from a fixed start, so that equal pictures give equal colours:
/// the part that scatters most is cut at the mean of its widest channel, until there are `wanted` parts.
/// \return R, G, B rows, most frequent first; fewer than `wanted` where the picture has fewer colours. Reorders `colours`; `nearest`
/// is overwritten.
std::vector<double> dominant_colours(std::vector<Colour>& colours, std::vector<std::uint8_t>& nearest, std::size_t wanted) {
  std::vector<double> rows;
  if (colours.empty()) return rows;
  std::vector<Part> parts{Part(colours)};
  while (parts.size() < wanted) {
    const auto part = std::max_element(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.scatter < b.scatter; });
    const auto split = std::partition(part->colours.begin(), part->colours.end(),
                                      [&](const Colour& colour) { return colour[part->widest] <= part->mean[part->widest]; });
    const auto low = static_cast<std::size_t>(split - part->colours.begin());
    if (low == 0 || low == part->colours.size()) break;  // one colour only
    const std::span<Colour> both = part->colours;
    *part = Part(both.first(low));
    parts.emplace_back(both.subspan(low));
  }
  struct Cluster {
    Colour centre, sum;
    std::size_t count;
  };
  std::vector<Cluster> clusters;
  for (const Part& part : parts) clusters.push_back({part.mean, {}, part.colours.size()});
  nearest.assign(colours.size(), 255);
  bool moved = true;
  for (int round = 0; moved && round < most_rounds; ++round) {
    moved = false;
    for (Cluster& cluster : clusters) cluster.sum = {}, cluster.count = 0;
    for (std::size_t i = 0; i < colours.size(); ++i) {
      const Colour& colour = colours[i];
      std::size_t best = 0;
      double least = std::numeric_limits<double>::max();
      for (std::size_t c = 0; c < clusters.size(); ++c) {
        const double r = colour[0] - clusters[c].centre[0], g = colour[1] - clusters[c].centre[1], b = colour[2] - clusters[c].centre[2];
        const double distance = r * r + g * g + b * b;
        if (distance < least) least = distance, best = c;
      }
      if (nearest[i] != best) nearest[i] = static_cast<std::uint8_t>(best), moved = true;
      Cluster& cluster = clusters[best];
      for (std::size_t c = 0; c < 3; ++c) cluster.sum[c] += colour[c];
      ++cluster.count;
    }
    std::erase_if(clusters, [](const Cluster& cluster) { return cluster.count == 0; });
    for (Cluster& cluster : clusters) {
      for (std::size_t c = 0; c < 3; ++c) cluster.centre[c] = cluster.sum[c] / static_cast<double>(cluster.count);
    }
  }
  std::stable_sort(clusters.begin(), clusters.end(), [](const Cluster& a, const Cluster& b) { return a.count > b.count; });
  for (const Cluster& cluster : clusters) {
    for (const double channel : cluster.centre) rows.push_back(std::round(channel));
  }
  return rows;
}

class Visual final : public DetectionAdapter {
 public:
  explicit Visual(int colors) : wanted_(static_cast<std::size_t>(colors)) {}

  AdapterInfo info() const override {
    AdapterInfo info;
    info.kind = "visual";
    info.demand.pixels = Demand::Pixels::colour;
    info.lists = {.detections = false, .attributes = true};
    return info;
  }

  void detect(std::span<const Item> items, std::span<Result<Detections>> out, const BatchContext& context) override {
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (context.stop.stop_requested()) {
        out[i] = Error(Code::cancelled, "visual: stopped before this picture was looked at");
      } else {
        out[i] = look_at(items[i]);
      }
    }
  }

 private:
  Result<Detections> look_at(const Item& item) try {
    const Size size = item.frame.size();
    const int longest = std::max(size.width, size.height);
    const auto side = [longest](int length) { return longest <= colour_size ? length : std::max(1, length * colour_size / longest); };
    collect_colours(item.frame.image({.size = {side(size.width), side(size.height)}}), item.regions, colours_);
    const Levels levels = levels_of(item.frame, item.regions);
    const double saturation = saturation_of(colours_);
    Detections found;
    found.attributes = {{"dominant_colors", dominant_colours(colours_, nearest_, wanted_), "", 3},
                        {"brightness_level", levels.brightness},
                        {"contrast_level", levels.contrast},
                        {"saturation_level", saturation}};
    return found;
  } catch (const Error& error) {
    return error;
  }

  const std::size_t wanted_;  // dominant colours
  // Kept for the next picture.
  std::vector<Colour> colours_{};
  std::vector<std::uint8_t> nearest_{};
};

}  // namespace

std::unique_ptr<DetectionAdapter> make_visual(const Value& options) {
  return std::make_unique<Visual>(integer_option(
      options, "visual", "colors", VisualOptions{}.colors, [](int v) { return v >= 1 && v <= 16; }, "1 to 16"));
}

}  // namespace v0
}  // namespace vidloom
