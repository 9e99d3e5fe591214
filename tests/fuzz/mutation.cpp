#include <fuzz/mutation.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>

namespace vidloom::fuzz {
namespace {

constexpr std::size_t largest = std::size_t{1} << 18;  // bytes of a mutated file: copies of copies end there

/// One file under damage.
class Victim {
 public:
  Victim(std::string_view bytes, Family family, const Structure& structure, std::string_view other, Dice& dice, std::string& what)
      : bytes_(bytes), family_(family), structure_(structure), other_(other), dice_(dice), what_(what) {}

  std::string damaged() {
    for (std::size_t left = dice_.chance(50) ? 1 : 2 + dice_.near_front(6); left > 0; --left) {
      const bool knows = !structure_.pieces.empty() && !structure_.fields.empty();
      switch (dice_.below(knows ? 16 : 9)) {
        case 0: flip_bits(); break;
        case 1: set_bytes(); break;
        case 2: overwrite(); break;
        case 3: erase(); break;
        case 4: duplicate(); break;
        case 5: cut_off(); break;
        case 6: splice(); break;
        case 7: insert(); break;
        case 8: set_any_number(); break;
        case 9:
        case 10:
        case 11:
        case 12: set_field(); break;
        case 13: move_piece(); break;
        case 14: drop_piece(); break;
        default: damage_piece(); break;
      }
    }
    if (dice_.chance(75)) mend_checksums(family_, bytes_);
    return std::move(bytes_);
  }

 private:
  struct Part {
    std::size_t at, length;
  };
  /// A run of bytes: often at the front, often short.
  Part part() {
    const std::size_t at = dice_.chance(50) ? dice_.near_front(bytes_.size()) : dice_.below(bytes_.size());
    const std::size_t room = bytes_.size() - at;
    return {at, std::min(room, dice_.chance(20) ? dice_.below(room + 1) : 1 + dice_.near_front(4096))};
  }
  Part piece() {
    const Piece& one = dice_.one_of(structure_.pieces);
    const std::size_t at = std::min(one.begin, bytes_.size());
    return {at, std::min(one.end, bytes_.size()) - at};
  }
  void note(std::string_view did, std::size_t at) { what_ += (what_.empty() ? "" : ", ") + std::string(did) + " at " + std::to_string(at); }
  void put_in(std::size_t at, std::string_view text) { bytes_.insert(at, text.substr(0, largest - std::min(largest, bytes_.size()))); }

  void flip_bits() {
    if (bytes_.empty()) return;
    const Part where = part();
    note("bits", where.at);
    for (std::size_t left = 1 + dice_.near_front(32); left > 0; --left) {
      char& byte = bytes_[dice_.chance(60) ? where.at + dice_.below(std::max<std::size_t>(1, where.length)) : dice_.below(bytes_.size())];
      byte = static_cast<char>(static_cast<unsigned char>(byte) ^ (1U << dice_.below(8)));
    }
  }
  void set_bytes() {
    if (bytes_.empty()) return;
    static constexpr std::array<unsigned char, 8> values{0x00, 0xFF, 0x7F, 0x80, 0x01, 0x47, 0x20, 0x0A};
    const Part where = part();
    note("bytes", where.at);
    std::fill_n(bytes_.begin() + static_cast<std::ptrdiff_t>(where.at), where.length, static_cast<char>(dice_.one_of(values)));
  }
  void overwrite() {
    if (bytes_.empty()) return;
    const Part where = part();
    note("noise", where.at);
    const std::string noise = dice_.chance(50) ? dice_.bytes(where.length) : bytes_.substr(dice_.below(bytes_.size()), where.length);
    bytes_.replace(where.at, noise.size(), noise);
  }
  void erase() {
    const Part where = part();
    note("cut", where.at);
    bytes_.erase(where.at, where.length);
  }
  void duplicate() {
    if (bytes_.empty()) return;
    const Part where = part();
    note("twice", where.at);
    put_in(where.at, bytes_.substr(where.at, where.length));
  }
  void cut_off() {
    const std::size_t at = dice_.below(bytes_.size() + 1);
    if (dice_.chance(75)) {
      note("ends", at);
      bytes_.resize(at);
    } else {
      note("begins", at);
      bytes_.erase(0, at);
    }
  }
  void splice() {
    if (other_.empty()) return;
    const std::size_t at = dice_.below(bytes_.size() + 1), from = dice_.below(other_.size());
    if (dice_.chance(50)) {
      note("goes on as another file", at);
      bytes_.resize(at);
      put_in(at, other_.substr(from));
    } else {
      note("part of another file", at);
      put_in(at, other_.substr(from, 1 + dice_.near_front(8192)));
    }
  }
  void insert() {
    const std::size_t at = dice_.below(bytes_.size() + 1);
    note("more", at);
    put_in(at, dice_.bytes(1 + dice_.near_front(1024)));
  }
  std::uint64_t number_instead_of(std::uint64_t old) {
    switch (dice_.below(12)) {
      case 0: return 0;
      case 1: return 1;
      case 2: return old + 1;
      case 3: return old - 1;
      case 4: return old * 2;
      case 5: return old / 2;
      case 6: return std::numeric_limits<std::uint64_t>::max();
      case 7: return std::numeric_limits<std::uint64_t>::max() / 2;
      case 8: return 0x8080808080808080U;
      case 9: return std::uint64_t{1} << dice_.below(64);
      case 10: return bytes_.size() + dice_.below(17) - 8;
      default: return dice_.next();
    }
  }
  void set_number(Field field) {
    note("number", field.at);
    const std::uint64_t old = read_number(bytes_, field);
    write_number(bytes_, field, dice_.chance(25) ? old ^ (std::uint64_t{1} << dice_.below(8 * field.bytes)) : number_instead_of(old));
  }
  void set_field() { set_number(dice_.one_of(structure_.fields)); }
  void set_any_number() {
    static constexpr std::array<unsigned, 4> widths{1, 2, 4, 8};
    set_number({dice_.near_front(bytes_.size()), dice_.one_of(widths), dice_.chance(50)});
  }
  void move_piece() {
    const Part from = piece();
    const std::string copy = bytes_.substr(from.at, from.length);
    if (dice_.chance(50)) bytes_.erase(from.at, from.length);
    const std::size_t to = std::min(piece().at, bytes_.size());
    note("piece moved from " + std::to_string(from.at), to);
    put_in(to, copy);
  }
  void drop_piece() {
    const Part where = piece();
    note("piece gone", where.at);
    bytes_.erase(where.at, where.length);
  }
  void damage_piece() {
    const Part where = piece();
    if (where.length == 0) return;
    note("piece damaged", where.at);
    for (std::size_t left = 1 + dice_.near_front(16); left > 0; --left)
      bytes_[where.at + dice_.near_front(where.length)] = static_cast<char>(dice_.next());
  }

  std::string bytes_;
  const Family family_;
  const Structure& structure_;
  const std::string_view other_;
  Dice& dice_;
  std::string& what_;
};

}  // namespace

std::string mutated(std::string_view bytes, Family family, const Structure& structure, std::string_view other, Dice& dice,
                    std::string& what) {
  what.clear();
  return Victim(bytes, family, structure, other, dice, what).damaged();
}

}  // namespace vidloom::fuzz
