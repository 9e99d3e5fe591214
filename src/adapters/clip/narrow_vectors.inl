// What kernels of narrow numbers compute alike: included after tower_vectors.inl, with vectors of 16 floats.

constexpr __mmask16 all16 = 0xFFFF;  // GCC 12 warns of what the forms without a mask leave undefined (its bug 105593)

VIDLOOM_KERNEL inline __mmask16 first_of(std::size_t count) noexcept { return static_cast<__mmask16>(count >= 16 ? 0xFFFFU : (1U << count) - 1); }

/// 2^x within 6e-5 of its value, by a polynomial on [-1/2, 1/2]; the scaling goes to 0 and to infinity by itself.
VIDLOOM_KERNEL inline __m512 nearly_two_to_the(__m512 x) noexcept {
  const __m512 whole = _mm512_maskz_roundscale_ps(all16, x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 rest = _mm512_sub_ps(x, whole);
  __m512 p = _mm512_fmadd_ps(rest, _mm512_set1_ps(0.0096181291F), _mm512_set1_ps(0.055504109F));
  p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(0.24022651F));
  p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(0.69314718F));
  p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(1.0F));
  return _mm512_maskz_scalef_ps(all16, p, whole);
}

/// Each number in the place of the one `by` lanes from it, to either side.
template <int by>
VIDLOOM_KERNEL inline Vector across(Vector v) noexcept {
  return __builtin_shufflevector(v, v, 0 ^ by, 1 ^ by, 2 ^ by, 3 ^ by, 4 ^ by, 5 ^ by, 6 ^ by, 7 ^ by, 8 ^ by, 9 ^ by, 10 ^ by, 11 ^ by, 12 ^ by, 13 ^ by,
                                 14 ^ by, 15 ^ by);
}
VIDLOOM_KERNEL inline float sum_by_halves(Vector v) noexcept {
  v += across<8>(v);
  v += across<4>(v);
  v += across<2>(v);
  return (v + across<1>(v))[0];
}
VIDLOOM_KERNEL inline Vector larger(Vector a, Vector b) noexcept {
  return static_cast<Vector>(_mm512_maskz_max_ps(all16, static_cast<__m512>(a), static_cast<__m512>(b)));
}
VIDLOOM_KERNEL inline Vector smaller(Vector a, Vector b) noexcept {
  return static_cast<Vector>(_mm512_maskz_min_ps(all16, static_cast<__m512>(a), static_cast<__m512>(b)));
}
VIDLOOM_KERNEL inline float largest(Vector v) noexcept {
  v = larger(v, across<8>(v));
  v = larger(v, across<4>(v));
  v = larger(v, across<2>(v));
  return larger(v, across<1>(v))[0];
}
VIDLOOM_KERNEL inline float smallest(Vector v) noexcept { return -largest(-v); }
