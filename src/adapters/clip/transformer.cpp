#include <adapters/clip/transformer.hpp>

#include <imaging/mapped_memory.hpp>

#include <sys/mman.h>

#include <algorithm>

namespace vidloom {
inline namespace v0 {
namespace {

constexpr std::size_t round_up(std::size_t value, std::size_t to) noexcept { return (value + to - 1) / to * to; }

// Rows that go by a panel in one piece of work: few enough to stay in a second-level cache beside it, and many enough that all panels are
// not fetched more often than need be. Of floats, whose products are made in passes over their depth, always as many.
constexpr std::size_t rows_at_once = 144, fewest_rows_at_once = 72;
std::size_t rows_by_a_panel(const Arithmetic& arithmetic, std::size_t row_bytes) noexcept {
  return arithmetic.narrow ? std::max(fewest_rows_at_once, arithmetic.narrow->cached_bytes / row_bytes) : rows_at_once;
}
// Query rows whose scores are in memory at once.
constexpr std::size_t queries_at_once = 48;

// Heads of a sequence whose attention in narrow numbers is one piece of work.
constexpr std::size_t heads_at_once = 3;
// Rows that one piece of work writes of an operand.
constexpr std::size_t rows_written_at_once = 16;

/// \param from  rows of floats, or of bf16 where `halves` says so
void narrow_all(const Arithmetic& arithmetic, Team& team, const Operand& from, bool halves, std::size_t rows, OperandBuffer& to) noexcept {
  team.run((rows + rows_written_at_once - 1) / rows_written_at_once, [&](std::size_t piece, unsigned) noexcept {
    const std::size_t first = piece * rows_written_at_once, count = std::min(rows_written_at_once, rows - first);
    if (halves) to.write_halves(arithmetic, from, first, count);
    else to.write(arithmetic, reinterpret_cast<const float*>(from.data + first * from.stride), first, count);
  });
}

/// Memory for a matrix that every picture walks through from end to end: in large pages where the system has them, for of small ones
/// a tower holds more than a processor knows the places of. All zero, 64-byte aligned.
std::shared_ptr<std::byte> map_weights(std::size_t bytes) {
  constexpr std::size_t large_page = std::size_t{2} << 20;
  if (bytes >= large_page) {
    void* const pages = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages != MAP_FAILED) {
      (void)::madvise(pages, bytes, MADV_HUGEPAGE);
      return {static_cast<std::byte*>(pages), [bytes](std::byte* data) { ::munmap(data, bytes); }};
    }
  }
  return map_memory(bytes);
}

}  // namespace

float* FloatBuffer::ask(std::size_t floats) {
  if (floats > floats_) {
    memory_.reset();
    memory_ = map_memory(floats * sizeof(float));
    floats_ = floats;
  }
  return reinterpret_cast<float*>(memory_.get());
}

void OperandBuffer::ask(const Arithmetic& arithmetic, std::size_t rows, std::size_t width) {
  width_ = width;
  // An odd number of cache lines from row to row: those of a tile then do not compete for the same places of the first-level cache.
  const std::size_t bytes = arithmetic.narrow ? round_up(round_up(width, arithmetic.narrow->panel_width), 64) * 4 / arithmetic.narrow->numbers_in_word
                                              : width * sizeof(float);
  stride_ = (round_up(bytes, 64) / 64 | 1) * 64;
  const std::size_t scales = arithmetic.narrow ? rows * sizeof(RowScale) : 0;
  data_ = reinterpret_cast<std::byte*>(memory_.ask((rows * stride_ + scales + sizeof(float) - 1) / sizeof(float)));
  scales_ = arithmetic.narrow ? reinterpret_cast<RowScale*>(data_ + rows * stride_) : nullptr;
}

void OperandBuffer::write(const Arithmetic& arithmetic, const float* from, std::size_t first, std::size_t count) noexcept {
  if (arithmetic.narrow) {
    arithmetic.narrow->narrow(from, width_, count, width_, data_ + first * stride_, stride_, scales_ + first);
  } else {
    for (std::size_t i = 0; i < count; ++i) std::copy_n(from + i * width_, width_, reinterpret_cast<float*>(data_ + (first + i) * stride_));
  }
}

void OperandBuffer::write_halves(const Arithmetic& arithmetic, const Operand& from, std::size_t first, std::size_t count) noexcept {
  arithmetic.narrow->narrow_halves(from.data + first * from.stride, from.stride, count, width_, data_ + first * stride_, stride_, scales_ + first);
}

PackedLinear::PackedLinear(const Arithmetic& arithmetic, Team& team, std::size_t outputs, std::size_t inputs,
                           const std::function<void(std::size_t, std::span<float>)>& row, std::vector<float> bias)
    : arithmetic_(arithmetic), outputs_(outputs), inputs_(inputs), bias_(std::move(bias)) {
  const NarrowKernels* const narrow = arithmetic.narrow;
  const std::size_t width = panel_width_ = narrow ? narrow->panel_width : arithmetic.wide->panel_width, count = round_up(outputs, width) / width;
  panel_bytes_ = narrow ? round_up(inputs, words_in_line * narrow->numbers_in_word) / narrow->numbers_in_word * 4 * width : inputs * width * sizeof(float);
  panels_ = map_weights(count * panel_bytes_);
  if (narrow) {
    scales_.resize(count * 2 * width);
    bias_.resize(count * width);
  }
  std::vector<FloatBuffer> rows(team.width());
  for (auto& buffer : rows) buffer.ask(width * inputs);
  team.run(count, [&](std::size_t index, unsigned member) noexcept {
    fill(index, rows[member].ask(width * inputs), panels_.get() + index * panel_bytes_, scales_.data() + index * 2 * width, row);
  });
}

PackedLinear::PackedLinear(const TowerKernels& kernels, std::size_t outputs, std::size_t inputs, std::function<void(std::size_t, std::span<float>)> row,
                           std::vector<float> bias, std::shared_ptr<std::vector<FloatBuffer>> scratch)
    : arithmetic_{&kernels}, outputs_(outputs), inputs_(inputs), panel_width_(kernels.panel_width), panel_bytes_(inputs * kernels.panel_width * sizeof(float)),
      bias_(std::move(bias)), row_(std::move(row)), scratch_(std::move(scratch)) {}

/// \param block  room for the rows of a panel; \param scales  of narrow weights
void PackedLinear::fill(std::size_t index, float* block, std::byte* panel, float* scales, const std::function<void(std::size_t, std::span<float>)>& row) const noexcept {
  const std::size_t there = std::min(panel_width_, outputs_ - index * panel_width_);
  for (std::size_t j = 0; j < there; ++j) row(index * panel_width_ + j, {block + j * inputs_, inputs_});
  if (arithmetic_.narrow) return arithmetic_.narrow->pack(block, there, inputs_, panel, scales);
  if (there < panel_width_) std::fill_n(panel, panel_bytes_, std::byte{0});
  arithmetic_.wide->transpose(block, inputs_, there, inputs_, reinterpret_cast<float*>(panel), panel_width_);
}

/// Rows [from, to) by one panel.
void PackedLinear::multiply_panel(const std::byte* panel, std::size_t index, const std::byte* next, const Operand& a, std::size_t from, std::size_t to,
                                  std::byte* c, std::size_t c_stride, Activation activation, const float* residual, bool narrow_c) const noexcept {
  const std::size_t column = index * panel_width_, columns = std::min(panel_width_, outputs_ - column);
  std::byte* const answer = c + from * c_stride + column * (narrow_c ? 2 : sizeof(float));
  const float* const more = residual ? residual + from * (c_stride / sizeof(float)) + column : nullptr;
  if (arithmetic_.narrow) {
    arithmetic_.narrow->multiply({.a = a.data + from * a.stride,
                                  .a_stride = a.stride,
                                  .a_scale = a.scales + from,
                                  .panel = panel,
                                  .panel_scale = scales_.data() + 2 * column,
                                  .words = panel_bytes_ / (4 * panel_width_),
                                  .c = answer,
                                  .c_stride = c_stride,
                                  .rows = to - from,
                                  .columns = columns,
                                  .bias = bias_.data() + column,
                                  .residual = more,
                                  .activation = activation,
                                  .narrow_c = narrow_c,
                                  .next = next});
  } else {
    arithmetic_.wide->multiply({.a = reinterpret_cast<const float*>(a.data + from * a.stride),
                                .a_stride = a.stride / sizeof(float),
                                .panel = reinterpret_cast<const float*>(panel),
                                .depth = inputs_,
                                .c = reinterpret_cast<float*>(answer),
                                .c_stride = c_stride / sizeof(float),
                                .rows = to - from,
                                .columns = columns,
                                .bias = bias_.empty() ? nullptr : bias_.data() + column,
                                .residual = more,
                                .activation = activation,
                                .next = reinterpret_cast<const float*>(next)});
  }
}

void PackedLinear::multiply(Team& team, const Operand& a, std::size_t rows, std::byte* c, std::size_t c_stride, Activation activation,
                            const float* residual, bool narrow_c) const noexcept {
  const std::size_t panels = round_up(outputs_, panel_width_) / panel_width_, at_once = rows_by_a_panel(arithmetic_, a.stride), blocks = (rows + at_once - 1) / at_once;
  if (!panels_) {
    // All rows by a panel while it is there.
    const std::size_t block_floats = panel_width_ * inputs_;
    for (auto& scratch : *scratch_) scratch.ask(2 * block_floats);
    return team.run(panels, [&](std::size_t index, unsigned member) noexcept {
      float* const block = (*scratch_)[member].ask(2 * block_floats);
      std::byte* const panel = reinterpret_cast<std::byte*>(block + block_floats);
      fill(index, block, panel, nullptr, row_);
      for (std::size_t i = 0; i < blocks; ++i) {
        multiply_panel(panel, index, nullptr, a, rows * i / blocks, rows * (i + 1) / blocks, c, c_stride, activation, residual, narrow_c);
      }
    });
  }
  team.run_in_rows(blocks * panels, [&](std::size_t piece, unsigned) noexcept {
    const std::size_t block = piece / panels, index = piece % panels;
    const std::byte* const next = piece + 1 < blocks * panels ? panels_.get() + (index + 1) % panels * panel_bytes_ : nullptr;
    multiply_panel(panels_.get() + index * panel_bytes_, index, next, a, rows * block / blocks, rows * (block + 1) / blocks, c, c_stride, activation,
                   residual, narrow_c);
  });
}

void PackedLinear::operator()(Team& team, const Operand& a, std::size_t rows, float* c, std::size_t c_stride, Activation activation,
                              const float* residual) const noexcept {
  multiply(team, a, rows, reinterpret_cast<std::byte*>(c), c_stride * sizeof(float), activation, residual, false);
}

void PackedLinear::operator()(Team& team, const Operand& a, std::size_t rows, OperandBuffer& c, FloatBuffer& scratch, Activation activation) const {
  c.ask(arithmetic_, rows, outputs_);
  if (!arithmetic_.narrow || arithmetic_.narrow->gives_narrow) {
    return multiply(team, a, rows, c.data(), c.stride(), activation, nullptr, arithmetic_.narrow != nullptr);
  }
  const std::size_t stride = outputs_ * sizeof(float);
  std::byte* const answer = reinterpret_cast<std::byte*>(scratch.ask(rows * outputs_));
  multiply(team, a, rows, answer, stride, activation, nullptr, false);
  narrow_all(arithmetic_, team, {answer, stride}, false, rows, c);
}

void PackedLinear::as_bf16(Team& team, const Operand& a, std::size_t rows, std::byte* c, std::size_t c_stride) const noexcept {
  multiply(team, a, rows, c, c_stride, Activation::none, nullptr, true);
}

/// Softmax(Q K^T) V for every head of every sequence. Of a head the keys are packed as the panels of one product; the values are those
/// of a second as they lie.
void Transformer::attend(const TowerKernels& kernels, Team& team, Workspace& workspace, std::span<const Sequence> sequences,
                         bool only_wanted, const float* queries, const float* keys_values, std::size_t row, float* mixed) const {
  const std::size_t size = width / heads, panel = kernels.small_width;
  std::size_t longest = 0;
  for (const Sequence& sequence : sequences) longest = std::max(longest, sequence.length);
  const std::size_t padded = round_up(longest, panel), need = padded * size + queries_at_once * padded;
  for (auto& scratch : workspace.scratch) scratch.ask(need);
  team.run(sequences.size() * heads, [&](std::size_t index, unsigned member) noexcept {
    const std::size_t which = index / heads, head = index % heads;
    const Sequence& sequence = sequences[which];
    float* const key_panels = workspace.scratch[member].ask(need);
    float* const scores = key_panels + padded * size;
    const float* const keys = keys_values + sequence.first * row + head * size;
    // Causal, and only one row is asked for: later keys cannot reach it.
    const std::size_t length = causal && only_wanted ? sequence.wanted + 1 : sequence.length, columns = round_up(length, panel);
    // What stands in the columns behind the last key is of no matter: the softmax puts zeros in place of their scores.
    for (std::size_t token = 0; token < length; token += panel) {
      kernels.transpose(keys + token * row, row, std::min(panel, length - token), size, key_panels + token * size, panel);
    }
    const std::size_t first = only_wanted ? sequence.wanted : 0, end = only_wanted ? sequence.wanted + 1 : sequence.length;
    for (std::size_t begin = first; begin < end; begin += queries_at_once) {
      const std::size_t rows = std::min(queries_at_once, end - begin);
      const std::size_t at = only_wanted ? which : sequence.first + begin;
      for (std::size_t column = 0; column < columns; column += panel) {
        kernels.multiply_small({.a = queries + at * width + head * size,
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
        kernels.multiply_small({.a = scores,
                                .a_stride = columns,
                                .panel = keys + width + d,
                                .depth = length,
                                .c = mixed + at * width + head * size + d,
                                .c_stride = width,
                                .rows = rows,
                                .columns = std::min(panel, size - d),
                                .panel_stride = row});
      }
    }
  });
}

void Transformer::attend_narrow(const NarrowKernels& kernels, Team& team, Workspace& workspace, std::span<const Sequence> sequences, bool only_wanted,
                                const Operand& queries, const Operand& keys_values, std::byte* mixed, std::size_t mixed_stride) const {
  const std::size_t size = width / heads, pieces = (heads + heads_at_once - 1) / heads_at_once;
  std::size_t longest = 0;
  for (const Sequence& sequence : sequences) longest = std::max(longest, sequence.length);
  const std::size_t need = attention_scratch(longest, size) / sizeof(float);
  for (auto& scratch : workspace.scratch) scratch.ask(need);
  team.run(sequences.size() * pieces, [&](std::size_t index, unsigned member) noexcept {
    const std::size_t which = index / pieces, head = index % pieces * heads_at_once, row = only_wanted ? which : sequences[which].first;
    const std::byte* const keys = keys_values.data + sequences[which].first * keys_values.stride + head * size * 2;
    kernels.attend({.queries = queries.data + row * queries.stride + head * size * 2,
                    .query_stride = queries.stride,
                    .rows = only_wanted ? 1 : sequences[which].length,
                    .keys = keys,
                    .values = keys + width * 2,
                    .key_stride = keys_values.stride,
                    .length = sequences[which].length,
                    .size = size,
                    .heads = std::min(heads_at_once, heads - head),
                    .mixed = mixed + row * mixed_stride + head * size * 2,
                    .mixed_stride = mixed_stride,
                    .scratch = reinterpret_cast<std::byte*>(workspace.scratch[member].ask(need))});
  });
}

void Transformer::run(const Arithmetic& arithmetic, Team& team, Workspace& workspace, float* x, std::size_t rows,
                      std::span<const Sequence> sequences, float* out) const {
  const TowerKernels& kernels = *arithmetic.wide;
  float* const mixed = workspace.mixed.ask(rows * width);
  const bool narrow_attention = arithmetic.narrow && arithmetic.narrow->attend && !causal && width / heads % attention_size == 0;
  // An odd number of cache lines from row to row, and room for the last panel of the last row: see OperandBuffer.
  const std::size_t number = narrow_attention ? 2 : sizeof(float), q_stride = width * number, kv_stride = (round_up(2 * q_stride, 64) / 64 | 1) * 64;
  const std::size_t q_bytes = round_up(narrow_attention ? rows + attention_rows : rows, 32) * q_stride;
  std::byte* const queries = reinterpret_cast<std::byte*>(workspace.heads.ask((q_bytes + rows * kv_stride) / sizeof(float) + kernels.small_width));
  std::byte* const keys_values = queries + q_bytes;
  OperandBuffer& normed = workspace.normed;

  const auto layer_norm = arithmetic.narrow && arithmetic.narrow->layer_norm ? arithmetic.narrow->layer_norm : kernels.layer_norm;
  const auto normalise = [&](const LayerNorm& norm, const float* from, std::size_t count) {
    normed.ask(arithmetic, count, width);
    for (auto& scratch : workspace.scratch) scratch.ask(width);
    team.run((count + rows_written_at_once - 1) / rows_written_at_once, [&](std::size_t piece, unsigned member) noexcept {
      const std::size_t first = piece * rows_written_at_once, end = std::min(first + rows_written_at_once, count);
      float* const normal = workspace.scratch[member].ask(width);
      for (std::size_t row = first; row < end; ++row) {
        layer_norm(from + row * width, 1, width, norm.gain.data(), norm.bias.data(), epsilon, normal);
        normed.write(arithmetic, normal, row, 1);
      }
    });
  };
  const auto multiply = [&](const PackedLinear& weights, std::byte* to, std::size_t stride) {
    if (narrow_attention) return weights.as_bf16(team, normed, rows, to, stride);
    weights(team, normed, rows, reinterpret_cast<float*>(to), stride / sizeof(float));
  };
  for (std::size_t index = 0; index < layers.size(); ++index) {
    const TransformerLayer& layer = layers[index];
    // After the last layer only one row of each sequence is looked at: its keys and values are of all rows, the rest is of that one.
    const bool last_layer = index + 1 == layers.size();
    normalise(layer.before_attention, x, rows);
    multiply(layer.key_value, keys_values, kv_stride);
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
    multiply(layer.query, queries, q_stride);
    Operand attended{reinterpret_cast<const std::byte*>(mixed), width * number};
    if (arithmetic.narrow) workspace.mixed_operand.ask(arithmetic, rows, width);
    if (narrow_attention) {
      const bool at_once = arithmetic.narrow->gives_narrow;  // as the next product takes it
      attend_narrow(*arithmetic.narrow, team, workspace, sequences, last_layer, {queries, q_stride}, {keys_values, kv_stride},
                    at_once ? workspace.mixed_operand.data() : reinterpret_cast<std::byte*>(mixed), at_once ? workspace.mixed_operand.stride() : attended.stride);
    } else {
      attend(kernels, team, workspace, sequences, last_layer, reinterpret_cast<const float*>(queries), reinterpret_cast<const float*>(keys_values),
             kv_stride / sizeof(float), mixed);
    }
    if (arithmetic.narrow) {
      if (!narrow_attention || !arithmetic.narrow->gives_narrow) narrow_all(arithmetic, team, attended, narrow_attention, rows, workspace.mixed_operand);
      attended = workspace.mixed_operand;
    }
    layer.output(team, attended, rows, x, width, Activation::none, x);
    normalise(layer.before_mlp, x, rows);
    layer.up(team, normed, rows, workspace.hidden, workspace.answer, activation);
    layer.down(team, workspace.hidden, rows, x, width, Activation::none, x);
  }
  normalise(last, x, rows);
  projection(team, normed, rows, out, projection.outputs());
}

}  // namespace v0
}  // namespace vidloom
