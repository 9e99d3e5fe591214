#pragma once
/// VIDLOOM_MODEL_PATH: folders that are looked into for models, separated by colons.

#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <vector>

namespace vidloom {
inline namespace v0 {

inline std::vector<std::filesystem::path> model_folders() {
  std::vector<std::filesystem::path> folders;
  const char* const given = std::getenv("VIDLOOM_MODEL_PATH");
  for (std::string_view rest = given == nullptr ? "" : given; !rest.empty();) {
    const std::string_view one = rest.substr(0, rest.find(':'));
    rest.remove_prefix(one.size() == rest.size() ? one.size() : one.size() + 1);
    if (!one.empty()) folders.emplace_back(one);
  }
  return folders;
}

}  // namespace v0
}  // namespace vidloom
