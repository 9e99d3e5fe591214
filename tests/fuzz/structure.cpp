#include <fuzz/structure.hpp>

#include <algorithm>
#include <array>

namespace vidloom::fuzz {
namespace {

using namespace std::string_view_literals;

constexpr std::size_t packet_bytes = 188;

unsigned byte_at(std::string_view bytes, std::size_t at) noexcept { return at < bytes.size() ? static_cast<unsigned char>(bytes[at]) : 0U; }

/// ISO/IEC 14496-12: boxes in boxes, each with its length and name in front.
void boxes(std::string_view bytes, std::size_t from, std::size_t to, int depth, Structure& found) {
  static constexpr std::array containers{"moov"sv, "trak"sv, "mdia"sv, "minf"sv, "stbl"sv, "edts"sv, "dinf"sv,
                                         "udta"sv, "moof"sv, "traf"sv, "mvex"sv, "tref"sv, "meta"sv, "ilst"sv};
  while (from + 8 <= to) {
    const std::size_t length = static_cast<std::size_t>(read_number(bytes, {from, 4, true}));
    const std::size_t end = length < 8 ? to : std::min(to, from + length);
    const std::string_view name = bytes.substr(from + 4, 4);
    found.pieces.push_back({from, end});
    found.fields.push_back({from, 4, true});
    if (std::ranges::find(containers, name) != containers.end() && depth < 8) {
      boxes(bytes, from + 8, end, depth + 1, found);
    } else if (name != "mdat") {
      // Tables: version and flags, a count, then rows of 32-bit numbers.
      for (std::size_t at = from + 8; at + 4 <= std::min(end, from + 160); at += 4) found.fields.push_back({at, 4, true});
      if (name == "stsd") {
        found.pieces.push_back({from + 16, end});
        for (std::size_t at = from + 16; at + 2 <= std::min(end, from + 200); at += 2) found.fields.push_back({at, 2, true});
      }
    }
    if (end <= from) return;
    from = end;
  }
}

/// ISO/IEC 13818-1: packets of 188 bytes.
void packets(std::string_view bytes, Structure& found) {
  for (std::size_t at = 0; at + packet_bytes <= bytes.size(); at += packet_bytes) {
    found.pieces.push_back({at, at + packet_bytes});
    found.fields.push_back({at + 1, 2, true});  // error, start, priority, PID
    found.fields.push_back({at + 3, 1, true});  // scrambling, adaptation, continuity
    const bool adapts = (byte_at(bytes, at + 3) & 0x20U) != 0;
    const bool starts = (byte_at(bytes, at + 1) & 0x40U) != 0;
    const std::size_t payload = at + 4 + (adapts ? 1 + byte_at(bytes, at + 4) : 0);
    if (adapts) {
      found.fields.push_back({at + 4, 1, true});
      found.fields.push_back({at + 5, 1, true});
      found.fields.push_back({at + 6, 6, true});  // the clock reference
    }
    if (!starts || payload + 24 > at + packet_bytes) continue;
    if (bytes.substr(payload, 3) == "\0\0\1"sv) {
      found.fields.push_back({payload + 3, 1, true});   // stream_id
      found.fields.push_back({payload + 4, 2, true});   // PES_packet_length
      found.fields.push_back({payload + 6, 2, true});   // flags
      found.fields.push_back({payload + 8, 1, true});   // PES_header_data_length
      found.fields.push_back({payload + 9, 5, true});   // PTS
      found.fields.push_back({payload + 14, 5, true});  // DTS
    } else {
      for (std::size_t word = payload; word < payload + 20; word += 2) found.fields.push_back({word + 1, 2, true});  // a table
    }
  }
}

/// RFC 8794: elements whose identifiers and lengths say by their leading zeros how many bytes they take.
void elements(std::string_view bytes, std::size_t from, std::size_t to, int depth, Structure& found) {
  static constexpr std::array<std::uint64_t, 10> masters{0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B, 0xAE,
                                                         0xE0,       0x1F43B675, 0xA0,       0x1C53BB6B, 0x114D9B74};
  const auto length_of = [bytes](std::size_t at) {
    unsigned first = byte_at(bytes, at), count = 1;
    while (count < 9 && (first & 0x80U) == 0) first <<= 1, ++count;
    return count;
  };
  while (from < to) {
    const unsigned name_bytes = length_of(from);
    if (name_bytes > 4 || from + name_bytes >= to) return;
    const std::uint64_t name = read_number(bytes, {from, name_bytes, true});
    const std::size_t at = from + name_bytes;
    const unsigned size_bytes = length_of(at);
    if (size_bytes > 8 || at + size_bytes > to) return;
    std::uint64_t size = read_number(bytes, {at, size_bytes, true}) & ((std::uint64_t{1} << (7 * size_bytes)) - 1);
    const std::size_t body = at + size_bytes;
    const bool open_end = size == (std::uint64_t{1} << (7 * size_bytes)) - 1;
    const std::size_t end = open_end ? to : body + static_cast<std::size_t>(std::min<std::uint64_t>(size, to - body));
    found.pieces.push_back({from, end});
    found.fields.push_back({from, name_bytes, true});
    found.fields.push_back({at, size_bytes, true});
    if (std::ranges::find(masters, name) != masters.end() && depth < 8) {
      elements(bytes, body, end, depth + 1, found);
    } else if (end > body) {
      found.fields.push_back({body, static_cast<unsigned>(std::min<std::size_t>(end - body, 8)), true});
    }
    from = end;
  }
}

/// AVI and WebP: chunks with a name and a little-endian length.
void chunks(std::string_view bytes, std::size_t from, std::size_t to, int depth, Structure& found) {
  while (from + 8 <= to) {
    const std::string_view name = bytes.substr(from, 4);
    const std::size_t length = static_cast<std::size_t>(read_number(bytes, {from + 4, 4, false}));
    const std::size_t end = std::min(to, from + 8 + length);
    found.pieces.push_back({from, end});
    found.fields.push_back({from + 4, 4, false});
    if ((name == "RIFF" || name == "LIST") && depth < 8) {
      chunks(bytes, from + 12, end, depth + 1, found);
    } else {
      for (std::size_t at = from + 8; at + 4 <= std::min(end, from + 72); at += 4) found.fields.push_back({at, 4, false});
    }
    from = end + (length & 1);
  }
}

/// FLV: tags of type, length, time and stream, and the length of the tag before.
void tags(std::string_view bytes, Structure& found) {
  found.fields.push_back({4, 1, true});
  found.fields.push_back({5, 4, true});
  for (std::size_t at = 13; at + 15 <= bytes.size();) {
    const std::size_t end = std::min(bytes.size(), at + 15 + static_cast<std::size_t>(read_number(bytes, {at + 1, 3, true})));
    found.pieces.push_back({at, end});
    found.fields.push_back({at, 1, true});
    found.fields.push_back({at + 1, 3, true});
    found.fields.push_back({at + 4, 4, true});
    found.fields.push_back({at + 11, 2, true});
    found.fields.push_back({at + 13, 3, true});
    at = end;
  }
}

/// MPEG program streams and raw H.264: what follows 00 00 01.
void start_codes(std::string_view bytes, Structure& found) {
  std::size_t before = std::string_view::npos;
  for (std::size_t at = bytes.find("\0\0\1"sv); at != std::string_view::npos; at = bytes.find("\0\0\1"sv, at + 3)) {
    if (before != std::string_view::npos) found.pieces.push_back({before, at});
    before = at;
    found.fields.push_back({at + 3, 1, true});
    for (std::size_t word = at + 4; word + 2 <= std::min(bytes.size(), at + 20); word += 2) found.fields.push_back({word, 2, true});
  }
  if (before != std::string_view::npos) found.pieces.push_back({before, bytes.size()});
}

void png_chunks(std::string_view bytes, Structure& found) {
  for (std::size_t at = 8; at + 12 <= bytes.size();) {
    const std::size_t length = static_cast<std::size_t>(read_number(bytes, {at, 4, true}));
    const std::size_t end = std::min(bytes.size(), at + 12 + length);
    found.pieces.push_back({at, end});
    found.fields.push_back({at, 4, true});
    for (std::size_t word = at + 8; word + 4 <= std::min(end, at + 40); word += 4) found.fields.push_back({word, 4, true});
    if (at == 8)
      for (std::size_t word = 24; word < 29; ++word) found.fields.push_back({word, 1, true});  // depth, colour, method, filter, interlace
    at = end;
  }
}

void jpeg_segments(std::string_view bytes, Structure& found) {
  for (std::size_t at = 2; at + 4 <= bytes.size() && byte_at(bytes, at) == 0xFF;) {
    const std::size_t end = std::min(bytes.size(), at + 2 + static_cast<std::size_t>(read_number(bytes, {at + 2, 2, true})));
    found.pieces.push_back({at, end});
    found.fields.push_back({at + 1, 1, true});
    found.fields.push_back({at + 2, 2, true});
    for (std::size_t one = at + 4; one < std::min(end, at + 24); ++one) found.fields.push_back({one, 1, true});
    const unsigned marker = byte_at(bytes, at + 1);
    if (marker == 0xC0 || marker == 0xC2) {
      found.fields.push_back({at + 5, 2, true});  // lines
      found.fields.push_back({at + 7, 2, true});  // samples a line
    }
    if (marker == 0xDA || end <= at + 2) return;
    at = end;
  }
}

void tiff_entries(std::string_view bytes, Structure& found) {
  const bool big = bytes.starts_with("MM");
  found.fields.push_back({4, 4, big});
  const auto directory = static_cast<std::size_t>(read_number(bytes, {4, 4, big}));
  const auto count = static_cast<std::size_t>(read_number(bytes, {directory, 2, big}));
  found.fields.push_back({directory, 2, big});
  for (std::size_t entry = 0; entry < count; ++entry) {
    const std::size_t at = directory + 2 + 12 * entry;
    if (at + 12 > bytes.size()) return;
    found.pieces.push_back({at, at + 12});
    found.fields.push_back({at, 2, big});
    found.fields.push_back({at + 2, 2, big});
    found.fields.push_back({at + 4, 4, big});
    found.fields.push_back({at + 8, 4, big});
  }
}

template <std::uint32_t polynomial, bool reflected>
std::uint32_t crc32(std::string_view bytes) noexcept {
  std::uint32_t sum = 0xFFFFFFFFU;
  for (const char c : bytes) {
    const std::uint32_t byte = static_cast<unsigned char>(c);
    sum ^= reflected ? byte : byte << 24;
    for (int bit = 0; bit < 8; ++bit) {
      if constexpr (reflected)
        sum = (sum >> 1) ^ ((sum & 1U) != 0 ? polynomial : 0U);
      else
        sum = (sum << 1) ^ ((sum & 0x80000000U) != 0 ? polynomial : 0U);
    }
  }
  return sum;
}

}  // namespace

std::uint64_t read_number(std::string_view bytes, const Field& field) noexcept {
  std::uint64_t value = 0;
  for (unsigned index = 0; index < field.bytes; ++index)
    value = value << 8 | byte_at(bytes, field.at + (field.big_endian ? index : field.bytes - 1 - index));
  return value;
}

void write_number(std::string& bytes, const Field& field, std::uint64_t value) noexcept {
  for (unsigned index = 0; index < field.bytes; ++index) {
    const std::size_t at = field.at + (field.big_endian ? field.bytes - 1 - index : index);
    if (at < bytes.size()) bytes[at] = static_cast<char>(value >> (8 * index));
  }
}

Structure structure_of(Family family, std::string_view bytes) {
  Structure found;
  switch (family) {
    case Family::plain: break;
    case Family::mp4: boxes(bytes, 0, bytes.size(), 0, found); break;
    case Family::transport: packets(bytes, found); break;
    case Family::matroska: elements(bytes, 0, bytes.size(), 0, found); break;
    case Family::riff: chunks(bytes, 0, bytes.size(), 0, found); break;
    case Family::flv: tags(bytes, found); break;
    case Family::start_codes: start_codes(bytes, found); break;
    case Family::png: png_chunks(bytes, found); break;
    case Family::jpeg: jpeg_segments(bytes, found); break;
    case Family::tiff: tiff_entries(bytes, found); break;
  }
  return found;
}

void mend_checksums(Family family, std::string& bytes) {
  if (family == Family::png) {
    for (std::size_t at = 8; at + 12 <= bytes.size();) {
      const auto length = static_cast<std::size_t>(read_number(bytes, {at, 4, true}));
      if (length > bytes.size() - at - 12) return;
      const std::uint32_t sum = ~crc32<0xEDB88320U, true>(std::string_view(bytes).substr(at + 4, length + 4));
      write_number(bytes, {at + 8 + length, 4, true}, sum);
      at += length + 12;
    }
  } else if (family == Family::transport) {
    // Tables that fit into one packet, as those of a small clip do.
    for (std::size_t at = 0; at + packet_bytes <= bytes.size(); at += packet_bytes) {
      const bool starts = (byte_at(bytes, at + 1) & 0x40U) != 0, adapts = (byte_at(bytes, at + 3) & 0x20U) != 0;
      if (byte_at(bytes, at) != 0x47 || !starts) continue;
      std::size_t section = at + 4 + (adapts ? 1 + byte_at(bytes, at + 4) : 0);
      section += 1 + byte_at(bytes, section);
      const unsigned table = byte_at(bytes, section);
      if (table != 0x00 && table != 0x02 && table != 0x42) continue;
      const std::size_t length = static_cast<std::size_t>(read_number(bytes, {section + 1, 2, true})) & 0x0FFFU;
      if (length < 9 || section + 3 + length > at + packet_bytes) continue;
      const std::uint32_t sum = crc32<0x04C11DB7U, false>(std::string_view(bytes).substr(section, length - 1));
      write_number(bytes, {section + length - 1, 4, true}, sum);
    }
  }
}

}  // namespace vidloom::fuzz
