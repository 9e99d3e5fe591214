#include <imaging/scratch.hpp>

#include <imaging/counters.hpp>

namespace vidloom {
inline namespace v0 {

Scratch::~Scratch() { ::operator delete(data_, std::align_val_t{alignment}); }

Scratch& Scratch::of_thread() {
  static thread_local Scratch mine;
  return mine;
}

void Scratch::reserve(std::size_t bytes) {
  used_ = 0;
  if (bytes <= size_) return;
  std::byte* const larger = static_cast<std::byte*>(::operator new(bytes, std::align_val_t{alignment}));
  ::operator delete(data_, std::align_val_t{alignment});
  data_ = larger;
  size_ = bytes;
  count_buffer();
}

}  // namespace v0
}  // namespace vidloom
