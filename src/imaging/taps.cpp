#include <imaging/taps.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <mutex>
#include <utility>

namespace vidloom {
inline namespace v0 {
namespace {

/// Keys, "Cubic convolution interpolation for digital image processing", 1981.
double cubic(double x, double a) noexcept {
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return 0;
}

/// Weights of samples first, first + 1 ...
struct Window {
  int first = 0;
  std::vector<double> weights;

  int end() const noexcept { return first + static_cast<int>(weights.size()); }
  void add(int sample, double weight) {
    weights[static_cast<std::size_t>(sample - first)] += weight;
  }
  void normalise() {
    double sum = 0;
    for (const double weight : weights) sum += weight;
    for (double& weight : weights) weight /= sum;
  }
  void trim() {
    const auto nothing = [](double weight) { return std::abs(weight) < 1e-9; };
    while (weights.size() > 1 && nothing(weights.back())) weights.pop_back();
    const auto something = std::find_if_not(weights.begin(), weights.end() - 1, nothing);
    first += static_cast<int>(something - weights.begin());
    weights.erase(weights.begin(), something);
  }
};

/// Samples [low, high) around `centre` (sample i lies at i + 0.5) through a filter `stretch` times as wide.
template <class Kernel>
Window window_around(double centre, double radius, double stretch, int low, int high, const Kernel& kernel) {
  const double support = radius * stretch;
  Window window;
  window.first = std::clamp(static_cast<int>(std::floor(centre - support + 0.5)), low, high - 1);
  const int end = std::clamp(static_cast<int>(std::floor(centre + support + 0.5)), window.first + 1, high);
  for (int at = window.first; at < end; ++at) window.weights.push_back(kernel((at + 0.5 - centre) / stretch));
  double sum = 0;
  for (const double weight : window.weights) sum += weight;
  if (!(std::abs(sum) > 1e-6)) std::ranges::fill(window.weights, 1.0);  // a window cut off outside its centre
  window.normalise();
  window.trim();
  return window;
}

Window antialiased(double centre, double scale, int low, int high, Filter filter) {
  const double stretch = std::max(scale, 1.0);
  if (filter == Filter::bilinear)
    return window_around(centre, 1, stretch, low, high, [](double x) { return std::max(0.0, 1 - std::abs(x)); });
  return window_around(centre, 2, stretch, low, high, [](double x) { return cubic(x, -0.5); });
}

/// What cv2.resize does: no antialias, samples beyond the edge are the edge.
Window as_opencv(double centre, int low, int high, Filter filter) {
  const double at = centre - 0.5;
  const int left = static_cast<int>(std::floor(at));
  const double part = at - left;
  const int reach = filter == Filter::bilinear ? 1 : 2;
  Window window;
  window.first = std::clamp(left - reach + 1, low, high - 1);
  const int last = std::clamp(left + reach, low, high - 1);
  window.weights.assign(static_cast<std::size_t>(last - window.first + 1), 0.0);
  for (int tap = 1 - reach; tap <= reach; ++tap) {
    const double distance = std::abs(tap - part);
    window.add(std::clamp(left + tap, low, high - 1), reach == 1 ? 1 - distance : cubic(distance, -0.75));
  }
  window.trim();
  return window;
}

/// Subsampled chroma at luma sample `luma`.
Window raised(int luma, int ratio, double site, int low, int high) {
  // window_around() places sample i at i + 0.5.
  return window_around((luma + 0.5 - site) / ratio + 0.5, 2, 1, low, high, [](double x) { return cubic(x, -0.5); });
}

Window window_of(const AxisSpec& spec, int output) {
  const double scale = static_cast<double>(spec.length) / spec.resized;
  const double centre = spec.from + (output + 0.5) * scale;
  const int low = spec.from, high = spec.from + spec.length;
  if (spec.mode == ColourMode::opencv_compat) return as_opencv(centre, low, high, spec.filter);
  if (spec.log2_ratio == 0) return antialiased(centre, scale, low, high, spec.filter);

  const int ratio = 1 << spec.log2_ratio;
  const int chroma_low = low / ratio, chroma_high = (high + ratio - 1) / ratio;
  const double site = static_cast<double>(spec.site);
  if (spec.mode == ColourMode::fast)
    return antialiased((centre - site) / ratio + 0.5, scale / ratio, chroma_low, chroma_high, spec.filter);
  const Window luma = antialiased(centre, scale, low, high, spec.filter);
  Window window;
  window.first = std::clamp(static_cast<int>(std::floor((luma.first + 0.5 - site) / ratio)) - 2, chroma_low, chroma_high - 1);
  window.weights.assign(static_cast<std::size_t>(chroma_high - window.first), 0.0);
  for (int at = luma.first; at < luma.end(); ++at) {
    const Window around = raised(at, ratio, site, chroma_low, chroma_high);
    for (int sample = around.first; sample < around.end(); ++sample) {
      window.add(sample, luma.weights[static_cast<std::size_t>(at - luma.first)] * around.weights[static_cast<std::size_t>(sample - around.first)]);
    }
  }
  window.trim();
  return window;
}

/// Rounding errors are carried on, so that they cancel out over the window and the sum is exact.
void quantise(const std::vector<double>& weights, std::int16_t* out) {
  double carried = 0;
  for (const double weight : weights) {
    const double exact = weight * Taps::one + carried;
    const double rounded = std::nearbyint(exact);
    carried = exact - rounded;
    *out++ = static_cast<std::int16_t>(rounded);
  }
}

struct Cache {
  using Entry = std::pair<AxisSpec, std::shared_ptr<const Taps>>;
  std::mutex mutex;
  std::array<Entry, 32> entries;
  std::size_t next = 0;
};

// Never destroyed, as the pictures that may outlive static destructors. Never waited for in the child of a fork, where the
// mutex may be locked for ever: each thread remembers what it used last, and without the lock tables are made anew.
Cache& cache() {
  static Cache* const one = new Cache;
  return *one;
}

}  // namespace

Taps make_taps(const AxisSpec& spec) {
  std::vector<Window> windows;
  windows.reserve(static_cast<std::size_t>(spec.end - spec.begin));
  for (int output = spec.begin; output < spec.end; ++output) windows.push_back(window_of(spec, output));

  Taps taps;
  taps.first_sample = windows.front().first;
  taps.last_sample = windows.front().end();
  for (const Window& window : windows) {
    taps.first_sample = std::min(taps.first_sample, window.first);
    taps.last_sample = std::max(taps.last_sample, window.end());
  }
  taps.copies = true;
  for (const Window& window : windows) {
    const int before = spec.pairs_aligned ? (window.first - taps.first_sample) % 2 : 0;
    taps.pairs = std::max(taps.pairs, (before + static_cast<int>(window.weights.size()) + 1) / 2);
    taps.copies = taps.copies && window.weights.size() == 1;
  }
  const std::size_t count = windows.size() + Taps::padding, row = 2 * static_cast<std::size_t>(taps.pairs);
  taps.first.resize(count);
  taps.weights.resize(count * row);
  for (std::size_t output = 0; output < count; ++output) {
    const Window& window = windows[std::min(output, windows.size() - 1)];
    const int from = window.first - taps.first_sample;
    const int before = spec.pairs_aligned ? from % 2 : 0;
    taps.first[output] = from - before;
    taps.block_pairs = std::max(taps.block_pairs, (from - before) / 2 + taps.pairs);
    quantise(window.weights, taps.weights.data() + output * row + before);
  }
  return taps;
}

std::shared_ptr<const Taps> cached_taps(const AxisSpec& spec) {
  static thread_local std::array<Cache::Entry, 16> mine;
  static thread_local std::size_t mine_next = 0;
  for (const auto& [key, taps] : mine)
    if (taps && key == spec) return taps;
  std::shared_ptr<const Taps> found;
  Cache& all = cache();
  if (const std::unique_lock lock(all.mutex, std::try_to_lock); lock) {
    for (const auto& [key, taps] : all.entries)
      if (taps && key == spec) found = taps;
  }
  if (!found) {
    found = std::make_shared<const Taps>(make_taps(spec));
    Cache::Entry leaving;  // freed without the lock
    if (const std::unique_lock lock(all.mutex, std::try_to_lock); lock) {
      leaving = std::exchange(all.entries[all.next++ % all.entries.size()], {spec, found});
    }
  }
  mine[mine_next++ % mine.size()] = {spec, found};
  return found;
}

}  // namespace v0
}  // namespace vidloom
