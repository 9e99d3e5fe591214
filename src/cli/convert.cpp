#include <cli/commands.hpp>
#include <cli/console.hpp>
#include <cli/formats.hpp>
#include <cli/interruption.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <map>

namespace vidloom::cli {
namespace {

constexpr Flag flags[] = {
    {"--to", "FORMAT", "coco, csv, webvtt, supervision-json or legacy"},
    {"--output", "FILE", "where to; - or nothing: standard output", 'o'},
    {"--overwrite", "", "an existing output is replaced", 'y'},
    {"--stream", "NAME", "only this stream of the file"},
    {"--analysis", "A[,B]", "only these analyses", 0, true},
};
constexpr std::string_view notes = R"(RESULTS is what `vidloom analyze --jsonl` wrote; - is standard input. (Models are converted by `python -m vidloom.convert`.)

coco              one image per analysed frame with its time, boxes as annotations; labels of the whole picture under images[].labels
csv               one row per detection; a label of the whole picture has empty box columns
webvtt            cues for a <video>'s <track>: what was found, for as long as it was found
supervision-json  rows as sv.JSONSink of the package supervision writes them
legacy            one line per frame: objects, logos, text, scene, visual

  vidloom convert out.jsonl --to csv -o out.csv
  vidloom convert out.jsonl --to webvtt --analysis people > street.vtt
  vidloom analyze street.mp4 --detect people --jsonl - | vidloom convert - --to coco -o truth.json
)";

constexpr FormatInfo formats[] = {
    {"coco", "images[].labels", false, true, make_coco},
    {"csv", "rows without a box", false, false, make_csv},
    {"webvtt", "the cues", true, true, make_webvtt},
    {"supervision-json", "", false, false, make_supervision_json},
    {"legacy", "boxes of the whole picture", true, true, make_legacy},
};

const FormatInfo& format_named(const Arguments& arguments) {
  std::vector<std::string> known;
  for (const FormatInfo& format : formats) known.emplace_back(format.name);
  const auto name = arguments.value("--to");
  if (!name) throw Error(Code::config, fmt::format("--to is missing: one of {}", fmt::join(known, ", ")));
  for (const FormatInfo& format : formats) {
    if (format.name == *name) return format;
  }
  const std::string near = nearest(*name, known);
  throw Error(Code::config, fmt::format("--to {}: no such format; {}one of {}", *name,
                                        near.empty() ? "" : "did you mean " + near + "? It is ", fmt::join(known, ", ")));
}

/// What a reader of the output alone would not know.
class Losses {
 public:
  explicit Losses(const FormatInfo& format) : format_(format) {}

  void count(const RecordedFrame& frame) {
    for (const Answer& answer : frame.answers) {
      if (answer.error && !format_.says_failures) ++failed_[answer.analysis];
      if (!answer.labels.empty() && format_.labels_go_to.empty()) labels_[answer.analysis] += answer.labels.size();
    }
  }

  void say() const {
    for (const auto& [analysis, count] : failed_) {
      Console::error().say(fmt::format("{}: frames without an answer: {}; {} has no rows for them, which is not the same as nothing found",
                                       analysis, count, format_.name));
    }
    for (const auto& [analysis, count] : labels_) {
      Console::error().say(fmt::format("{}: labels left out: {}; they are of whole pictures, and {} has boxes only; csv has them", analysis,
                                       count, format_.name));
    }
  }

 private:
  const FormatInfo& format_;
  std::map<std::string, std::size_t> failed_, labels_;
};

int run(const Arguments& arguments, const Hooks& hooks) {
  const FormatInfo& format = format_named(arguments);
  const std::string input = arguments.positional().front(), target = arguments.value("--output").value_or("-");
  const std::stop_source stop;
  const Interruption interruption(stop, hooks.poll == nullptr);
  ResultsFile results(input, arguments.value("--stream"), arguments.list("--analysis"), stop.get_token(), hooks.poll);
  std::error_code ignored;
  if (target != "-" && std::filesystem::is_regular_file(target, ignored) && std::filesystem::equivalent(input, target, ignored)) {
    throw Error(Code::config, fmt::format("--output {} would write over the results it is made of; choose another name", target));
  }
  OutputFile out(target, arguments.has("--overwrite"));
  const std::unique_ptr<Format> writer = format.make(out, results);
  Losses losses(format);
  std::string stream;
  std::size_t frames = 0;
  while (const std::optional<RecordedFrame> frame = results.next()) {
    if (frames++ == 0) stream = frame->stream;
    if (format.one_stream && frame->stream != stream) {
      throw Error(Code::config,
                  fmt::format("{} holds several streams, and {} has no place for their names; choose one: --stream {}, --stream {}", input,
                              format.name, stream, frame->stream));
    }
    writer->add(*frame);
    losses.count(*frame);
  }
  if (interruption.signal() == 0) results.check_wanted();
  writer->finish();
  out.commit();
  losses.say();
  if (interruption.signal() != 0) return 128 + interruption.signal();
  if (results.torn() == 0) return 0;
  Console::error().say(fmt::format("the last line of {} breaks off after {} bytes and is left out; the {} frames before it are converted",
                                   input, results.torn(), frames));
  return exit_code(Error(Code::decode, ""));
}

}  // namespace

const Command convert_command{"convert",
                              "RESULTS.jsonl --to FORMAT [-o FILE]",
                              "Turns results into COCO, CSV, WebVTT, supervision's JSON or the legacy shape",
                              notes,
                              flags,
                              1,
                              1,
                              run};

}  // namespace vidloom::cli
