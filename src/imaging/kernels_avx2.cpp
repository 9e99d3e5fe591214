#include <imaging/kernels.hpp>
namespace vidloom { inline namespace v0 { const Kernels* avx2_kernels() noexcept { return nullptr; } } }
