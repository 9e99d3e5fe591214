#pragma once
/// What all bindings share: values, errors and kept objects across the language border.

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <gil.hpp>

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <vidloom/vidloom.hpp>

namespace vidloom::bindings {

namespace py = pybind11;

/// A Python object that C++ keeps and drops on any thread, also after the interpreter has ended.
class Held {
 public:
  explicit Held(py::object object);
  /// With the lock held.
  py::object get() const { return py::reinterpret_borrow<py::object>(object_.get()); }
  /// Calls the method `name`. With the lock held; throws py::error_already_set.
  template <class... Args>
  py::object call(const char* name, Args&&... args) const {
    const py::object method = get().attr(name);
    const py::tuple arguments = py::make_tuple(std::forward<Args>(args)...);
    PyObject* result = guarded([&] { return PyObject_Call(method.ptr(), arguments.ptr(), nullptr); });
    if (!result) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(result);
  }

 private:
  std::shared_ptr<PyObject> object_;
};

/// str(object) as UTF-8; what no text is, such as the halves of a surrogate pair, is replaced.
std::string text_from(py::handle object);
/// A str; bytes that are no UTF-8 (of file names, of FFmpeg's messages) are replaced.
py::str to_python_text(std::string_view text);

py::object to_python(const Value& value);
/// \param field  named in the ConfigError that an object without a JSON equivalent gives.
Value from_python(py::handle object, const std::string& field);
/// Null becomes None, and None null.
py::object context_state(const std::shared_ptr<const Value>& context);
std::shared_ptr<const Value> context_from(py::handle object);

/// A new instance of the class that belongs to `error.code`.
py::object to_python(const Error& error);
bool is_vidloom_error(py::handle exception);
/// \param where  begins the message of an exception that is not vidloom.Error: "adapter 'x'"; "" keeps it bare.
Error error_from(py::handle exception, Code code, const std::string& where);

/// An exception raised inside a call that must not throw; rethrow_kept() of the same thread lets it leave.
void keep_for_later(py::error_already_set error) noexcept;
void rethrow_kept();

/// Carries KeyboardInterrupt, SystemExit, and what a signal handler raised, through C++, which lets failures wait for results
/// but not these.
struct Interruption {
  py::error_already_set error;
};
/// With the lock held.
bool interrupts(const py::error_already_set& error);

/// Whether pip's command runs: it has no Python caller who would know the exceptions of a plugin.
extern std::atomic<bool> inside_command;

/// Runs `work` under the lock on the thread that called into Vidloom: vidloom.Error becomes its C++ equal, every other
/// exception (KeyboardInterrupt, Celery's SoftTimeLimitExceeded, ...) leaves as it is.
/// \param code  what a failure is inside the command.
template <class Work>
auto on_callers_thread(Code code, Work work) {
  const Gil gil;
  try {
    return work();
  } catch (const py::error_already_set& error) {
    if (is_vidloom_error(error.value())) throw error_from(error.value(), Code::internal, "");
    if (interrupts(error)) throw Interruption{error};
    if (inside_command) throw error_from(error.value(), code, std::string(to_string(code)));
    throw;
  }
}

/// Runs `work` without the lock.
template <class Work>
auto unlocked(Work work) {
  try {
    const NoGil released;
    return work();
  } catch (const Interruption& interruption) {
    throw py::error_already_set(interruption.error);
  }
}
/// The same inside a noexcept call: a failure is logged, an interruption (SystemExit, KeyboardInterrupt) is kept.
void quietly(const char* area, const std::function<void()>& work) noexcept;

/// For AnalyzeOptions::poll: lets signal handlers run where Python runs them, on the main thread.
void check_signals();

/// Seconds, or nothing for None. Throws Error(config) naming `field` when negative or no number.
Nanos duration_from(py::handle seconds, const char* field);
py::object utc(WallTime time);
py::object utc(const std::optional<WallTime>& time);
py::tuple to_tuple(Size size);
py::tuple to_tuple(Rational rational);
Rational rational_from(py::handle object, const char* field);
Size size_from(py::handle object, const char* field);
/// The arguments of Frame.tensor(). Throws Error(config) naming the field.
TensorSpec tensor_spec(py::handle size, const std::string& fit, const std::array<float, 3>& mean, const std::array<float, 3>& std,
                       const std::string& dtype, const std::string& mode, const std::string& filter);

void bind_core(py::module_& module);
void bind_frame(py::module_& module);
void bind_tensors(py::module_& module);
void bind_detections(py::module_& module);
void bind_results(py::module_& module);
void bind_sources(py::module_& module);
void bind_adapters(py::module_& module);
void bind_sinks(py::module_& module);
void bind_analyzer(py::module_& module);
void bind_command(py::module_& module);

}  // namespace vidloom::bindings
