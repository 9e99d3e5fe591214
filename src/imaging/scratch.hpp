#pragma once
/// Working memory of a thread that stays for its next picture.

#include <cstddef>
#include <new>
#include <span>

namespace vidloom {
inline namespace v0 {

/// Grows to the largest request and is carved anew for each picture.
class Scratch {
 public:
  static constexpr std::size_t alignment = 64;
  Scratch() = default;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch();
  /// This thread's own.
  static Scratch& of_thread();

  /// Begins anew: `bytes` may be taken until the next call. Invalidates what was taken before.
  void reserve(std::size_t bytes);
  /// `count` uninitialised T, aligned for any vector. Call room_for<T>(count) for what it takes of the reserve.
  template <class T>
  T* take(std::size_t count) noexcept {
    std::byte* const part = data_ + used_;
    used_ += room_for<T>(count);
    return reinterpret_cast<T*>(part);
  }
  template <class T>
  static constexpr std::size_t room_for(std::size_t count) noexcept {
    return (count * sizeof(T) + alignment - 1) / alignment * alignment;
  }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0, used_ = 0;
};

}  // namespace v0
}  // namespace vidloom
