#pragma once
/// The formats `vidloom convert` writes. Each takes the frames in the order of the file.

#include <cli/output_file.hpp>
#include <cli/results_file.hpp>

#include <memory>
#include <string>
#include <string_view>

namespace vidloom::cli {

class Format {
 public:
  virtual ~Format() = default;
  virtual void add(const RecordedFrame& frame) = 0;
  /// Once, behind the last frame.
  virtual void finish() {}
};

struct FormatInfo {
  std::string_view name;
  std::string_view labels_go_to;  ///< where labels of whole pictures stand; "": nowhere
  bool one_stream;                ///< has no place for a stream's name
  bool says_failures;             ///< tells failed answers from empty ones
  std::unique_ptr<Format> (*make)(OutputFile& out, const ResultsFile& results);
};

std::unique_ptr<Format> make_coco(OutputFile& out, const ResultsFile& results);
std::unique_ptr<Format> make_csv(OutputFile& out, const ResultsFile& results);
std::unique_ptr<Format> make_webvtt(OutputFile& out, const ResultsFile& results);
std::unique_ptr<Format> make_supervision_json(OutputFile& out, const ResultsFile& results);
std::unique_ptr<Format> make_legacy(OutputFile& out, const ResultsFile& results);

/// What stands in COCO files as an image's file_name: "street_0_000045.jpg" (stream, epoch, sequence). `evaluate` ties by it.
std::string image_name(const RecordedFrame& frame);

}  // namespace vidloom::cli
