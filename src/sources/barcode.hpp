#pragma once
/// The frame number as cells of black and white, read back from any upright picture of it.
///
/// A white border, in it a black border, in it 4 rows of 12 cells: 32 bits of the number, then a CRC-16 of them, most
/// significant bit first, white is 1. The black border is what a reader finds: one connected dark shape whose bounding box it is.

#include <vidloom/core/export.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace vidloom {
inline namespace v0 {

struct Barcode {
  static constexpr int data_columns = 12, data_rows = 4;
  static constexpr int columns = data_columns + 4, rows = data_rows + 4;  ///< with both borders
  /// \return whether each cell is white, row by row, borders included.
  VIDLOOM_API static std::array<bool, static_cast<std::size_t>(columns* rows)> cells(std::uint32_t number) noexcept;
};

}  // namespace v0
}  // namespace vidloom
