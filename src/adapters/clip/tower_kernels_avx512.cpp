// The tower's kernels for AVX-512 (F, DQ, BW, VL).
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

#define VIDLOOM_KERNEL __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,fma")))
constexpr std::size_t vector_floats = 16, panel_vectors = 4, panel_rows = 6, small_rows = 12;
#include <adapters/clip/tower_vectors.inl>

#include <adapters/clip/tower_kernels.inl>

}  // namespace

const TowerKernels* avx512_tower_kernels() noexcept {
  static constexpr TowerKernels set = kernel_set("avx512");
  static const bool usable = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                             __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  return usable ? &set : nullptr;
}

}  // namespace v0
}  // namespace vidloom

#else

namespace vidloom {
inline namespace v0 {
const TowerKernels* avx512_tower_kernels() noexcept { return nullptr; }
}  // namespace v0
}  // namespace vidloom

#endif
