#include <imaging/plane_resizer.hpp>

#include <vidloom/core/error.hpp>

#include <imaging/colour_matrix.hpp>
#include <imaging/opencv_rgb.hpp>
#include <imaging/pixel_buffer.hpp>
#include <imaging/scratch.hpp>
#include <imaging/taps.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>

namespace vidloom {
inline namespace v0 {
namespace {

constexpr std::size_t slack = 64;  // samples behind a line that kernels may touch
constexpr std::ptrdiff_t cache_line = 64;
constexpr int lines_ahead = 8;     // rows are asked for that many lines before they are read

std::string to_text(Size size) { return std::to_string(size.width) + "x" + std::to_string(size.height); }

void check_planes(const PlaneRequest& request) {
  const PixelLayout& layout = request.layout;
  const Size coded = request.planes.front().size;
  for (int i = 0; i < layout.count; ++i) {
    const auto number = static_cast<std::size_t>(layout.components[static_cast<std::size_t>(i)].plane);
    const bool chroma = layout.model == PixelLayout::Model::yuv && i > 0;
    const int across = chroma ? layout.log2_across : 0, down = chroma ? layout.log2_down : 0;
    const Size needed{(coded.width + (1 << across) - 1) >> across, (coded.height + (1 << down) - 1) >> down};
    const std::string format(request.pixel_format);
    if (number >= request.planes.size()) {
      throw Error(Code::config, format + " has " + std::to_string(number + 1) + " planes or more; the frame was given " +
                                    std::to_string(request.planes.size()));
    }
    const Size size = request.planes[number].size;
    if (size.width < needed.width || size.height < needed.height) {
      throw Error(Code::config, "plane " + std::to_string(number) + " of a " + format + " picture of " + to_text(coded) + " is " + to_text(size) +
                                    "; use " + to_text(needed));
    }
  }
}

/// One plane's way: its rows become lines, each line one or more components.
struct Pass {
  PlaneView plane{};
  std::array<int, 3> components{};  // numbers of those that lie in it
  int component_count = 0;
  int step = 1;                     // samples of the plane to a position
  std::shared_ptr<const Taps> across{}, down{};
  std::size_t samples = 0;          // of a row that take part
  std::size_t pairs = 0;            // of a block
  std::array<std::int16_t*, most_lines> lines{};
  std::array<std::int16_t*, most_lines> parts{};  // lines of one component, where a line holds several
  std::array<std::int16_t*, 3> blocks{};
};

class Conversion {
 public:
  Conversion(const PlaneRequest& request, const PlaneTarget& target);
  void run();

 private:
  Pass& pass_of(int plane);
  void prepare_taps(const ResolvedColour& colour);
  void prepare_memory();
  /// Whether the lines of a block are made by one call: not where windows leave rows out, as those without antialias do.
  bool together(const Pass& pass) const noexcept {
    const Taps& down = *pass.down;
    const bool all_serve = std::int64_t{2} * down.pairs * request_.window.height >= down.last_sample - down.first_sample;
    return kernels_.lines_8 && request_.layout.bytes == 1 && 2 * down.pairs <= LinesTask::most_rows && !down.copies && all_serve;
  }
  void fetch(const Pass& pass, int output) const;
  void make_lines(Pass& pass, int row, int rows);
  void put(int row, int rows);

  const PlaneRequest& request_;
  const PlaneTarget& target_;
  const Kernels& kernels_ = kernels();
  const int lines_ = static_cast<int>(kernels_.lines);
  std::array<Pass, 3> passes_{};
  int pass_count_ = 0;
  FinishTask task_{};
  std::size_t element_ = 1;
  bool direct_ = false;  // samples of a line lie side by side in the target
  std::byte* tile_ = nullptr;
  const std::byte** rows_ = nullptr;
};

std::size_t bytes_of(FinishTask::DType dtype) noexcept {
  return dtype == FinishTask::DType::u8 ? 1 : dtype == FinishTask::DType::f32 ? 4 : 2;
}

Conversion::Conversion(const PlaneRequest& request, const PlaneTarget& target) : request_(request), target_(target) {
  const PixelLayout& layout = request.layout;
  const Size coded = request.planes.front().size;
  const bool grey = target.channels == 1;
  const int inputs = grey && layout.model != PixelLayout::Model::rgb ? 1 : layout.count;
  for (int i = 0; i < inputs; ++i) {
    const PixelLayout::Component& component = layout.components[static_cast<std::size_t>(i)];
    Pass& pass = pass_of(component.plane);
    pass.plane = request.planes[static_cast<std::size_t>(component.plane)];
    pass.step = component.step;
    pass.components[static_cast<std::size_t>(pass.component_count++)] = i;
  }

  const ResolvedColour colour = resolve_colour(layout, request.colour, coded, request.mode);
  prepare_taps(colour);

  task_.input_count = inputs;
  task_.output_count = target.channels;
  task_.matrix = colour_matrix(layout, colour, grey);
  constexpr float unit = 1.0F / (1 << (Taps::fraction_bits + line_fraction_bits));
  for (auto& row : task_.matrix)
    for (std::size_t i = 0; i < 3; ++i) row[i] *= unit;
  task_.scale = target.scale;
  task_.bias = target.bias;
  task_.dtype = target.dtype;
  task_.columns = request.window.width;
  element_ = bytes_of(target.dtype);
  direct_ = target.right == static_cast<std::ptrdiff_t>(element_);
  prepare_memory();
}

Pass& Conversion::pass_of(int plane) {
  for (int i = 0; i < pass_count_; ++i) {
    const auto first = static_cast<std::size_t>(passes_[static_cast<std::size_t>(i)].components[0]);
    if (request_.layout.components[first].plane == plane) return passes_[static_cast<std::size_t>(i)];
  }
  return passes_[static_cast<std::size_t>(pass_count_++)];
}

void Conversion::prepare_taps(const ResolvedColour& colour) {
  const PixelLayout& layout = request_.layout;
  const Size coded = request_.planes.front().size;
  const Crop& crop = request_.crop;
  const Window& window = request_.window;
  for (int i = 0; i < pass_count_; ++i) {
    Pass& pass = passes_[static_cast<std::size_t>(i)];
    const bool chroma = layout.model == PixelLayout::Model::yuv && pass.components[0] > 0;
    pass.across = cached_taps({.from = crop.left,
                               .length = coded.width - crop.left - crop.right,
                               .resized = request_.resized.width,
                               .begin = window.x,
                               .end = window.x + window.width,
                               .log2_ratio = chroma ? layout.log2_across : 0,
                               .site = chroma ? colour.site_across : 0.5F,
                               .filter = request_.filter,
                               .mode = request_.mode,
                               .pairs_aligned = true});
    pass.down = cached_taps({.from = crop.top,
                             .length = coded.height - crop.top - crop.bottom,
                             .resized = request_.resized.height,
                             .begin = window.y,
                             .end = window.y + window.height,
                             .log2_ratio = chroma ? layout.log2_down : 0,
                             .site = chroma ? colour.site_down : 0.5F,
                             .filter = request_.filter,
                             .mode = request_.mode});
    pass.samples = static_cast<std::size_t>((pass.across->last_sample - pass.across->first_sample) * pass.step);
    pass.pairs = static_cast<std::size_t>(pass.across->block_pairs);
  }
}

void Conversion::prepare_memory() {
  const std::size_t lines = kernels_.lines;
  const std::size_t tile = direct_ ? 0 : static_cast<std::size_t>(task_.columns) * element_ * 3 * lines;
  std::size_t bytes = Scratch::room_for<std::byte>(tile), most_rows = 1;
  for (int i = 0; i < pass_count_; ++i) {
    const Pass& pass = passes_[static_cast<std::size_t>(i)];
    const std::size_t line = Scratch::room_for<std::int16_t>(std::max(pass.samples, 2 * pass.pairs) + slack);
    bytes += line * lines * (pass.step > 1 ? 2 : 1);
    bytes += Scratch::room_for<std::int16_t>((pass.pairs + slack) * 2 * lines) * static_cast<std::size_t>(pass.component_count);
    most_rows = std::max(most_rows, 2 * static_cast<std::size_t>(pass.down->pairs));
  }
  bytes += Scratch::room_for<const std::byte*>(most_rows);

  Scratch& scratch = Scratch::of_thread();
  scratch.reserve(bytes);
  tile_ = scratch.take<std::byte>(tile);
  rows_ = scratch.take<const std::byte*>(most_rows);
  for (int i = 0; i < pass_count_; ++i) {
    Pass& pass = passes_[static_cast<std::size_t>(i)];
    const std::size_t line = std::max(pass.samples, 2 * pass.pairs) + slack;
    for (std::size_t number = 0; number < lines; ++number) {
      pass.lines[number] = scratch.take<std::int16_t>(line);
      pass.parts[number] = pass.step > 1 ? scratch.take<std::int16_t>(line) : pass.lines[number];
    }
    for (int number = 0; number < pass.component_count; ++number) {
      const auto component = static_cast<std::size_t>(pass.components[static_cast<std::size_t>(number)]);
      std::int16_t* const block = scratch.take<std::int16_t>((pass.pairs + slack) * 2 * lines);
      pass.blocks[static_cast<std::size_t>(number)] = block;
      task_.inputs[component] = {block, pass.across->first.data(), pass.across->weights.data(), pass.across->pairs};
    }
  }
  // Equal anyway, and here the same: kernels load a weight once for both.
  if (task_.input_count == 3) task_.inputs[2] = {task_.inputs[2].block, task_.inputs[1].first, task_.inputs[1].weights, task_.inputs[1].pairs};
}

/// Asks for the rows that output row `output` of the window reads and the one above it does not. A line is made of a dozen rows or
/// more, which are as many streams, and processors follow only some by themselves: without this, most of a conversion is waiting.
void Conversion::fetch(const Pass& pass, int output) const {
  if (output >= request_.window.height) return;
  const Taps& down = *pass.down;
  const auto end_of = [&](int number) { return down.first[static_cast<std::size_t>(number)] + 2 * down.pairs; };
  const int end = std::min(down.first_sample + end_of(output), down.last_sample);
  const int begin = down.first_sample + (output > 0 ? end_of(output - 1) : 0);
  const auto bytes = static_cast<std::ptrdiff_t>(pass.samples) * request_.layout.bytes;
  const std::byte* const left = pass.plane.data + std::ptrdiff_t{pass.across->first_sample} * pass.step * request_.layout.bytes;
  for (int number = begin; number < end; ++number) {
    const std::byte* const from = left + number * pass.plane.stride;
    for (std::ptrdiff_t at = 0; at < bytes; at += cache_line) __builtin_prefetch(from + at, 0, 2);
  }
  asm volatile("");  // GCC 12 takes a function that only prefetches for one without effect, and drops the call
}

/// Output rows [row, row + rows) of the window.
void Conversion::make_lines(Pass& pass, int row, int rows) {
  const PixelLayout& layout = request_.layout;
  const Taps& down = *pass.down;
  const std::byte* const left = pass.plane.data + std::ptrdiff_t{pass.across->first_sample} * pass.step * layout.bytes;
  const int last = down.last_sample - 1;
  const bool at_once = together(pass);
  if (at_once) {
    kernels_.lines_8({.rows = left + down.first_sample * pass.plane.stride,
                      .stride = pass.plane.stride,
                      .row_count = down.last_sample - down.first_sample,
                      .first = down.first.data() + row,
                      .weights = down.weights.data() + static_cast<std::ptrdiff_t>(row) * 2 * down.pairs,
                      .pairs = down.pairs,
                      .lines = rows,
                      .count = pass.samples,
                      .out = pass.lines.data()});
  }
  for (int line = 0; line < rows && !at_once; ++line) {
    const auto output = static_cast<std::size_t>(row + line);
    const int first = down.first_sample + down.first[output];
    for (int tap = 0; tap < 2 * down.pairs; ++tap)  // rows beyond the last have weight 0
      rows_[tap] = left + std::min(first + tap, last) * pass.plane.stride;
    const std::int16_t* weights = down.weights.data() + output * 2 * static_cast<std::size_t>(down.pairs);
    std::int16_t* out = pass.lines[static_cast<std::size_t>(line)];
    fetch(pass, row + line + lines_ahead);
    if (layout.bytes == 1) kernels_.vertical_8(rows_, weights, down.pairs, pass.samples, out);
    else kernels_.vertical_16(rows_, weights, down.pairs, pass.samples, layout.shift, layout.depth, out);
  }
  std::array<const std::int16_t*, most_lines> sources{};
  for (int number = 0; number < pass.component_count; ++number) {
    const auto component = static_cast<std::size_t>(pass.components[static_cast<std::size_t>(number)]);
    for (int line = 0; line < lines_; ++line) {
      const auto from = static_cast<std::size_t>(std::min(line, rows - 1));
      if (pass.step > 1 && line < rows)
        kernels_.split(pass.lines[from], layout.components[component].offset, pass.step, pass.samples / static_cast<std::size_t>(pass.step),
                       pass.parts[from]);
      sources[static_cast<std::size_t>(line)] = pass.parts[from];
    }
    kernels_.interleave(sources.data(), pass.pairs, pass.blocks[static_cast<std::size_t>(number)]);
  }
}

/// From the tile to wherever its samples belong.
template <class T>
void scatter(const std::byte* tile, std::size_t lines, const PlaneTarget& target, int row, int rows, int columns) {
  const auto width = static_cast<std::size_t>(columns);
  const auto put_one = [&](std::size_t channel, int line, std::size_t x) {
    std::memcpy(target.data + static_cast<std::ptrdiff_t>(x) * target.right + (row + line) * target.down +
                    static_cast<std::ptrdiff_t>(channel) * target.channel,
                tile + ((channel * lines + static_cast<std::size_t>(line)) * width + x) * sizeof(T), sizeof(T));
  };
  const auto channels = static_cast<std::size_t>(target.channels);
  if (target.channel == static_cast<std::ptrdiff_t>(sizeof(T))) {  // packed
    for (int line = 0; line < rows; ++line)
      for (std::size_t x = 0; x < width; ++x)
        for (std::size_t channel = 0; channel < channels; ++channel) put_one(channel, line, x);
  } else {
    for (std::size_t channel = 0; channel < channels; ++channel)
      for (std::size_t x = 0; x < width; ++x)
        for (int line = 0; line < rows; ++line) put_one(channel, line, x);
  }
}

void Conversion::put(int row, int rows) {
  task_.lines = rows;
  for (std::size_t channel = 0; channel < static_cast<std::size_t>(target_.channels); ++channel) {
    task_.out[channel] = direct_ ? target_.data + static_cast<std::ptrdiff_t>(channel) * target_.channel + row * target_.down
                                 : tile_ + channel * kernels_.lines * static_cast<std::size_t>(task_.columns) * element_;
  }
  task_.out_stride = direct_ ? target_.down : task_.columns * static_cast<std::ptrdiff_t>(element_);
  kernels_.finish(task_);
  if (direct_) return;
  if (kernels_.pack && element_ == 1 && target_.channels == 3 && target_.right == 3 && std::abs(target_.channel) == 1) {
    const auto width = static_cast<std::size_t>(task_.columns);
    for (int line = 0; line < rows; ++line) {
      const auto channel = [&](std::size_t number) { return tile_ + (number * kernels_.lines + static_cast<std::size_t>(line)) * width; };
      std::byte* const out = target_.data + (row + line) * target_.down;
      if (target_.channel > 0) kernels_.pack({channel(0), channel(1), channel(2)}, width, out);
      else kernels_.pack({channel(2), channel(1), channel(0)}, width, out - 2);
    }
    return;
  }
  if (element_ == 1) scatter<std::uint8_t>(tile_, kernels_.lines, target_, row, rows, task_.columns);
  else if (element_ == 2) scatter<std::uint16_t>(tile_, kernels_.lines, target_, row, rows, task_.columns);
  else scatter<std::uint32_t>(tile_, kernels_.lines, target_, row, rows, task_.columns);
}

void Conversion::run() {
  for (int output = 0; output < lines_ahead; ++output) {
    for (int i = 0; i < pass_count_; ++i)
      if (const Pass& pass = passes_[static_cast<std::size_t>(i)]; !together(pass)) fetch(pass, output);
  }
  for (int row = 0; row < request_.window.height; row += lines_) {
    const int rows = std::min(lines_, request_.window.height - row);
    for (int i = 0; i < pass_count_; ++i) make_lines(passes_[static_cast<std::size_t>(i)], row, rows);
    put(row, rows);
  }
}

/// Note [Full size] is in kernels.hpp. Serves upright 8-bit YUV pictures at their own size, packed.
class FullSizeRgb {
 public:
  static bool serves(const PlaneRequest& request, const PlaneTarget& target, const Kernels& kernels) {
    const PixelLayout& layout = request.layout;
    const Size coded = request.planes.front().size;
    const Size cropped{coded.width - request.crop.left - request.crop.right, coded.height - request.crop.top - request.crop.bottom};
    const bool packed = target.channels == 3 && target.dtype == FinishTask::DType::u8 && target.right == 3 && std::abs(target.channel) == 1;
    return kernels.rgb_row && packed && layout.model == PixelLayout::Model::yuv && layout.bytes == 1 && layout.log2_across <= 1 &&
           layout.log2_down <= 1 && request.mode != ColourMode::opencv_compat && request.resized == cropped &&
           request.window.width == cropped.width && request.window.height == cropped.height && request.crop.left % (1 << layout.log2_across) == 0 &&
           cropped.width >= 64 && cropped.height >= 8;
  }

  FullSizeRgb(const PlaneRequest& request, const PlaneTarget& target) : request_(request), target_(target) {
    const PixelLayout& layout = request.layout;
    const Size coded = request.planes.front().size;
    const ResolvedColour colour = resolve_colour(layout, request.colour, coded, request.mode);
    const Size size = request.resized;
    across_ = cached_taps({.from = request.crop.left, .length = size.width, .resized = size.width, .end = size.width,
                           .log2_ratio = layout.log2_across, .site = colour.site_across, .filter = request.filter, .mode = request.mode});
    down_ = cached_taps({.from = request.crop.top, .length = size.height, .resized = size.height, .end = size.height,
                         .log2_ratio = layout.log2_down, .site = colour.site_down, .filter = request.filter, .mode = request.mode});
    step_ = layout.components[1].step;
    samples_ = static_cast<std::size_t>(across_->last_sample - across_->first_sample);

    task_.halved = layout.log2_across == 1;
    task_.bgr = target.channel < 0;
    task_.width = static_cast<std::size_t>(size.width);
    if (task_.halved) {
      take_weights(8, -2, task_.even);
      take_weights(9, -1, task_.odd);
    }
    find_edge_pixels();
    matrix_ = colour_matrix(layout, colour, false);
    const auto quarter = [](float value) { return static_cast<std::int16_t>(std::lround(value * 8192)); };
    task_.luma_gain = quarter(matrix_[0][0]);
    task_.red_v = quarter(matrix_[0][2]);
    task_.green_u = quarter(matrix_[1][1]);
    task_.green_v = quarter(matrix_[1][2]);
    task_.blue_u = quarter(matrix_[2][1]);
    // The lines are centred, so that of the offset only the luma's part is left. Rounding the gain would show as a shift: 16 is exact.
    const float black = matrix_[0][3] + 128 * (matrix_[0][1] + matrix_[0][2]);
    task_.offset = static_cast<std::int16_t>(std::lround(black * 32) + 16);
  }

  static bool suits(const PlaneRequest& request) {  // YCgCo's red and blue take both
    const ResolvedColour colour = resolve_colour(request.layout, request.colour, request.planes.front().size, request.mode);
    return colour.matrix != Matrix::ycgco;
  }

  void run() {
    constexpr std::size_t before = 32;  // aligned room for the samples that windows reach to the left
    const std::size_t line = samples_ + before + slack;
    Scratch& scratch = Scratch::of_thread();
    window_ = 2 * static_cast<std::size_t>(down_->pairs);
    scratch.reserve(5 * Scratch::room_for<std::int16_t>(2 * line) + Scratch::room_for<const std::byte*>(window_));
    for (auto& of_line : chroma_) {
      for (std::int16_t*& out : of_line) {
        out = scratch.take<std::int16_t>(line) + before;
        std::fill_n(out - before, line, std::int16_t{0});
      }
    }
    for (std::int16_t*& pairs : pairs_) pairs = scratch.take<std::int16_t>(2 * line);
    rows_ = scratch.take<const std::byte*>(window_);

    const PlaneView& luma = request_.planes[static_cast<std::size_t>(request_.layout.components[0].plane)];
    const auto height = static_cast<std::size_t>(request_.resized.height);
    for (std::size_t y = 0; y < height;) {
      const std::size_t made = make_chroma(y);
      for (std::size_t i = 0; i < made; ++i, ++y) {
        task_.luma = luma.data + (request_.crop.top + static_cast<std::ptrdiff_t>(y)) * luma.stride + request_.crop.left;
        task_.u = chroma_[i][0];
        task_.v = chroma_[i][1];
        std::byte* const row = target_.data + static_cast<std::ptrdiff_t>(y) * target_.down;
        task_.out = task_.bgr ? row - 2 : row;
        task_.ahead = y + 1 < height ? task_.luma + luma.stride : task_.luma;
        kernels_.rgb_row(task_);
        for (std::size_t pixel = 0; pixel < edge_count_; ++pixel) put_pixel(edge_pixels_[pixel], row);
      }
    }
  }

 private:
  using Weights128 = std::array<std::int8_t, 4>;

  const std::int16_t* weights_down(std::size_t y) const { return down_->weights.data() + y * window_; }
  bool copies_down(std::size_t y) const {
    const std::int16_t* weights = weights_down(y);
    return weights[0] == Taps::one && std::all_of(weights + 1, weights + window_, [](std::int16_t weight) { return weight == 0; });
  }

  /// The weights of line y for chroma rows first ... first + 3, if they are such as ChromaLinesTask takes.
  std::optional<Weights128> short_weights(std::size_t y, int first) const {
    Weights128 out{};
    int above = 0;
    const std::int16_t* weights = weights_down(y);
    for (std::size_t tap = 0; tap < window_; ++tap) {
      if (weights[tap] == 0) continue;
      const int at = down_->first[y] + static_cast<int>(tap) - first, value = weights[tap] / 128;
      if (at < 0 || at > 3 || weights[tap] % 128 != 0 || std::abs(value) > 127) return std::nullopt;
      out[static_cast<std::size_t>(at)] = static_cast<std::int8_t>(value);
      above += std::max(value, 0);
    }
    const bool fit = std::abs(out[0] + out[1]) <= 128 && std::abs(out[2] + out[3]) <= 128 && above <= 192;
    return fit ? std::optional(out) : std::nullopt;
  }

  /// Chroma lines y and, if both come of the same four rows, y + 1. \return how many.
  std::size_t make_chroma(std::size_t y) {
    const std::optional<Weights128> weights = short_weights(y, down_->first[y]);
    std::optional<Weights128> more;
    if (weights && y + 1 < static_cast<std::size_t>(request_.resized.height)) more = short_weights(y + 1, down_->first[y]);
    const int planes = step_ == 2 ? 1 : 2;
    for (int i = 0; i < planes; ++i) {
      const PixelLayout::Component& component = request_.layout.components[static_cast<std::size_t>(i + 1)];
      const PlaneView& plane = request_.planes[static_cast<std::size_t>(component.plane)];
      const std::byte* const left = plane.data + std::ptrdiff_t{across_->first_sample} * step_;
      const auto row = [&](std::size_t tap) {  // rows beyond the last have weight 0
        return left + std::min(down_->first_sample + down_->first[y] + static_cast<int>(tap), down_->last_sample - 1) * plane.stride;
      };
      const std::size_t count = samples_ * static_cast<std::size_t>(step_), number = static_cast<std::size_t>(i);
      const std::array<std::int16_t*, 2> out = step_ == 2 ? pairs_ : std::array{chroma_[0][number], chroma_[1][number]};
      if (copies_down(y)) {
        kernels_.chroma_copy(row(0), count, out[0]);
      } else if (weights) {
        kernels_.chroma_lines({.rows = {row(0), row(1), row(2), row(3)}, .weights = {*weights, more.value_or(Weights128{})}, .count = count,
                               .out = {out[0], more ? out[1] : nullptr}, .ahead = row(4)});
      } else {
        for (std::size_t tap = 0; tap < window_; ++tap) rows_[tap] = row(tap);
        kernels_.vertical_8(rows_, weights_down(y), down_->pairs, count, out[0]);
        constexpr int middle = 128 << line_fraction_bits;
        std::transform(out[0], out[0] + count, out[0], [](std::int16_t value) { return static_cast<std::int16_t>((value - middle) * 2); });
      }
    }
    const std::size_t made = more ? 2 : 1;
    for (std::size_t i = 0; i < made && step_ == 2; ++i) {
      for (const std::size_t number : {0U, 1U})
        kernels_.split(pairs_[i], request_.layout.components[number + 1].offset, 2, samples_, chroma_[i][number]);
    }
    return made;
  }

  /// The weights of an inner column, the first for sample column / 2 + offset.
  void take_weights(std::size_t column, int offset, std::array<std::int16_t, 4>& out) const {
    const std::int16_t* weights = across_->weights.data() + column * 2 * static_cast<std::size_t>(across_->pairs);
    const int first = across_->first[column] - static_cast<int>(column / 2) - offset;
    for (int i = 0; i < 2 * across_->pairs; ++i) {
      if (weights[i] == Taps::one) return out.fill(0);  // the sample itself
      if (weights[i] != 0) out[static_cast<std::size_t>(first + i)] = static_cast<std::int16_t>(2 * weights[i]);
    }
  }

  /// Pixels whose windows are cut off and so have other weights than the inner ones; and the last one of an odd width, which vectors leave.
  void find_edge_pixels() {
    constexpr std::size_t reach = 5;
    for (std::size_t x = 0; x < task_.width; x = x + 1 == reach ? task_.width - reach : x + 1) {
      const std::size_t row = 2 * static_cast<std::size_t>(across_->pairs), inner = task_.halved ? 8 + x % 2 : 8;
      const std::int16_t* const mine = across_->weights.data() + x * row;
      const int moved = static_cast<int>(task_.halved ? x / 2 : x) - static_cast<int>(task_.halved ? inner / 2 : inner);
      const bool same = std::equal(mine, mine + row, across_->weights.data() + inner * row) && across_->first[x] - across_->first[inner] == moved;
      if (!same || x + 1 == task_.width) edge_pixels_[edge_count_++] = x;
    }
  }

  void put_pixel(std::size_t x, std::byte* row) const {
    const std::int16_t* weights = across_->weights.data() + x * 2 * static_cast<std::size_t>(across_->pairs);
    const int first = across_->first[x];
    std::int32_t u = 0, v = 0;
    for (int i = 0; i < 2 * across_->pairs && first + i < static_cast<int>(samples_); ++i) {
      u += weights[i] * task_.u[first + i];
      v += weights[i] * task_.v[first + i];
    }
    constexpr float unit = 1.0F / (1 << (Taps::fraction_bits + 7));
    const auto luma = static_cast<float>(std::to_integer<int>(task_.luma[x]));
    for (std::size_t c = 0; c < 3; ++c) {
      const auto& m = matrix_[c];
      const float value = m[3] + 128 * (m[1] + m[2]) + m[0] * luma + unit * (m[1] * static_cast<float>(u) + m[2] * static_cast<float>(v));
      row[static_cast<std::ptrdiff_t>(3 * x) + static_cast<std::ptrdiff_t>(c) * target_.channel] =
          static_cast<std::byte>(static_cast<int>(std::clamp(value, 0.0F, 255.0F) + 0.5F));
    }
  }

  const PlaneRequest& request_;
  const PlaneTarget& target_;
  const Kernels& kernels_ = kernels();
  std::shared_ptr<const Taps> across_, down_;
  int step_ = 1;
  std::size_t samples_ = 0;  // of a chroma line
  std::size_t window_ = 2;   // rows of a line's window
  std::array<std::size_t, 10> edge_pixels_{};
  std::size_t edge_count_ = 0;
  std::array<std::array<std::int16_t*, 2>, 2> chroma_{};  // of two lines
  std::array<std::int16_t*, 2> pairs_{};                  // the same with U and V side by side
  const std::byte** rows_ = nullptr;
  ColourMatrix matrix_{};
  RgbRowTask task_{};
};

/// As cv2.VideoCapture and cv2.resize do it: RGB of 8 bits first, then resized. Only rows that the window needs are made.
void convert_as_opencv(const PlaneRequest& request, const PlaneTarget& target) {
  const PixelLayout& from = request.layout;
  const Size coded = request.planes.front().size;
  const Size cropped{coded.width - request.crop.left - request.crop.right, coded.height - request.crop.top - request.crop.bottom};
  const auto pixels = static_cast<std::size_t>(cropped.width) * static_cast<std::size_t>(cropped.height);
  const std::shared_ptr<std::byte> memory = take_pixel_buffer(3 * pixels);
  std::array<PlaneView, 3> rgb;
  for (std::size_t i = 0; i < 3; ++i) rgb[i] = {memory.get() + i * pixels, cropped.width, cropped};

  const auto down = cached_taps({.length = cropped.height,
                                 .resized = request.resized.height,
                                 .begin = request.window.y,
                                 .end = request.window.y + request.window.height,
                                 .filter = request.filter,
                                 .mode = request.mode});
  const bool full_range = resolve_colour(from, request.colour, coded, request.mode).full_range;
  int next = down->first_sample;
  for (int output = 0; output < request.window.height; ++output) {
    const int first = down->first_sample + down->first[static_cast<std::size_t>(output)];
    const int end = std::min(first + 2 * down->pairs, down->last_sample);
    for (next = std::max(next, first); next < end; ++next) {
      std::array<std::uint8_t*, 3> out;
      for (std::size_t i = 0; i < 3; ++i) out[i] = reinterpret_cast<std::uint8_t*>(memory.get() + i * pixels) + std::ptrdiff_t{next} * cropped.width;
      opencv_rgb_row(request.planes, from, full_range, request.crop.top + next, request.crop.left, cropped.width, out);
    }
  }
  PixelLayout layout{.model = PixelLayout::Model::rgb, .full_range = true};
  for (int i = 0; i < 3; ++i) layout.components[static_cast<std::size_t>(i)].plane = i;
  PlaneRequest resize{.planes = rgb, .pixel_format = request.pixel_format, .layout = layout};
  resize.mode = request.mode;
  resize.filter = request.filter;
  resize.resized = request.resized;
  resize.window = request.window;
  Conversion(resize, target).run();
}

}  // namespace

void convert_planes(const PlaneRequest& request, const PlaneTarget& target) {
  if (request.window.width < 1 || request.window.height < 1) return;
  check_planes(request);
  if (request.mode == ColourMode::opencv_compat && request.layout.model == PixelLayout::Model::yuv) convert_as_opencv(request, target);
  else if (FullSizeRgb::serves(request, target, kernels()) && FullSizeRgb::suits(request)) FullSizeRgb(request, target).run();
  else Conversion(request, target).run();
}

}  // namespace v0
}  // namespace vidloom
