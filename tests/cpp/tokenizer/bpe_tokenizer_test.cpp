// The tokenizer on a small vocabulary made here. That it gives the reference's ids with CLIP's own is the matter of
// tests/python/test_clip_tokenizer.py.
#include <adapters/clip/bpe_tokenizer.hpp>
#include <vidloom/core/error.hpp>
#include <vidloom/core/value.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <random>
#include <thread>
#include <utility>

#include <stdlib.h>

using namespace vidloom;

namespace {

namespace fs = std::filesystem;
using Ids = std::vector<std::int64_t>;
using Pairs = std::vector<std::pair<std::string, std::string>>;

/// The character that stands for a byte in the files of a vocabulary.
std::string text_of_byte(int byte) {
  const auto printable = [](int b) { return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255); };
  int point = byte;
  if (!printable(byte)) {
    point = 256;
    for (int b = 0; b < byte; ++b) point += printable(b) ? 0 : 1;
  }
  if (point < 0x80) return std::string(1, static_cast<char>(point));
  return {static_cast<char>(0xC0 | point >> 6), static_cast<char>(0x80 | (point & 0x3F))};
}

/// As CLIP's: the bytes, the bytes at the end of a word, what the merges make, start and end of text.
struct Files {
  Pairs pairs;
  Value vocabulary = Value::object();
  std::string merges = "#version: 0.2\n";
  std::map<std::string, std::int64_t> ids{};

  explicit Files(Pairs all) : pairs(std::move(all)) {
    Value::Object members;
    const auto add = [&](const std::string& token) {
      if (ids.emplace(token, static_cast<std::int64_t>(members.size())).second)
        members.emplace_back(token, Value(static_cast<std::int64_t>(members.size())));
    };
    for (const char* end : {"", "</w>"}) {
      for (int byte = 0; byte < 256; ++byte) add(text_of_byte(byte) + end);
    }
    for (const auto& [left, right] : pairs) {
      add(left + right);
      merges += left + " " + right + "\n";
    }
    add("<|startoftext|>");
    add("<|endoftext|>");
    vocabulary = Value(std::move(members));
  }
  std::string json() const { return vocabulary.dump(); }
  std::shared_ptr<const BpeTokenizer> tokenizer(std::string_view config = {}) const {
    return BpeTokenizer::from_vocabulary(json(), merges, config);
  }
  /// The ids of these tokens, with start and end.
  Ids of(const std::vector<std::string>& tokens) const {
    Ids out{ids.at("<|startoftext|>")};
    for (const std::string& token : tokens) out.push_back(ids.at(token));
    out.push_back(ids.at("<|endoftext|>"));
    return out;
  }
};

const Files& small() {
  static const Files files(Pairs{{"b", "c"}, {"a", "b"}, {"a", "b</w>"}, {"c", "a"}, {"ca", "t</w>"}, {"'", "s</w>"}});
  return files;
}

/// Bytes of a text as tokens, one word.
std::vector<std::string> bytes_of(std::string_view word) {
  std::vector<std::string> tokens;
  for (std::size_t at = 0; at < word.size(); ++at)
    tokens.push_back(text_of_byte(static_cast<unsigned char>(word[at])) + (at + 1 == word.size() ? "</w>" : ""));
  return tokens;
}
std::vector<std::string> joined(std::initializer_list<std::vector<std::string>> parts) {
  std::vector<std::string> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

template <class Act>
std::string refused(const Act& act, Code code = Code::model) {
  try {
    act();
  } catch (const Error& error) {
    CHECK(error.code == code);
    return error.what();
  }
  return "accepted";
}

bool holds(const std::string& text, std::string_view part) {
  CAPTURE(text);
  CAPTURE(part);
  return text.find(part) != std::string::npos;
}

class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "vidloom-tokenizer-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { fs::remove_all(path); }
  void write(const std::string& name, std::string_view text) const {
    std::ofstream(path / name, std::ios::binary).write(text.data(), static_cast<std::streamsize>(text.size()));
  }
  fs::path path;
};

}  // namespace

TEST_CASE("the merge that stands first in the list is made first, the leftmost of equal ones") {
  const auto tokenizer = small().tokenizer();
  CHECK(tokenizer->encode("abcx") == small().of({"a", "bc", "x</w>"}));  // not ab, c
  CHECK(tokenizer->encode("cab") == small().of({"c", "ab</w>"}));        // "a b</w>" before "c a"
  CHECK(tokenizer->encode("cat cats") == small().of({"cat</w>", "ca", "t", "s</w>"}));
  const Files equal(Pairs{{"a", "a"}});
  CHECK(equal.tokenizer()->encode("aaaax") == equal.of({"aa", "aa", "x</w>"}));
  CHECK(equal.tokenizer()->encode("aaax") == equal.of({"aa", "a", "x</w>"}));
}

TEST_CASE("a heap of merges gives what repeated search gives") {
  std::mt19937 random(3);
  for (int round = 0; round < 60; ++round) {
    // Tokens out of three letters, joined again and again; each may stand at the end of a word.
    std::vector<std::string> parts{"a", "b", "c", "a</w>", "b</w>", "c</w>"};
    Pairs pairs;
    for (int count = 0; count < 40; ++count) {
      const std::string left = parts[random() % parts.size()], right = parts[random() % parts.size()];
      if (left.ends_with("</w>") || left.size() + right.size() > 14 || std::ranges::find(pairs, std::pair(left, right)) != pairs.end())
        continue;
      pairs.emplace_back(left, right);
      parts.push_back(left + right);
    }
    const Files files(pairs);
    const auto tokenizer = files.tokenizer();
    for (int word = 0; word < 20; ++word) {
      std::string text;
      for (std::size_t length = 1 + random() % 60; text.size() < length;) text.push_back(static_cast<char>('a' + random() % 3));
      std::vector<std::string> symbols = bytes_of(text);
      for (;;) {
        std::size_t best = pairs.size(), at = 0;
        for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
          const auto rank = static_cast<std::size_t>(std::ranges::find(pairs, std::pair(symbols[i], symbols[i + 1])) - pairs.begin());
          if (rank < best) best = rank, at = i;
        }
        if (best == pairs.size()) break;
        symbols[at] += symbols[at + 1];
        symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(at) + 1);
      }
      CAPTURE(text);
      REQUIRE(tokenizer->encode(text, 100) == files.of(symbols));
    }
  }
}

TEST_CASE("a text falls into words: letters, single numbers, the rest, and contractions") {
  const auto tokenizer = small().tokenizer();
  CHECK(tokenizer->encode("") == small().of({}));
  CHECK(tokenizer->encode(" \t\n\r ") == small().of({}));
  CHECK(tokenizer->encode("42") == small().of({"4</w>", "2</w>"}));
  CHECK(tokenizer->encode("x9!?y") == small().of({"x</w>", "9</w>", "!", "?</w>", "y</w>"}));
  CHECK(tokenizer->encode("It's") == small().of({"i", "t</w>", "'s</w>"}));
  CHECK(tokenizer->encode("we'll") == small().of({"w", "e</w>", "'", "l", "l</w>"}));
  CHECK(tokenizer->encode("'x") == small().of({"'</w>", "x</w>"}));
  CHECK(tokenizer->encode("!'s") == small().of({"!", "'</w>", "s</w>"}));  // the mark goes with the one before
}

TEST_CASE("characters are composed, spaces of all kinds separate, capitals become small") {
  const auto tokenizer = small().tokenizer();
  CHECK(tokenizer->encode("e\u0301") == small().of(bytes_of("\u00e9")));
  CHECK(tokenizer->encode("\u00c9") == small().of(bytes_of("\u00e9")));
  CHECK(tokenizer->encode("\u1100\u1161\u11a8") == small().of(bytes_of("\uac01")));
  // Marks in canonical order, whatever theirs is.
  CHECK(tokenizer->encode("q\u0301\u0323") == tokenizer->encode("q\u0323\u0301"));
  CHECK(tokenizer->encode("q\u0323\u0301") == small().of(joined({bytes_of("q"), bytes_of("\u0323\u0301")})));
  for (const char* space : {"\u0085", "\u00a0", "\u1680", "\u2003", "\u2028", "\u202f", "\u3000", "\v"})
    CHECK(tokenizer->encode(std::string("x") + space + "y") == small().of({"x</w>", "y</w>"}));
  CHECK(tokenizer->encode("x\u200by") == small().of(joined({bytes_of("x"), bytes_of("\u200b"), bytes_of("y")})));  // no White_Space
  CHECK(tokenizer->encode("\u0130") == small().of(joined({bytes_of("i"), bytes_of("\u0307")})));
  CHECK(tokenizer->encode("A\u03a3") == small().of(bytes_of("a\u03c3")));  // never the final sigma
  CHECK(tokenizer->encode("\u0663\u2167") == small().of(joined({bytes_of("\u0663"), bytes_of("\u2177")})));
}

TEST_CASE("bytes that are no UTF-8 count as U+FFFD") {
  const auto tokenizer = small().tokenizer();
  CHECK(tokenizer->encode("x\xff\xe2\x82") == tokenizer->encode("x\ufffd\ufffd\ufffd"));
  CHECK(tokenizer->encode("\xed\xa0\x80") == tokenizer->encode("\ufffd\ufffd\ufffd"));
  CHECK(tokenizer->encode(std::string_view("\0", 1)) == small().of(bytes_of(std::string_view("\0", 1))));
}

TEST_CASE("of a text that is too long the last id is the end of text") {
  const auto tokenizer = small().tokenizer();
  CHECK(tokenizer->encode("cat cat cat", 5) == small().of({"cat</w>", "cat</w>", "cat</w>"}));
  CHECK(tokenizer->encode("cat cat cat", 4) == small().of({"cat</w>", "cat</w>"}));
  CHECK(tokenizer->encode("xyz", 3) == small().of({"x"}));
  CHECK(tokenizer->encode("xyz", 2) == small().of({}));
  CHECK(tokenizer->encode("<|endoftext|><|endoftext|>", 3) == small().of({"<|endoftext|>"}));
  CHECK(holds(refused([&] { (void)tokenizer->encode("x", 1); }, Code::config), "context is 1; use 2 or more"));
}

TEST_CASE("special tokens in the text are found as they stand, or in capitals where the files say so") {
  const auto plain = small().tokenizer();
  CHECK(plain->encode("x<|endoftext|>y") == small().of({"x</w>", "<|endoftext|>", "y</w>"}));
  CHECK(plain->encode("<|STARTOFTEXT|>!") == small().of(joined({bytes_of("<|"), bytes_of("startoftext"), bytes_of("|>"), bytes_of("!")})));
  CHECK(plain->encode("!<|STARTOFTEXT|>") == small().of(joined({bytes_of("!<|"), bytes_of("startoftext"), bytes_of("|>")})));

  const auto folded = small().tokenizer(R"({"bos_token": {"content": "<|startoftext|>", "normalized": true}, "pad_token": "!"})");
  CHECK(folded->encode("x<|StartOfText|>y") == small().of({"x</w>", "<|startoftext|>", "y</w>"}));
  CHECK(folded->encode("x!!") == small().of({"x</w>", "!", "!"}));  // the padding of some models is a mark of punctuation
  const auto ended = small().tokenizer(R"({"eos_token": {"content": "<|endoftext|>", "normalized": true}})");
  CHECK(ended->encode("<|ENDOFTEXT|>").size() == 15);  // pad_token, by default the same token, comes later and is not normalised

  const std::int64_t next = small().ids.at("<|endoftext|>") + 1;
  const std::string added = R"({"added_tokens_decoder": {")" + std::to_string(next) + R"(": {"content": "<Cat>", "normalized": true}, ")" +
                            std::to_string(next + 1) + R"(": {"content": "<Cat><cat>"}}})";
  const auto more = small().tokenizer(added);
  CHECK(more->size() == static_cast<std::size_t>(next) + 2);
  CHECK(more->encode("<CAT>x<Cat><cat>") == Ids{next - 2, next, small().ids.at("x</w>"), next + 1, next - 1});
}

TEST_CASE("tokenizer.json says the same as vocab.json with merges.txt") {
  Value pairs = Value::array(), lines = Value::array();
  for (const auto& [left, right] : small().pairs) {
    pairs.push_back(Value(Value::Array{Value(left), Value(right)}));
    lines.push_back(left + " " + right);
  }
  for (const Value& merges : {pairs, lines}) {
    Value model = Value::object();
    model.set("type", "BPE").set("end_of_word_suffix", "</w>").set("vocab", small().vocabulary).set("merges", merges);
    Value file = Value::object();
    file.set("model", model);
    const auto tokenizer = BpeTokenizer::from_tokenizer_json(file.dump());
    const auto other = small().tokenizer();
    CHECK(tokenizer->size() == other->size());
    CHECK(tokenizer->start_of_text() == other->start_of_text());
    CHECK(tokenizer->end_of_text() == other->end_of_text());
    for (const char* text : {"abc cats", "It's <|endoftext|>", "\u0130"}) CHECK(tokenizer->encode(text) == other->encode(text));
  }
}

TEST_CASE("damaged files are errors that say what and where") {
  const std::string vocab = small().json(), &merges = small().merges;
  const auto of = [&](std::string_view json, std::string_view list, std::string_view config = {}) {
    return refused([&] { (void)BpeTokenizer::from_vocabulary(json, list, config); });
  };
  CHECK(of(vocab, merges) == "accepted");
  CHECK(holds(of(vocab.substr(0, vocab.size() / 2), merges), "vocab.json: JSON, line 1, column"));
  CHECK(holds(of("[]", merges), "vocab.json is a list; an object of tokens"));
  CHECK(holds(of("{}", merges), "vocab.json is an object"));
  CHECK(holds(of(R"({"a": 0})", ""), "no token \"<|startoftext|>\": it is not CLIP's"));
  CHECK(holds(of(R"({"a": -1})", ""), "the id of \"a\" is -1; a number from 0 to 16777215"));
  CHECK(holds(of(R"({"a": "0"})", ""), "the id of \"a\" is a text"));
  CHECK(holds(of(R"({"a": 1, "b": 1})", ""), "\"b\" has the id 1 of another token"));
  CHECK(holds(of(vocab, "#version: 0.2\nb c\na\n"), "merges.txt, line 3 is \"a\"; two tokens with one space between"));
  CHECK(holds(of(vocab, "b c d"), "merges.txt, line 1"));
  CHECK(holds(of(vocab, "\xff\xfe x"), "no token \"\xef\xbf\xbd\xef\xbf\xbd\""));
  CHECK(holds(of(vocab, merges + "b d\n"), "merges.txt: merge 7, \"b\" with \"d\": the vocabulary has no token \"bd\""));
  CHECK(holds(of(vocab, merges.substr(0, merges.find("ca t"))), "merges.txt: 4 merges, of which none makes \"cat</w>\": it is cut short"));
  CHECK(holds(of(vocab, ""), "cut short"));
  CHECK(holds(of(vocab, merges, "{"), "tokenizer_config.json: JSON, line 1"));
  CHECK(holds(of(vocab, merges, "[]"), "tokenizer_config.json is a list"));
  CHECK(holds(of(vocab, merges, R"({"pad_token": 3})"), "pad_token is \"3\"; a text is needed"));
  CHECK(holds(of(vocab, merges, R"({"added_tokens_decoder": {"0": {"content": "x"}}})"), "\"x\" has the id 0, but 120 in the vocabulary"));
  CHECK(holds(of(vocab, merges, R"({"added_tokens_decoder": {"zero": {"content": "x"}}})"), "added_tokens_decoder: an id: JSON"));
  CHECK(holds(of(vocab, merges, R"({"added_tokens_decoder": {"999": {"content": "<x>", "single_word": true}}})"), "not supported"));

  const auto json = [&](std::string_view text) { return refused([&] { (void)BpeTokenizer::from_tokenizer_json(text); }); };
  CHECK(holds(json("{"), "tokenizer.json: JSON"));
  CHECK(holds(json("{}"), "no object \"model\""));
  CHECK(holds(json(R"({"model": {"type": "Unigram"}})"), R"(model.type is ""Unigram""; of CLIP it is "BPE")"));
  CHECK(holds(json(R"({"model": {"type": "BPE"}})"), "model.end_of_word_suffix is \"null\""));
  CHECK(holds(json(R"({"model": {"type": "BPE", "end_of_word_suffix": "</w>", "vocab": {"a": 0}, "merges": [["a"]]}})"),
              "model.merges[0] is \"[\"a\"]\"; two tokens are needed"));
}

TEST_CASE("a model folder without the files, or with others, is an error with the command that gets them") {
  const Folder folder;
  const auto read = [&] { return refused([&] { (void)BpeTokenizer::read(folder.path); }); };
  CHECK(holds(read(), "the tokenizer in '" + folder.path.string() + "': there is neither tokenizer.json nor vocab.json with merges.txt"));
  CHECK(holds(read(), "hf download openai/clip-vit-base-patch32 vocab.json merges.txt --local-dir '" + folder.path.string() + "'"));
  CHECK(holds(refused([] { (void)BpeTokenizer::read("no/such/folder"); }), "the tokenizer in 'no/such/folder'"));
  folder.write("vocab.json", small().json());
  CHECK(holds(read(), "there is vocab.json, but neither merges.txt nor tokenizer.json"));
  folder.write("merges.txt", small().merges);
  REQUIRE(BpeTokenizer::read(folder.path)->encode("cat") == small().of({"cat</w>"}));
  CHECK(BpeTokenizer::read(folder.path)->encode("!") == small().of({"!</w>"}));
  folder.write("special_tokens_map.json", R"({"pad_token": "!"})");
  CHECK(BpeTokenizer::read(folder.path)->encode("!") == small().of({"!"}));
  folder.write("tokenizer_config.json", R"({"pad_token": "?"})");
  CHECK(BpeTokenizer::read(folder.path)->encode("!?") == small().of({"!</w>", "?"}));
  folder.write("tokenizer.json", "nothing");
  CHECK(holds(read(), "tokenizer.json: JSON"));
  fs::resize_file(folder.path / "tokenizer.json", std::uintmax_t{3} << 30U);  // sparse
  CHECK(holds(read(), "tokenizer.json has 3221225472 bytes"));
  fs::remove(folder.path / "tokenizer.json");
  fs::create_directory(folder.path / "tokenizer.json");
  CHECK(holds(read(), "tokenizer.json is no file"));
}

// In quadratic time each of these would take hours.
TEST_CASE("long texts take no more than they are long") {
  const auto tokenizer = small().tokenizer();
  constexpr std::size_t length = 1'000'000;
  const auto repeated = [](std::string_view part) {
    std::string text;
    while (text.size() < length) text.append(part);
    return text;
  };
  CHECK(tokenizer->encode(repeated("cab"), length).size() > length / 3);
  CHECK(tokenizer->encode(repeated("e\u0301\u0323\u0301\u0323\u0327"), length * 2).size() > length / 2);
  CHECK(tokenizer->encode("q" + repeated("\u0301\u0323"), length * 2).size() > length);  // one row of marks to be put in order
  CHECK(tokenizer->encode(repeated("<|endoftext|"), length).size() > length / 2);
  CHECK(tokenizer->encode(repeated("<|endoftext|>"), length).size() > length / 13);
  CHECK(tokenizer->encode(repeated("cat "), length).size() == length / 4 + 2);
  CHECK(tokenizer->encode(repeated("cat "), 77).size() == 77);
}

TEST_CASE("where a long text is cut into parts does not show") {
  const auto tokenizer = small().tokenizer();
  std::mt19937 random(5);
  for (int round = 0; round < 20; ++round) {
    std::vector<std::string> expected;
    std::string text;
    while (text.size() < 20'000) {
      const std::size_t kind = random() % 3;
      text += kind == 0 ? "cat " : kind == 1 ? "e\u0301 \u0301\n" : std::string(random() % 3000, 'x') + " ";
      const auto ids = kind == 0   ? std::vector<std::string>{"cat</w>"}
                       : kind == 1 ? joined({bytes_of("\u00e9"), bytes_of("\u0301")})
                                   : std::vector<std::string>{};
      expected.insert(expected.end(), ids.begin(), ids.end());
      if (kind == 2) {
        const std::string word = text.substr(text.find_last_of(" \n", text.size() - 2) + 1);
        const auto letters = bytes_of(std::string_view(word).substr(0, word.size() - 1));
        expected.insert(expected.end(), letters.begin(), letters.end());
      }
    }
    REQUIRE(tokenizer->encode(text, 1'000'000) == small().of(expected));
  }
}

TEST_CASE("one tokenizer serves many threads") {
  const auto tokenizer = small().tokenizer();
  const std::string text = "It's a cat, e\u0301 <|endoftext|> abcabc";
  const Ids expected = tokenizer->encode(text);
  std::vector<int> wrong(4);
  {
    std::vector<std::jthread> threads;
    for (int& count : wrong) {
      threads.emplace_back([&] {
        for (int round = 0; round < 500; ++round) count += tokenizer->encode(text) != expected;
      });
    }
  }
  CHECK(wrong == std::vector<int>(4));
}
