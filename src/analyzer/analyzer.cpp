#include <analyzer/run.hpp>
#include <core/catalogue.hpp>
#include <core/device_name.hpp>
#include <default_strategy.hpp>
#include <vidloom/registry.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <set>

namespace vidloom {
inline namespace v0 {
namespace {

/// Gives one picture, so that analyze(Frame) is a run like any other.
class OnePicture final : public Source {
 public:
  explicit OnePicture(const Frame& frame) : frame_(frame) {}
  SourceInfo open(SourceContext&) override {
    return {.size = frame_.size(), .codec = "raw", .time_base = frame_.info().time.time_base, .colour = frame_.info().colour,
            .coded_size = frame_.coded_size(), .stream = "frame"};
  }
  ReadResult read() override {
    if (std::exchange(given_, true)) return End{};
    return frame_;
  }
  void interrupt() noexcept override {}
  void close() noexcept override {}

 private:
  const Frame frame_;
  bool given_ = false;
};

[[noreturn]] void refuse(const std::string& message) { throw Error(Code::config, message); }

const std::vector<std::string> kinds{"object", "logo", "face", "motion", "text", "scene", "visual"};

void check_share(float value, const std::string& field) {
  if (!(value >= 0.0F && value <= 1.0F)) refuse(fmt::format("{} is {:g}; use 0 to 1", field, value));
}

void check_spec(const AnalysisSpec& spec) {
  const std::string field = "analyses." + spec.name;
  if (spec.every < Nanos{0}) refuse(field + ".every is negative; use 0 for each frame, else seconds");
  if (spec.tolerance < Nanos{0}) refuse(field + ".tolerance is negative; use 0 or more seconds");
  if (spec.deadline < Nanos{0}) refuse(field + ".deadline is negative; use 0 for none, else seconds");
  check_share(spec.min_confidence.all, field + ".min_confidence");
  for (const auto& [name, value] : spec.min_confidence.per_class) check_share(value, field + ".min_confidence." + name);
  for (const std::vector<Region>* list : {&spec.regions.include, &spec.regions.exclude}) {
    const char* const name = list == &spec.regions.include ? ".regions.include" : ".regions.exclude";
    for (const Region& region : *list) {
      if (region.corners.size() < 3) refuse(fmt::format("{}{} has a region of {} corners; use 3 or more", field, name, region.corners.size()));
      for (const Region::Corner& corner : region.corners) {
        check_share(corner.x, field + name);
        check_share(corner.y, field + name);
      }
    }
  }
  if (!spec.kind.empty() && std::find(kinds.begin(), kinds.end(), spec.kind) == kinds.end()) {
    refuse(field + ".kind is '" + spec.kind + "'; use object, logo, face, motion, text, scene or visual");
  }
  if (spec.where) spec.where->check(spec.adapter);
  else check_adapter(spec.adapter, field);
}

void check_all(const std::vector<std::shared_ptr<Analysis>>& analyses) {
  std::vector<std::string> names;
  for (const auto& analysis : analyses) {
    if (analysis->spec.name.empty()) refuse("an analysis has an empty name; name each");
    if (std::find(names.begin(), names.end(), analysis->spec.name) != names.end()) refuse("two analyses are named '" + analysis->spec.name + "'; names are unique");
    names.push_back(analysis->spec.name);
  }
  const auto spec_of = [&](const std::string& name) -> const AnalysisSpec* {
    for (const auto& analysis : analyses) {
      if (analysis->spec.name == name) return &analysis->spec;
    }
    return nullptr;
  };
  for (const auto& analysis : analyses) {
    std::set<std::string> way{analysis->spec.name};
    for (const AnalysisSpec* spec = &analysis->spec; !spec->regions_of.empty();) {
      const std::string field = "analyses." + spec->name + ".regions_of";
      const AnalysisSpec* other = spec_of(spec->regions_of);
      if (other == nullptr) {
        const std::string near = nearest(spec->regions_of, names);
        refuse(field + " is '" + spec->regions_of + "', which is no analysis" + (near.empty() ? "" : "; did you mean '" + near + "'?"));
      }
      if (!way.insert(other->name).second) refuse(field + " goes round in a circle at '" + other->name + "'");
      spec = other;
    }
  }
}

/// The option, else the environment, else "auto".
std::string device_of(const AnalyzerOptions& options) {
  if (!options.device.empty()) return options.device;
  const char* const device = std::getenv("VIDLOOM_DEVICE");
  return device == nullptr || *device == '\0' ? "auto" : device;
}

/// Whether the adapter of that name runs on other devices than the CPU: then it has the option.
bool takes_device(std::string_view adapter) {
  const AdapterDescription* const known = find_known_adapter(adapter);
  return known && std::any_of(known->options.begin(), known->options.end(), [](const OptionInfo& option) { return option.name == "device"; });
}

/// Throws where none of the analyses would run on what was asked for.
void check_device(const AnalyzerOptions& options, std::span<const AnalysisSpec> specs) {
  const std::string device = device_of(options), field = options.device.empty() ? "VIDLOOM_DEVICE" : "device";
  const auto named = device_named(device);
  if (!named) refuse(field + " is '" + device + "'; use auto, cpu or cuda[:N]");
  const auto willing = [](const AnalysisSpec& spec) { return spec.where || takes_device(spec.adapter.adapter); };
  if (named->ordinal >= 0 && std::none_of(specs.begin(), specs.end(), willing)) {
    throw Error(Code::not_built, field + " is '" + device + "', but none of these adapters runs on CUDA; use auto or cpu");
  }
}

}  // namespace

class Analyzer::Impl {
 public:
  Impl(std::vector<AnalysisSpec> specs, AnalyzerOptions options) : options_(std::move(options)) {
    check_device(options_, specs);
    for (auto& spec : specs) analyses_.push_back(make(std::move(spec)));
    check_all(analyses_);
  }

  bool foreign() const noexcept { return guard_.foreign(); }
  void use() { guard_.use("Analyzer"); }

  std::vector<std::shared_ptr<Analysis>> current() const {
    const std::lock_guard lock(mutex_);
    if (closed_) throw Error(Code::cancelled, "the Analyzer was closed; make a new one");
    return analyses_;
  }

  std::vector<std::shared_ptr<Analysis>> chosen(const std::vector<std::string>& only) const {
    auto analyses = current();
    if (only.empty()) return analyses;
    std::vector<std::string> names;
    for (const auto& analysis : analyses) names.push_back(analysis->spec.name);
    for (const auto& name : only) {
      if (std::find(names.begin(), names.end(), name) != names.end()) continue;
      const std::string near = nearest(name, names);
      std::string known;
      for (const auto& one : names) known += (known.empty() ? "" : ", ") + one;
      refuse("only names '" + name + "', which is no analysis; " + (near.empty() ? "there are: " + known : "did you mean '" + near + "'?"));
    }
    const auto wanted = [&](const std::string& name) { return std::find(only.begin(), only.end(), name) != only.end(); };
    std::erase_if(analyses, [&](const auto& analysis) { return !wanted(analysis->spec.name); });
    for (const auto& analysis : analyses) {
      const std::string& other = analysis->spec.regions_of;
      if (!other.empty() && !wanted(other)) refuse("only names '" + analysis->spec.name + "', which looks inside the boxes of '" + other + "'; name that, too");
    }
    return analyses;
  }

  std::unique_ptr<Run::Impl> start(const std::shared_ptr<Impl>& self, std::shared_ptr<Source> source, AnalyzeOptions options, bool all_due) {
    use();
    RunContext context;
    context.analyses = chosen(options.only);
    context.streams = streams_;
    context.all_due = all_due;
    context.forget = [self](StreamId stream) { self->forget(stream); };
    context.ended = [self](RunControl* run) {
      const std::lock_guard lock(self->mutex_);
      std::erase_if(self->runs_, [run](const auto& one) { return one.get() == run; });
    };
    auto run = std::make_unique<Run::Impl>(std::move(source), std::move(options), std::move(context));
    {
      const std::lock_guard lock(mutex_);
      if (closed_) throw Error(Code::cancelled, "the Analyzer was closed; make a new one");
      runs_.push_back(run->control());
    }
    run->open();
    return run;
  }

  void warm_up() {
    use();
    const auto analyses = current();
    for (const auto& analysis : analyses) analysis->begin_loading();
    for (const auto& analysis : analyses) analysis->wait_loaded({}, SteadyTime::max());
  }

  void set_analysis(AnalysisSpec spec) {
    if (foreign()) use();  // throws
    const std::string name = spec.name;
    const auto added = make(std::move(spec));
    bool load = false;
    {
      const std::lock_guard lock(mutex_);
      check_all(with(added));
      load = std::any_of(analyses_.begin(), analyses_.end(), [](const auto& one) { return one->loaded(); });
    }
    if (load) {  // beside the old one, which serves until the new one is ready
      use();
      added->begin_loading();
      added->wait_loaded({}, SteadyTime::max());
    }
    std::vector<std::shared_ptr<Analysis>> changed;  // the old ones go outside the lock: that may end threads
    const std::lock_guard lock(mutex_);
    if (closed_) throw Error(Code::cancelled, "the Analyzer was closed; make a new one");
    changed = with(added);
    check_all(changed);
    analyses_.swap(changed);
  }

  bool remove_analysis(std::string_view name) {
    if (foreign()) use();  // throws
    std::vector<std::shared_ptr<Analysis>> changed;
    const std::lock_guard lock(mutex_);
    changed = analyses_;
    if (std::erase_if(changed, [&](const auto& one) { return one->spec.name == name; }) == 0) return false;
    check_all(changed);
    analyses_.swap(changed);
    return true;
  }

  Value health() {
    if (foreign()) use();  // throws
    Value health = Value::object();
    std::vector<std::shared_ptr<Analysis>> analyses;
    {
      const std::lock_guard lock(mutex_);
      analyses = analyses_;
    }
    for (const auto& analysis : analyses) health.set(analysis->spec.name, analysis->health());
    return health;
  }

  std::vector<AnalysisSpec> specs() {
    if (foreign()) use();  // throws
    const std::lock_guard lock(mutex_);
    std::vector<AnalysisSpec> specs;
    for (const auto& analysis : analyses_) specs.push_back(analysis->spec);
    return specs;
  }

  void close() noexcept {
    if (foreign()) return;
    std::vector<std::shared_ptr<RunControl>> runs;
    std::vector<std::shared_ptr<Analysis>> analyses;
    {
      const std::lock_guard lock(mutex_);
      if (std::exchange(closed_, true)) return;
      runs = runs_;
      analyses = analyses_;
    }
    for (const auto& run : runs) run->stop();
    for (const auto& analysis : analyses) analysis->close();
  }

 private:
  std::shared_ptr<Analysis> make(AnalysisSpec spec) const {
    check_spec(spec);
    if (const std::string device = device_of(options_); device != "auto" && !spec.where && takes_device(spec.adapter.adapter)) {
      auto options = std::make_shared<Value>(spec.adapter.options ? *spec.adapter.options : Value::object());
      if ((*options)["device"].is_null()) options->set("device", device);
      spec.adapter.options = std::move(options);
    }
    auto place = spec.where ? spec.where : default_strategy(options_.deterministic);
    return std::make_shared<Analysis>(std::move(spec), std::move(place));
  }

  std::vector<std::shared_ptr<Analysis>> with(const std::shared_ptr<Analysis>& added) const {
    auto analyses = analyses_;
    const auto old = std::find_if(analyses.begin(), analyses.end(), [&](const auto& one) { return one->spec.name == added->spec.name; });
    if (old == analyses.end()) analyses.push_back(added);
    else *old = added;
    return analyses;
  }

  void forget(StreamId stream) noexcept {
    std::vector<std::shared_ptr<Analysis>> analyses;
    {
      const std::lock_guard lock(mutex_);
      analyses = analyses_;
    }
    for (const auto& analysis : analyses) analysis->forget(stream);
  }

  ForkGuard guard_;
  const AnalyzerOptions options_;
  const std::shared_ptr<Streams> streams_ = std::make_shared<Streams>();
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<Analysis>> analyses_;
  std::vector<std::shared_ptr<RunControl>> runs_;
  bool closed_ = false;
};

Analyzer::Analyzer(std::vector<AnalysisSpec> analyses, AnalyzerOptions options)
    : impl_(std::make_shared<Impl>(std::move(analyses), std::move(options))) {}

Analyzer::~Analyzer() {
  if (impl_->foreign()) {
    static_cast<void>(new auto(std::move(impl_)));  // threads and locks of the parent's: leave all of it
    return;
  }
  impl_->close();
}

void Analyzer::warm_up() { impl_->warm_up(); }

Report Analyzer::analyze(Source& source, const std::function<bool(const FrameResult&)>& each) { return analyze(source, AnalyzeOptions{}, each); }

Report Analyzer::analyze(Source& source, const AnalyzeOptions& options, const std::function<bool(const FrameResult&)>& each) {
  const std::shared_ptr<Source> borrowed(std::shared_ptr<void>(), &source);
  const auto run = impl_->start(impl_, borrowed, options, false);
  while (const auto result = run->next()) {
    if (each && !each(*result)) break;
  }
  run->close();
  return run->take_report();
}

FrameResult Analyzer::analyze(const Frame& frame, Nanos deadline) {
  AnalyzeOptions options;
  options.deadline = deadline;
  return analyze(frame, options);
}

FrameResult Analyzer::analyze(const Frame& frame, const AnalyzeOptions& options) {
  AnalyzeOptions one = options;
  one.collect = false;
  one.start.reset();
  one.end.reset();
  const auto run = impl_->start(impl_, std::make_shared<OnePicture>(frame), std::move(one), true);
  auto result = run->next();
  if (!result) {
    if (run->report().cut_short) throw Error(*run->report().cut_short);
    FrameResult nothing;  // no analyses
    nothing.info = frame.info();
    nothing.frame_size = frame.size();
    nothing.stream = run->info().stream;
    nothing.analyzed_at = wall_now();
    nothing.context = options.context;
    nothing.segment = options.segment;
    result = std::move(nothing);
  }
  run->next();  // ends the outputs; throws when one fails
  return std::move(*result);
}

Run Analyzer::start(std::shared_ptr<Source> source, AnalyzeOptions options) {
  return Run(impl_->start(impl_, std::move(source), std::move(options), false));
}

void Analyzer::set_analysis(AnalysisSpec spec) { impl_->set_analysis(std::move(spec)); }
bool Analyzer::remove_analysis(std::string_view name) { return impl_->remove_analysis(name); }
std::vector<AnalysisSpec> Analyzer::analyses() const { return impl_->specs(); }
Value Analyzer::health() const { return impl_->health(); }
void Analyzer::close() noexcept { impl_->close(); }

}  // namespace v0
}  // namespace vidloom
