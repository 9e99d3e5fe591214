#include <imaging/mapped_memory.hpp>

#include <sys/mman.h>

#include <cstring>
#include <new>

namespace vidloom {
inline namespace v0 {
namespace {

constexpr std::align_val_t alignment{64};

}  // namespace

std::shared_ptr<std::byte> map_memory(std::size_t bytes) {
  if (bytes >= least_mapped) {
    // Populated at once: a picture is written whole, and thousands of page faults cost more than one call.
    void* const pages = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (pages != MAP_FAILED) return {static_cast<std::byte*>(pages), [bytes](std::byte* data) { ::munmap(data, bytes); }};
    // The system limits how many mappings a process may have; the heap still serves then.
  }
  auto* const data = static_cast<std::byte*>(::operator new(bytes, alignment));
  std::memset(data, 0, bytes);
  return {data, [](std::byte* old) { ::operator delete(old, alignment); }};
}

}  // namespace v0
}  // namespace vidloom
