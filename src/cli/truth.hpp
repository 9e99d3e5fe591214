#pragma once
/// A ground truth in COCO's format, and which of its images is which frame.

#include <cli/measures.hpp>
#include <cli/results_file.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace vidloom::cli {

struct TruthImage {
  std::int64_t id = 0;
  std::string file_name{};
  std::optional<std::string> stream{};
  std::optional<std::int64_t> epoch{}, sequence{}, pts{};
  std::optional<std::pair<std::int64_t, std::int64_t>> time_base{};
  std::optional<double> media_time{};
  std::map<std::string, std::vector<TruthBox>> boxes{};  ///< by class
  std::map<std::string, bool> labels{};                  ///< classes said of the whole picture; true: not to be counted
};

struct Truth {
  std::string path;
  std::vector<TruthImage> images{};                      ///< by id
  std::vector<std::string> classes{};                    ///< in the order of the file
  std::map<std::string, std::size_t> boxes{}, labels{};  ///< how many of each class there are
};

/// Throws Error(config) that names --truth, the entry and the field.
Truth read_truth(const std::string& path);

struct Ties {
  std::vector<std::optional<std::size_t>> frame{};        ///< of each image: the frame's index
  std::vector<std::size_t> without_frame{}, ambiguous{};  ///< images
  std::size_t frames_without_image = 0;
};

/// Ties by pts where the image has it (and no other time base), else by media_time within half a millisecond, else by sequence,
/// which the file_name that `convert --to coco` writes also says; each within the image's stream and epoch where it names them.
/// Streams are not compared where the results and the truth have one each. Throws Error(config) where two images are one frame.
Ties tie(const Truth& truth, const std::vector<RecordedFrame>& frames);

/// A class is in a picture when the truth says so of the whole picture or has a box of it. What is only there to be ignored hides the
/// picture from that class.
Tally::Presence presence(const std::string& name, const TruthImage& image);

}  // namespace vidloom::cli
