// Products of narrow numbers, written once for any kind: included after tower_vectors.inl, with vectors of 16 floats, by the file of each
// kind, which defines
//   Sums            16 sums
//   add             sums + the products of one word of a row with a word of each of 16 columns
//   finished        sums of a row and of 16 columns as floats
//   stored_narrow   whether C is wanted as the next product's operand, and then it is stored
// in its own unnamed namespace.
#include <adapters/clip/narrow_vectors.inl>

constexpr std::size_t panel_width = 32, most_rows = 12;
// Processors with AVX-512 have a second-level cache of 1 MiB a core or more; a deep panel takes a fifth of it, and so does the next one.
constexpr std::size_t cached_bytes = std::size_t{7} << 16;
// Words from one time that lines are asked for to the next.
constexpr std::size_t fetch_every = 2;

/// x * sigmoid(1.702 x) within 1e-4 of its value: nearer than what follows can tell.
VIDLOOM_KERNEL inline Vector quick_gelu_nearly(Vector x) noexcept {
  const __m512 power = nearly_two_to_the(_mm512_mul_ps(static_cast<__m512>(x), _mm512_set1_ps(-1.702F * 1.44269504088896341F)));
  // Of infinity the reciprocal is 0, and so is what x of -50 and less gives.
  const __m512 below = _mm512_add_ps(power, _mm512_set1_ps(1.0F));
  return static_cast<Vector>(_mm512_mul_ps(static_cast<__m512>(x), _mm512_maskz_rcp14_ps(all16, below)));
}

VIDLOOM_KERNEL inline Vector nearly_activated(Activation activation, Vector x) noexcept {
  return activation == Activation::quick_gelu ? quick_gelu_nearly(x) : activation == Activation::gelu ? gelu(x) : x;
}

/// One row of C from its sums.
VIDLOOM_KERNEL inline void write_row(const NarrowProduct& p, std::size_t row, Sums left, Sums right) noexcept {
  const auto there_left = static_cast<__mmask16>(p.columns >= 16 ? 0xFFFFU : (1U << p.columns) - 1);
  const auto there_right = static_cast<__mmask16>(p.columns <= 16 ? 0U : (1U << (p.columns - 16)) - 1);
  Vector one = finished(left, p, row, 0) + load(p.bias), other = finished(right, p, row, vector_floats) + load(p.bias + vector_floats);
  std::byte* const to = p.c + row * p.c_stride;
  if (p.residual) {
    const auto* const more = reinterpret_cast<const float*>(reinterpret_cast<const std::byte*>(p.residual) + row * p.c_stride);
    one += static_cast<Vector>(_mm512_maskz_loadu_ps(there_left, more));
    other += static_cast<Vector>(_mm512_maskz_loadu_ps(there_right, more + vector_floats));
  }
  one = nearly_activated(p.activation, one), other = nearly_activated(p.activation, other);
  if (stored_narrow(p, to, one, other)) return;
  _mm512_mask_storeu_ps(to, there_left, static_cast<__m512>(one));
  _mm512_mask_storeu_ps(to + 64, there_right, static_cast<__m512>(other));
}

/// `rows` rows of a panel, their sums in registers from the first to the last.
template <std::size_t rows>
VIDLOOM_KERNEL void tile(const NarrowProduct& p, std::size_t first, const Fetch& ahead) noexcept {
  Fetch fetch = ahead;
  Sums left[rows], right[rows];
#pragma GCC unroll 16
  for (std::size_t i = 0; i < rows; ++i) left[i] = right[i] = Sums{};
  Rows<rows> a(p.a + first * p.a_stride, p.a_stride);
  const std::byte* panel = p.panel;
  for (std::size_t word = 0; word < p.words; ++word, a.step(4), panel += panel_width * 4) {
    if (word % fetch_every == 0) fetch.some();
    const __m512i b_left = _mm512_loadu_si512(panel), b_right = _mm512_loadu_si512(panel + 64);
#pragma GCC unroll 16
    for (std::size_t i = 0; i < rows; ++i) {
      const __m512i everywhere = _mm512_set1_epi32(a.template in<std::int32_t>(i));
      left[i] = add(left[i], everywhere, b_left);
      right[i] = add(right[i], everywhere, b_right);
    }
  }
  for (std::size_t i = 0; i < rows; ++i) write_row(p, first + i, left[i], right[i]);
}

using Tile = void (*)(const NarrowProduct&, std::size_t, const Fetch&) noexcept;
template <std::size_t... index>
constexpr std::array<Tile, sizeof...(index)> tiles_of(std::index_sequence<index...>) { return {tile<index + 1>...}; }
constexpr std::array<Tile, most_rows> tiles = tiles_of(std::make_index_sequence<most_rows>{});

VIDLOOM_KERNEL void multiply(const NarrowProduct& p) noexcept {
  // Tiles of nearly equal height, and with each an equal share of the next panel.
  const std::size_t count = (p.rows + most_rows - 1) / most_rows;
  const std::size_t lines = p.next ? p.words * panel_width * 4 / 64 : 0;
  const std::size_t at_once = (panel_width * 4 * fetch_every / 64 + count - 1) / count;
  std::size_t row = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t next = p.rows * (i + 1) / count, first = lines * i / count;
    tiles[next - row - 1](p, row, {lines > 0 ? reinterpret_cast<const char*>(p.next) + first * 64 : nullptr, lines * (i + 1) / count - first, at_once});
    row = next;
  }
}

/// Words of `count` rows, `words` each, into the columns of a panel; the columns beside them and the words behind them become zero.
VIDLOOM_KERNEL void to_panel(const std::byte* rows, std::size_t count, std::size_t words, std::byte* panel) noexcept {
  constexpr std::size_t line = panel_width * 4;
  const std::size_t filled = count < panel_width ? 0 : words * line, all = (words + words_in_line - 1) / words_in_line * words_in_line * line;
  std::memset(panel + filled, 0, all - filled);
  transpose(reinterpret_cast<const float*>(rows), words, count, words, reinterpret_cast<float*>(panel), panel_width);
}
