#pragma once
/// Where the joints of a media file are: the pieces it is made of and the fields that say how long they are. A mutation that
/// knows them gets past the first check of a reader.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vidloom::fuzz {

/// How the bytes are laid out. `plain`: nothing is known of them.
enum class Family : std::uint8_t { plain, mp4, transport, matroska, riff, flv, start_codes, png, jpeg, tiff };

struct Piece {
  std::size_t begin = 0, end = 0;  ///< header included
};

/// A number in the file.
struct Field {
  std::size_t at = 0;
  unsigned bytes = 4;  ///< 1 to 8
  bool big_endian = true;
};

struct Structure {
  std::vector<Piece> pieces;
  std::vector<Field> fields;
};

/// Of whole, undamaged `bytes`; reads no further than they go in any case.
Structure structure_of(Family family, std::string_view bytes);

/// Makes the checksums right again that `family` has (PNG chunks, tables of MPEG-TS), so that what lies behind them is read.
void mend_checksums(Family family, std::string& bytes);

std::uint64_t read_number(std::string_view bytes, const Field& field) noexcept;
void write_number(std::string& bytes, const Field& field, std::uint64_t value) noexcept;

}  // namespace vidloom::fuzz
