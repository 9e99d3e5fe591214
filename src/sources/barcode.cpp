#include <sources/barcode.hpp>
#include <vidloom/sources/test_pattern.hpp>

#include <imaging/luma.hpp>

#include <algorithm>
#include <numeric>
#include <vector>

namespace vidloom {
inline namespace v0 {
namespace {

constexpr int data_cells = Barcode::data_columns * Barcode::data_rows;
constexpr int smallest_cell = 2;  // pixels

/// CRC-16/CCITT-FALSE of the four bytes.
std::uint16_t checksum(std::uint32_t number) noexcept {
  unsigned crc = 0xFFFF;
  for (int bit = 31; bit >= 0; --bit) {
    const unsigned carry = ((crc >> 15) ^ (number >> bit)) & 1U;
    crc = ((crc << 1) & 0xFFFFU) ^ (carry ? 0x1021U : 0U);
  }
  return static_cast<std::uint16_t>(crc);
}

/// Bounding box of a connected dark shape, in pixels; x2 and y2 are exclusive.
struct Shape {
  int x1, y1, x2, y2;
};

/// \return the 4-connected shapes of pixels darker than `threshold` that are large enough for a barcode, largest first.
std::vector<Shape> dark_shapes(const std::vector<std::uint8_t>& grey, Size size, int threshold) {
  struct Run {
    int begin, end;
    std::size_t shape;
  };
  std::vector<Shape> shapes;
  std::vector<std::size_t> parent;
  const auto root = [&parent](std::size_t at) {
    while (parent[at] != at) at = parent[at] = parent[parent[at]];
    return at;
  };
  std::vector<Run> above, row;
  for (int y = 0; y < size.height; ++y) {
    row.clear();
    const std::uint8_t* line = grey.data() + static_cast<std::ptrdiff_t>(y) * size.width;
    auto touching = above.begin();
    for (int x = 0; x < size.width;) {
      if (line[x] >= threshold) {
        ++x;
        continue;
      }
      const int begin = x;
      while (x < size.width && line[x] < threshold) ++x;
      std::size_t shape = shapes.size();
      while (touching != above.end() && touching->end <= begin) ++touching;
      for (auto run = touching; run != above.end() && run->begin < x; ++run) {
        const std::size_t other = root(run->shape);
        if (shape == shapes.size()) {
          shape = other;
        } else if (other != shape) {
          parent[other] = shape;
          shapes[shape] = {std::min(shapes[shape].x1, shapes[other].x1), std::min(shapes[shape].y1, shapes[other].y1),
                           std::max(shapes[shape].x2, shapes[other].x2), std::max(shapes[shape].y2, shapes[other].y2)};
        }
      }
      if (shape == shapes.size()) {
        shapes.push_back({begin, y, x, y + 1});
        parent.push_back(shape);
      } else {
        shapes[shape] = {std::min(shapes[shape].x1, begin), shapes[shape].y1, std::max(shapes[shape].x2, x), y + 1};
      }
      row.push_back({begin, x, shape});
    }
    std::swap(above, row);
  }
  std::vector<Shape> large;
  for (std::size_t at = 0; at < shapes.size(); ++at) {
    const Shape& one = shapes[at];
    const bool fits = one.x2 - one.x1 >= (Barcode::columns - 2) * smallest_cell && one.y2 - one.y1 >= (Barcode::rows - 2) * smallest_cell;
    if (parent[at] == at && fits) large.push_back(one);
  }
  std::ranges::sort(large, std::greater{}, [](const Shape& one) { return static_cast<std::int64_t>(one.x2 - one.x1) * (one.y2 - one.y1); });
  return large;
}

/// Reads the cells of the barcode whose black border `shape` would be.
std::optional<std::uint32_t> read_shape(const std::vector<std::uint8_t>& grey, Size size, const Shape& shape) {
  const double cell_width = (shape.x2 - shape.x1) / (Barcode::columns - 2.0);
  const double cell_height = (shape.y2 - shape.y1) / (Barcode::rows - 2.0);
  // Mean grey of the middle half of a cell; the black border's own cells are column and row 0. Below 0: not in the picture.
  const auto sample = [&](int column, int row) {
    const int x1 = static_cast<int>(shape.x1 + (column + 0.25) * cell_width + 0.5);
    const int y1 = static_cast<int>(shape.y1 + (row + 0.25) * cell_height + 0.5);
    const int x2 = std::max(x1 + 1, static_cast<int>(shape.x1 + (column + 0.75) * cell_width + 0.5));
    const int y2 = std::max(y1 + 1, static_cast<int>(shape.y1 + (row + 0.75) * cell_height + 0.5));
    if (x1 < 0 || y1 < 0 || x2 > size.width || y2 > size.height) return -1;
    int sum = 0;
    for (int y = y1; y < y2; ++y) {
      const std::uint8_t* line = grey.data() + static_cast<std::ptrdiff_t>(y) * size.width;
      sum = std::accumulate(line + x1, line + x2, sum);
    }
    return sum / ((x2 - x1) * (y2 - y1));
  };
  // Between the two borders lies what parts black from white here.
  int darkest_white = 255, brightest_black = 0;
  for (int row = -1; row < Barcode::rows - 1; ++row) {
    for (int column = -1; column < Barcode::columns - 1; ++column) {
      const bool outer = row == -1 || column == -1 || row == Barcode::rows - 2 || column == Barcode::columns - 2;
      const bool inner = !outer && (row == 0 || column == 0 || row == Barcode::rows - 3 || column == Barcode::columns - 3);
      if (!outer && !inner) continue;
      const int value = sample(column, row);
      if (value < 0) return {};
      if (outer) darkest_white = std::min(darkest_white, value);
      if (inner) brightest_black = std::max(brightest_black, value);
    }
  }
  if (darkest_white - brightest_black < 24) return {};
  const int middle = (darkest_white + brightest_black) / 2;
  std::uint64_t bits = 0;
  for (int cell = 0; cell < data_cells; ++cell) {
    const int value = sample(1 + cell % Barcode::data_columns, 1 + cell / Barcode::data_columns);
    bits = bits << 1 | (value > middle ? 1U : 0U);
  }
  const std::uint32_t number = static_cast<std::uint32_t>(bits >> 16);
  if (checksum(number) != (bits & 0xFFFFU)) return {};
  return number;
}

}  // namespace

std::array<bool, static_cast<std::size_t>(Barcode::columns* Barcode::rows)> Barcode::cells(std::uint32_t number) noexcept {
  const std::uint64_t bits = std::uint64_t{number} << 16 | checksum(number);
  std::array<bool, static_cast<std::size_t>(columns * rows)> white{};
  for (int row = 0; row < rows; ++row) {
    for (int column = 0; column < columns; ++column) {
      const int border = std::min({row, column, rows - 1 - row, columns - 1 - column});
      const int cell = (row - 2) * data_columns + column - 2;
      white[static_cast<std::size_t>(row * columns + column)] = border == 0 || (border > 1 && (bits >> (data_cells - 1 - cell) & 1U));
    }
  }
  return white;
}

std::optional<std::uint32_t> read_barcode(const Image& image) {
  const std::span<const std::byte> bytes = image.bytes();
  const Size size = image.size();
  std::vector<std::uint8_t> grey(static_cast<std::size_t>(size.width) * static_cast<std::size_t>(size.height));
  for (std::size_t at = 0; at < grey.size(); ++at) {
    const auto value = [&](std::size_t index) { return std::to_integer<unsigned>(bytes[index]); };
    switch (image.format()) {
      case ImageSpec::Format::gray8: grey[at] = static_cast<std::uint8_t>(value(at)); break;
      case ImageSpec::Format::rgb8: grey[at] = grey_of(value(3 * at), value(3 * at + 1), value(3 * at + 2)); break;
      case ImageSpec::Format::bgr8: grey[at] = grey_of(value(3 * at + 2), value(3 * at + 1), value(3 * at)); break;
    }
  }
  // A picture darkened or washed out by a screen needs another threshold than a clean one.
  for (const int threshold : {128, 88, 168}) {
    for (const Shape& shape : dark_shapes(grey, size, threshold)) {
      if (const auto number = read_shape(grey, size, shape)) return number;
    }
  }
  return {};
}

}  // namespace v0
}  // namespace vidloom
