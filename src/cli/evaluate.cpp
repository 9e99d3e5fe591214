#include <cli/commands.hpp>
#include <cli/console.hpp>
#include <cli/interruption.hpp>
#include <cli/truth.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

namespace vidloom::cli {
namespace {

constexpr Flag flags[] = {
    {"--truth", "FILE", "the ground truth, in COCO's format"},
    {"--iou", "X", "from this overlap on a box is right, 0 to 1; default 0.5"},
    {"--json", "", "as JSON, with the curves"},
    {"--stream", "NAME", "only this stream of the file"},
    {"--analysis", "A[,B]", "only these analyses", 0, true},
};
constexpr std::string_view notes =
    R"(Compares what analyses found with what is there, class by class: precision, recall and F1 of all that was recorded, and average
precision as COCO computes it (101 recalls, one IoU, 100 detections a picture).

A truth is made from results that somebody corrected: convert them, mend boxes and labels in any COCO tool, compare.

  vidloom convert out.jsonl --to coco --analysis people -o truth.json
  vidloom evaluate out.jsonl --truth truth.json --iou 0.5
  vidloom evaluate out.jsonl --truth truth.json --json | jq .analyses.people.boxes.all.average_precision
)";

double iou_of(const Arguments& arguments) {
  const auto text = arguments.value("--iou");
  if (!text) return 0.5;
  double value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc{} || end != text->data() + text->size() || !(value > 0 && value <= 1)) {
    throw Error(Code::config, fmt::format("--iou {}: use a number above 0, at most 1", *text));
  }
  return value;
}

// ── comparing ────────────────────────────────────────────────────────────────────────────────────────────────────────

struct Section {
  std::string_view name;                                 ///< "boxes" or "labels"
  std::vector<std::pair<std::string, Tally>> classes{};  ///< in the order of the truth
};

struct Compared {
  std::string analysis{};
  std::size_t images = 0;      ///< tied to a frame on which it answered
  std::size_t unanswered = 0;  ///< tied, but it failed or was dropped
  std::size_t not_due = 0;     ///< tied, but it was not asked
  std::size_t left_out = 0;    ///< detections beyond most_detections
  std::vector<Section> sections{};
  std::vector<std::string> strange{};  ///< classes of it that the truth does not know
};

/// All frames, and what their analyses can say.
struct Results {
  struct Analysis {
    std::string name;
    std::set<std::string> boxes{}, labels{};  ///< classes seen
    std::set<std::string> vocabulary{};
    bool lists_boxes = false, lists_labels = false;
  };
  std::vector<RecordedFrame> frames{};
  std::vector<Analysis> analyses{};  ///< in the order of their appearance

  Analysis& analysis(const std::string& name) {
    const auto known = std::ranges::find(analyses, name, &Analysis::name);
    return known == analyses.end() ? analyses.emplace_back(Analysis{.name = name}) : *known;
  }
};

Results read_results(ResultsFile& file) {
  Results results;
  while (std::optional<RecordedFrame> frame = file.next()) {
    for (const Answer& answer : frame->answers) {
      Results::Analysis& analysis = results.analysis(answer.analysis);
      for (const Found& found : answer.detections) analysis.boxes.insert(class_of(found, answer));
      for (const Found& label : answer.labels) analysis.labels.insert(class_of(label, answer));
      analysis.lists_labels = analysis.lists_labels || answer.lists_labels;
      analysis.lists_boxes = analysis.lists_boxes || !answer.detections.empty() || (answer.lists_detections && !answer.lists_labels);
    }
    results.frames.push_back(std::move(*frame));
  }
  for (const StartedAnalysis& started : file.started()) {
    results.analysis(started.analysis).vocabulary.insert(started.vocabulary.begin(), started.vocabulary.end());
  }
  return results;
}

void compare_boxes(Tally& tally, const std::string& name, const Answer& answer, const TruthImage& image, double iou) {
  std::vector<Candidate> found;
  for (const Found& one : answer.detections) {
    if (class_of(one, answer) != name) continue;
    found.push_back({one.confidence, {one.xyxy[0], one.xyxy[1], one.xyxy[2] - one.xyxy[0], one.xyxy[3] - one.xyxy[1]}});
  }
  const auto truths = image.boxes.find(name);
  tally.add_boxes(std::move(found), truths == image.boxes.end() ? std::vector<TruthBox>{} : truths->second, iou);
}

void compare_labels(Tally& tally, const std::string& name, const Answer& answer, const TruthImage& image) {
  std::optional<Candidate> found;
  for (const Found& label : answer.labels) {
    if (class_of(label, answer) != name) continue;
    if (!found || std::isnan(found->score) || label.confidence > found->score) found = Candidate{.score = label.confidence};
  }
  tally.add_label(found, presence(name, image));
}

Compared compare(const Results::Analysis& analysis, const Results& results, const Truth& truth, const Ties& ties, double iou) {
  Compared compared{.analysis = analysis.name};
  const auto add_section = [&](std::string_view name, const std::set<std::string>& seen) {
    Section section{.name = name};
    for (const std::string& known : truth.classes) {
      if (seen.contains(known) || analysis.vocabulary.contains(known)) section.classes.emplace_back(known, Tally{});
    }
    if (!section.classes.empty()) compared.sections.push_back(std::move(section));
  };
  if (analysis.lists_boxes) add_section("boxes", analysis.boxes);
  if (analysis.lists_labels) add_section("labels", analysis.labels);
  std::set<std::string> all = analysis.vocabulary;
  all.insert(analysis.boxes.begin(), analysis.boxes.end());
  all.insert(analysis.labels.begin(), analysis.labels.end());
  for (const std::string& name : all) {
    if (std::ranges::find(truth.classes, name) == truth.classes.end()) compared.strange.push_back(name);
  }
  for (std::size_t i = 0; i < truth.images.size(); ++i) {
    if (!ties.frame[i]) continue;
    const Answer* answer = results.frames[*ties.frame[i]].find(analysis.name);
    if (answer == nullptr) {
      ++compared.not_due;
      continue;
    }
    if (answer->error) {
      ++compared.unanswered;
      continue;
    }
    ++compared.images;
    for (Section& section : compared.sections) {
      for (auto& [name, tally] : section.classes) {
        if (section.name == "boxes")
          compare_boxes(tally, name, *answer, truth.images[i], iou);
        else
          compare_labels(tally, name, *answer, truth.images[i]);
      }
    }
  }
  for (const Section& section : compared.sections) {
    for (const auto& [name, tally] : section.classes) compared.left_out += tally.left_out();
  }
  return compared;
}

struct Evaluation {
  std::string results_path;
  double iou;
  const Truth& truth;
  const Ties& ties;
  std::size_t frames;
  std::vector<Compared> analyses{};

  /// Classes of the truth that no analysis was compared on, in what the truth says of them.
  std::vector<std::pair<std::string, std::size_t>> unseen() const {
    std::vector<std::pair<std::string, std::size_t>> classes;
    for (const std::string& name : truth.classes) {
      const bool compared = std::ranges::any_of(analyses, [&](const Compared& one) {
        return std::ranges::any_of(one.sections, [&](const Section& section) {
          return std::ranges::any_of(section.classes, [&](const auto& entry) { return entry.first == name; });
        });
      });
      const auto count = [&name](const std::map<std::string, std::size_t>& counts) {
        const auto found = counts.find(name);
        return found == counts.end() ? std::size_t{0} : found->second;
      };
      if (!compared) classes.emplace_back(name, count(truth.boxes) + count(truth.labels));
    }
    return classes;
  }

  /// What the truth says of whole pictures about classes that were compared by their boxes alone.
  std::size_t labels_beside_boxes() const {
    std::set<std::string> boxed, labelled;
    for (const Compared& one : analyses) {
      for (const Section& section : one.sections) {
        for (const auto& [name, tally] : section.classes) (section.name == "boxes" ? boxed : labelled).insert(name);
      }
    }
    std::size_t count = 0;
    for (const auto& [name, labels] : truth.labels) count += boxed.contains(name) && !labelled.contains(name) ? labels : 0;
    return count;
  }
};

/// Over the classes of a section: counts added up, and the mean of what average precisions there are.
struct Overall {
  std::size_t truths = 0, found = 0, right = 0;
  std::optional<double> average_precision{};
};

Overall overall(const Section& section) {
  Overall all;
  double sum = 0;
  std::size_t classes = 0;
  for (const auto& [name, tally] : section.classes) {
    all.truths += tally.truths();
    all.found += tally.found();
    all.right += tally.right();
    if (const auto precision = tally.average_precision()) {
      sum += *precision;
      ++classes;
    }
  }
  if (classes > 0) all.average_precision = sum / static_cast<double>(classes);
  return all;
}

std::optional<CurvePoint> best_of(const std::vector<CurvePoint>& curve) {
  const auto best = std::ranges::max_element(curve, {}, [](const CurvePoint& point) { return point.rates.f1; });
  return best == curve.end() || best->right == 0 ? std::nullopt : std::optional(*best);
}

// ── saying it ────────────────────────────────────────────────────────────────────────────────────────────────────────

Value measures(std::size_t truths, std::size_t found, std::size_t right, std::optional<double> average_precision) {
  const Rates all = rates(right, found, truths);
  Value value = Value::object();
  value.set("truths", truths).set("found", found).set("true_positives", right).set("false_positives", found - right);
  value.set("false_negatives", truths - right).set("precision", found > 0 ? Value(all.precision) : Value());
  value.set("recall", truths > 0 ? Value(all.recall) : Value()).set("f1", truths + found > 0 ? Value(all.f1) : Value());
  return value.set("average_precision", average_precision ? Value(*average_precision) : Value());
}

Value value_of(const CurvePoint& point) {
  Value value = Value::object();
  value.set("confidence", point.confidence).set("precision", point.rates.precision).set("recall", point.rates.recall);
  return value.set("f1", point.rates.f1);
}

Value value_of(const Tally& tally) {
  Value value = measures(tally.truths(), tally.found(), tally.right(), tally.average_precision());
  value.set("ignored", tally.ignored());
  const std::vector<CurvePoint> points = tally.curve();
  const auto best = best_of(points);
  value.set("best", best ? value_of(*best) : Value());
  Value curve = Value::array();
  for (const CurvePoint& point : points) curve.push_back(value_of(point));
  return value.set("curve", std::move(curve));
}

Value names_of(const std::vector<std::size_t>& images, const Truth& truth) {
  Value names = Value::array();
  for (const std::size_t i : images)
    names.push_back(Value::object().set("id", truth.images[i].id).set("file_name", truth.images[i].file_name));
  return names;
}

Value value_of(const Compared& compared) {
  Value value = Value::object();
  value.set("images", compared.images).set("unanswered", compared.unanswered).set("not_due", compared.not_due);
  value.set("beyond_100", compared.left_out);
  for (const Section& section : compared.sections) {
    Value classes = Value::object();
    for (const auto& [name, tally] : section.classes) classes.set(name, value_of(tally));
    const Overall all = overall(section);
    value.set(section.name,
              Value::object().set("all", measures(all.truths, all.found, all.right, all.average_precision)).set("classes", classes));
  }
  Value strange = Value::array();
  for (const std::string& name : compared.strange) strange.push_back(name);
  return value.set("classes_not_in_truth", std::move(strange));
}

Value value_of(const Evaluation& evaluation) {
  const Truth& truth = evaluation.truth;
  Value images = Value::object();
  const std::size_t lost = evaluation.ties.without_frame.size() + evaluation.ties.ambiguous.size();
  images.set("truth", truth.images.size()).set("tied", truth.images.size() - lost);
  images.set("without_frame", names_of(evaluation.ties.without_frame, truth)).set("ambiguous", names_of(evaluation.ties.ambiguous, truth));
  Value analyses = Value::object(), classes = Value::object();
  for (const Compared& compared : evaluation.analyses) analyses.set(compared.analysis, value_of(compared));
  for (const auto& [name, count] : evaluation.unseen()) classes.set(name, count);
  Value value = Value::object();
  value.set("results", evaluation.results_path).set("truth", truth.path).set("iou", evaluation.iou);
  value.set("average_precision",
            "COCO: mean of the falling precision at the recalls 0, 0.01, ... 1; at most 100 detections a picture and class");
  value.set("images", images)
      .set("frames", Value::object().set("results", evaluation.frames).set("without_image", evaluation.ties.frames_without_image));
  value.set("truth_labels_not_compared", evaluation.labels_beside_boxes());
  return value.set("analyses", analyses).set("classes_not_found_by_any", classes);
}

std::string percent(std::size_t part, std::size_t whole) {
  return whole == 0 ? "-" : fmt::format("{:.3f}", static_cast<double>(part) / static_cast<double>(whole));
}
std::string number(const std::optional<double>& value) { return value ? fmt::format("{:.3f}", *value) : "-"; }

std::string row(std::string_view analysis, std::string_view kind, std::string_view name, std::size_t truths, std::size_t found,
                std::size_t right, std::optional<double> average_precision, const std::string& best) {
  return fmt::format("{:<14} {:<7} {:<18} {:>7} {:>7} {:>7} {:>9} {:>7} {:>6} {:>6}  {}\n", analysis, kind, name, truths, found, right,
                     percent(right, found), percent(right, truths), percent(2 * right, found + truths), number(average_precision), best);
}

std::string table(const Evaluation& evaluation) {
  const Truth& truth = evaluation.truth;
  const Ties& ties = evaluation.ties;
  const std::size_t tied = truth.images.size() - ties.without_frame.size() - ties.ambiguous.size();
  std::string text = fmt::format("{} of {} truth images are frames of {}; boxes are right from IoU {:g} on\n\n", tied, truth.images.size(),
                                 evaluation.results_path, evaluation.iou);
  text += fmt::format("{:<14} {:<7} {:<18} {:>7} {:>7} {:>7} {:>9} {:>7} {:>6} {:>6}  {}\n", "analysis", "", "class", "truths", "found",
                      "right", "precision", "recall", "F1", "AP", "best F1");
  for (const Compared& compared : evaluation.analyses) {
    for (const Section& section : compared.sections) {
      for (const auto& [name, tally] : section.classes) {
        const auto best = best_of(tally.curve());
        text += row(compared.analysis, section.name, name, tally.truths(), tally.found(), tally.right(), tally.average_precision(),
                    best ? fmt::format("{:.3f} from confidence {:g}", best->rates.f1, best->confidence) : "");
      }
      if (section.classes.size() < 2) continue;
      const Overall all = overall(section);
      text += row(compared.analysis, section.name, "all", all.truths, all.found, all.right, all.average_precision, "");
    }
  }
  std::string rest;
  const auto say = [&rest](const std::string& line) { rest += line + '\n'; };
  const auto say_images = [&](const std::vector<std::size_t>& images, std::string_view what) {
    if (images.empty()) return;
    constexpr std::size_t shown = 3;
    std::vector<std::string> names;
    for (const std::size_t i : images) {
      if (names.size() == shown) break;
      names.push_back(truth.images[i].file_name.empty() ? fmt::format("image {}", truth.images[i].id) : truth.images[i].file_name);
    }
    say(fmt::format("truth images {}: {} ({}{})", what, images.size(), fmt::join(names, ", "), images.size() > shown ? ", ..." : ""));
  };
  say_images(ties.without_frame, "without a frame");
  say_images(ties.ambiguous, "that could be several frames");
  if (ties.frames_without_image > 0)
    say(fmt::format("frames without a truth image: {} of {}", ties.frames_without_image, evaluation.frames));
  for (const Compared& compared : evaluation.analyses) {
    if (compared.unanswered > 0)
      say(fmt::format("{} failed on {} of the truth's images; they count as neither right nor wrong", compared.analysis,
                      compared.unanswered));
    if (compared.sections.empty() && compared.strange.empty() && compared.images > 0)
      say(fmt::format("{} gave neither boxes nor labels: nothing to compare", compared.analysis));
    if (compared.not_due > 0) say(fmt::format("{} was not due on {} of the truth's images", compared.analysis, compared.not_due));
    if (compared.left_out > 0)
      say(fmt::format("{}: detections beyond {} in one picture, left out: {}", compared.analysis, most_detections, compared.left_out));
    if (!compared.strange.empty())
      say(fmt::format("{} finds what the truth has no class for: {}", compared.analysis, fmt::join(compared.strange, ", ")));
  }
  for (const auto& [name, count] : evaluation.unseen())
    say(fmt::format("no analysis here finds the truth's class {} ({} times in it)", name, count));
  if (const std::size_t count = evaluation.labels_beside_boxes(); count > 0)
    say(fmt::format("entries of the truth without a box, which boxes were not compared with: {}", count));
  return text + (rest.empty() ? "" : "\n" + rest);
}

int run(const Arguments& arguments, const Hooks& hooks) {
  const double iou = iou_of(arguments);
  const auto truth_path = arguments.value("--truth");
  if (!truth_path) throw Error(Code::config, "--truth is missing: a COCO file, such as `vidloom convert RESULTS.jsonl --to coco` writes");
  const std::stop_source stop;
  const Interruption interruption(stop, hooks.poll == nullptr);
  const std::string& input = arguments.positional().front();
  ResultsFile file(input, arguments.value("--stream"), arguments.list("--analysis"), stop.get_token(), hooks.poll);
  const Truth truth = read_truth(*truth_path);
  const Results results = read_results(file);
  if (interruption.signal() != 0) return 128 + interruption.signal();
  file.check_wanted();
  const Ties ties = tie(truth, results.frames);
  if (std::ranges::none_of(ties.frame, [](const auto& frame) { return frame.has_value(); })) {
    throw Error(Code::config,
                fmt::format("none of the {} images of {} is one of the {} frames of {}; images are frames by their pts, media_time or "
                            "sequence, or by a file_name as `vidloom convert --to coco` writes it (street_0_000045.jpg)",
                            truth.images.size(), truth.path, results.frames.size(), input));
  }
  Evaluation evaluation{.results_path = input, .iou = iou, .truth = truth, .ties = ties, .frames = results.frames.size()};
  for (const Results::Analysis& analysis : results.analyses) evaluation.analyses.push_back(compare(analysis, results, truth, ties, iou));
  print(arguments.has("--json") ? value_of(evaluation).dump(2) + '\n' : table(evaluation));
  if (file.torn() == 0) return 0;
  Console::error().say(fmt::format("the last line of {} breaks off after {} bytes and is left out", input, file.torn()));
  return exit_code(Error(Code::decode, ""));
}

}  // namespace

const Command evaluate_command{"evaluate",
                               "RESULTS.jsonl --truth coco.json [--iou 0.5] [--json]",
                               "Measures results against a ground truth: precision, recall, AP",
                               notes,
                               flags,
                               1,
                               1,
                               run};

}  // namespace vidloom::cli
