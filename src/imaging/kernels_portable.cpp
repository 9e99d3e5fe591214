// The kernels in plain C++, for any processor. Loops are shaped so that compilers vectorise them for what they are told.
#include <imaging/half.hpp>
#include <imaging/kernels.hpp>
#include <imaging/taps.hpp>

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace vidloom {
inline namespace v0 {
namespace {

constexpr std::size_t lines_of_block = 8;
constexpr std::size_t chunk = 64;  // sums that stay in the first cache

std::int16_t saturated(std::int32_t value) noexcept { return static_cast<std::int16_t>(std::clamp(value, -32768, 32767)); }

template <class Load>
void vertical(const Load& load, const std::int16_t* weights, int pairs, std::size_t count, int shift, std::int16_t* out) noexcept {
  const std::int32_t half = 1 << (shift - 1);
  for (std::size_t begin = 0; begin < count; begin += chunk) {
    const std::size_t length = std::min(chunk, count - begin);
    std::int32_t sums[chunk];
    std::fill_n(sums, length, half);
    for (std::size_t row = 0; row < 2 * static_cast<std::size_t>(pairs); ++row) {
      const std::int32_t weight = weights[row];
      if (weight == 0) continue;
      for (std::size_t i = 0; i < length; ++i) sums[i] += weight * load(row, begin + i);
    }
    for (std::size_t i = 0; i < length; ++i) out[begin + i] = saturated(sums[i] >> shift);
  }
}

void vertical_8(const std::byte* const* rows, const std::int16_t* weights, int pairs, std::size_t count, std::int16_t* out) {
  constexpr int shift = Taps::fraction_bits - line_fraction_bits;
  vertical([rows](std::size_t row, std::size_t at) { return std::to_integer<std::int32_t>(rows[row][at]); }, weights, pairs, count, shift, out);
}

void vertical_16(const std::byte* const* rows, const std::int16_t* weights, int pairs, std::size_t count, int shift_in, int depth,
                 std::int16_t* out) {
  const auto load = [rows, shift_in](std::size_t row, std::size_t at) {
    const std::byte* sample = rows[row] + 2 * at;
    return (std::to_integer<std::int32_t>(sample[0]) | std::to_integer<std::int32_t>(sample[1]) << 8) >> shift_in;
  };
  vertical(load, weights, pairs, count, Taps::fraction_bits - line_fraction_bits + depth - 8, out);
}

void split(const std::int16_t* line, int offset, int step, std::size_t count, std::int16_t* out) {
  line += offset;
  for (std::size_t i = 0; i < count; ++i, line += step) out[i] = *line;
}

void interleave(const std::int16_t* const* lines, std::size_t pairs, std::int16_t* block) {
  for (std::size_t line = 0; line < lines_of_block; ++line) {
    const std::int16_t* from = lines[line];
    for (std::size_t pair = 0; pair < pairs; ++pair) std::memcpy(block + (pair * lines_of_block + line) * 2, from + 2 * pair, 4);
  }
}

/// One column of one component, all lines.
void horizontal(const FinishInput& input, std::size_t column, float* out) noexcept {
  const std::int16_t* weights = input.weights + column * 2 * static_cast<std::size_t>(input.pairs);
  const std::int16_t* samples = input.block + static_cast<std::size_t>(input.first[column]) * lines_of_block;
  std::int32_t sums[lines_of_block] = {};
  for (int pair = 0; pair < input.pairs; ++pair, weights += 2, samples += 2 * lines_of_block) {
    for (std::size_t line = 0; line < lines_of_block; ++line) {
      sums[line] += std::int32_t{weights[0]} * samples[2 * line] + std::int32_t{weights[1]} * samples[2 * line + 1];
    }
  }
  for (std::size_t line = 0; line < lines_of_block; ++line) out[line] = static_cast<float>(sums[line]);
}

template <class T, class Encode>
void finish_as(const FinishTask& task, const Encode& encode) noexcept {
  float values[3][lines_of_block];
  for (std::size_t column = 0; column < static_cast<std::size_t>(task.columns); ++column) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(task.input_count); ++i) horizontal(task.inputs[i], column, values[i]);
    for (std::size_t channel = 0; channel < static_cast<std::size_t>(task.output_count); ++channel) {
      const std::array<float, 4>& row = task.matrix[channel];
      std::byte* out = task.out[channel] + column * sizeof(T);
      for (std::size_t line = 0; line < static_cast<std::size_t>(task.lines); ++line, out += task.out_stride) {
        float value = row[3] + row[0] * values[0][line];
        if (task.input_count == 3) value += row[1] * values[1][line] + row[2] * values[2][line];
        value = std::min(std::max(value, 0.0F), 255.0F);
        const T encoded = encode(value, task.scale[channel], task.bias[channel]);
        std::memcpy(out, &encoded, sizeof encoded);
      }
    }
  }
}

void finish(const FinishTask& task) {
  switch (task.dtype) {
    case FinishTask::DType::u8:
      return finish_as<std::uint8_t>(task, [](float value, float, float) { return static_cast<std::uint8_t>(value + 0.5F); });
    case FinishTask::DType::f16:
      return finish_as<std::uint16_t>(task, [](float value, float scale, float bias) { return to_half(value * scale + bias); });
    case FinishTask::DType::bf16:
      return finish_as<std::uint16_t>(task, [](float value, float scale, float bias) { return to_bfloat16(value * scale + bias); });
    case FinishTask::DType::f32: return finish_as<float>(task, [](float value, float scale, float bias) { return value * scale + bias; });
  }
}

}  // namespace

const Kernels& portable_kernels() noexcept {
  static constexpr Kernels set{.name = "portable", .lines = lines_of_block, .vertical_8 = vertical_8, .vertical_16 = vertical_16,
                               .lines_8 = nullptr, .split = split, .interleave = interleave, .finish = finish,
                               .rgb_row = nullptr, .chroma_lines = nullptr, .chroma_copy = nullptr, .opencv_row = nullptr, .pack = nullptr};
  return set;
}

}  // namespace v0
}  // namespace vidloom
