// Analyzer and Run. Every call that can wait gives the lock away; signal handlers run through AnalyzeOptions::poll.
#include <results.hpp>
#include <sinks.hpp>
#include <sources.hpp>

#include <pthread.h>

#include <thread>

namespace vidloom::bindings {
namespace {

/// The inside of `analyses` again: what analyses_from() would read the spec from.
py::dict spec_dict(const AnalysisSpec& spec) {
  py::dict dict;
  dict["adapter"] = spec.adapter.adapter;
  if (spec.adapter.options)
    for (const auto& [key, value] : spec.adapter.options->as_object()) dict[py::str(key)] = to_python(value);
  if (spec.every > Nanos{0}) dict["every"] = seconds(spec.every);
  if (spec.tolerance > Nanos{0}) dict["tolerance"] = seconds(spec.tolerance);
  if (spec.deadline > Nanos{0}) dict["deadline"] = seconds(spec.deadline);
  if (!spec.min_confidence.per_class.empty()) {
    py::dict by_class;
    by_class["*"] = spec.min_confidence.all;
    for (const auto& [name, least] : spec.min_confidence.per_class) by_class[py::str(name)] = least;
    dict["min_confidence"] = by_class;
  } else if (spec.min_confidence.all > 0) {
    dict["min_confidence"] = spec.min_confidence.all;
  }
  if (!spec.regions_of.empty()) dict["regions_of"] = spec.regions_of;
  if (!spec.regions.empty()) dict["regions"] = to_python(value_of(spec.regions));
  if (!spec.kind.empty()) dict["kind"] = spec.kind;
  return dict;
}

py::dict spec_dicts(const std::vector<AnalysisSpec>& specs) {
  py::dict dict;
  for (const AnalysisSpec& spec : specs) dict[py::str(spec.name)] = spec_dict(spec);
  return dict;
}

AnalyzeOptions options_from(const py::object& stream, const py::object& only, const py::object& deadline, const py::object& context) {
  AnalyzeOptions options;
  if (!stream.is_none()) options.stream = text_from(py::str(stream));
  if (!only.is_none())
    for (const py::handle name : only) options.only.push_back(text_from(name));
  options.deadline = duration_from(deadline, "deadline");
  options.context = context_from(context);
  options.poll = check_signals;
  return options;
}

/// Runs `work` without the lock; an interruption kept inside a noexcept call leaves afterwards.
template <class Work>
auto waiting(Work work) {
  if constexpr (std::is_void_v<decltype(work())>) {
    unlocked(work);
    rethrow_kept();
  } else {
    auto result = unlocked(work);
    rethrow_kept();
    return result;
  }
}

Names names_of(const Analyzer& analyzer, const std::vector<std::string>& only) {
  if (!only.empty()) return std::make_shared<const std::vector<std::string>>(only);
  auto names = std::make_shared<std::vector<std::string>>();
  for (const AnalysisSpec& spec : analyzer.analyses()) names->push_back(spec.name);
  return names;
}

/// A run, and the names for KeyErrors.
struct BoundRun {
  Run run;
  Names known;
};

std::unique_ptr<BoundRun> start(Analyzer& self, const py::object& source, const py::object& stream, const py::object& only,
                                const py::object& deadline, const py::object& context, const py::object& start_at, const py::object& end_at,
                                std::uint64_t max_frames, bool keep_frames, const py::list& sinks) {
  AnalyzeOptions options = options_from(stream, only, deadline, context);
  if (!start_at.is_none()) options.start = duration_from(start_at, "start");
  if (!end_at.is_none()) options.end = duration_from(end_at, "end");
  options.max_frames = max_frames;
  options.keep_frames = keep_frames;
  options.collect = false;
  for (const py::handle sink : sinks) options.sinks.push_back(sink_from(py::reinterpret_borrow<py::object>(sink)));
  Names known = names_of(self, options.only);
  std::shared_ptr<Source> opened = source_from(source);
  return waiting([&] { return std::make_unique<BoundRun>(BoundRun{self.start(std::move(opened), std::move(options)), std::move(known)}); });
}

py::object next(BoundRun& self) {
  std::optional<FrameResult> result = waiting([&] { return self.run.next(); });
  if (!result) return py::none();
  return py::cast(ResultView{std::make_shared<const FrameResult>(std::move(*result)), self.known});
}

py::dict source_stats(const BoundRun& self) {
  const SourceStats stats = self.run.stats();
  py::dict dict;
  dict["packets"] = stats.packets;
  dict["decoded"] = stats.decoded;
  dict["concealed"] = stats.concealed;
  dict["repairs"] = stats.repairs;
  dict["skipped"] = stats.skipped;
  dict["decoders"] = stats.decoders;
  dict["errors"] = stats.errors;
  dict["converted"] = stats.converted;
  dict["rgb_full_size"] = stats.rgb_full_size;
  return dict;
}

ReportView analyze_segment(Analyzer& self, const std::string& path, const py::object& stream, const py::object& context,
                           const py::object& only, const py::object& deadline) {
  AnalyzeOptions options = options_from(stream, only, deadline, context);
  options.segment = SegmentRef{path, {}, {}};
  const Names known = names_of(self, options.only);
  return waiting([&] {
    const std::unique_ptr<Source> source = segment_source(path);
    return ReportView{std::make_shared<const Report>(self.analyze(*source, options)), known};
  });
}

ResultView analyze_frame(Analyzer& self, const Frame& frame, const py::object& only, const py::object& deadline,
                         const py::object& context) {
  const AnalyzeOptions options = options_from(py::none(), only, deadline, context);
  const Names known = names_of(self, options.only);
  return waiting([&] { return ResultView{std::make_shared<const FrameResult>(self.analyze(frame, options)), known}; });
}

/// An exception must not wait for an adapter to come back; a thread of its own does.
void close_later(std::shared_ptr<Analyzer> self) {
  std::thread([analyzer = std::move(self)] {
    pthread_setname_np(pthread_self(), "vidloom-close");
    analyzer->close();
  }).detach();
}

AnalysisSpec one_spec(const std::string& name, const py::object& spec) {
  Value analyses = Value::object();
  analyses.set(name, from_python(spec, name));
  std::vector<AnalysisSpec> specs = analyses_from(analyses);
  return std::move(specs.front());
}

}  // namespace

void bind_analyzer(py::module_& module) {
  py::class_<BoundRun, py::smart_holder>(module, "Run", py::release_gil_before_calling_cpp_dtor())
      .def("next", &next, "The next FrameResult, or None at the end.")
      .def(
          "stop", [](BoundRun& self) { self.run.stop(); }, py::call_guard<NoGil>())
      .def("close", [](BoundRun& self) { waiting([&] { self.run.close(); }); })
      .def_property_readonly("info", [](const BoundRun& self) { return self.run.info(); })
      .def_property_readonly("report",
                             [](const BoundRun& self) {
                               return ReportView{std::make_shared<const Report>(self.run.report()), self.known};
                             })
      .def_property_readonly("stats", &source_stats);
  py::class_<Analyzer, py::smart_holder>(module, "Analyzer", py::release_gil_before_calling_cpp_dtor())
      .def(py::init([](const py::dict& analyses, const std::string& device, bool deterministic) {
             const AnalyzerOptions options{deterministic, device == "auto" ? "" : device};  // "": asks the environment
             return std::make_unique<Analyzer>(analyses_from(from_python(analyses, "")), options);
           }),
           py::arg("analyses"), py::arg("device") = "auto", py::arg("deterministic") = false)
      .def("start", &start, py::arg("source"), py::kw_only(), py::arg("stream"), py::arg("only"), py::arg("deadline"), py::arg("context"),
           py::arg("start"), py::arg("end"), py::arg("max_frames"), py::arg("keep_frames"), py::arg("sinks"))
      .def("analyze_segment", &analyze_segment, py::arg("path"), py::kw_only(), py::arg("stream"), py::arg("context"), py::arg("only"),
           py::arg("deadline"))
      .def("analyze_frame", &analyze_frame, py::arg("frame"), py::kw_only(), py::arg("only"), py::arg("deadline"), py::arg("context"))
      .def("warm_up", [](Analyzer& self) { waiting([&] { self.warm_up(); }); })
      .def(
          "set_analysis",
          [](Analyzer& self, const std::string& name, const py::object& spec) {
            AnalysisSpec parsed = one_spec(name, spec);
            waiting([&] { self.set_analysis(std::move(parsed)); });
          },
          py::arg("name"), py::arg("spec"))
      .def(
          "remove_analysis", [](Analyzer& self, const std::string& name) { return waiting([&] { return self.remove_analysis(name); }); },
          py::arg("name"))
      .def_property_readonly("analyses", [](const Analyzer& self) { return spec_dicts(self.analyses()); })
      .def("health", [](const Analyzer& self) { return to_python(waiting([&] { return self.health(); })); })
      .def("close", [](Analyzer& self) { waiting([&] { self.close(); }); })
      .def("close_later", &close_later, "close() without waiting for an adapter that is in the middle of something.");
  module.def(
      "load_analyses",
      [](const std::string& path) {
        const Value given = read_analyses(path);
        py::dict dicts = spec_dicts(load_analyses(path));
        for (const auto& [name, analysis] : given.as_object())
          if (const Value* where = analysis.find("where")) dicts[to_python_text(name)]["where"] = to_python(*where);
        return dicts;
      },
      py::arg("path"), "Checked, durations as seconds.");
  module.def(
      "read_analyses", [](const std::string& path) { return to_python(read_analyses(path)); }, py::arg("path"), "As they stand there.");
  module.def(
      "local_health", [](const py::dict&) { return to_python(waiting([] { return local()->health(); })); }, py::arg("where"));
}

}  // namespace vidloom::bindings
