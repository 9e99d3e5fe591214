// Vectors of any width and what towers compute with them: included by the file of each instruction set, which defines
//   VIDLOOM_KERNEL  the target attribute of every function
//   vector_floats   floats in a vector
// in its own unnamed namespace.

using Vector = float __attribute__((vector_size(vector_floats * sizeof(float))));
using Integers = std::int32_t __attribute__((vector_size(vector_floats * sizeof(float))));
using Unaligned = float __attribute__((vector_size(vector_floats * sizeof(float)), aligned(4), may_alias));

VIDLOOM_KERNEL inline Vector load(const float* from) noexcept { return *reinterpret_cast<const Unaligned*>(from); }
VIDLOOM_KERNEL inline void store(float* to, Vector value) noexcept { *reinterpret_cast<Unaligned*>(to) = value; }
VIDLOOM_KERNEL inline Vector all(float value) noexcept { return value - Vector{}; }
VIDLOOM_KERNEL inline Vector choose(Integers condition, Vector yes, Vector no) noexcept {
  return reinterpret_cast<Vector>((condition & reinterpret_cast<Integers>(yes)) | (~condition & reinterpret_cast<Integers>(no)));
}
VIDLOOM_KERNEL inline Vector at_most(Vector value, float limit) noexcept { return choose(value < limit, value, all(limit)); }
VIDLOOM_KERNEL inline Vector at_least(Vector value, float limit) noexcept { return choose(value > limit, value, all(limit)); }
VIDLOOM_KERNEL inline float sum(Vector value) noexcept {
  float total = 0;
  for (std::size_t i = 0; i < vector_floats; ++i) total += value[i];
  return total;
}

/// e^x within 2 units in the last place: 2^n by the exponent's bits, the rest by a polynomial on [-ln 2 / 2, ln 2 / 2]. What
/// float cannot hold ends at its limits; NaN stays NaN.
VIDLOOM_KERNEL inline Vector exponential(Vector x) noexcept {
  const Vector bounded = at_least(at_most(x, 88.0F), -87.0F);
  constexpr float round_by = 12582912.0F;  // 1.5 * 2^23: what is added and taken away again leaves a whole number
  const Vector shifted = bounded * 1.44269504088896341F + round_by;
  const Vector n = shifted - round_by;
  const Vector r = (bounded - n * 0.693359375F) - n * -2.12194440e-4F;  // ln 2 in two parts: the first is exact
  Vector p = r * (1.0F / 5040) + 1.0F / 720;
  p = p * r + 1.0F / 120;
  p = p * r + 1.0F / 24;
  p = p * r + 1.0F / 6;
  p = p * r + 0.5F;
  p = p * r + 1.0F;
  p = p * r + 1.0F;
  const Integers bits = reinterpret_cast<Integers>(shifted) << 23;  // the whole number stands in the low bits
  const Vector value = reinterpret_cast<Vector>(reinterpret_cast<Integers>(p) + bits);
  return choose(x == x, value, x);
}

/// x * sigmoid(1.702 x)
VIDLOOM_KERNEL inline Vector quick_gelu(Vector x) noexcept { return x / (1.0F + exponential(x * -1.702F)); }

/// x * (1 + erf(x / sqrt 2)) / 2, with erf as in Abramowitz and Stegun 7.1.26 (error below 1.5e-7).
VIDLOOM_KERNEL inline Vector gelu(Vector x) noexcept {
  const Vector z = x * 0.70710678118654752F;
  const Vector magnitude = choose(z < 0.0F, -z, z);
  const Vector t = 1.0F / (1.0F + magnitude * 0.3275911F);
  Vector p = t * 1.061405429F - 1.453152027F;
  p = p * t + 1.421413741F;
  p = p * t - 0.284496736F;
  p = p * t + 0.254829592F;
  const Vector beyond = p * t * exponential(-(magnitude * magnitude));  // 1 - erf(|z|)
  return x * 0.5F * choose(z < 0.0F, beyond, 2.0F - beyond);
}

VIDLOOM_KERNEL inline Vector activated(Activation activation, Vector x) noexcept {
  return activation == Activation::quick_gelu ? quick_gelu(x) : activation == Activation::gelu ? gelu(x) : x;
}

/// Lines of memory that are asked for a few at a time, between products.
struct Fetch {
  const char* next;
  std::size_t lines, at_once;
  VIDLOOM_KERNEL void some() noexcept {
    for (std::size_t i = std::min(lines, at_once); i > 0; --i, --lines, next += 64) __builtin_prefetch(next, 0, 2);
  }
};

/// One number of each of `rows` rows at a time, `ahead` bytes behind where they stand. Every third row has a pointer, the two behind it are reached by adding the stride once and
/// twice, as x86 does within a load: a pointer for each would not fit into the registers beside the sums.
template <std::size_t rows>
class Rows {
 public:
  VIDLOOM_KERNEL Rows(const void* first, std::size_t stride_bytes) noexcept : stride_(static_cast<std::ptrdiff_t>(stride_bytes)) {
#pragma GCC unroll 16
    for (std::size_t i = 0; i < thirds; ++i) row_[i] = static_cast<const char*>(first) + static_cast<std::ptrdiff_t>(3 * i) * stride_;
  }
  template <class Number>
  VIDLOOM_KERNEL Number in(std::size_t row, std::ptrdiff_t ahead = 0) const noexcept {
    Number number;
    std::memcpy(&number, row_[row / 3] + static_cast<std::ptrdiff_t>(row % 3) * stride_ + ahead, sizeof number);
    return number;
  }
  VIDLOOM_KERNEL void step(std::ptrdiff_t bytes) noexcept {
#pragma GCC unroll 16
    for (std::size_t i = 0; i < thirds; ++i) {
      row_[i] += bytes;
      asm("" : "+r"(row_[i]));  // or GCC makes a pointer for each row after all
    }
  }

 private:
  static constexpr std::size_t thirds = (rows + 2) / 3;
  const char* row_[thirds];
  const std::ptrdiff_t stride_;
};

/// to[column * to_stride + row] = from[row * from_stride + column]; bits are moved as they are.
VIDLOOM_KERNEL void transpose(const float* from, std::size_t from_stride, std::size_t rows, std::size_t columns, float* to,
                              std::size_t to_stride) noexcept {
  using Four = float __attribute__((vector_size(16)));
  using Anywhere = float __attribute__((vector_size(16), aligned(4), may_alias));
  const std::size_t whole_rows = rows / 4 * 4, whole_columns = columns / 4 * 4;
  for (std::size_t row = 0; row < whole_rows; row += 4) {
    const float* const given = from + row * from_stride;
    for (std::size_t column = 0; column < whole_columns; column += 4) {
      Four lines[4];
      for (std::size_t i = 0; i < 4; ++i) lines[i] = *reinterpret_cast<const Anywhere*>(given + i * from_stride + column);
      const Four a = __builtin_shufflevector(lines[0], lines[1], 0, 4, 1, 5), b = __builtin_shufflevector(lines[2], lines[3], 0, 4, 1, 5);
      const Four c = __builtin_shufflevector(lines[0], lines[1], 2, 6, 3, 7), d = __builtin_shufflevector(lines[2], lines[3], 2, 6, 3, 7);
      float* const made = to + column * to_stride + row;
      *reinterpret_cast<Anywhere*>(made) = __builtin_shufflevector(a, b, 0, 1, 4, 5);
      *reinterpret_cast<Anywhere*>(made + to_stride) = __builtin_shufflevector(a, b, 2, 3, 6, 7);
      *reinterpret_cast<Anywhere*>(made + 2 * to_stride) = __builtin_shufflevector(c, d, 0, 1, 4, 5);
      *reinterpret_cast<Anywhere*>(made + 3 * to_stride) = __builtin_shufflevector(c, d, 2, 3, 6, 7);
    }
  }
  for (std::size_t column = 0; column < columns; ++column) {
    for (std::size_t row = column < whole_columns ? whole_rows : 0; row < rows; ++row) to[column * to_stride + row] = from[row * from_stride + column];
  }
}
