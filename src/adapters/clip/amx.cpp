#include <adapters/clip/amx.hpp>

#if defined(__x86_64__) && defined(__linux__)

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace vidloom {
inline namespace v0 {
namespace {

/// Linux 5.16 and later saves 8 KiB of tiles with a thread's registers, for processes that asked beforehand.
bool system_keeps_tiles() noexcept {
  constexpr long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA; older headers lack them
  return ::syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

Amx ask_for_tiles() noexcept {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return {};
  const auto has = [d](unsigned bit) { return (d >> bit & 1) != 0; };
  if (!has(24) || !(has(22) || has(25)) || !system_keeps_tiles()) return {};
  return {.bf16 = has(22), .int8 = has(25)};
}

}  // namespace

Amx usable_amx() noexcept {
  static const Amx usable = ask_for_tiles();
  return usable;
}

}  // namespace v0
}  // namespace vidloom

#else

namespace vidloom {
inline namespace v0 {
Amx usable_amx() noexcept { return {}; }
}  // namespace v0
}  // namespace vidloom

#endif
