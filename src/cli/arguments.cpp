#include <cli/arguments.hpp>

#include <vidloom/core/error.hpp>

#include <fmt/format.h>

#include <algorithm>

namespace vidloom::cli {
namespace {

constexpr Flag help_flag{"--help", "", "show this text", 'h'};

[[noreturn]] void refuse(const Command& command, const std::string& message) {
  throw Error(Code::config, fmt::format("{}; see `vidloom {} --help`", message, command.name));
}

std::vector<Flag> flags_of(const Command& command) {
  std::vector<Flag> flags(command.flags.begin(), command.flags.end());
  flags.push_back(help_flag);
  return flags;
}

[[noreturn]] void refuse_unknown(const Command& command, std::string_view word) {
  std::vector<std::string> known;
  for (const Flag& flag : flags_of(command)) known.emplace_back(flag.name);
  const std::string near = nearest(word, known);
  refuse(command, fmt::format("unknown flag {}{}", word, near.empty() ? "" : "; did you mean " + near + "?"));
}

}  // namespace

std::optional<std::string> Arguments::value(std::string_view flag) const {
  const auto found = flags_.find(flag);
  return found == flags_.end() ? std::nullopt : std::optional(found->second.back());
}

std::vector<std::string> Arguments::values(std::string_view flag) const {
  const auto found = flags_.find(flag);
  return found == flags_.end() ? std::vector<std::string>{} : found->second;
}

std::vector<std::string> Arguments::list(std::string_view flag) const {
  std::vector<std::string> all;
  for (const std::string& text : values(flag)) {
    for (std::string& part : split(text, ',')) all.push_back(std::move(part));
  }
  return all;
}

Arguments Command::parse(std::span<const std::string> words) const {
  Arguments result;
  const std::vector<Flag> known = flags_of(*this);
  bool flags_ended = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (flags_ended || word.size() < 2 || word[0] != '-') {  // "-" alone is a name for standard input or output
      result.positional_.push_back(word);
      continue;
    }
    if (word == "--") {
      flags_ended = true;
      continue;
    }
    const std::size_t equals = word.find('=');
    const std::string_view given = std::string_view(word).substr(0, equals);
    const auto flag = std::find_if(known.begin(), known.end(), [&](const Flag& candidate) {
      return candidate.name == given || (given.size() == 2 && candidate.letter != 0 && given[1] == candidate.letter);
    });
    if (flag == known.end()) refuse_unknown(*this, given);
    std::string value;
    if (flag->value.empty()) {
      if (equals != std::string::npos) refuse(*this, fmt::format("{} takes no value", flag->name));
    } else if (equals != std::string::npos) {
      value = word.substr(equals + 1);
    } else if (i + 1 < words.size() && !words[i + 1].starts_with("--")) {
      value = words[++i];
    } else {
      refuse(*this, fmt::format("{} needs a value: {} {}", flag->name, flag->name, flag->value));
    }
    std::vector<std::string>& values = result.flags_[std::string(flag->name)];
    if (!values.empty() && !flag->repeat && !flag->value.empty()) refuse(*this, fmt::format("{} is given twice", flag->name));
    values.push_back(std::move(value));
  }
  if (result.has("--help")) return result;
  const std::size_t count = result.positional_.size();
  if (count < least) refuse(*this, fmt::format("something is missing: vidloom {} {}", name, usage));
  if (count > most) {
    refuse(*this, fmt::format("'{}' is one argument too many: vidloom {} {}", result.positional_[most], name, usage));
  }
  return result;
}

std::string Command::help() const {
  std::string text = fmt::format("vidloom {} {}\n{}.\n\n", name, usage, summary);
  for (const Flag& flag : flags_of(*this)) {
    const std::string letter = flag.letter == 0 ? "    " : fmt::format("-{}, ", flag.letter);
    const std::string head = fmt::format("  {}{}{}{}", letter, flag.name, flag.value.empty() ? "" : " ", flag.value);
    text += head.size() <= 34 ? fmt::format("{:<35} {}{}\n", head, flag.text, flag.repeat ? " (repeat)" : "")
                              : fmt::format("{}\n{:<35} {}{}\n", head, "", flag.text, flag.repeat ? " (repeat)" : "");
  }
  return text + (notes.empty() ? "" : "\n") + std::string(notes);
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t end = text.find(separator);
    if (end != 0) parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return parts;
}

}  // namespace vidloom::cli
