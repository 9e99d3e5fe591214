#pragma once
/// Our own small readers, each fed with bytes: what people type, what stands in configuration files, what a picture file begins with.

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace vidloom::fuzz {

enum class Reader : std::uint8_t {
  value,
  commented_value,
  source,
  test_pattern,
  filter_graph,
  analyses,
  sink,
  duration,
  redaction,
  barcode,
  picture,
  timeline,
  transport,
  coded_pictures,
  safetensors,
  tokenizer  ///< accepts nothing where there is no utf8proc
};

inline constexpr std::array readers{Reader::value,        Reader::commented_value, Reader::source,      Reader::test_pattern,
                                    Reader::filter_graph, Reader::analyses,        Reader::sink,        Reader::duration,
                                    Reader::redaction,    Reader::barcode,         Reader::picture,     Reader::timeline,
                                    Reader::transport,    Reader::coded_pictures,  Reader::safetensors, Reader::tokenizer};

/// \return whether `bytes` were accepted; what was refused ended in an Error of the code `config` (or of another that fits).
/// Throws Broken where a promise was broken: an answer that does not come back through its own text, an error of another code.
bool read_text(Reader reader, std::string_view bytes);

/// Texts that a reader accepts, to begin with.
std::vector<std::string_view> samples_of(Reader reader);

}  // namespace vidloom::fuzz
