// The module vidloom._vidloom: C++ types as Python sees them. What reads like Python lives in python/vidloom.
#include <python.hpp>

#include <execution/local_runtime.hpp>

namespace vidloom::bindings {
void bind_core(py::module_& module) {
  py::register_exception_translator([](std::exception_ptr thrown) {
    try {
      if (thrown) std::rethrow_exception(thrown);
    } catch (const Error& error) {
      const py::object instance = to_python(error);
      PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(instance.ptr())), instance.ptr());
    }
  });
  module.def("version", [] { return std::string(version()); });
  module.def("redact", &redact, py::arg("text"));
  module.def("nearest", &nearest, py::arg("name"), py::arg("known"));
  module.def(
      "parse_json", [](const std::string& text) { return to_python(Value::parse(text, Value::Comments::allow)); }, py::arg("text"));
  module.def("take_log", [] {
    std::uint64_t dropped = 0;
    py::list records;
    for (const LogRecord& record : take_log(&dropped))
      records.append(py::make_tuple(std::string(to_string(record.level)), record.area, record.message,
                                    static_cast<double>(record.time.time_since_epoch().count()) * 1e-9));
    return py::make_tuple(records, dropped);
  });
  module.def(
      "set_log_level", [](const std::string& level) { set_log_level(parse_log_level(level)); }, py::arg("level"));
  module.def("route_ffmpeg_log", &route_ffmpeg_log);
  module.def(
      "shutdown", [](double drain) { shutdown_local_execution(from_seconds(drain)); }, py::arg("drain") = 1.0, py::call_guard<NoGil>(),
      "Stops the threads of local execution; an adapter that does not come back within `drain` seconds is left behind.");
}

}  // namespace vidloom::bindings

PYBIND11_MODULE(_vidloom, module) {
  using namespace vidloom::bindings;
  vidloom::register_components();
  bind_core(module);
  bind_frame(module);
  bind_tensors(module);
  bind_results(module);
  bind_sources(module);
  bind_adapters(module);
  bind_sinks(module);
  bind_analyzer(module);
  bind_command(module);
}
