#include <imaging/pixel_buffer.hpp>

#include <imaging/counters.hpp>

#include <array>
#include <mutex>
#include <new>
#include <utility>

namespace vidloom {
inline namespace v0 {
namespace {

constexpr std::align_val_t alignment{64};
constexpr std::size_t most_bytes = std::size_t{128} << 20;

struct Pool {
  struct Free {
    std::byte* data = nullptr;
    std::size_t bytes = 0;
  };
  std::mutex mutex;
  std::array<Free, 32> free;  // more than most_bytes hold of 1080p
  std::size_t next = 0;  // replaced next, so that sizes no longer asked for leave
  std::size_t held = 0;
};

// Never destroyed: pictures may outlive static destructors. Only ever try_lock()ed: in the child of a fork the mutex may
// stay locked for ever, and then the heap serves.
Pool& pool() {
  static Pool* const one = new Pool;
  return *one;
}

std::byte* take(std::size_t bytes) {
  Pool& all = pool();
  if (const std::unique_lock lock(all.mutex, std::try_to_lock); lock) {
    for (Pool::Free& slot : all.free) {
      if (slot.data && slot.bytes == bytes) {
        all.held -= bytes;
        return std::exchange(slot.data, nullptr);
      }
    }
  }
  count_buffer();
  return static_cast<std::byte*>(::operator new(bytes, alignment));
}

void give_back(std::byte* data, std::size_t bytes) noexcept {
  Pool& all = pool();
  if (const std::unique_lock lock(all.mutex, std::try_to_lock); lock && bytes <= most_bytes) {
    Pool::Free* chosen = nullptr;
    for (Pool::Free& slot : all.free) {
      if (!slot.data) chosen = &slot;
    }
    if (!chosen) chosen = &all.free[all.next++ % all.free.size()];
    const std::size_t leaving = chosen->data ? chosen->bytes : 0;
    if (all.held - leaving + bytes <= most_bytes) {
      all.held += bytes - leaving;
      std::swap(chosen->data, data);
      chosen->bytes = bytes;
    }
  }
  ::operator delete(data, alignment);
}

}  // namespace

std::shared_ptr<std::byte> take_pixel_buffer(std::size_t bytes) {
  return {take(bytes), [bytes](std::byte* data) { give_back(data, bytes); }};
}

}  // namespace v0
}  // namespace vidloom
