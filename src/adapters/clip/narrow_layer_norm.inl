// Layer norm with four sums side by side, so that none waits for itself: included after narrow_vectors.inl.

VIDLOOM_KERNEL inline Vector load_first(std::size_t count, const float* from) noexcept {
  return static_cast<Vector>(_mm512_maskz_loadu_ps(first_of(count), from));
}

/// As TowerKernels::layer_norm.
VIDLOOM_KERNEL void layer_norm_by_fours(const float* x, std::size_t rows, std::size_t width, const float* gain, const float* bias, float epsilon,
                                        float* out) noexcept {
  constexpr std::size_t four = 4 * vector_floats;
  const std::size_t whole = width / four * four;
  const auto count = static_cast<float>(width);
  for (std::size_t row = 0; row < rows; ++row, x += width, out += width) {
    Vector sums[4] = {};
    for (std::size_t i = 0; i < whole; i += four) {
      for (std::size_t j = 0; j < 4; ++j) sums[j] += load(x + i + j * vector_floats);
    }
    for (std::size_t i = whole; i < width; i += vector_floats) sums[0] += load_first(width - i, x + i);
    const float mean = sum_by_halves((sums[0] + sums[1]) + (sums[2] + sums[3])) / count;
    Vector squares[4] = {};
    for (std::size_t i = 0; i < whole; i += four) {
      for (std::size_t j = 0; j < 4; ++j) {
        const Vector apart = load(x + i + j * vector_floats) - mean;
        squares[j] += apart * apart;
      }
    }
    for (std::size_t i = whole; i < width; i += vector_floats) {
      const __mmask16 there = first_of(width - i);
      const __m512 apart = _mm512_maskz_sub_ps(there, static_cast<__m512>(load_first(width - i, x + i)), _mm512_set1_ps(mean));
      squares[0] += static_cast<Vector>(apart) * static_cast<Vector>(apart);
    }
    const float scale = 1 / std::sqrt(sum_by_halves((squares[0] + squares[1]) + (squares[2] + squares[3])) / count + epsilon);
    for (std::size_t i = 0; i < width; i += vector_floats) {
      const std::size_t left = width - i;
      const Vector value = (load_first(left, x + i) - mean) * scale * load_first(left, gain + i) + load_first(left, bias + i);
      _mm512_mask_storeu_ps(out + i, first_of(left), static_cast<__m512>(value));
    }
  }
}
