#pragma once
/// Reads a safetensors file (github.com/huggingface/safetensors): eight bytes of length, a JSON header, then the numbers. The file
/// is mapped, not copied: all who read it share its pages. Our own, because there is no C++ reader to take: docs/decisions/0023.

#include <vidloom/core/export.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace vidloom {
inline namespace v0 {

enum class Number : std::uint8_t { f64, f32, f16, bf16, i64, i32, i16, i8, u8, boolean };
constexpr std::size_t bytes_of(Number number) noexcept {
  switch (number) {
    case Number::f64:
    case Number::i64: return 8;
    case Number::f32:
    case Number::i32: return 4;
    case Number::f16:
    case Number::bf16:
    case Number::i16: return 2;
    default: return 1;
  }
}

struct StoredTensor {
  Number number = Number::f32;
  std::vector<std::int64_t> shape{};
  std::span<const std::byte> bytes{};  ///< product of shape numbers, little endian, rows last; not aligned
};

class VIDLOOM_API Safetensors {
 public:
  /// Maps the file. Throws Error(model) that names it and says what is wrong: missing, cut off, not of this format (a pickle is told
  /// as such), a header that is too long or points outside of the file.
  explicit Safetensors(const std::string& path);
  /// Of bytes that outlive it; `name` is for messages.
  Safetensors(std::span<const std::byte> file, std::string name);

  const std::string& path() const noexcept { return path_; }
  std::size_t size() const noexcept { return tensors_.size(); }
  const StoredTensor* find(std::string_view name) const noexcept;
  const std::unordered_map<std::string, StoredTensor>& all() const noexcept { return tensors_; }
  /// Hands the pages back to the system; a later read brings them in from the file again.
  void release_pages() const noexcept;

 private:
  void read(std::span<const std::byte> file);

  std::string path_;
  std::shared_ptr<const std::byte> mapping_;
  std::size_t mapped_ = 0;
  std::unordered_map<std::string, StoredTensor> tensors_;
};

/// Numbers of `tensor` from element `from` on as floats, as many as `out` takes. f64, f32, f16 and bf16 only: else throws Error(model).
VIDLOOM_API void read_floats(const StoredTensor& tensor, std::size_t from, std::span<float> out);

}  // namespace v0
}  // namespace vidloom
