#pragma once
/// Random numbers that depend on nothing but (seed, number of the mutation, how many were drawn): mutation 12345 is the same
/// whether 12344 others ran before it or none.

#include <cstddef>
#include <cstdint>
#include <string>

namespace vidloom::fuzz {

class Dice {
 public:
  Dice(std::uint64_t seed, std::uint64_t number) noexcept : key_(mixed(seed) ^ mixed(number + 0x9E3779B97F4A7C15U)) {}

  std::uint64_t next() noexcept { return mixed(key_ + ++drawn_ * 0x9E3779B97F4A7C15U); }
  /// 0 to `count` - 1; 0 when `count` is 0.
  std::size_t below(std::size_t count) noexcept { return count == 0 ? 0 : static_cast<std::size_t>(next() % count); }
  /// Whether a thing that happens `percent` times in a hundred happens.
  bool chance(unsigned percent) noexcept { return next() % 100 < percent; }
  /// 0 to `count` - 1, small ones far more often: headers stand in front.
  std::size_t near_front(std::size_t count) noexcept {
    const std::size_t limit = std::size_t{1} << below(1 + width_of(count));
    return below(limit < count ? limit : count);
  }
  template <class T>
  auto& one_of(T& range) noexcept {
    return range[below(std::size(range))];
  }
  std::string bytes(std::size_t count) {
    std::string out(count, '\0');
    for (char& byte : out) byte = static_cast<char>(next());
    return out;
  }

 private:
  /// The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
  static constexpr std::uint64_t mixed(std::uint64_t value) noexcept {
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9U;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBU;
    return value ^ (value >> 31);
  }
  static constexpr std::size_t width_of(std::size_t count) noexcept {
    std::size_t width = 0;
    for (; count > 0; count >>= 1) ++width;
    return width;
  }

  std::uint64_t key_;
  std::uint64_t drawn_ = 0;
};

}  // namespace vidloom::fuzz
