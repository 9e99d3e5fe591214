#pragma once
/// The undamaged files that damage starts from: every container and codec of the file source, every kind of picture. Made once
/// with the ffmpeg command and kept in a folder of the build.

#include <fuzz/structure.hpp>

#include <string>
#include <vector>

namespace vidloom::fuzz {

struct Seed {
  std::string name;
  Family family = Family::plain;
  bool picture = false;  ///< goes to the images source
  unsigned frames = 0;   ///< in the undamaged file
  std::string bytes{};
  Structure structure{};
};

/// Makes what is missing in `folder` and reads all. Throws std::runtime_error where ffmpeg cannot make one: a container left
/// out would be a container untested.
std::vector<Seed> make_seeds(const std::string& folder);

}  // namespace vidloom::fuzz
