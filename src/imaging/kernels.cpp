#include <imaging/kernels.hpp>

#include <atomic>

namespace vidloom {
inline namespace v0 {
namespace {

std::atomic<const Kernels*> forced{nullptr};

const Kernels& fastest() noexcept {
  static const Kernels& best = avx512_kernels() ? *avx512_kernels() : avx2_kernels() ? *avx2_kernels() : portable_kernels();
  return best;
}

}  // namespace

const Kernels& kernels() noexcept {
  const Kernels* chosen = forced.load(std::memory_order_relaxed);
  return chosen ? *chosen : fastest();
}

void use_kernels(const Kernels* chosen) noexcept { forced.store(chosen, std::memory_order_relaxed); }

}  // namespace v0
}  // namespace vidloom
