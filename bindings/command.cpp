// pip's command: the C++ main inside Python, so that adapters and sources written in Python load. And what its commands say as
// JSON, as dicts.
#include <python.hpp>

#include <cli/command_line.hpp>
#include <cli/commands.hpp>

namespace vidloom::bindings {
namespace {

void load_plugin(const std::string& module) {
  const Gil gil;
  try {
    py::module_::import("vidloom._plugins").attr("load")(module);
  } catch (const py::error_already_set& error) {
    if (!error.matches(PyExc_Exception)) throw;
    throw error_from(error.value(), Code::config, "plugin '" + module + "'");
  }
}

}  // namespace

void bind_command(py::module_& module) {
  module.def("adapters", [] { return to_python(cli::adapters_value()); });
  module.def("doctor", [] { return to_python(unlocked([] { return cli::doctor_value(); })); });
  module.def(
      "probe", [](const std::string& uri) { return to_python(unlocked([&] { return cli::probe_value(uri, check_signals); })); }, py::arg("uri"));
  module.def(
      "run_command",
      [](const std::vector<std::string>& arguments) {
        inside_command = true;
        const int code = unlocked([&] { return cli::run(arguments, {.load_plugin = load_plugin, .poll = check_signals}); });
        inside_command = false;
        return code;
      },
      py::arg("arguments"), "Runs one command line; returns the exit code.");
}

}  // namespace vidloom::bindings
