#include <imaging/device_plan.hpp>

#include <imaging/colour_matrix.hpp>
#include <imaging/orientation.hpp>
#include <imaging/pixel_layout.hpp>
#include <imaging/slot.hpp>
#include <imaging/taps.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace vidloom {
inline namespace v0 {
namespace {

namespace device = vidloom_device;

constexpr std::size_t alignment = 64;
constexpr std::size_t aligned(std::size_t bytes) noexcept { return (bytes + alignment - 1) / alignment * alignment; }

struct Interval {
  int begin = 0, end = 0;
  int length() const noexcept { return end - begin; }
};

/// Copies a row to whole lines of the cache, of which there are enough at `to`. What is written is read by the device alone, so it goes
/// past the caches, which saves reading each line first; a line that is written only in part would cost more than that. Such stores
/// hold up what is fetched, hence a row `ahead` bytes from here is asked for meanwhile.
void copy_row(const std::byte* from, std::byte* to, std::size_t bytes, [[maybe_unused]] std::ptrdiff_t ahead) noexcept {
#if defined(__SSE2__)
  const auto copy_line = [](const std::byte* source, std::byte* line) {
    const auto* in = reinterpret_cast<const __m128i*>(source);
    auto* out = reinterpret_cast<__m128i*>(line);
    const __m128i a = _mm_loadu_si128(in), b = _mm_loadu_si128(in + 1), c = _mm_loadu_si128(in + 2), d = _mm_loadu_si128(in + 3);
    _mm_stream_si128(out, a);
    _mm_stream_si128(out + 1, b);
    _mm_stream_si128(out + 2, c);
    _mm_stream_si128(out + 3, d);
  };
  std::size_t at = 0;
  for (; at + alignment <= bytes; at += alignment) {
    _mm_prefetch(reinterpret_cast<const char*>(from + at) + ahead, _MM_HINT_T0);
    copy_line(from + at, to + at);
  }
  if (at == bytes) return;
  alignas(alignment) std::array<std::byte, alignment> rest{};
  std::memcpy(rest.data(), from + at, bytes - at);
  copy_line(rest.data(), to + at);
#else
  std::memcpy(to, from, bytes);
#endif
}

/// Samples as they stand in memory -> R, G, B in 0..1.
void set_colour(device::Picture& picture, const PixelLayout& layout, const ResolvedColour& colour) noexcept {
  const ColourMatrix matrix = colour_matrix(layout, colour, false);  // of samples 0..255, to 0..255
  const float unit = std::ldexp(1.0F, layout.depth - 8 + layout.shift);
  for (std::size_t c = 0; c < 3; ++c) {
    for (std::size_t i = 0; i < 3; ++i) picture.matrix[c * 3 + i] = matrix[c][i] / (255.0F * unit);
    picture.offset[c] = matrix[c][3] / 255.0F;
  }
}

/// Everything a plan depends on.
struct Key {
  std::string pixel_format;
  std::array<Size, 4> planes{};
  Crop crop{};
  int rotation = 0;
  bool mirrored = false;
  ColourTags colour{};
  TensorSpec spec{};
  Size upright{};

  Key(const Frame& frame, const TensorSpec& wanted)
      : pixel_format(frame.pixel_format()),
        crop(frame.info().crop),
        rotation(frame.info().rotation_degrees),
        mirrored(frame.info().mirrored),
        colour(frame.info().colour),
        spec(wanted),
        upright(frame.size()) {
    std::ranges::transform(frame.planes(), planes.begin(), &PlaneView::size);
  }
  friend bool operator==(const Key& a, const Key& b) noexcept {
    const auto key = [](const Key& k) {
      return std::tuple(k.crop.left, k.crop.top, k.crop.right, k.crop.bottom, k.rotation, k.mirrored, k.colour.matrix, k.colour.range,
                        k.colour.chroma_site, k.spec.fit, k.spec.dtype, k.spec.filter, k.spec.mode);
    };
    return a.pixel_format == b.pixel_format && a.planes == b.planes && key(a) == key(b) && a.spec.size == b.spec.size &&
           std::ranges::equal(a.spec.mean, b.spec.mean) && std::ranges::equal(a.spec.std, b.spec.std);
  }
};

}  // namespace

struct DevicePlan {
  struct Part {  // of a plane, in positions
    int plane = 0;
    Interval columns, rows;
    std::size_t pitch = 0;
    int position_bytes = 0;
    std::size_t at = 0;  // from the begin of the frame's planes
    std::size_t bytes() const noexcept { return pitch * static_cast<std::size_t>(rows.length()); }
  };
  Key key;
  device::Picture picture{};  // offsets: tables from their own begin, samples from the begin of the frame's planes
  std::vector<std::byte> tables;
  std::vector<Part> parts;
  std::size_t plane_bytes = 0, narrowed_floats = 0;

  explicit DevicePlan(Key made_of) : key(std::move(made_of)) {}

  bool make(const PixelLayout& layout);
  Interval add_table(device::Axis& axis, const AxisSpec& spec);
};

/// \return the samples that the taps reach.
Interval DevicePlan::add_table(device::Axis& axis, const AxisSpec& spec) {
  const std::shared_ptr<const Taps> taps = cached_taps(spec);
  const auto count = static_cast<std::size_t>(spec.end - spec.begin);
  const auto row = 2 * static_cast<std::size_t>(taps->pairs);
  const int inputs = taps->last_sample - taps->first_sample;
  const auto width = std::min(row, static_cast<std::size_t>(inputs));
  std::vector<int> first(count);
  std::vector<float> weights(width * count, 0);
  for (std::size_t i = 0; i < count; ++i) {
    // All outputs have as many taps; where those would reach past the end they begin earlier, with weights of 0.
    first[i] = std::min(taps->first[i], inputs - static_cast<int>(width));
    const auto skipped = static_cast<std::size_t>(taps->first[i] - first[i]);
    for (std::size_t k = 0; k + skipped < width; ++k)
      weights[(skipped + k) * count + i] = static_cast<float>(taps->weights[i * row + k]) / Taps::one;
  }
  const auto append = [this](const auto& values) {
    const std::size_t at = tables.size();
    tables.resize(at + aligned(values.size() * sizeof values[0]));
    std::memcpy(tables.data() + at, values.data(), values.size() * sizeof values[0]);
    return static_cast<int>(at);
  };
  axis.count = static_cast<int>(count);
  axis.width = static_cast<int>(width);
  axis.inputs = inputs;
  axis.first = append(first);
  axis.weights = append(weights);
  return {taps->first_sample, taps->last_sample};
}

bool DevicePlan::make(const PixelLayout& layout) {
  const TensorSpec& spec = key.spec;
  const Orientation orientation{key.rotation, key.mirrored};
  const SlotPlace place = place_in_slot(key.upright, spec);
  const Size cropped = orientation.turned(key.upright), resized = orientation.turned(place.resized);

  picture.width = spec.size.width;
  picture.height = spec.size.height;
  picture.type = static_cast<int>(spec.dtype);
  picture.left = std::clamp(place.x, 0, spec.size.width);
  picture.top = std::clamp(place.y, 0, spec.size.height);
  picture.right = std::clamp(place.x + place.resized.width, 0, spec.size.width);
  picture.bottom = std::clamp(place.y + place.resized.height, 0, spec.size.height);
  std::ranges::copy(spec.mean, picture.mean);
  std::ranges::copy(spec.std, picture.deviation);

  // Coded column and row of upright pixel (0, 0) of the tensor, and how they change to the right and downwards.
  const Orientation::Walk walk = orientation.walk(resized);
  const auto coded_column = [&](std::ptrdiff_t at) { return static_cast<int>(at % resized.width); };
  const auto coded_row = [&](std::ptrdiff_t at) { return static_cast<int>(at / resized.width); };
  const int column0 = coded_column(walk.first), row0 = coded_row(walk.first);
  const auto direction = [](std::ptrdiff_t step, bool along_rows) {
    const bool is_row = step != 1 && step != -1;
    return is_row != along_rows ? 0 : step < 0 ? -1 : 1;
  };
  // A picture one column wide steps by 1 in both directions: there the orientation says which is which.
  const bool swapped = orientation.swaps_sides();
  if (resized.width == 1) {
    picture.column_x = swapped ? 0 : (orientation.degrees == 180) != orientation.mirrored ? -1 : 1;
    picture.column_y = swapped ? (orientation.degrees == 270 ? -1 : 1) : 0;
    picture.row_x = swapped ? ((orientation.degrees == 90) != orientation.mirrored ? -1 : 1) : 0;
    picture.row_y = swapped ? 0 : orientation.degrees == 180 ? -1 : 1;
  } else {
    picture.column_x = direction(walk.right, false);
    picture.column_y = direction(walk.down, false);
    picture.row_x = direction(walk.right, true);
    picture.row_y = direction(walk.down, true);
  }
  picture.column = column0 - picture.column_x * place.x - picture.column_y * place.y;
  picture.row = row0 - picture.row_x * place.x - picture.row_y * place.y;

  // The resized columns and rows that the tensor shows.
  const auto shown = [&](int origin, int by_x, int by_y) {
    const int a = origin + by_x * picture.left + by_y * picture.top;
    const int b = origin + by_x * (picture.right - 1) + by_y * (picture.bottom - 1);
    return Interval{std::min(a, b), std::max(a, b) + 1};
  };
  const Interval columns = shown(picture.column, picture.column_x, picture.column_y);
  const Interval rows = shown(picture.row, picture.row_x, picture.row_y);
  picture.column -= columns.begin;
  picture.row -= rows.begin;
  picture.columns = columns.length();

  const bool chroma = layout.model == PixelLayout::Model::yuv;
  const ResolvedColour colour = resolve_colour(layout, key.colour, key.planes[0], spec.mode);
  set_colour(picture, layout, colour);
  AxisSpec across{.from = key.crop.left,
                  .length = cropped.width,
                  .resized = resized.width,
                  .begin = columns.begin,
                  .end = columns.end,
                  .filter = spec.filter,
                  .mode = spec.mode};
  AxisSpec down{.from = key.crop.top,
                .length = cropped.height,
                .resized = resized.height,
                .begin = rows.begin,
                .end = rows.end,
                .filter = spec.filter,
                .mode = spec.mode};
  Interval reached[2][2];  // of luma, of chroma; columns, rows
  for (std::size_t set = 0; set < (chroma ? 2 : 1); ++set) {
    if (set == 1) {
      across.log2_ratio = layout.log2_across;
      across.site = colour.site_across;
      down.log2_ratio = layout.log2_down;
      down.site = colour.site_down;
    }
    reached[set][0] = add_table(picture.across[set], across);
    reached[set][1] = add_table(picture.down[set], down);
  }

  picture.bytes = layout.bytes;
  picture.components = layout.count;
  for (int c = 0; c < layout.count; ++c) {
    const PixelLayout::Component& from = layout.components[static_cast<std::size_t>(c)];
    if (std::ranges::find(parts, from.plane, &Part::plane) != parts.end()) continue;
    const auto& [part_columns, part_rows] = reached[chroma && c > 0 ? 1 : 0];
    Part part{.plane = from.plane, .columns = part_columns, .rows = part_rows};
    const Size plane = key.planes[static_cast<std::size_t>(from.plane)];
    if (part.columns.end > plane.width || part.rows.end > plane.height) return false;  // the CPU says what is wrong with it
    part.position_bytes = from.step * layout.bytes;
    part.pitch = aligned(static_cast<std::size_t>(part.columns.length()) * static_cast<std::size_t>(part.position_bytes));
    part.at = plane_bytes;
    plane_bytes += aligned(part.bytes());
    parts.push_back(part);
  }
  for (int c = 0; c < picture.components; ++c) {
    const PixelLayout::Component& from = layout.components[static_cast<std::size_t>(c)];
    const Part& part = *std::ranges::find(parts, from.plane, &Part::plane);
    device::Component& to = picture.component[c];
    to.samples = static_cast<long long>(part.at) + from.offset * layout.bytes;
    to.row = static_cast<int>(part.pitch);
    to.step = part.position_bytes;
    to.rows = part.rows.length();
    to.chroma = chroma && c > 0 ? 1 : 0;
    to.narrowed = static_cast<long long>(narrowed_floats);
    narrowed_floats += static_cast<std::size_t>(to.rows) * static_cast<std::size_t>(picture.columns);
  }
  return tables.size() < static_cast<std::size_t>(std::numeric_limits<int>::max());
}

DevicePlans::DevicePlans() = default;
DevicePlans::~DevicePlans() = default;

std::shared_ptr<const DevicePlan> DevicePlans::plan(const Frame& frame, const TensorSpec& spec) {
  const std::optional<PixelLayout> layout = pixel_layout(frame.pixel_format());
  if (!layout) return nullptr;
  for (std::size_t c = 0; c < static_cast<std::size_t>(layout->count); ++c)
    if (static_cast<std::size_t>(layout->components[c].plane) >= frame.planes().size()) return nullptr;  // the CPU says what is wrong
  Key key(frame, spec);
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find_if(recent_, [&](const auto& plan) { return plan->key == key; });
    if (found != recent_.end()) {
      recent_.splice(recent_.begin(), recent_, found);
      return recent_.front();
    }
  }
  const auto made = std::make_shared<DevicePlan>(std::move(key));
  if (!made->make(*layout)) return nullptr;
  const std::lock_guard lock(mutex_);
  recent_.push_front(made);
  if (recent_.size() > capacity) recent_.pop_back();
  return made;
}

DeviceBatch::DeviceBatch(std::span<const Frame> frames, const TensorSpec& spec, DevicePlans& plans, std::vector<std::size_t>& others) {
  std::vector<std::shared_ptr<const DevicePlan>> chosen;
  for (std::size_t index = 0; index < frames.size(); ++index) {
    std::shared_ptr<const DevicePlan> plan = plans.plan(frames[index], spec);
    if (!plan) {
      others.push_back(index);
      continue;
    }
    frames_.emplace_back(index, &frames[index]);
    const auto known = std::ranges::find_if(tables_, [&](const Tables& tables) { return tables.plan == plan; });
    tables_of_.push_back(static_cast<std::size_t>(known - tables_.begin()));
    if (known == tables_.end()) tables_.push_back({plan, 0});
    chosen.push_back(std::move(plan));
  }
  block_bytes_ = aligned(chosen.size() * sizeof(device::Picture));
  for (Tables& tables : tables_) {
    tables.at = block_bytes_;
    block_bytes_ += aligned(tables.plan->tables.size());
  }
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    device::Picture picture = chosen[i]->picture;
    const int tables = static_cast<int>(tables_[tables_of_[i]].at);
    for (device::Axis* axis : {&picture.across[0], &picture.across[1], &picture.down[0], &picture.down[1]}) {
      axis->first += tables;
      axis->weights += tables;
    }
    for (device::Component& component : picture.component) {
      component.samples += static_cast<long long>(block_bytes_);
      component.narrowed += static_cast<long long>(narrowed_floats_);
    }
    picture.out = static_cast<long long>(frames_[i].first * slot_bytes(spec));
    block_bytes_ += chosen[i]->plane_bytes;
    narrowed_floats_ += chosen[i]->narrowed_floats;
    pictures_.push_back(picture);
  }
}

DeviceBatch::~DeviceBatch() = default;

void DeviceBatch::fill(std::span<std::byte> block) const noexcept {
  std::memcpy(block.data(), pictures_.data(), pictures_.size() * sizeof pictures_[0]);
  for (const Tables& tables : tables_) std::memcpy(block.data() + tables.at, tables.plan->tables.data(), tables.plan->tables.size());
  for (std::size_t i = 0; i < pictures_.size(); ++i) {
    const DevicePlan& plan = *tables_[tables_of_[i]].plan;
    const auto planes = frames_[i].second->planes();
    const auto begin = static_cast<std::size_t>(pictures_[i].component[0].samples - plan.picture.component[0].samples);
    for (const DevicePlan::Part& part : plan.parts) {
      const PlaneView& plane = planes[static_cast<std::size_t>(part.plane)];
      const auto row_bytes = static_cast<std::size_t>(part.columns.length()) * static_cast<std::size_t>(part.position_bytes);
      const std::byte* from = plane.data + part.rows.begin * plane.stride + std::ptrdiff_t{part.columns.begin} * part.position_bytes;
      std::byte* to = block.data() + begin + part.at;
      for (int y = 0; y < part.rows.length(); ++y, from += plane.stride, to += part.pitch)
        copy_row(from, to, row_bytes, y + 2 < part.rows.length() ? 2 * plane.stride : 0);
    }
  }
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

}  // namespace v0
}  // namespace vidloom
