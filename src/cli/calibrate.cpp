// `vidloom calibrate`: what confidence the cosines of clip deserve, from frames of which somebody said what is in them.
#include <cli/commands.hpp>
#include <cli/console.hpp>
#include <cli/interruption.hpp>
#include <cli/output_file.hpp>
#include <cli/truth.hpp>
#include <vidloom/analyzer.hpp>
#include <vidloom/core/waiting.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <numeric>
#include <optional>
#include <set>

namespace vidloom::cli {
namespace {

namespace fs = std::filesystem;

constexpr Flag flags[] = {
    {"--truth", "FILE", "what is in the frames, in COCO's format"},
    {"--config", "FILE", "the analyses.json whose analysis of adapter clip is calibrated"},
    {"--analysis", "NAME", "which one; default: the only one"},
    {"--output", "FILE", "the calibration; default: -, standard output", 'o'},
    {"--overwrite", "", "replace an existing file", 'y'},
};
constexpr std::string_view notes =
    R"(Looks at the frames that the truth names, and fits for each label the logistic curve that turns its cosine into a confidence:
1 / (1 + exp(-(cosine - threshold) / temperature)). A frame has a label when the truth has it as a label or as a box.

  vidloom analyze street.mp4 --config analyses.json --every 5 --jsonl out.jsonl
  vidloom convert out.jsonl --to coco -o truth.json        # then mend its labels by hand
  vidloom calibrate street.mp4 --truth truth.json --config analyses.json -o calibration.json

The analysis then takes it by "calibration": "calibration.json". With a folder of pictures, the truth's images are its files by name.
)";

[[noreturn]] void refuse(const std::string& problem) { throw Error(Code::config, problem); }

struct Chosen {
  std::string name{};
  Value analysis{};
  std::vector<std::string> labels{};
  AnalysisSpec spec() const { return analyses_from(Value::object().set(name, analysis)).front(); }
  AnalysisSpec with(const char* precision) const {
    Value other = analysis;
    return analyses_from(Value::object().set(name, other.set("precision", precision).set("embedding", true))).front();
  }
};

/// The analysis as the configuration has it, but without what would hide cosines.
Chosen choose(const Arguments& arguments) {
  const auto config = arguments.value("--config");
  if (!config) refuse("--config is missing: the analyses.json with the analysis of adapter clip");
  const Value all = read_analyses(*config);
  std::vector<std::string> having;
  for (const auto& [name, analysis] : all.as_object()) {
    if ((analysis["adapter"].is_string() ? analysis["adapter"].as_string() : name) == "clip") having.push_back(name);
  }
  if (having.empty()) refuse(fmt::format("--config {}: none of its analyses has the adapter clip", *config));
  Chosen chosen{.name = arguments.value("--analysis").value_or(having.front())};
  if (std::ranges::find(having, chosen.name) == having.end()) {
    refuse(fmt::format("--analysis {}: no analysis of {} with the adapter clip; there is {}", chosen.name, *config, fmt::join(having, ", ")));
  }
  if (having.size() > 1 && !arguments.has("--analysis")) refuse(fmt::format("--config {}: say which by --analysis: {}", *config, fmt::join(having, ", ")));
  const Value& given = all[chosen.name];
  if (given["labels"].size() > 0) {
    for (const Value& label : given["labels"].as_array()) chosen.labels.push_back(label.as_string());
  } else if (given["references"].is_object()) {
    for (const auto& [label, path] : given["references"].as_object()) chosen.labels.push_back(label);
  }
  Value analysis = Value::object();
  for (const auto& [key, value] : given.as_object()) {
    if (key != "calibration" && key != "tiles" && key != "regions_of" && key != "regions" && key != "deadline" && key != "where") analysis.set(key, value);
  }
  analysis.set("adapter", "clip").set("min_confidence", 0).set("top_k", std::max<std::size_t>(1, chosen.labels.size()));
  chosen.analysis = std::move(analysis);
  return chosen;
}

/// Calls `each` with every picture of a source; false ends it.
void read_all(const std::string& uri, void (*poll)(), const std::stop_token& stop, const std::function<bool(const Frame&)>& each) {
  const std::unique_ptr<Source> source = open_source(uri);
  struct Closing {
    Source& source;
    ~Closing() { source.close(); }
  } closing{*source};
  SourceContext context{.cpu = CpuGate::process()};
  const WhileWaiting hook(poll);
  source->open(context);
  while (!stop.stop_requested()) {
    ReadResult result = source->read();
    if (std::holds_alternative<End>(result)) return;
    if (const Frame* const frame = std::get_if<Frame>(&result); frame && !each(*frame)) return;
  }
}

struct Sample {
  double score = 0;
  bool positive = false;
};
/// Of each label.
using Samples = std::map<std::string, std::vector<Sample>>;

/// The same pictures in fp32 and in int8: embeddings, and labels.
class Comparison {
 public:
  // Below a hundred pictures 99 % of them cannot be told from all of them.
  static constexpr std::size_t least_frames = 100;
  static constexpr double least_cosine = 0.99, least_same = 0.99;

  /// Throws Error(not_built) where there is no int8.
  explicit Comparison(const Chosen& chosen) : name_(chosen.name), fp32_({chosen.with("fp32")}), int8_({chosen.with("int8")}) {
    fp32_.warm_up();
    int8_.warm_up();
  }
  /// \return int8's answer
  Detections at(const Frame& frame) {
    const FrameResult exact = fp32_.analyze(frame), near = int8_.analyze(frame);
    const Detections &a = exact.find(name_)->detections(), &b = near.find(name_)->detections();
    least_cosine_ = std::min(least_cosine_, std::inner_product(a.embedding.begin(), a.embedding.end(), b.embedding.begin(), 0.0, std::plus<>(),
                                                               [](float x, float y) { return static_cast<double>(x) * static_cast<double>(y); }));
    same_ += a.labels.front().class_id == b.labels.front().class_id;
    ++frames_;
    return b;
  }
  std::size_t frames() const noexcept { return frames_; }
  double cosine() const noexcept { return least_cosine_; }
  double same() const noexcept { return frames_ > 0 ? static_cast<double>(same_) / static_cast<double>(frames_) : 0; }
  bool passes() const noexcept { return frames_ >= least_frames && cosine() >= least_cosine && same() >= least_same; }

 private:
  const std::string name_;
  Analyzer fp32_, int8_;
  std::size_t frames_ = 0, same_ = 0;
  double least_cosine_ = 1;
};

class Looking {
 public:
  Looking(const Chosen& chosen, const Truth& truth) : chosen_(chosen), truth_(truth), analyzer_({chosen.spec()}) {
    analyzer_.warm_up();
    const Value health = analyzer_.health()[chosen.name];
    model_ = health["model"];
    // What `auto` may become on a CPU; CUDA has no int8.
    const std::string asked = chosen.analysis["precision"].is_string() ? chosen.analysis["precision"].as_string() : "auto", got = health["precision"].as_string();
    if (asked != "auto" || got == "fp16") return;
    try {
      comparison_.emplace(chosen);
    } catch (const Error& error) {
      if (error.code != Code::not_built) throw;
    }
  }

  void at(const Frame& frame, const TruthImage& image) {
    if (comparison_) keep(comparison_->at(frame), image, int8_samples_);
    keep(analyzer_.analyze(frame).find(chosen_.name)->detections(), image, samples_);
    ++frames_;
  }
  /// Pictures of a folder, by the names that the truth gives them.
  void folder(const std::string& path, void (*poll)(), const std::stop_token& stop) {
    for (const TruthImage& image : truth_.images) {
      if (stop.stop_requested()) return;
      const fs::path file = fs::path(path) / image.file_name;
      std::error_code missing;
      if (image.file_name.empty() || !fs::is_regular_file(file, missing)) {
        lost_.push_back(image.file_name.empty() ? fmt::format("image {}", image.id) : image.file_name);
        continue;
      }
      read_all(file.string(), poll, stop, [&](const Frame& frame) {
        at(frame, image);
        return false;
      });
    }
  }
  /// Decodes twice: only once all frames are known is it known which of them the truth means.
  void clip(const std::string& uri, void (*poll)(), const std::stop_token& stop) {
    std::vector<RecordedFrame> frames;
    read_all(uri, poll, stop, [&](const Frame& frame) {
      const FrameInfo& info = frame.info();
      frames.push_back({.epoch = info.epoch, .sequence = static_cast<std::int64_t>(info.sequence), .pts = info.time.pts,
                        .time_base_num = info.time.time_base.num, .time_base_den = info.time.time_base.den, .media_time = seconds(info.time.media_time)});
      return true;
    });
    const Ties ties = cli::tie(truth_, frames);
    std::map<std::size_t, std::size_t> image_of;
    for (std::size_t i = 0; i < ties.frame.size(); ++i) {
      if (ties.frame[i]) image_of.emplace(*ties.frame[i], i);
    }
    for (const auto* some : {&ties.without_frame, &ties.ambiguous}) {
      for (const std::size_t i : *some) lost_.push_back(fmt::format("image {}", truth_.images[i].id));
    }
    // To compare precisions nobody has to say what is in a picture.
    std::set<std::size_t> more;
    if (comparison_ && image_of.size() < Comparison::least_frames) {
      const std::size_t wanted = std::min(frames.size(), Comparison::least_frames);
      for (std::size_t i = 0; i < wanted; ++i) more.insert(frames.size() * i / wanted);
    }
    const std::size_t end = std::max(image_of.empty() ? 0 : image_of.rbegin()->first + 1, more.empty() ? 0 : *more.rbegin() + 1);
    std::size_t index = 0;
    read_all(uri, poll, stop, [&](const Frame& frame) {
      if (const auto image = image_of.find(index); image != image_of.end()) at(frame, truth_.images[image->second]);
      else if (more.contains(index)) (void)comparison_->at(frame);
      return ++index < end;
    });
  }

  const Samples& samples() const noexcept { return samples_; }
  const Samples& int8_samples() const noexcept { return int8_samples_; }
  const Value& model() const noexcept { return model_; }
  const std::optional<Comparison>& comparison() const noexcept { return comparison_; }
  std::size_t frames() const noexcept { return frames_; }
  const std::vector<std::string>& lost() const noexcept { return lost_; }

 private:
  void keep(const Detections& found, const TruthImage& image, Samples& samples) const {
    for (const Detections::Label& label : found.labels) {
      const std::string& name = chosen_.labels.at(static_cast<std::size_t>(label.class_id));
      const Tally::Presence there = presence(name, image);
      if (there != Tally::Presence::ignored) samples[name].push_back({static_cast<double>(label.raw_score), there == Tally::Presence::yes});
    }
  }

  const Chosen& chosen_;
  const Truth& truth_;
  Analyzer analyzer_;
  Value model_;
  std::optional<Comparison> comparison_;
  Samples samples_, int8_samples_;
  std::vector<std::string> lost_;  ///< images of which there is no frame
  std::size_t frames_ = 0;
};

struct Curve {
  double threshold = 0, temperature = 1, log_loss = 0;
};

/// Logistic regression on the standardised cosine z: p = 1 / (1 + exp(-(a z + b))), by Newton's method with halved steps. The wanted
/// answers are (n1 + 1) / (n1 + 2) and 1 / (n0 + 2) instead of 1 and 0 (Platt, Probabilistic outputs for support vector machines, 1999),
/// which keeps the curve finite where samples are few or apart. \return nothing when the cosine does not rise with the label.
std::optional<Curve> fit(const std::vector<Sample>& samples) {
  const auto n = static_cast<double>(samples.size()), positives = static_cast<double>(std::ranges::count(samples, true, &Sample::positive));
  double mean = 0, variance = 0;
  for (const Sample& sample : samples) mean += sample.score / n;
  for (const Sample& sample : samples) variance += (sample.score - mean) * (sample.score - mean) / n;
  const double deviation = std::sqrt(variance);
  if (!(deviation > 1e-9)) return {};
  const double yes = (positives + 1) / (positives + 2), no = 1 / (n - positives + 2);
  const auto loss = [&](double a, double b) {
    double sum = 0;
    for (const Sample& sample : samples) {
      const double x = a * (sample.score - mean) / deviation + b, wanted = sample.positive ? yes : no;
      sum += std::max(x, 0.0) - wanted * x + std::log1p(std::exp(-std::abs(x)));
    }
    return sum;
  };
  double a = 0, b = std::log((positives + 1) / (n - positives + 1)), before = loss(a, b);
  for (int round = 0; round < 100; ++round) {
    double ga = 0, gb = 0, haa = 1e-9, hab = 0, hbb = 1e-9;
    for (const Sample& sample : samples) {
      const double z = (sample.score - mean) / deviation, p = 1 / (1 + std::exp(-(a * z + b)));
      const double error = p - (sample.positive ? yes : no), weight = p * (1 - p);
      ga += error * z, gb += error;
      haa += weight * z * z, hab += weight * z, hbb += weight;
    }
    const double determinant = haa * hbb - hab * hab;
    const double da = (hbb * ga - hab * gb) / determinant, db = (haa * gb - hab * ga) / determinant;
    double step = 1, after = loss(a - da, b - db);
    while (!(after <= before) && step > 1e-6) {
      step /= 2;
      after = loss(a - step * da, b - step * db);
    }
    if (!(after <= before)) break;
    a -= step * da, b -= step * db;
    const bool settled = before - after < 1e-13 * n;
    before = after;
    if (settled) break;
  }
  if (!(a > 1e-3)) return {};
  return Curve{.threshold = mean - b * deviation / a, .temperature = deviation / a, .log_loss = before / n};
}

Value value_of(const Curve& curve) { return Value::object().set("threshold", curve.threshold).set("temperature", curve.temperature); }

/// What was seen of int8, whose cosines have curves of their own.
Value int8_of(const Looking& looking, const Chosen& chosen, std::string& table) {
  const Comparison& seen = *looking.comparison();
  Value labels = Value::object();
  for (const std::string& label : chosen.labels) {
    if (const auto curve = fit(looking.int8_samples().at(label))) labels.set(label, value_of(*curve));
  }
  const bool passes = seen.passes() && labels.size() == chosen.labels.size();
  table += fmt::format("int8 beside fp32 on {} frames: cosine {:.5f} or more, {:.1f} % with the same best label; ", seen.frames(), seen.cosine(), 100 * seen.same());
  table += passes ? "precision auto may take it\n"
                  : fmt::format("precision auto does not take it (asked for: {} frames, {}, {} %, cosines that rise with each label)\n", Comparison::least_frames,
                                Comparison::least_cosine, 100 * Comparison::least_same);
  return Value::object().set("frames", seen.frames()).set("least_cosine", seen.cosine()).set("same_best_label", seen.same()).set("passes", passes).set("labels", std::move(labels));
}

Value fitted(const Looking& looking, const Chosen& chosen, const Truth& truth, const std::string& source) {
  std::vector<std::string> without, always, level;
  Value labels = Value::object(), about = Value::object();
  std::string table = fmt::format("{:<24} {:>8} {:>8} {:>10} {:>12}\n", "label", "with it", "without", "threshold", "temperature");
  for (const std::string& label : chosen.labels) {
    const auto found = looking.samples().find(label);
    const std::vector<Sample> none, &samples = found == looking.samples().end() ? none : found->second;
    const auto positives = static_cast<std::size_t>(std::ranges::count(samples, true, &Sample::positive)), negatives = samples.size() - positives;
    if (positives == 0) without.push_back(label);
    if (negatives == 0) always.push_back(label);
    if (positives == 0 || negatives == 0) continue;
    const std::optional<Curve> curve = fit(samples);
    if (!curve) {
      level.push_back(label);
      continue;
    }
    labels.set(label, value_of(*curve));
    about.set(label, Value::object().set("positives", positives).set("negatives", negatives).set("log_loss", curve->log_loss));
    table += fmt::format("{:<24} {:>8} {:>8} {:>10.4f} {:>12.5f}\n", label, positives, negatives, curve->threshold, curve->temperature);
  }
  std::vector<std::string> problems;
  if (!without.empty()) problems.push_back(fmt::format("no frame with {}", fmt::join(without, ", ")));
  if (!always.empty()) problems.push_back(fmt::format("no frame without {}", fmt::join(always, ", ")));
  if (!level.empty()) problems.push_back(fmt::format("cosines that are no higher where there is {}", fmt::join(level, ", ")));
  if (!problems.empty()) {
    refuse(fmt::format("--truth {}: {} frames looked at, but {}; label more frames, or take the label out of the analysis '{}'", truth.path,
                       looking.frames(), fmt::join(problems, "; "), chosen.name));
  }
  Value value = Value::object();
  value.set("version", 1).set("model", looking.model()).set("labels", std::move(labels));
  if (looking.comparison()) value.set("int8", int8_of(looking, chosen, table));
  Console::error().write(table);
  return value.set("fitted", Value::object()
                                 .set("confidence", "1 / (1 + exp(-(cosine - threshold) / temperature))")
                                 .set("analysis", chosen.name)
                                 .set("source", redact(source))
                                 .set("truth", truth.path)
                                 .set("frames", looking.frames())
                                 .set("labels", std::move(about)));
}

int run(const Arguments& arguments, const Hooks& hooks) {
  const auto truth_path = arguments.value("--truth");
  if (!truth_path) refuse("--truth is missing: what is in the frames, in COCO's format");
  const std::string source = arguments.positional().front();
  const Chosen chosen = choose(arguments);
  const Truth truth = read_truth(*truth_path);
  OutputFile out(arguments.value("--output").value_or("-"), arguments.has("--overwrite"));
  const std::stop_source stop;
  const Interruption interruption(stop, hooks.poll == nullptr);
  Looking looking(chosen, truth);
  std::error_code ignored;
  if (fs::is_directory(source, ignored)) looking.folder(source, hooks.poll, stop.get_token());
  else looking.clip(source, hooks.poll, stop.get_token());
  Console::error().drain_log();
  if (interruption.signal() != 0) return 128 + interruption.signal();
  if (!looking.lost().empty()) {
    Console::error().say(fmt::format("truth images without a frame: {} ({}{})", looking.lost().size(), looking.lost().front(), looking.lost().size() > 1 ? ", ..." : ""));
  }
  out.write(fitted(looking, chosen, truth, source).dump() + "\n");
  out.commit();
  return 0;
}

}  // namespace

const Command calibrate_command{"calibrate",
                                "CLIP|FOLDER --truth coco.json --config FILE -o calibration.json",
                                "Fits the confidence of clip's labels to labelled frames",
                                notes,
                                flags,
                                1,
                                1,
                                run};

}  // namespace vidloom::cli
