// Products of narrow numbers by tiles of AMX, 16 rows of 64 bytes each: included after narrow_kernels.inl by the file of each kind, which
// defines
//   VIDLOOM_TILE_KERNEL           the target attribute of these functions
//   VIDLOOM_ADD_TILES(c, a, b)    c += the products of a's words with those of b's columns; tiles go by numbers
// in its own unnamed namespace. A panel's lines lie as a tile wants them: two words of tile's columns side by side.

#include <adapters/clip/narrow_layer_norm.inl>

#include <adapters/clip/tile_shapes.inl>

constexpr std::size_t most_tile_rows = 2 * tile_rows;
// Processors with tiles have 2 MiB of second-level cache a core.
constexpr std::size_t tile_cached_bytes = std::size_t{5} << 18;

/// Rows whose sums are known and wait to be written, a few between the products of the next ones: tiles and vectors are different units.
struct Waiting {
  const NarrowProduct& product;
  const float* sums;
  std::size_t row, rows;
  VIDLOOM_KERNEL void write(std::size_t most) noexcept {
    for (std::size_t i = std::min(most, rows); i > 0; --i, --rows, ++row, sums += panel_width) {
      Sums left, right;
      std::memcpy(&left, sums, sizeof left), std::memcpy(&right, sums + vector_floats, sizeof right);
      write_row(product, row, left, right);
    }
  }
};

/// The sums of rows from `first` on, as many as tiles were shaped for. What a tile takes in comes from the second-level cache as a stream,
/// for rows and panel together are more than the first holds.
template <bool lower_too>
VIDLOOM_TILE_KERNEL void add_up(const NarrowProduct& p, std::size_t first, std::size_t upper, float* sums, Fetch fetch, Waiting& waiting) noexcept {
  constexpr std::size_t line = panel_width * 4, step = 64;
  const std::size_t steps = p.words / words_in_line, at_once = (waiting.rows + steps - 1) / steps;
  const std::byte* a = p.a + first * p.a_stride;
  const std::byte* const end = a + steps * step;
  const std::byte* panel = p.panel;
  const std::size_t lower = upper * p.a_stride;
  _tile_zero(0);
  _tile_zero(1);
  _tile_stream_loadd(6, panel, line);
  _tile_stream_loadd(4, a, p.a_stride);
  if constexpr (lower_too) {
    _tile_zero(2);
    _tile_zero(3);
    _tile_stream_loadd(5, a + lower, p.a_stride);
  }
  _tile_stream_loadd(7, panel + 64, line);
  for (;;) {
    a += step, panel += tile_rows * line;
    const bool more = a != end;
    // Each tile is asked for anew as soon as its numbers are multiplied.
    VIDLOOM_ADD_TILES(0, 4, 6);
    if constexpr (lower_too) VIDLOOM_ADD_TILES(2, 5, 6);
    if (more) _tile_stream_loadd(6, panel, line);
    VIDLOOM_ADD_TILES(1, 4, 7);
    if (more) _tile_stream_loadd(4, a, p.a_stride);
    if constexpr (lower_too) {
      VIDLOOM_ADD_TILES(3, 5, 7);
      if (more) _tile_stream_loadd(5, a + lower, p.a_stride);
    }
    if (!more) break;
    _tile_stream_loadd(7, panel + 64, line);
    fetch.some();
    waiting.write(at_once);
  }
  _tile_stored(0, sums, line);
  _tile_stored(1, sums + vector_floats, line);
  if constexpr (lower_too) {
    _tile_stored(2, sums + upper * panel_width, line);
    _tile_stored(3, sums + upper * panel_width + vector_floats, line);
  }
}

VIDLOOM_TILE_KERNEL void multiply_by_tiles(const NarrowProduct& p) noexcept {
  // Blocks of one height, for to shape tiles takes as long as some products; the last reaches back over rows that were added up before.
  // With each an equal share of the next panel.
  const std::size_t count = (p.rows + most_tile_rows - 1) / most_tile_rows, height = (p.rows + count - 1) / count, upper = (height + 1) / 2;
  const std::size_t lines = p.next ? p.words * panel_width * 4 / 64 : 0, steps = p.words / words_in_line;
  alignas(64) float sums[2][most_tile_rows * panel_width];
  Waiting waiting{p, nullptr, 0, 0};
  shape_tiles(upper, height - upper);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t line = lines * i / count, lines_here = lines * (i + 1) / count - line, row = i * height, first = std::min(row, p.rows - height);
    const Fetch fetch{reinterpret_cast<const char*>(p.next) + line * 64, lines_here, (lines_here + steps - 1) / steps};
    (height > 1 ? add_up<true> : add_up<false>)(p, first, upper, sums[i % 2], fetch, waiting);
    waiting.write(waiting.rows);
    waiting.sums = sums[i % 2] + (row - first) * panel_width, waiting.row = row, waiting.rows = std::min(height, p.rows - row);
  }
  _tile_release();  // what a thread leaves in its tiles is saved and brought back whenever it loses its core
  waiting.write(waiting.rows);
}
