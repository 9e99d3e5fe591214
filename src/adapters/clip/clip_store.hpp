#pragma once
/// What is remembered of models from process to process: embeddings of texts, hashes of files, the precision that was the fastest. Under $XDG_CACHE_HOME/vidloom, else
/// ~/.cache/vidloom; where that cannot be written, nothing is remembered. Files appear whole or not at all. Thread-safe.

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace vidloom {
inline namespace v0 {

/// \param key  64 hex digits of all that the numbers depend on
/// \return `count` numbers, or nothing where they are not known or not of that count.
std::optional<std::vector<float>> recall_floats(const std::string& key, std::size_t count);
void remember_floats(const std::string& key, const std::vector<float>& numbers) noexcept;

/// \return the word remembered under `key`, 64 hex digits of all that it depends on; "" where there is none.
std::string recall_word(const std::string& key);
void remember_word(const std::string& key, const std::string& word) noexcept;

/// \return the SHA-256 of a file, if a file of this path, size and time of change was hashed before; else "", and it is hashed on an
/// idle thread for the next process, so that no answer waits for it.
std::string known_sha256(const std::string& path);

}  // namespace v0
}  // namespace vidloom
