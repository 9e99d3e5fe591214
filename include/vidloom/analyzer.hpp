#pragma once
/// Analyzer: finite work - files, segments, single pictures - on the caller's thread, dropping nothing.
///
/// The constructor checks everything and starts, loads and opens nothing, so an Analyzer may stand at module level in a
/// Celery app: each process loads at its first use, after the fork. Used before a fork() and again in the child, every call
/// throws Error(forked) at once. Thread-safe: many threads may analyse at once and share the hosted adapters.
///
///     Analyzer analyzer({{.name = "people", .adapter = people({}), .every = 500ms}});
///     auto source = open_source("street.mp4");
///     Report report = analyzer.analyze(*source, [](const FrameResult& frame) { show(frame); return true; });

#include <vidloom/core/export.hpp>
#include <vidloom/execution_strategy.hpp>
#include <vidloom/regions.hpp>
#include <vidloom/results.hpp>
#include <vidloom/sink.hpp>
#include <vidloom/source.hpp>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace vidloom {
inline namespace v0 {

/// 0..1: what `confidence` must reach; per class by name. Detections without a confidence are kept.
struct MinConfidence {
  float all = 0;
  std::map<std::string, float> per_class{};
  MinConfidence() = default;
  MinConfidence(float all_classes) : all(all_classes) {}
  MinConfidence(float all_classes, std::map<std::string, float> by_class) : all(all_classes), per_class(std::move(by_class)) {}
};

struct AnalysisSpec {
  std::string name;
  AdapterSpec adapter;
  std::shared_ptr<ExecutionStrategy> where{};  ///< null: local
  Nanos every{0};                              ///< 0: each frame
  Nanos tolerance{0};
  Nanos deadline{0};                           ///< of one answer, from when it was handed over; 0: none
  MinConfidence min_confidence{};
  std::string regions_of{};                    ///< look only inside the boxes of this other analysis
  std::string kind{};                          ///< "": the adapter's own
  Regions regions{};                           ///< where it looks and counts; with regions_of: of those boxes, the ones in it
};

/// Reads analyses.json (surface 2.4): comments allowed, paths relative to the file. Throws Error(config) naming the field.
VIDLOOM_API std::vector<AnalysisSpec> load_analyses(const std::string& path);
/// What stands under `analyses` in that file, for a program that changes it before analyses_from(): paths made absolute, the
/// common `where` in each that has none. Throws Error(config) for what is wrong with the file; the analyses are not checked yet.
VIDLOOM_API Value read_analyses(const std::string& path);
/// The same from the inside of `analyses`: an object name -> {adapter, every, ...}. \param base  folder of relative paths.
VIDLOOM_API std::vector<AnalysisSpec> analyses_from(const Value& analyses, const std::string& base = "");

struct AnalyzeOptions {
  std::string stream{};             ///< "": each call is a stream of its own, named after the source. Named: per-stream
                                    ///< state goes on while segments follow within 1 s, else a new epoch begins
  std::vector<std::string> only{};  ///< names of analyses; empty: all
  Nanos deadline{0};                ///< of the whole call; 0: none
  std::optional<Nanos> start{}, end{};  ///< media time; end is exclusive
  std::uint64_t max_frames = 0;     ///< pictures of the stream, due or not; 0: no limit
  bool keep_frames = false;         ///< FrameResult::frame is set
  bool collect = true;              ///< Report::frames is filled
  std::shared_ptr<const Value> context{};  ///< echoed into each record
  std::optional<SegmentRef> segment{};
  std::vector<std::shared_ptr<Sink>> sinks{};
  std::stop_token stop{};
  std::function<void()> poll{};     ///< called on the caller's thread at least every 50 ms; what it throws leaves the call
};

/// One analysis of one source under way. One thread at a time; stop() from any. Destroying it ends it.
class VIDLOOM_API Run {
 public:
  Run(Run&&) noexcept;
  ~Run();
  /// Reads, decodes and waits until the next frame on which an analysis was due is complete. \return nothing at the end,
  /// after which all sinks are closed. Throws Error(source, decode, output, forked), and what `poll` throws; the run is over then.
  std::optional<FrameResult> next();
  void stop() noexcept;
  const SourceInfo& info() const noexcept;
  /// Counts so far; `frames` as AnalyzeOptions::collect says.
  const Report& report() const noexcept;
  SourceStats stats() const noexcept;
  /// Closes source and sinks. Idempotent.
  void close() noexcept;

 private:
  friend class Analyzer;
  class Impl;
  explicit Run(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

struct AnalyzerOptions {
  bool deterministic = false;  ///< batch 1, one worker: the same input gives the same bits
  std::string device{};        ///< auto, cpu, cuda or cuda:N; "": VIDLOOM_DEVICE, else auto
};

class VIDLOOM_API Analyzer {
 public:
  /// Throws Error(config) on an unknown adapter or option, a duplicate or empty name, a bad value; Error(not_built).
  explicit Analyzer(std::vector<AnalysisSpec> analyses, AnalyzerOptions options = {});
  Analyzer(const Analyzer&) = delete;
  Analyzer& operator=(const Analyzer&) = delete;
  ~Analyzer();

  /// Loads every adapter now instead of at first use. Blocks.
  void warm_up();
  /// \param each  called in order on this thread; false ends it early. Throws what Run::next() throws.
  Report analyze(Source& source, const std::function<bool(const FrameResult&)>& each = {});
  Report analyze(Source& source, const AnalyzeOptions& options, const std::function<bool(const FrameResult&)>& each = {});
  /// All analyses look at one picture. \param deadline  zero: none.
  FrameResult analyze(const Frame& frame, Nanos deadline = Nanos{0});
  FrameResult analyze(const Frame& frame, const AnalyzeOptions& options);
  /// Opens the source and gives the results one by one. \param source  kept by the run.
  Run start(std::shared_ptr<Source> source, AnalyzeOptions options = {});

  /// Adds an analysis or replaces the one of that name; runs under way keep what they started with.
  void set_analysis(AnalysisSpec spec);
  /// \return whether there was one.
  bool remove_analysis(std::string_view name);
  std::vector<AnalysisSpec> analyses() const;
  /// An object: per analysis adapter, where, loaded, jobs, errors, last error; once loaded with a model its precision, name and id.
  Value health() const;
  /// Ends runs under way and gives the hosted adapters back. Idempotent; later calls throw Error(cancelled).
  void close() noexcept;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace v0
}  // namespace vidloom
