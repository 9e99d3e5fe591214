// The kernels, written once for any vector width: included after tower_vectors.inl by the file of each instruction set, which defines
//   panel_vectors   vectors across a panel of weights
//   panel_rows      rows of the largest tile of it: panel_rows * panel_vectors sums, a line of the panel and one number more fit into the registers
//   small_rows      the same for panels of two vectors

constexpr std::size_t small_vectors = 2;
// Depth of one pass: a panel's part, the next one's and that of the rows that go by stay in a second-level cache of 1 MiB.
constexpr std::size_t most_depth = 768;
// Words of a row between one step of the pointers and the next: steps take turns at the ports that multiply.
constexpr std::size_t words_at_once = 2;

/// The products of one word of each row, `word` words ahead, with a line of the panel.
template <std::size_t rows, std::size_t vectors>
VIDLOOM_KERNEL [[gnu::always_inline]] inline void add_word(Vector (&sums)[rows][vectors], const Rows<rows>& a, std::size_t word, const float* line) noexcept {
  Vector b[vectors];
#pragma GCC unroll 16
  for (std::size_t j = 0; j < vectors; ++j) b[j] = load(line + j * vector_floats);
#pragma GCC unroll 16
  for (std::size_t i = 0; i < rows; ++i) {
    const float each = a.template in<float>(i, static_cast<std::ptrdiff_t>(word * sizeof(float)));
#pragma GCC unroll 16
    for (std::size_t j = 0; j < vectors; ++j) sums[i][j] += each * b[j];
  }
}

/// `rows` rows of a panel of full width, in registers from the first to the last product.
template <std::size_t rows, std::size_t vectors>
VIDLOOM_KERNEL void tile(const Product& p, const float* a, float* c, std::size_t from, std::size_t to, const float* residual,
                          const Fetch& ahead) noexcept {
  Fetch fetch = ahead;
  Vector sums[rows][vectors];
#pragma GCC unroll 16
  for (std::size_t i = 0; i < rows; ++i) {
#pragma GCC unroll 16
    for (std::size_t j = 0; j < vectors; ++j) {
      const std::size_t at = i * p.c_stride + j * vector_floats;
      if (from > 0) {
        sums[i][j] = load(c + at);
      } else {
        sums[i][j] = p.bias ? load(p.bias + j * vector_floats) : Vector{};
        // At the start, for C may be the residual's own memory, which later passes find overwritten.
        if (residual) sums[i][j] += load(residual + at);
      }
    }
  }
  const std::size_t stride = p.panel_stride > 0 ? p.panel_stride : vectors * vector_floats;
  const float* panel = p.panel + from * stride;
  Rows<rows> across(a + from, p.a_stride * sizeof(float));
  std::size_t k = from;
  for (; k + words_at_once <= to; k += words_at_once, across.step(words_at_once * sizeof(float)), panel += words_at_once * stride) {
    fetch.some();
#pragma GCC unroll 16
    for (std::size_t word = 0; word < words_at_once; ++word) add_word(sums, across, word, panel + word * stride);
  }
  for (; k < to; ++k, across.step(sizeof(float)), panel += stride) add_word(sums, across, 0, panel);
  const bool activate = to == p.depth && p.activation != Activation::none;
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < vectors; ++j) store(c + i * p.c_stride + j * vector_floats, activate ? activated(p.activation, sums[i][j]) : sums[i][j]);
  }
}

using Tile = void (*)(const Product&, const float*, float*, std::size_t, std::size_t, const float*, const Fetch&) noexcept;
template <std::size_t vectors, std::size_t... index>
constexpr std::array<Tile, sizeof...(index)> tiles_of(std::index_sequence<index...>) { return {tile<index + 1, vectors>...}; }

template <std::size_t vectors, std::size_t most_rows>
VIDLOOM_KERNEL void multiply(const Product& given) noexcept {
  static constexpr std::array<Tile, most_rows> tiles = tiles_of<vectors>(std::make_index_sequence<most_rows>{});
  constexpr std::size_t width = vectors * vector_floats;
  if (given.columns < width) {
    // The last panel of a width that does not divide: the same product beside C, then the columns that count.
    alignas(64) float c[most_rows * width], bias[width] = {};
    Product p = given;
    if (given.bias) std::copy_n(given.bias, given.columns, bias), p.bias = bias;
    p.c = c, p.c_stride = width, p.columns = width, p.residual = nullptr, p.next = nullptr;
    for (std::size_t row = 0; row < given.rows; row += p.rows) {
      p.rows = std::min(most_rows, given.rows - row);
      p.a = given.a + row * given.a_stride;
      multiply<vectors, most_rows>(p);
      for (std::size_t i = 0; i < p.rows; ++i) {
        float* to = given.c + (row + i) * given.c_stride;
        const float* more = given.residual ? given.residual + (row + i) * given.c_stride : nullptr;
        for (std::size_t j = 0; j < given.columns; ++j) to[j] = c[i * width + j] + (more ? more[j] : 0);
      }
    }
    return;
  }
  // Tiles of nearly equal height: 50 rows are five of 6 and four of 5, and not eight of 6 and one of 2.
  const std::size_t count = (given.rows + most_rows - 1) / most_rows;
  const std::size_t passes = (given.depth + most_depth - 1) / most_depth;
  for (std::size_t pass = 0; pass < passes; ++pass) {
    const std::size_t from = given.depth * pass / passes, to = given.depth * (pass + 1) / passes;
    std::size_t row = 0;
    // The next panel's part of this pass, an equal share with each tile.
    const std::size_t lines = given.next ? (to - from) * width * sizeof(float) / 64 : 0;
    const std::size_t at_once = (width * sizeof(float) * words_at_once / 64 + count - 1) / count;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t next = given.rows * (i + 1) / count;
      const std::size_t first = lines * i / count;
      const Fetch fetch{lines > 0 ? reinterpret_cast<const char*>(given.next + from * width) + first * 64 : nullptr, lines * (i + 1) / count - first, at_once};
      tiles[next - row - 1](given, given.a + row * given.a_stride, given.c + row * given.c_stride, from, to,
                            given.residual ? given.residual + row * given.c_stride : nullptr, fetch);
      row = next;
    }
  }
}

VIDLOOM_KERNEL void layer_norm(const float* x, std::size_t rows, std::size_t width, const float* gain, const float* bias, float epsilon,
                               float* out) noexcept {
  const std::size_t whole = width / vector_floats * vector_floats;
  for (std::size_t row = 0; row < rows; ++row, x += width, out += width) {
    Vector sums{};
    float total = 0;
    for (std::size_t i = 0; i < whole; i += vector_floats) sums += load(x + i);
    for (std::size_t i = whole; i < width; ++i) total += x[i];
    const float mean = (sum(sums) + total) / static_cast<float>(width);
    // The variance in a second pass: of values far from zero the difference of two large sums would keep few digits.
    sums = Vector{}, total = 0;
    for (std::size_t i = 0; i < whole; i += vector_floats) {
      const Vector apart = load(x + i) - mean;
      sums += apart * apart;
    }
    for (std::size_t i = whole; i < width; ++i) total += (x[i] - mean) * (x[i] - mean);
    const float scale = 1 / std::sqrt((sum(sums) + total) / static_cast<float>(width) + epsilon);
    for (std::size_t i = 0; i < whole; i += vector_floats) store(out + i, (load(x + i) - mean) * scale * load(gain + i) + load(bias + i));
    for (std::size_t i = whole; i < width; ++i) out[i] = (x[i] - mean) * scale * gain[i] + bias[i];
  }
}

VIDLOOM_KERNEL void softmax(float* row, std::size_t valid, std::size_t width) noexcept {
  const std::size_t whole = valid / vector_floats * vector_floats;
  float largest = row[0];
  if (whole > 0) {
    Vector most = load(row);
    for (std::size_t i = vector_floats; i < whole; i += vector_floats) {
      const Vector value = load(row + i);
      most = choose(value > most, value, most);
    }
    for (std::size_t i = 0; i < vector_floats; ++i) largest = std::max(largest, most[i]);
  }
  for (std::size_t i = whole; i < valid; ++i) largest = std::max(largest, row[i]);
  float total = 0;
  Vector sums{};
  for (std::size_t i = 0; i < whole; i += vector_floats) {
    const Vector value = exponential(load(row + i) - largest);
    store(row + i, value);
    sums += value;
  }
  if (whole < valid) {
    alignas(64) float last[vector_floats];
    for (std::size_t j = 0; j < vector_floats; ++j) last[j] = whole + j < valid ? row[whole + j] - largest : -87.0F;
    const Vector value = exponential(load(last));
    for (std::size_t j = 0; whole + j < valid; ++j) total += row[whole + j] = value[j];
  }
  const float scale = 1 / (sum(sums) + total);
  for (std::size_t i = 0; i < whole; i += vector_floats) store(row + i, load(row + i) * scale);
  for (std::size_t i = whole; i < valid; ++i) row[i] *= scale;
  for (std::size_t i = valid; i < width; ++i) row[i] = 0;
}

constexpr TowerKernels kernel_set(const char* name) { 
  return {name,       panel_vectors * vector_floats, multiply<panel_vectors, panel_rows>, small_vectors * vector_floats, multiply<small_vectors, small_rows>,
          layer_norm, transpose,                     softmax};
}
