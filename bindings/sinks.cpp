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

Rgb rgb_from(const std::tuple<int, int, int>& colour) {
  const auto level = [&](int value) {
    if (value < 0 || value > 255) throw Error(Code::config, "a colour has the value " + std::to_string(value) + "; use (red, green, blue), 0 to 255 each");
    return static_cast<std::uint8_t>(value);
  };
  return {level(std::get<0>(colour)), level(std::get<1>(colour)), level(std::get<2>(colour))};
}

KindStyle style_from(const std::string& kind, const py::dict& given) {
  KindStyle style;
  for (const auto& [key, value] : given) {
    const std::string name = text_from(key);
    try {
      if (name == "boxes") style.boxes = value.cast<bool>();
      else if (name == "labels") style.labels = value.cast<bool>();
      else if (name == "line") style.line = value.cast<float>();
      else if (name == "colour") style.colour = value.is_none() ? std::nullopt : std::optional(rgb_from(value.cast<std::tuple<int, int, int>>()));
      else throw Error(Code::config, "kinds['" + kind + "'] has the unknown key '" + name + "'; there are boxes, labels, colour and line");
    } catch (const py::cast_error&) {
      throw Error(Code::config, "kinds['" + kind + "']['" + name + "'] is " + text_from(py::repr(value)) +
                                    "; boxes and labels are True or False, line is a number, colour (red, green, blue)");
    }
  }
  return style;
}

AnnotateOptions annotate_options(std::vector<std::string> blur, std::vector<std::string> pixelate, float scale, std::string font, const py::dict& kinds) {
  AnnotateOptions options{.blur = std::move(blur), .pixelate = std::move(pixelate), .scale = scale, .font = std::move(font)};
  for (const auto& [kind, style] : kinds) {
    const std::string name = text_from(kind);
    if (!py::isinstance<py::dict>(style)) throw Error(Code::config, "kinds['" + name + "'] is " + text_from(py::repr(style)) + "; use a dict");
    options.kinds[name] = style_from(name, py::reinterpret_borrow<py::dict>(style));
  }
  return options;
}

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
  module.def("plays_in_browsers", [](const std::string& uri) { return unlocked([&] { return plays_in_browsers(uri); }); }, py::arg("uri"));
  module.def(
      "make_sink",
      [](const std::string& uri, const py::dict& options) {
        return NativeSink{std::shared_ptr<Sink>(make_sink(uri, from_python(options, "")))};
      },
      py::arg("uri"), py::arg("options"));
  module.def(
      "annotate",
      [](const py::object& to, std::vector<std::string> blur, std::vector<std::string> pixelate, float scale, std::string font, const py::dict& kinds) {
        return NativeSink{annotate(sink_from(to), annotate_options(std::move(blur), std::move(pixelate), scale, std::move(font), kinds))};
      },
      py::arg("to"), py::arg("blur"), py::arg("pixelate"), py::arg("scale"), py::arg("font"), py::arg("kinds"));
  module.def(
      "annotated",
      [](const Frame& frame, const ResultView& result, std::vector<std::string> blur, std::vector<std::string> pixelate, float scale, std::string font,
         const py::dict& kinds) {
        const AnnotateOptions options = annotate_options(std::move(blur), std::move(pixelate), scale, std::move(font), kinds);
        return unlocked([&] { return annotated(frame, *result.result, options); });
      },
      py::arg("frame"), py::arg("result"), py::arg("blur"), py::arg("pixelate"), py::arg("scale"), py::arg("font"), py::arg("kinds"));
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
