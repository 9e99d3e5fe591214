#pragma once
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

namespace vidloom::test {

/// Whether one of the findings contains `words`; the first are shown where none does.
inline bool tells(const std::vector<std::string>& findings, std::string_view words) {
  const bool found =
      std::any_of(findings.begin(), findings.end(), [words](const std::string& one) { return one.find(words) != std::string::npos; });
  if (found) return true;
  if (findings.empty()) MESSAGE("nothing was found");
  for (std::size_t i = 0; i < findings.size() && i < 10; ++i) MESSAGE(findings[i]);
  return false;
}

}  // namespace vidloom::test

namespace doctest {
template <>
struct StringMaker<std::vector<std::string>> {
  static String convert(const std::vector<std::string>& texts) {
    std::string all = "{";
    for (const std::string& text : texts) all += "\n  " + text;
    return (all + "}").c_str();
  }
};
}  // namespace doctest
