#include <core/needs.hpp>

#include <link.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <utility>

namespace vidloom {
inline namespace v0 {
namespace {

namespace fs = std::filesystem;

std::string parent_of(const std::string& file) { return fs::path(file).parent_path().string(); }

/// \return the folder of a library of that name which is mapped into this process, or "".
std::string mapped_folder(const std::string& library) {
  std::pair<std::string, std::string> search{"/" + library, ""};
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* data) {
        auto& [suffix, found] = *static_cast<std::pair<std::string, std::string>*>(data);
        const std::string_view name = info->dlpi_name ? info->dlpi_name : "";
        if (!name.ends_with(suffix)) return 0;
        found = parent_of(std::string(name));
        return 1;
      },
      &search);
  return search.second;
}

/// \return the first folder that holds the library, in the loader's own order, or "".
std::string loader_folder(const Needs& needs) {
  std::vector<std::string> folders;
  if (const char* text = std::getenv("LD_LIBRARY_PATH")) {
    for (std::string_view rest = text; !rest.empty();) {
      const std::size_t end = std::min(rest.find(':'), rest.size());
      if (end > 0) folders.emplace_back(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  folders.insert(folders.end(), needs.folders.begin(), needs.folders.end());
  for (const std::string& folder : folders) {
    std::error_code error;
    if (fs::is_regular_file(fs::path(folder) / needs.library, error)) return folder;
  }
  return {};
}

/// The version that stands in a torch's folder: version.py of a Python package, build-version of a libtorch archive.
std::string version_in(const std::string& library_folder) {
  const fs::path home = fs::path(library_folder) / "..";
  for (const char* name : {"version.py", "build-version"}) {
    std::ifstream file(home / name);
    const bool python = std::string_view(name) == "version.py";
    for (std::string line; std::getline(file, line);) {
      if (!python) return line;
      if (!line.starts_with("__version__")) continue;
      const std::size_t begin = line.find_first_of("'\"");
      const std::size_t end = begin == std::string::npos ? begin : line.find(line[begin], begin + 1);
      if (end != std::string::npos) return line.substr(begin + 1, end - begin - 1);
    }
  }
  return {};
}

}  // namespace

std::optional<Needs> needs_of(const std::string& component_file) {
  std::ifstream file(fs::path(component_file).replace_extension(".needs"));
  if (!file) return {};
  Needs needs;
  for (std::string line; std::getline(file, line);) {
    const std::size_t space = line.find(' ');
    if (space == std::string::npos) continue;
    const std::string key = line.substr(0, space);
    std::string value = line.substr(space + 1);
    if (key == "library") {
      needs.library = value;
    } else if (key == "folder") {
      if (value.starts_with("$ORIGIN")) value.replace(0, 7, parent_of(component_file));
      needs.folders.push_back(value);
    } else {
      needs.product = key;
      needs.version = value;
    }
  }
  if (needs.library.empty() || needs.version.empty()) return {};
  return needs;
}

std::string_view minor_version(std::string_view version) noexcept {
  const std::size_t dot = version.find('.');
  if (dot == std::string_view::npos) return version;
  return version.substr(0, version.find_first_not_of("0123456789", dot + 1));
}

std::string folder_of(const Needs& needs) {
  const std::string mapped = mapped_folder(needs.library);
  return mapped.empty() ? loader_folder(needs) : mapped;
}

std::string unmet(const Needs& needs) {
  const std::string built = needs.product + " " + std::string(minor_version(needs.version));
  const std::string fix = "pip install '" + needs.product + "==" + std::string(minor_version(needs.version)) + ".*'";
  const std::string again = "build Vidloom again with it: pip install --no-build-isolation --no-deps --force-reinstall SOURCE_FOLDER";
  const std::string folder = folder_of(needs);
  if (folder.empty()) {
    std::string places;
    for (const std::string& place : needs.folders) places += (places.empty() ? "" : ", ") + place;
    return ", which was built for " + built + ", but " + needs.library + " is not in " + places + ". Install it: " + fix + ".";
  }
  const std::string version = version_in(folder);
  if (version.empty() || minor_version(version) == minor_version(needs.version)) return {};
  return ", which was built for " + built + ", but " + (mapped_folder(needs.library).empty() ? "there is " : "this process has ") + needs.product + " " +
         version + " (" + folder + "). Install the other: " + fix + ", or " + again + ".";
}

}  // namespace v0
}  // namespace vidloom
