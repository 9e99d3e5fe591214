#pragma once
/// The folder of reference pictures: which brands it names, and the pictures made ready.

#include <adapters/opencv/logos/reference.hpp>

#include <memory>
#include <string>
#include <vector>

namespace vidloom {
inline namespace v0 {
namespace logo_search {

struct ReferenceFile {
  std::string path;
  std::size_t brand = 0;
};
struct ReferenceFiles {
  std::vector<std::string> brands;  ///< sorted
  std::vector<ReferenceFile> files;  ///< by brand, then by name
  std::vector<std::string> skipped;  ///< what lies there and is no picture
};

/// \param path  a picture, or a folder of pictures and of sub-folders of pictures.
/// Throws Error(config), naming the option, on a path that is not there or holds no picture.
ReferenceFiles list_references(const std::string& path);

/// The pictures of `files`, read and prepared; those of equal files are made once per process and shared by all replicas.
/// Files that were skipped and references that are too plain are named in warnings (area "adapter").
/// Throws Error(config), naming the file, on a picture that cannot be read, and where none shows anything to look for.
std::shared_ptr<const std::vector<Reference>> read_references(const ReferenceFiles& files, Method method);

}  // namespace logo_search
}  // namespace v0
}  // namespace vidloom
