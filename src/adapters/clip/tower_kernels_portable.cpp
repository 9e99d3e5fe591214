// The tower's kernels for any CPU: vectors of 16 bytes, which the baseline of x86-64 and of ARMv8 have.
#include <adapters/clip/tower_kernels.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>

namespace vidloom {
inline namespace v0 {
namespace {

#define VIDLOOM_KERNEL 
constexpr std::size_t vector_floats = 4, panel_vectors = 2, panel_rows = 4, small_rows = panel_rows;
#include <adapters/clip/tower_vectors.inl>

#include <adapters/clip/tower_kernels.inl>

}  // namespace

const TowerKernels& portable_tower_kernels() noexcept {
  static constexpr TowerKernels set = kernel_set("portable");
  return set;
}

const TowerKernels& tower_kernels() noexcept {
  static const TowerKernels& best = avx512_tower_kernels() ? *avx512_tower_kernels()
                                    : avx2_tower_kernels() ? *avx2_tower_kernels()
                                                           : portable_tower_kernels();
  return best;
}

}  // namespace v0
}  // namespace vidloom
