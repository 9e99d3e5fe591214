#pragma once
/// Texts to the token ids that CLIP's text tower reads: byte pair encoding over a vocabulary from files.
///
/// The ids are those of `transformers.CLIPTokenizer`: NFC, white space as one space, lower case, CLIP's split into words, then the
/// merges, and special tokens written in the text taken as such. Bytes that are no UTF-8 count as U+FFFD each.
/// Immutable: one tokenizer serves any number of threads.
///
///     const auto tokenizer = BpeTokenizer::read("models/clip-vit-base-patch32");
///     const std::vector<std::int64_t> ids = tokenizer->encode("a photo of a cat");  // 49406 320 1125 539 320 2368 49407

#include <vidloom/core/export.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace vidloom {
inline namespace v0 {

class VIDLOOM_API BpeTokenizer {
 public:
  /// Reads `tokenizer.json`, or `vocab.json` with `merges.txt` where that is missing, from a model folder; which further tokens are
  /// found in a text says `tokenizer_config.json`, or else `special_tokens_map.json`, where there is one.
  /// Throws Error(model) that names the folder, what is missing or damaged, and the command that gets it.
  static std::shared_ptr<const BpeTokenizer> read(const std::filesystem::path& folder);
  /// The same from the texts of the files; `config` is empty where there is none. Throws Error(model) without the name of a folder.
  static std::shared_ptr<const BpeTokenizer> from_tokenizer_json(std::string_view json, std::string_view config = {});
  static std::shared_ptr<const BpeTokenizer> from_vocabulary(std::string_view vocab_json, std::string_view merges,
                                                             std::string_view config = {});

  /// \param context  most ids, 2 or more, else Error(config)
  /// \return ids with start and end of text around them, not padded. Of a text that is too long the last id is the end of text, too.
  std::vector<std::int64_t> encode(std::string_view utf8, std::size_t context = 77) const;
  std::int64_t start_of_text() const noexcept { return start_; }
  std::int64_t end_of_text() const noexcept { return end_; }
  /// \return one more than the largest id: the rows that a model's token embedding needs.
  std::size_t size() const noexcept { return size_; }

 private:
  /// A token that is found in the text before any word is looked at.
  struct Special {
    std::string text;
    std::uint32_t id;
    bool normalised;  ///< found in the normalised text, so in capitals, too; else in the text as it stands
  };
  struct Merge {
    std::uint64_t pair;  ///< left id, right id
    std::uint32_t rank;  ///< the smallest is merged first
    std::uint32_t id;
  };
  /// Open addressing: the table of merges is asked twice for each of them, mostly in vain.
  class Merges {
   public:
    explicit Merges(std::size_t count);
    void insert(const Merge& merge) noexcept;  ///< \pre room is left; a pair that is there already is replaced
    const Merge* find(std::uint32_t left, std::uint32_t right) const noexcept;

   private:
    std::size_t slot_of(std::uint64_t pair) const noexcept;
    std::vector<Merge> slots_;
    std::size_t mask_;
  };
  struct Vocabulary;  // what the files say
  struct Encoding;    // one call of encode()

  explicit BpeTokenizer(const Vocabulary& vocabulary);

  Merges merges_;
  std::array<std::uint32_t, 256> bytes_{};       ///< ids of the bytes of a word,
  std::array<std::uint32_t, 256> last_bytes_{};  ///< and of its last
  std::vector<Special> specials_;
  /// A text is looked at in parts of about this many bytes, so that of a long one only what fills the context is.
  std::size_t part_bytes_ = 4096;
  std::int64_t start_ = 0, end_ = 0;
  std::size_t size_ = 0;
};

}  // namespace v0
}  // namespace vidloom
