#pragma once
/// Reads command lines by table: `--flag value`, `--flag=value`, `-y`; `--` ends the flags.

#include <cli/command_line.hpp>

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vidloom::cli {

struct Flag {
  std::string_view name;   ///< with its dashes: "--every"
  std::string_view value;  ///< what stands behind it in the help; "": it takes no value
  std::string_view text;   ///< one sentence
  char letter = 0;         ///< short form; 0: none
  bool repeat = false;
};

class Arguments {
 public:
  bool has(std::string_view flag) const { return flags_.contains(flag); }
  std::optional<std::string> value(std::string_view flag) const;
  /// \return the values in the order they were given.
  std::vector<std::string> values(std::string_view flag) const;
  /// \return the values, each also split at commas, without empty parts.
  std::vector<std::string> list(std::string_view flag) const;
  const std::vector<std::string>& positional() const noexcept { return positional_; }

 private:
  friend struct Command;
  std::map<std::string, std::vector<std::string>, std::less<>> flags_;
  std::vector<std::string> positional_;
};

struct Command {
  std::string_view name;
  std::string_view usage;    ///< what stands behind the name: "SOURCE [flags]"
  std::string_view summary;  ///< one sentence
  std::string_view notes;    ///< below the flags, examples included
  std::span<const Flag> flags;
  std::size_t least = 0, most = 0;  ///< positional arguments
  int (*run)(const Arguments& arguments, const Hooks& hooks) = nullptr;

  /// Throws Error(config) that names the nearest known flag. `--help` is in the answer, then nothing else is checked.
  Arguments parse(std::span<const std::string> words) const;
  std::string help() const;
};

/// \return the texts between `separator`s, without empty ones.
std::vector<std::string> split(std::string_view text, char separator);

}  // namespace vidloom::cli
