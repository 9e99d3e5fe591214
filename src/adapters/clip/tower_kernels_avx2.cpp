// The tower's kernels for AVX2 and FMA.
#include <adapters/clip/tower_kernels.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>

#if defined(__x86_64__)

namespace vidloom {
inline namespace v0 {
namespace {

#define VIDLOOM_KERNEL __attribute__((target("avx2,fma")))
constexpr std::size_t vector_floats = 8, panel_vectors = 2, panel_rows = 6, small_rows = panel_rows;
#include <adapters/clip/tower_vectors.inl>

#include <adapters/clip/tower_kernels.inl>

}  // namespace

const TowerKernels* avx2_tower_kernels() noexcept {
  static constexpr TowerKernels set = kernel_set("avx2");
  static const bool usable = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return usable ? &set : nullptr;
}

}  // namespace v0
}  // namespace vidloom

#else

namespace vidloom {
inline namespace v0 {
const TowerKernels* avx2_tower_kernels() noexcept { return nullptr; }
}  // namespace v0
}  // namespace vidloom

#endif
