#include <adapters/clip/bpe_tokenizer.hpp>

#include <core/utf8.hpp>
#include <vidloom/core/error.hpp>
#include <vidloom/core/value.hpp>

#include <utf8proc.h>

#include <algorithm>
#include <bit>
#include <fstream>
#include <functional>
#include <limits>
#include <optional>
#include <system_error>
#include <unordered_map>
#include <utility>

namespace vidloom {
inline namespace v0 {

namespace {

using Bytes = std::string_view;
namespace fs = std::filesystem;

constexpr Bytes start_text = "<|startoftext|>", end_text = "<|endoftext|>", word_end = "</w>";
constexpr const char* config_name = "tokenizer_config.json";
constexpr std::uint32_t nothing = std::numeric_limits<std::uint32_t>::max();
/// CLIP's files have 1 to 4 MB; whoever names a film by mistake shall hear of it before it is in memory.
constexpr std::uintmax_t largest_file = std::uintmax_t{16} << 20U;
/// Ids index a table of embeddings: more than this is a damaged number, and would only cost memory.
constexpr std::int64_t most_ids = std::int64_t{1} << 24U;
/// Each of them is looked for at many places of a text.
constexpr std::size_t most_specials = 1000;
/// Positions in a word are 32 bits wide.
constexpr std::size_t longest_text = std::size_t{1} << 30U;

[[noreturn]] void refuse(const std::string& message) { throw Error(Code::model, message); }

/// For messages: `text` in quotes, shortened.
std::string shown(Bytes text) { return "\"" + valid_utf8(text.substr(0, 60)) + (text.size() > 60 ? "...\"" : "\""); }

// ── Unicode ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/// Note [Unicode of the tokenizer]: three of the reference's libraries look at a character, each with a Unicode version of its own:
/// NFC (9), letters and numbers (16), lower case (17). Here it is one, utf8proc's. They differ on characters that are newer than the
/// oldest of the four, which CLIP's vocabulary has no word for; see docs/decisions/0020.
enum class Kind : std::uint8_t { space, letter, number, other };

Kind kind_of(std::int32_t point) noexcept {
  if (point < 0x80) {
    if ((point >= 'a' && point <= 'z') || (point >= 'A' && point <= 'Z')) return Kind::letter;
    if (point >= '0' && point <= '9') return Kind::number;
    return point == ' ' || (point >= 0x09 && point <= 0x0D) ? Kind::space : Kind::other;
  }
  switch (utf8proc_category(point)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return Kind::letter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return Kind::number;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: return Kind::space;
    default: return point == 0x85 ? Kind::space : Kind::other;  // NEXT LINE: a control character with the property White_Space
  }
}

struct Point {
  std::int32_t value;
  std::size_t bytes;
};

/// The character at the start of `text`; U+FFFD for a byte that belongs to none. \pre `text` is not empty.
Point first_point(Bytes text) noexcept {
  const std::size_t length = utf8_length(text);
  const auto bits = [&](std::size_t i) { return static_cast<std::int32_t>(static_cast<unsigned char>(text[i]) & 0x3FU); };
  const auto lead = static_cast<std::int32_t>(static_cast<unsigned char>(text[0]));
  switch (length) {
    case 0: return {0xFFFD, 1};
    case 1: return {lead, 1};
    case 2: return {(lead & 0x1F) << 6 | bits(1), 2};
    case 3: return {(lead & 0x0F) << 12 | bits(1) << 6 | bits(2), 3};
    default: return {(lead & 0x07) << 18 | bits(1) << 12 | bits(2) << 6 | bits(3), 4};
  }
}

void append(std::string& out, std::int32_t point) {
  if (point < 0x80) {
    out.push_back(static_cast<char>(point));
    return;
  }
  std::array<utf8proc_uint8_t, 4> bytes{};
  const utf8proc_ssize_t length = utf8proc_encode_char(point, bytes.data());
  out.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(length));
}

/// Composed and in canonical order. utf8proc's own ordering takes quadratic time for a long row of marks: ours does not.
void to_nfc(std::vector<std::int32_t>& points) {
  std::vector<std::int32_t> apart;
  apart.reserve(points.size());
  std::array<std::int32_t, 8> pieces{};  // the longest canonical decomposition has four
  for (const std::int32_t point : points) {
    const utf8proc_ssize_t count = utf8proc_decompose_char(point, pieces.data(), pieces.size(), UTF8PROC_DECOMPOSE, nullptr);
    if (count < 1 || static_cast<std::size_t>(count) > pieces.size()) {
      apart.push_back(point);
    } else {
      apart.insert(apart.end(), pieces.begin(), pieces.begin() + count);
    }
  }
  const auto order_of = [](std::int32_t point) { return utf8proc_get_property(point)->combining_class; };
  const auto is_mark = [&](std::int32_t point) { return order_of(point) != 0; };
  for (auto at = apart.begin(); at != apart.end();) {
    const auto first = std::find_if(at, apart.end(), is_mark);
    const auto last = std::find_if_not(first, apart.end(), is_mark);
    if (last - first > 1) std::stable_sort(first, last, [&](std::int32_t a, std::int32_t b) { return order_of(a) < order_of(b); });
    at = last;
  }
  const utf8proc_ssize_t count = utf8proc_normalize_utf32(apart.data(), static_cast<utf8proc_ssize_t>(apart.size()),
                                                          static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  if (count < 0) throw Error(Code::internal, std::string("utf8proc: ") + utf8proc_errmsg(count));
  apart.resize(static_cast<std::size_t>(count));
  points.swap(apart);
}

/// NFC, then white space as spaces, then lower case.
std::string normalised(Bytes text) {
  std::string out;
  out.reserve(text.size());
  std::vector<std::int32_t> points;
  points.reserve(text.size());
  std::int32_t largest = 0;
  for (Bytes rest = text; !rest.empty();) {
    const Point point = first_point(rest);
    rest.remove_prefix(point.bytes);
    points.push_back(point.value);
    largest = std::max(largest, point.value);
  }
  if (largest >= 0x300) to_nfc(points);  // below stand no marks, and nothing that is not composed already
  for (const std::int32_t point : points) {
    if (point < 0x80) {
      out.push_back(kind_of(point) == Kind::space  ? ' '
                    : point >= 'A' && point <= 'Z' ? static_cast<char>(point + 32)
                                                   : static_cast<char>(point));
    } else if (point == 0x130) {
      out.append("i\xCC\x87");  // the only character that becomes two: I with a dot above
    } else {
      append(out, kind_of(point) == Kind::space ? ' ' : utf8proc_tolower(point));
    }
  }
  return out;
}

// ── the files ────────────────────────────────────────────────────────────────────────────────────────────────────────

/// The characters that stand for bytes in the files: printable Latin-1 for itself, the other 68 bytes as U+0100 on.
std::array<std::string, 256> byte_texts() {
  std::array<std::string, 256> texts;
  std::int32_t next = 0x100;
  for (std::int32_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xFF && byte != 0xAD);
    append(texts[static_cast<std::size_t>(byte)], printable ? byte : next++);
  }
  return texts;
}

Value parsed(Bytes json, const std::string& file) {
  try {
    return Value::parse(json);
  } catch (const Error& error) {
    refuse(file + ": " + error.what());
  }
}

/// What the configuration says; null where there is none.
Value configuration(Bytes json) {
  if (json.empty()) return {};
  Value value = parsed(json, config_name);
  if (!value.is_object()) refuse(std::string(config_name) + " is " + std::string(value.type_name()) + "; an object is needed");
  return value;
}

}  // namespace

/// Views into the texts that were read, which outlive it.
struct BpeTokenizer::Vocabulary {
  std::unordered_map<Bytes, std::uint32_t> ids;
  struct Pair {
    Bytes left, right;
  };
  std::vector<Pair> merges;
  std::string merges_file;  ///< for messages
  std::vector<Special> specials;
  std::size_t size = 0;

  void take_tokens(const Value& tokens, const std::string& where) {
    if (!tokens.is_object() || tokens.size() == 0)
      refuse(where + " is " + std::string(tokens.type_name()) + "; an object of tokens and their ids is needed");
    ids.reserve(tokens.size());
    std::vector<bool> taken;
    for (const auto& [token, id] : tokens.as_object()) {
      const std::size_t index = checked_id(id, token, where);
      if (index >= taken.size()) taken.resize(std::max(index + 1, tokens.size()));
      if (taken[index]) refuse(where + ": " + shown(token) + " has the id " + id.dump() + " of another token");
      taken[index] = true;
      size = std::max(size, index + 1);
      ids.emplace(token, static_cast<std::uint32_t>(index));
    }
  }

  void take_merge_lines(Bytes text, const std::string& file) {
    merges_file = file;
    for (std::size_t number = 1; !text.empty(); ++number) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      Bytes line = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (line.empty() || line.starts_with("#version")) continue;
      take_merge(line, [&] { return file + ", line " + std::to_string(number); });
    }
  }

  /// Either "left right" or ["left", "right"], as tokenizers before and after 0.20 write it.
  void take_merge_list(const Value& list, const std::string& where) {
    merges_file = where;
    if (!list.is_array()) refuse(where + " is " + std::string(list.type_name()) + "; a list of pairs is needed");
    std::size_t number = 0;
    for (const Value& merge : list.as_array()) {
      const auto place = [&] { return where + "[" + std::to_string(number) + "]"; };
      if (merge.is_string()) {
        take_merge(merge.as_string(), place);
      } else if (merge.is_array() && merge.size() == 2 && merge.at(0).is_string() && merge.at(1).is_string()) {
        merges.push_back({merge.at(0).as_string(), merge.at(1).as_string()});
      } else {
        refuse(place() + " is " + shown(merge.dump()) + "; two tokens are needed");
      }
      ++number;
    }
  }

  /// Tokens to be found in a text. As transformers takes them: those that the configuration lists come before those of tokenizer.json.
  void take_listed(const Value& config, const std::string& config_file, const Value& tokenizer) {
    if (const Value* listed = config.find("added_tokens_decoder")) {
      const std::string where = config_file + ": added_tokens_decoder";
      if (!listed->is_object()) refuse(where + " is " + std::string(listed->type_name()) + "; an object is needed");
      for (const auto& [id, added] : listed->as_object()) take_added(added, parsed(id, where + ": an id"), where + "." + valid_utf8(id));
    }
    if (const Value* listed = tokenizer.find("added_tokens")) {
      const std::string where = "tokenizer.json: added_tokens";
      if (!listed->is_array()) refuse(where + " is " + std::string(listed->type_name()) + "; a list is needed");
      for (const Value& added : listed->as_array()) take_added(added, added["id"], where);
    }
  }

  /// Then those it names. What was not listed takes its flag from the last name it has; one without an id could have no embedding.
  void take_named(const Value& config, const std::string& file) {
    const std::size_t listed = specials.size();
    for (const auto& [name, fallback] : {std::pair{"bos_token", start_text}, std::pair{"eos_token", end_text},
                                         std::pair{"unk_token", end_text}, std::pair{"pad_token", end_text}}) {
      const Value& named = config[name];
      const Value& content = named.is_object() ? named["content"] : named;
      if (!content.is_null() && (!content.is_string() || content.as_string().empty()))
        refuse(file + ": " + name + " is " + shown(named.dump()) + "; a text is needed");
      const std::string text = content.is_null() ? std::string(fallback) : content.as_string();
      const auto same = std::ranges::find(specials, text, &Special::text);
      const bool normalised = named["normalized"] == Value(true);
      if (same == specials.end()) {
        if (const std::uint32_t id = id_of(text); id != nothing) specials.push_back({.text = text, .id = id, .normalised = normalised});
      } else if (static_cast<std::size_t>(same - specials.begin()) >= listed) {
        same->normalised = normalised;
      }
    }
  }

  std::uint32_t id_of(Bytes token) const {
    const auto found = ids.find(token);
    return found == ids.end() ? nothing : found->second;
  }

 private:
  template <class Place>
  void take_merge(Bytes line, const Place& place) {
    const std::size_t space = line.find(' ');
    if (space == 0 || space == Bytes::npos || space + 1 == line.size() || line.find(' ', space + 1) != Bytes::npos)
      refuse(place() + " is " + shown(line) + "; two tokens with one space between are needed");
    merges.push_back({line.substr(0, space), line.substr(space + 1)});
  }

  void take_added(const Value& added, const Value& id, const std::string& where) {
    const Value& content = added["content"];
    if (!content.is_string() || content.as_string().empty())
      refuse(where + " is " + shown(added.dump()) + "; a text \"content\" is needed");
    const std::string& text = content.as_string();
    if (std::ranges::find(specials, text, &Special::text) != specials.end()) return;
    if (added["single_word"] == Value(true))
      refuse(where + ": " + shown(text) + " is to be found as a word of its own only, which is not supported");
    const std::uint32_t index = checked_id(id, text, where);
    const std::uint32_t known = id_of(text);
    if (known != nothing && known != index)
      refuse(where + ": " + shown(text) + " has the id " + id.dump() + ", but " + std::to_string(known) + " in the vocabulary");
    if (specials.size() == most_specials) refuse(where + ": more than " + std::to_string(most_specials) + " added tokens");
    size = std::max(size, std::size_t{index} + 1);
    specials.push_back({.text = text, .id = index, .normalised = added["normalized"] == Value(true)});
  }

  static std::uint32_t checked_id(const Value& id, Bytes token, const std::string& where) {
    if (!id.is_integer() || id.as_integer() < 0 || id.as_integer() >= most_ids)
      refuse(where + ": the id of " + shown(token) + " is " + (id.is_integer() ? id.dump() : std::string(id.type_name())) +
             "; a number from 0 to " + std::to_string(most_ids - 1) + " is needed");
    return static_cast<std::uint32_t>(id.as_integer());
  }
};

BpeTokenizer::Merges::Merges(std::size_t count)
    : slots_(std::bit_ceil(2 * count + 2), Merge{.pair = 0, .rank = 0, .id = nothing}), mask_(slots_.size() - 1) {}

std::size_t BpeTokenizer::Merges::slot_of(std::uint64_t pair) const noexcept {
  std::size_t at = static_cast<std::size_t>((pair * 0x9E3779B97F4A7C15U) >> 32U) & mask_;  // Fibonacci hashing: the upper bits are mixed
  while (slots_[at].id != nothing && slots_[at].pair != pair) at = (at + 1) & mask_;
  return at;
}

void BpeTokenizer::Merges::insert(const Merge& merge) noexcept { slots_[slot_of(merge.pair)] = merge; }

const BpeTokenizer::Merge* BpeTokenizer::Merges::find(std::uint32_t left, std::uint32_t right) const noexcept {
  const Merge& merge = slots_[slot_of(std::uint64_t{left} << 32U | right)];
  return merge.id == nothing ? nullptr : &merge;
}

BpeTokenizer::BpeTokenizer(const Vocabulary& vocabulary)
    : merges_(vocabulary.merges.size()), specials_(vocabulary.specials), size_(vocabulary.size) {
  for (const auto& [text, id] : {std::pair{start_text, &start_}, std::pair{end_text, &end_}}) {
    const auto special = std::ranges::find(specials_, text, &Special::text);
    if (special == specials_.end()) refuse("the vocabulary has no token " + shown(text) + ": it is not CLIP's");
    *id = special->id;
  }
  // Where two begin at one place, the longer is found.
  std::ranges::stable_sort(specials_, std::greater{}, [](const Special& special) { return special.text.size(); });
  for (Special& special : specials_) {
    if (!special.normalised) continue;
    special.text = normalised(special.text);
    if (special.text.find(' ') != std::string::npos) part_bytes_ = longest_text;  // it would be missed where it is cut
  }

  const auto texts = byte_texts();
  std::vector<bool> made(size_);  // tokens that words can become
  for (std::size_t byte = 0; byte < 256; ++byte) {
    for (auto* table : {&bytes_, &last_bytes_}) {
      const std::uint32_t id = vocabulary.id_of(texts[byte] + std::string(table == &bytes_ ? "" : word_end));
      (*table)[byte] = id == nothing ? static_cast<std::uint32_t>(end_) : id;  // CLIP's token for what it does not know
      if (id != nothing) made[id] = true;
    }
  }
  std::uint32_t rank = 0;
  std::string joined;
  for (const auto& [left, right] : vocabulary.merges) {
    joined.assign(left).append(right);
    const std::array<Bytes, 3> parts{left, right, joined};
    std::array<std::uint32_t, 3> ids{};
    for (std::size_t part = 0; part < 3; ++part) {
      ids[part] = vocabulary.id_of(parts[part]);
      if (ids[part] == nothing)
        refuse(vocabulary.merges_file + ": merge " + std::to_string(rank + 1) + ", " + shown(left) + " with " + shown(right) +
               ": the vocabulary has no token " + shown(parts[part]));
    }
    merges_.insert({.pair = std::uint64_t{ids[0]} << 32U | ids[1], .rank = rank++, .id = ids[2]});
    made[ids[2]] = true;
  }
  // A list of merges that was cut short between two lines would give other ids, silently.
  for (const auto& [token, id] : vocabulary.ids) {
    if (!made[id] && std::ranges::find(specials_, id, &Special::id) == specials_.end())
      refuse(vocabulary.merges_file + ": " + std::to_string(rank) + " merges, of which none makes " + shown(token) + ": it is cut short");
  }
}

std::shared_ptr<const BpeTokenizer> BpeTokenizer::from_tokenizer_json(std::string_view json, std::string_view config) {
  const Value file = parsed(json, "tokenizer.json"), named = configuration(config);
  const Value& model = file["model"];
  if (!model.is_object()) refuse("tokenizer.json has no object \"model\"");
  for (const auto& [name, wanted] : {std::pair{"type", Value("BPE")}, std::pair{"end_of_word_suffix", Value(word_end)}}) {
    if (!(model[name] == wanted))
      refuse("tokenizer.json: model." + std::string(name) + " is " + shown(model[name].dump()) + "; of CLIP it is " + wanted.dump());
  }
  Vocabulary vocabulary;
  vocabulary.take_tokens(model["vocab"], "tokenizer.json: model.vocab");
  vocabulary.take_merge_list(model["merges"], "tokenizer.json: model.merges");
  vocabulary.take_listed(named, config_name, file);
  vocabulary.take_named(named, config_name);
  return std::shared_ptr<const BpeTokenizer>(new BpeTokenizer(vocabulary));
}

std::shared_ptr<const BpeTokenizer> BpeTokenizer::from_vocabulary(std::string_view vocab_json, std::string_view merges,
                                                                  std::string_view config) {
  const Value tokens = parsed(vocab_json, "vocab.json"), named = configuration(config);
  Vocabulary vocabulary;
  vocabulary.take_tokens(tokens, "vocab.json");
  vocabulary.take_merge_lines(merges, "merges.txt");
  vocabulary.take_listed(named, config_name, Value());
  vocabulary.take_named(named, config_name);
  return std::shared_ptr<const BpeTokenizer>(new BpeTokenizer(vocabulary));
}

namespace {

/// \return the text of a file; nothing where there is none.
std::optional<std::string> text_of(const fs::path& file) {
  std::error_code error;
  if (!fs::exists(file, error)) return std::nullopt;
  const std::string name = file.filename().string();
  if (!fs::is_regular_file(file, error)) refuse(name + " is no file");
  const std::uintmax_t size = fs::file_size(file, error);
  if (error) refuse(name + ": " + error.message());
  if (size > largest_file)
    refuse(name + " has " + std::to_string(size) + " bytes; a vocabulary's has " + std::to_string(largest_file) + " at most");
  std::string text(static_cast<std::size_t>(size), '\0');
  std::ifstream stream(file, std::ios::binary);
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!stream) refuse(name + " could not be read");
  return text;
}

}  // namespace

std::shared_ptr<const BpeTokenizer> BpeTokenizer::read(const std::filesystem::path& folder) {
  try {
    auto config = text_of(folder / config_name);
    if (!config) config = text_of(folder / "special_tokens_map.json");
    if (const auto tokenizer = text_of(folder / "tokenizer.json")) return from_tokenizer_json(*tokenizer, config.value_or(""));
    const auto vocab = text_of(folder / "vocab.json"), merges = text_of(folder / "merges.txt");
    if (vocab && merges) return from_vocabulary(*vocab, *merges, config.value_or(""));
    refuse(vocab    ? "there is vocab.json, but neither merges.txt nor tokenizer.json"
           : merges ? "there is merges.txt, but neither vocab.json nor tokenizer.json"
                    : "there is neither tokenizer.json nor vocab.json with merges.txt");
  } catch (const Error& error) {
    refuse("the tokenizer in '" + folder.string() + "': " + error.what() +
           "; get its files with: hf download openai/clip-vit-base-patch32 vocab.json merges.txt --local-dir '" + folder.string() + "'");
  }
}

// ── encoding ─────────────────────────────────────────────────────────────────────────────────────────────────────────

struct BpeTokenizer::Encoding {
  const BpeTokenizer& tokenizer;
  std::vector<std::int64_t>& ids;
  std::size_t most;

  bool full() const noexcept { return ids.size() >= most; }

  /// The whole text, special tokens among it.
  void text(Bytes text) {
    between(text, false, [this](Bytes plain) {
      // In parts that end before a space: no word and no composed character goes across one.
      while (!plain.empty() && !full()) {
        const std::size_t end = plain.size() <= tokenizer.part_bytes_
                                    ? plain.size()
                                    : std::min(plain.find_first_of(" \t\n", tokenizer.part_bytes_), plain.size());
        const std::string normal = normalised(plain.substr(0, end));
        between(normal, true, [this](Bytes rest) { words(rest); });
        plain.remove_prefix(end);
      }
    });
  }

 private:
  /// Hands over what stands between special tokens of one kind, and appends those.
  template <class Use>
  void between(Bytes text, bool normal, const Use& use) {
    std::array<bool, 256> opens{};
    for (const Special& special : tokenizer.specials_)
      opens[static_cast<unsigned char>(special.text.front())] |= special.normalised == normal;
    while (!text.empty() && !full()) {
      const Special* found = nullptr;
      std::size_t at = 0;
      for (; at < text.size(); ++at) {
        if (!opens[static_cast<unsigned char>(text[at])]) continue;
        const auto special = std::ranges::find_if(
            tokenizer.specials_, [&](const Special& each) { return each.normalised == normal && text.substr(at).starts_with(each.text); });
        if (special == tokenizer.specials_.end()) continue;
        found = &*special;
        break;
      }
      use(text.substr(0, at));
      if (full()) return;
      text.remove_prefix(at);
      if (found == nullptr) return;
      ids.push_back(found->id);
      text.remove_prefix(found->text.size());
    }
  }

  /// The words of a normalised text: letters, one number, or what is neither; "'s" and the like count as words.
  void words(Bytes normal) {
    constexpr std::array<Bytes, 7> contractions{"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    for (Bytes rest = normal; !rest.empty() && !full();) {
      if (rest.front() == '\'') {
        const auto found = std::ranges::find_if(contractions, [&](Bytes each) { return rest.starts_with(each); });
        if (found != contractions.end()) {
          word(*found);
          rest.remove_prefix(found->size());
          continue;
        }
      }
      // A special token in capitals: CLIP's split keeps it together, the one behind it, of bytes, takes it apart again.
      if (const Bytes name = rest.starts_with(start_text) ? start_text : rest.starts_with(end_text) ? end_text : Bytes(); !name.empty()) {
        word(name.substr(0, 2));
        word(name.substr(2, name.size() - 4));
        word(name.substr(name.size() - 2));
        rest.remove_prefix(name.size());
        continue;
      }
      Point point = first_point(rest);
      const Kind kind = kind_of(point.value);
      std::size_t end = point.bytes;
      while ((kind == Kind::letter || kind == Kind::other) && end < rest.size()) {
        point = first_point(rest.substr(end));
        if (kind_of(point.value) != kind) break;
        end += point.bytes;
      }
      if (kind != Kind::space) word(rest.substr(0, end));
      rest.remove_prefix(end);
    }
  }

  /// One word: its bytes, of which again and again the neighbours that stand first in the list of merges become one.
  void word(Bytes bytes) {
    symbols.clear();
    queue.clear();
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      const auto& table = at + 1 == bytes.size() ? tokenizer.last_bytes_ : tokenizer.bytes_;
      symbols.push_back({.id = table[static_cast<unsigned char>(bytes[at])],
                         .before = static_cast<std::uint32_t>(at) - 1,
                         .behind = static_cast<std::uint32_t>(at) + 1});
    }
    symbols.back().behind = nothing;
    for (std::uint32_t at = 0; at + 1 < symbols.size(); ++at) {
      if (const Merge* merge = merge_at(at)) queue.push_back(std::uint64_t{merge->rank} << 32U | at);
    }
    std::ranges::make_heap(queue, std::greater{});
    while (!queue.empty()) {
      const std::uint64_t next = queue.front();
      std::ranges::pop_heap(queue, std::greater{});
      queue.pop_back();
      const auto at = static_cast<std::uint32_t>(next);
      const Merge* merge = merge_at(at);
      if (merge == nullptr || merge->rank != next >> 32U) continue;  // a neighbour was merged otherwise meanwhile
      Symbol& left = symbols[at];
      Symbol& right = symbols[left.behind];
      left.id = merge->id;
      left.behind = right.behind;
      right.id = nothing;
      if (left.behind != nothing) symbols[left.behind].before = at;
      for (const std::uint32_t changed : {left.before, at}) {
        const Merge* possible = changed == nothing ? nullptr : merge_at(changed);
        if (possible == nullptr) continue;
        queue.push_back(std::uint64_t{possible->rank} << 32U | changed);
        std::ranges::push_heap(queue, std::greater{});
      }
    }
    for (std::uint32_t at = 0; at != nothing && !full(); at = symbols[at].behind) ids.push_back(symbols[at].id);
  }

  struct Symbol {
    std::uint32_t id;  ///< nothing: became part of the one before
    std::uint32_t before, behind;
  };

  /// \return the merge of the symbol with the one behind it.
  const Merge* merge_at(std::uint32_t at) const noexcept {
    const Symbol& symbol = symbols[at];
    return symbol.id == nothing || symbol.behind == nothing ? nullptr : tokenizer.merges_.find(symbol.id, symbols[symbol.behind].id);
  }

 public:
  std::vector<Symbol> symbols{};
  std::vector<std::uint64_t> queue{};  ///< rank, position: the smallest first, from the left
};

std::vector<std::int64_t> BpeTokenizer::encode(std::string_view utf8, std::size_t context) const {
  if (context < 2)
    throw Error(Code::config, "BpeTokenizer::encode: context is " + std::to_string(context) + "; use 2 or more, for start and end of text");
  if (utf8.size() > longest_text)
    throw Error(Code::config, "BpeTokenizer::encode: the text has " + std::to_string(utf8.size()) + " bytes; " +
                                  std::to_string(longest_text) + " at most");
  std::vector<std::int64_t> ids{start_};
  Encoding encoding{.tokenizer = *this, .ids = ids, .most = context - 1};
  encoding.text(utf8);
  ids.push_back(end_);
  return ids;
}

}  // namespace v0
}  // namespace vidloom
