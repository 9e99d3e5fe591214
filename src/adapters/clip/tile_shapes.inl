// How many rows and bytes the tiles of AMX have: included by the files that use tiles, which define
//   VIDLOOM_TILE_KERNEL  the target attribute of these functions
// in their own unnamed namespaces.

constexpr std::size_t tile_rows = 16;

/// What the hardware calls a tile configuration (palette 1).
struct alignas(64) TileShapes {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

/// Sums in tiles 0 to 3, of an upper and a lower part of the rows, by a left and a right half of the columns; those rows in tiles 4 and 5,
/// the columns in 6 and 7.
VIDLOOM_TILE_KERNEL inline void shape_tiles(std::size_t upper, std::size_t lower) noexcept {
  TileShapes shapes;
  const std::size_t rows[8] = {upper, upper, lower, lower, upper, lower, tile_rows, tile_rows};
  for (std::size_t i = 0; i < 8; ++i) {
    if (rows[i] > 0) shapes.rows[i] = static_cast<std::uint8_t>(rows[i]), shapes.row_bytes[i] = 64;
  }
  asm volatile("ldtilecfg %0" : : "m"(shapes));  // GCC 12's intrinsic tells the compiler of the first eight bytes alone
}
