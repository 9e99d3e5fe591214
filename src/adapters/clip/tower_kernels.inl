// The kernels, written once for any vector width: included after tower_vectors.inl by the file of each instruction set, which defines
//   most_rows       rows of the largest tile: (most_rows * 2 + 3) vectors fit into the registers

constexpr std::size_t panel_width = 2 * vector_floats;
// Depth of one pass: a panel's part stays in the second-level cache while all rows go by it.
constexpr std::size_t most_depth = 1024;

/// `rows` rows of a panel of full width, in registers from the first to the last product.
template <std::size_t rows>
VIDLOOM_KERNEL void tile(const Product& p, const float* a, float* c, std::size_t from, std::size_t to, const float* residual,
                          const Fetch& ahead) noexcept {
  Fetch fetch = ahead;
  Vector left[rows], right[rows];
  if (from == 0) {
    const Vector bias_left = p.bias ? load(p.bias) : Vector{}, bias_right = p.bias ? load(p.bias + vector_floats) : Vector{};
#pragma GCC unroll 16
    for (std::size_t i = 0; i < rows; ++i) {
      // At the start, for C may be the residual's own memory, which later passes find overwritten.
      left[i] = residual ? bias_left + load(residual + i * p.c_stride) : bias_left;
      right[i] = residual ? bias_right + load(residual + i * p.c_stride + vector_floats) : bias_right;
    }
  } else {
#pragma GCC unroll 16
    for (std::size_t i = 0; i < rows; ++i) left[i] = load(c + i * p.c_stride), right[i] = load(c + i * p.c_stride + vector_floats);
  }
  const std::size_t panel_stride = p.panel_stride > 0 ? p.panel_stride : panel_width;
  const float* panel = p.panel + from * panel_stride;
  Rows<rows> across(a + from, p.a_stride * sizeof(float));
  for (std::size_t k = from; k < to; ++k, across.step(sizeof(float)), panel += panel_stride) {
    if (k % fetch_every == 0) fetch.some();
    const Vector b_left = load(panel), b_right = load(panel + vector_floats);
#pragma GCC unroll 16
    for (std::size_t i = 0; i < rows; ++i) {
      const float each = across.template in<float>(i);
      left[i] += each * b_left;
      right[i] += each * b_right;
    }
  }
  if (to == p.depth && p.activation != Activation::none) {
    for (std::size_t i = 0; i < rows; ++i) left[i] = activated(p.activation, left[i]), right[i] = activated(p.activation, right[i]);
  }
  for (std::size_t i = 0; i < rows; ++i) store(c + i * p.c_stride, left[i]), store(c + i * p.c_stride + vector_floats, right[i]);
}

using Tile = void (*)(const Product&, const float*, float*, std::size_t, std::size_t, const float*, const Fetch&) noexcept;
template <std::size_t... index>
constexpr std::array<Tile, sizeof...(index)> tiles_of(std::index_sequence<index...>) { return {tile<index + 1>...}; }
constexpr std::array<Tile, most_rows> tiles = tiles_of(std::make_index_sequence<most_rows>{});

VIDLOOM_KERNEL void multiply(const Product& given) noexcept {
  if (given.columns < panel_width) {
    // The last panel of a width that does not divide: the same product beside C, then the columns that count.
    alignas(64) float c[most_rows * panel_width], bias[panel_width] = {};
    Product p = given;
    if (given.bias) std::copy_n(given.bias, given.columns, bias), p.bias = bias;
    p.c = c, p.c_stride = panel_width, p.columns = panel_width, p.residual = nullptr, p.next = nullptr;
    for (std::size_t row = 0; row < given.rows; row += p.rows) {
      p.rows = std::min(most_rows, given.rows - row);
      p.a = given.a + row * given.a_stride;
      multiply(p);
      for (std::size_t i = 0; i < p.rows; ++i) {
        float* to = given.c + (row + i) * given.c_stride;
        const float* more = given.residual ? given.residual + (row + i) * given.c_stride : nullptr;
        for (std::size_t j = 0; j < given.columns; ++j) to[j] = c[i * panel_width + j] + (more ? more[j] : 0);
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
    const std::size_t lines = given.next ? (to - from) * panel_width * sizeof(float) / 64 : 0;
    const std::size_t at_once = (panel_width * sizeof(float) * fetch_every / 64 + count - 1) / count;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t next = given.rows * (i + 1) / count;
      const std::size_t first = lines * i / count;
      const Fetch fetch{lines > 0 ? reinterpret_cast<const char*>(given.next + from * panel_width) + first * 64 : nullptr, lines * (i + 1) / count - first, at_once};
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

constexpr TowerKernels kernel_set(const char* name) { return {name, panel_width, multiply, layer_norm, transpose, softmax}; }
