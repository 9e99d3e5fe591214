#include <adapters/torch/transformer.hpp>

#include <imaging/mapped_memory.hpp>

#include <algorithm>

namespace vidloom {
inline namespace v0 {
namespace {

constexpr std::size_t round_up(std::size_t value, std::size_t to) noexcept { return (value + to - 1) / to * to; }

// Rows that go by a panel in one piece of work: at a depth of 1024 they and the panel stay in half a megabyte of cache.
constexpr std::size_t rows_at_once = 96;
// Query rows whose scores are in memory at once.
constexpr std::size_t queries_at_once = 48;

}  // namespace

float* FloatBuffer::ask(std::size_t floats) {
  if (floats > floats_) {
    memory_.reset();
    memory_ = map_memory(floats * sizeof(float));
    floats_ = floats;
  }
  return reinterpret_cast<float*>(memory_.get());
}

PackedLinear::PackedLinear(const TowerKernels& kernels, Team& team, std::size_t outputs, std::size_t inputs,
                           const std::function<void(std::size_t, std::span<float>)>& row, std::vector<float> bias)
    : kernels_(&kernels), outputs_(outputs), inputs_(inputs), bias_(std::move(bias)) {
  const std::size_t width = kernels.panel_width, count = round_up(outputs, width) / width;
  panels_ = map_memory(count * width * inputs * sizeof(float));
  float* const panels = reinterpret_cast<float*>(panels_.get());
  std::vector<FloatBuffer> rows(team.width());
  for (auto& buffer : rows) buffer.ask(width * inputs);
  team.run(count, [&](std::size_t index, unsigned member) noexcept {
    float* const block = rows[member].ask(width * inputs);
    const std::size_t there = std::min(width, outputs - index * width);
    for (std::size_t j = 0; j < there; ++j) row(index * width + j, {block + j * inputs, inputs});
    float* to = panels + index * width * inputs;
    for (std::size_t k = 0; k < inputs; ++k, to += width) {
      for (std::size_t j = 0; j < there; ++j) to[j] = block[j * inputs + k];
    }
  });
}

void PackedLinear::operator()(Team& team, const float* a, std::size_t a_stride, std::size_t rows, float* c, std::size_t c_stride,
                              Activation activation, const float* residual) const noexcept {
  const std::size_t width = kernels_->panel_width, panels = round_up(outputs_, width) / width;
  const std::size_t blocks = (rows + rows_at_once - 1) / rows_at_once;
  // Pieces small enough that whoever is last is not late by much, and large enough that taking one costs nothing.
  const std::size_t group = std::clamp<std::size_t>(panels * blocks / (std::size_t{team.width()} * 8), 1, 8), groups = (panels + group - 1) / group;
  const float* const all = reinterpret_cast<const float*>(panels_.get());
  team.run(blocks * groups, [&](std::size_t piece, unsigned) noexcept {
    const std::size_t block = piece / groups, first = piece % groups * group;
    const std::size_t from = rows * block / blocks, to = rows * (block + 1) / blocks;
    for (std::size_t panel = first; panel < std::min(first + group, panels); ++panel) {
      const std::size_t column = panel * width;
      kernels_->multiply({.a = a + from * a_stride,
                          .a_stride = a_stride,
                          .panel = all + column * inputs_,
                          .depth = inputs_,
                          .c = c + from * c_stride + column,
                          .c_stride = c_stride,
                          .rows = to - from,
                          .columns = std::min(width, outputs_ - column),
                          .bias = bias_.empty() ? nullptr : bias_.data() + column,
                          .residual = residual ? residual + from * c_stride + column : nullptr,
                          .activation = activation});
    }
  });
}

/// Softmax(Q K^T) V for every head of every sequence. Of a head the keys are packed as the panels of one product, the values as
/// those of a second.
void Transformer::attend(const TowerKernels& kernels, Team& team, Workspace& workspace, std::span<const Sequence> sequences,
                         bool only_wanted, const float* queries, const float* keys_values, float* mixed) const {
  const std::size_t size = width / heads, panel = kernels.panel_width;
  std::size_t longest = 0;
  for (const Sequence& sequence : sequences) longest = std::max(longest, sequence.length);
  const std::size_t padded = round_up(longest, panel), values = round_up(size, panel);
  const std::size_t need = padded * size + values * longest + queries_at_once * padded;
  for (auto& scratch : workspace.scratch) scratch.ask(need);
  team.run(sequences.size() * heads, [&](std::size_t index, unsigned member) noexcept {
    const std::size_t which = index / heads, head = index % heads;
    const Sequence& sequence = sequences[which];
    float* const key_panels = workspace.scratch[member].ask(need);
    float* const value_panels = key_panels + padded * size;
    float* const scores = value_panels + values * longest;
    const std::size_t row = 2 * width;
    const float* const keys = keys_values + sequence.first * row + head * size;
    // Causal, and only one row is asked for: later keys cannot reach it.
    const std::size_t length = causal && only_wanted ? sequence.wanted + 1 : sequence.length, columns = round_up(length, panel);
    for (std::size_t token = 0; token < columns; ++token) {
      float* to = key_panels + token / panel * panel * size + token % panel;
      for (std::size_t d = 0; d < size; ++d, to += panel) *to = token < length ? keys[token * row + d] : 0;
    }
    for (std::size_t token = 0; token < length; ++token) {
      const float* const from = keys + width + token * row;
      for (std::size_t d = 0; d < size; d += panel) {
        float* const to = value_panels + d * length + token * panel;
        const std::size_t there = std::min(panel, size - d);
        std::copy_n(from + d, there, to);
        std::fill(to + there, to + panel, 0.0F);
      }
    }
    const std::size_t first = only_wanted ? sequence.wanted : 0, end = only_wanted ? sequence.wanted + 1 : sequence.length;
    for (std::size_t begin = first; begin < end; begin += queries_at_once) {
      const std::size_t rows = std::min(queries_at_once, end - begin);
      const std::size_t at = only_wanted ? which : sequence.first + begin;
      for (std::size_t column = 0; column < columns; column += panel) {
        kernels.multiply({.a = queries + at * width + head * size,
                          .a_stride = width,
                          .panel = key_panels + column * size,
                          .depth = size,
                          .c = scores + column,
                          .c_stride = columns,
                          .rows = rows,
                          .columns = panel});
      }
      for (std::size_t i = 0; i < rows; ++i) kernels.softmax(scores + i * columns, causal ? begin + i + 1 : length, columns);
      for (std::size_t d = 0; d < size; d += panel) {
        kernels.multiply({.a = scores,
                          .a_stride = columns,
                          .panel = value_panels + d * length,
                          .depth = length,
                          .c = mixed + at * width + head * size + d,
                          .c_stride = width,
                          .rows = rows,
                          .columns = std::min(panel, size - d)});
      }
    }
  });
}

void Transformer::run(const TowerKernels& kernels, Team& team, Workspace& workspace, float* x, std::size_t rows,
                      std::span<const Sequence> sequences, float* out) const {
  float* const normed = workspace.normed.ask(rows * width);
  float* const mixed = workspace.mixed.ask(rows * width);
  float* const queries = workspace.heads.ask(rows * width * 3);
  float* const keys_values = queries + rows * width;
  std::size_t hidden = 0;
  for (const auto& layer : layers) hidden = std::max(hidden, layer.up.outputs());
  float* const wide = workspace.wide.ask(rows * hidden);

  const auto normalise = [&](const LayerNorm& norm, const float* from, std::size_t count) {
    constexpr std::size_t at_once = 16;
    team.run((count + at_once - 1) / at_once, [&](std::size_t piece, unsigned) noexcept {
      const std::size_t first = piece * at_once;
      kernels.layer_norm(from + first * width, std::min(at_once, count - first), width, norm.gain.data(), norm.bias.data(), epsilon,
                         normed + first * width);
    });
  };
  for (std::size_t index = 0; index < layers.size(); ++index) {
    const TransformerLayer& layer = layers[index];
    // After the last layer only one row of each sequence is looked at: its keys and values are of all rows, the rest is of that one.
    const bool last_layer = index + 1 == layers.size();
    normalise(layer.before_attention, x, rows);
    layer.key_value(team, normed, width, rows, keys_values, 2 * width);
    if (last_layer) {
      float* const wanted = workspace.wanted.ask(sequences.size() * width);
      for (std::size_t i = 0; i < sequences.size(); ++i) {
        const std::size_t row = sequences[i].first + sequences[i].wanted;
        std::copy_n(x + row * width, width, wanted + i * width);
      }
      normalise(layer.before_attention, wanted, sequences.size());
      x = wanted;
      rows = sequences.size();
    }
    layer.query(team, normed, width, rows, queries, width);
    attend(kernels, team, workspace, sequences, last_layer, queries, keys_values, mixed);
    layer.output(team, mixed, width, rows, x, width, Activation::none, x);
    normalise(layer.before_mlp, x, rows);
    layer.up(team, normed, width, rows, wide, layer.up.outputs(), activation);
    layer.down(team, wide, layer.down.inputs(), rows, x, width, Activation::none, x);
  }
  normalise(last, x, rows);
  projection(team, normed, width, rows, out, projection.outputs());
}

}  // namespace v0
}  // namespace vidloom
