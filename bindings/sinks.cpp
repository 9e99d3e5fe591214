// Sink: built-in ones for Python, and Python's own for C++.
#include <sinks.hpp>

#include <results.hpp>

namespace vidloom::bindings {
namespace {

/// A sink written in Python, called on the thread that runs the analysis.
class PythonSink final : public Sink {
 public:
  explicit PythonSink(Held host) : host_(std::move(host)) {}

  SinkInfo info() const override {
    return on_callers_thread(Code::output, [&] {
      const py::object info = host_.call("info");
      return SinkInfo{info.attr("every_frame").cast<bool>(), info.attr("pixels").cast<bool>(), info.attr("each").cast<bool>()};
    });
  }
  void open(StreamId stream, const SourceInfo& source) override {
    on_callers_thread(Code::output, [&] { host_.call("open", static_cast<std::uint32_t>(stream), py::cast(source)); });
  }
  void write(const FrameResult& result) override {
    auto names = std::make_shared<std::vector<std::string>>();
    for (const auto& entry : result.outcomes) names->push_back(entry.first);
    const ResultView view{std::make_shared<const FrameResult>(result), std::move(names)};
    on_callers_thread(Code::output, [&] { host_.call("write", py::cast(view)); });
  }
  void event(StreamId stream, const StreamEvent& event) override {
    on_callers_thread(Code::output, [&] { host_.call("event", static_cast<std::uint32_t>(stream), py::cast(event)); });
  }
  void close(StreamId stream) noexcept override {
    quietly("sink", [&] { host_.call("close", static_cast<std::uint32_t>(stream)); });
  }

 private:
  Held host_;
};

}  // namespace

std::shared_ptr<Sink> sink_from(const py::object& object) {
  if (py::isinstance<NativeSink>(object)) return object.cast<NativeSink>().sink;
  return std::make_shared<PythonSink>(Held(object));
}

void bind_sinks(py::module_& module) {
  py::class_<NativeSink, py::smart_holder>(module, "NativeSink", py::release_gil_before_calling_cpp_dtor());
  module.def(
      "jsonl",
      [](const std::string& path, bool overwrite, bool append) {
        return NativeSink{jsonl(path, {.overwrite = overwrite, .append = append})};
      },
      py::arg("path"), py::arg("overwrite") = false, py::arg("append") = false);
  module.def(
      "make_sink",
      [](const std::string& uri, const py::dict& options) {
        return NativeSink{std::shared_ptr<Sink>(make_sink(uri, from_python(options, "")))};
      },
      py::arg("uri"), py::arg("options"));
  module.def(
      "register_sink",
      [](std::string name, py::object factory) {
        register_sink(std::move(name), [make = Held(std::move(factory))](const Value& options) -> std::unique_ptr<Sink> {
          return on_callers_thread(Code::output,
                                   [&] { return std::make_unique<PythonSink>(Held(make.call("__call__", to_python(options)))); });
        });
      },
      py::arg("name"), py::arg("factory"));
}

}  // namespace vidloom::bindings
