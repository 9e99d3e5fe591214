// Adapters written in Python. `vidloom._adapters.AdapterHost` wraps the user's object: what it answers is checked and turned
// into Detections there, so that here one call per batch crosses the border.
#include <python.hpp>

namespace vidloom::bindings {
namespace {

struct PythonState final : StreamState {
  explicit PythonState(Held kept) : object(std::move(kept)) {}
  Held object;
};

Demand::Pixels pixels_from(const std::string& word) {
  return word == "none" ? Demand::Pixels::none : word == "luma" ? Demand::Pixels::luma : Demand::Pixels::colour;
}

AdapterInfo info_from(const py::object& info) {
  AdapterInfo result;
  result.kind = info.attr("kind").cast<std::string>();
  const auto names = info.attr("vocabulary").cast<std::vector<std::string>>();
  if (!names.empty()) result.vocabulary = Vocabulary::of(names);
  result.model_name = info.attr("model_name").cast<std::string>();
  result.model_sha256 = info.attr("model_sha256").cast<std::string>();
  result.demand.pixels = pixels_from(info.attr("pixels").cast<std::string>());
  result.demand.healthy_only = info.attr("healthy_only").cast<bool>();
  result.max_batch = info.attr("max_batch").cast<std::size_t>();
  result.max_wait = duration_from(info.attr("max_wait"), "AdapterInfo.max_wait");
  result.per_stream_state = info.attr("per_stream_state").cast<bool>();
  result.max_replicas = 1;  // a second one would only wait for the interpreter's lock
  const py::object outputs = info.attr("outputs");
  const auto has = [&](const char* name) { return outputs.contains(name); };
  result.lists = {has("detections"), has("labels"), has("attributes"), has("embedding")};
  return result;
}

class PythonAdapter final : public DetectionAdapter {
 private:
  std::string where() const { return "adapter '" + name_ + "'"; }
  template <class Work>
  auto ask(Work work) const {
    const Gil gil;
    try {
      return work();
    } catch (const py::error_already_set& error) {
      throw error_from(error.value(), Code::model, where());
    } catch (const py::cast_error& error) {
      throw Error(Code::model, where() + ": " + error.what());
    }
  }

 public:
  PythonAdapter(std::string name, Held host) : name_(std::move(name)), host_(std::move(host)) {}

  AdapterInfo info() const override {
    return ask([&] { return info_from(host_.call("info")); });
  }
  void load() override {
    ask([&] { host_.call("load"); });
  }
  std::unique_ptr<StreamState> new_state() override {
    return ask([&] { return std::make_unique<PythonState>(Held(host_.call("new_state"))); });
  }
  void detect(std::span<const Item> items, std::span<Result<Detections>> out, const BatchContext& context) override {
    ask([&] {
      py::list batch;
      for (const Item& item : items) {
        py::list regions;
        for (const Box& box : item.regions) regions.append(py::make_tuple(box.x1, box.y1, box.x2, box.y2));
        const auto* state = dynamic_cast<const PythonState*>(item.state);
        batch.append(py::make_tuple(py::cast(item.frame), state ? state->object.get() : py::none(), regions));
      }
      const py::object answers = host_.call("detect", batch, py::cast(context));
      std::size_t i = 0;
      for (const py::handle answer : answers) {
        if (py::isinstance<Detections>(answer))
          out[i] = answer.cast<Detections>();
        else
          out[i] = error_from(answer, Code::model, where());
        if (++i == out.size()) break;
      }
    });
  }

 private:
  std::string name_;
  Held host_;
};

OptionInfo option_from(const py::handle entry) {
  const auto tuple = entry.cast<py::tuple>();
  OptionInfo option;
  option.name = tuple[0].cast<std::string>();
  option.type = "any";
  option.required = tuple[1].cast<bool>();
  try {
    option.fallback = from_python(tuple[2], option.name);
  } catch (const Error&) {  // a default that JSON cannot say: shown as none, used all the same
  }
  return option;
}

}  // namespace

void bind_adapters(py::module_& module) {
  py::class_<BatchContext, py::smart_holder>(module, "BatchContext", "What a batch may take.")
      .def(py::init([] {
             return BatchContext{SteadyTime::max(), {}};
           }),
           "Without a limit.")
      .def_property_readonly(
          "deadline",
          [](const BatchContext& self) -> std::optional<double> {
            if (self.deadline == SteadyTime::max()) return {};
            return seconds(std::chrono::duration_cast<Nanos>(self.deadline - std::chrono::steady_clock::now()));
          },
          "Seconds left, negative when late; None: no limit.")
      .def_property_readonly(
          "stop_requested", [](const BatchContext& self) { return self.stop.stop_requested(); }, "The answers are no longer wanted.");
  module.def(
      "register_adapter",
      [](const std::string& name, py::object make_host, const std::string& summary, const std::string& kind, const py::list& options,
         bool any_option) {
        AdapterDescription description;
        description.name = name;
        description.summary = summary;
        description.kind = kind;
        for (const py::handle option : options) description.options.push_back(option_from(option));
        description.any_option = any_option;
        register_adapter(std::move(description),
                         [name, make = Held(std::move(make_host))](const Value& given) -> std::unique_ptr<DetectionAdapter> {
                           const Gil gil;
                           try {
                             return std::make_unique<PythonAdapter>(name, Held(make.call("__call__", to_python(given))));
                           } catch (const py::error_already_set& error) {
                             throw error_from(error.value(), Code::model, "adapter '" + name + "'");
                           }
                         });
      },
      py::arg("name"), py::arg("make_host"), py::arg("summary"), py::arg("kind"), py::arg("options"), py::arg("any_option"));
}

}  // namespace vidloom::bindings
