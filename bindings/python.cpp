#include <python.hpp>

#include <array>
#include <cmath>
#include <optional>

namespace vidloom::bindings {
namespace {

thread_local std::optional<py::error_already_set> kept_error;

py::module_ errors() { return py::module_::import("vidloom.errors"); }

std::string type_name(py::handle object) { return py::cast<std::string>(py::type::of(object).attr("__name__")); }

Code code_from(const std::string& word) {
  for (int i = 0; i <= static_cast<int>(Code::internal); ++i)
    if (to_string(static_cast<Code>(i)) == word) return static_cast<Code>(i);
  return Code::internal;
}

}  // namespace

std::atomic<bool> inside_command{false};

Held::Held(py::object object)
    : object_(object.release().ptr(), [](PyObject* kept) noexcept {
        if (!kept || !Py_IsInitialized()) return;  // ended: the memory is the process's
        const Gil gil;
        Py_DECREF(kept);
      }) {}

std::string text_from(py::handle object) {
  const auto text = py::reinterpret_steal<py::object>(PyObject_Str(object.ptr()));
  if (!text) throw py::error_already_set();
  const auto bytes = py::reinterpret_steal<py::object>(PyUnicode_AsEncodedString(text.ptr(), "utf-8", "replace"));
  if (!bytes) throw py::error_already_set();
  return bytes.cast<std::string>();
}

py::str to_python_text(std::string_view text) {
  PyObject* const decoded = PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace");
  if (!decoded) throw py::error_already_set();
  return py::reinterpret_steal<py::str>(decoded);
}

py::object to_python(const Value& value) {
  switch (value.type()) {
    case Value::Type::null:
      return py::none();
    case Value::Type::boolean:
      return py::bool_(value.as_bool());
    case Value::Type::integer:
      return py::int_(value.as_integer());
    case Value::Type::real:
      return py::float_(value.as_real());
    case Value::Type::string:
      return to_python_text(value.as_string());
    case Value::Type::array: {
      py::list list;
      for (const Value& element : value.as_array()) list.append(to_python(element));
      return list;
    }
    case Value::Type::object: {
      py::dict dict;
      for (const auto& [key, member] : value.as_object()) dict[to_python_text(key)] = to_python(member);
      return dict;
    }
  }
  return py::none();
}

Value from_python(py::handle object, const std::string& field) {
  if (object.is_none()) return {};
  if (py::isinstance<py::bool_>(object)) return Value(object.cast<bool>());
  if (py::isinstance<py::int_>(object)) {
    int overflow = 0;
    const long long number = PyLong_AsLongLongAndOverflow(object.ptr(), &overflow);
    if (overflow) throw Error(Code::config, field + " is " + text_from(py::str(object)) + "; use a 64-bit integer");
    return Value(static_cast<std::int64_t>(number));
  }
  if (py::isinstance<py::float_>(object)) return Value(object.cast<double>());
  if (py::isinstance<py::str>(object)) return Value(text_from(object));
  if (PyMapping_Check(object.ptr()) && py::hasattr(object, "items")) {
    Value result = Value::object();
    for (const py::handle item : object.attr("items")()) {
      const auto pair = py::cast<py::tuple>(item);
      if (!py::isinstance<py::str>(pair[0]))
        throw Error(Code::config, field + " has the key " + text_from(py::repr(pair[0])) + "; keys are texts");
      const auto key = text_from(pair[0]);
      result.set(key, from_python(pair[1], field.empty() ? key : field + "." + key));
    }
    return result;
  }
  if (py::isinstance<py::list>(object) || py::isinstance<py::tuple>(object)) {
    Value result = Value::array();
    std::size_t index = 0;
    for (const py::handle element : object) result.push_back(from_python(element, field + "[" + std::to_string(index++) + "]"));
    return result;
  }
  if (py::hasattr(object, "__fspath__")) return Value(text_from(py::module_::import("os").attr("fspath")(object)));
  if (py::hasattr(object, "tolist")) return from_python(object.attr("tolist")(), field);  // NumPy scalars and arrays
  throw Error(Code::config, (field.empty() ? std::string("a value") : field) + " is of type " + type_name(object) +
                                "; use None, bool, int, float, str, list or dict");
}

py::object context_state(const std::shared_ptr<const Value>& context) { return context ? to_python(*context) : py::none(); }

std::shared_ptr<const Value> context_from(py::handle object) {
  if (object.is_none()) return nullptr;
  auto value = from_python(object, "context");
  if (!value.is_object()) throw Error(Code::config, "context is " + std::string(value.type_name()) + "; use a dict");
  return std::make_shared<const Value>(std::move(value));
}

py::object to_python(const Error& error) {
  const py::object retry_after = error.retry_after > Nanos{0} ? py::object(py::float_(seconds(error.retry_after))) : py::none();
  return errors().attr("from_code")(std::string(to_string(error.code)), to_python_text(error.what()), error.retryable, retry_after);
}

bool is_vidloom_error(py::handle exception) { return py::isinstance(exception, errors().attr("Error")); }

Error error_from(py::handle exception, Code code, const std::string& where) {
  std::string text = text_from(py::str(exception));
  if (is_vidloom_error(exception)) {
    const py::object retry_after = exception.attr("retry_after");
    const Nanos wait = retry_after.is_none() ? Nanos{0} : from_seconds(retry_after.cast<double>());
    return {code_from(py::cast<std::string>(exception.attr("code"))), text, exception.attr("retryable").cast<bool>(), wait};
  }
  text = type_name(exception) + (text.empty() ? "" : ": " + text);
  return {code, where.empty() ? text : where + ": " + text};
}

bool interrupts(const py::error_already_set& error) {
  if (!error.matches(PyExc_Exception)) return true;
  const py::object trace = error.trace() ? error.trace() : py::object(py::none());  // before Python 3.12 the value does not have it
  return py::module_::import("vidloom._sources").attr("raised_by_signal_handler")(trace).cast<bool>();
}

void keep_for_later(py::error_already_set error) noexcept { kept_error.emplace(std::move(error)); }

void rethrow_kept() {
  if (!kept_error) return;
  py::error_already_set error = std::move(*kept_error);
  kept_error.reset();
  throw error;
}

void quietly(const char* area, const std::function<void()>& work) noexcept {
  try {
    const Gil gil;
    try {
      work();
    } catch (py::error_already_set& error) {
      if (!error.matches(PyExc_Exception)) return keep_for_later(std::move(error));
      log(LogLevel::error, area, error_from(error.value(), Code::internal, "").what());
    }
  } catch (abi::__forced_unwind&) {
    wait_for_process_end();
  } catch (const std::exception& error) {
    log(LogLevel::error, area, error.what());
  }
}

void check_signals() {
  if (gettid() != getpid()) return;  // handlers run on the main thread only; spares all others the lock
  const Gil gil;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

Nanos duration_from(py::handle object, const char* field) {
  if (object.is_none()) return Nanos{0};
  double value = 0;
  try {
    value = py::cast<double>(py::float_(py::reinterpret_borrow<py::object>(object)));
  } catch (const py::error_already_set&) {
    throw Error(Code::config, std::string(field) + " is " + text_from(py::repr(object)) + "; use a number of seconds");
  }
  if (!std::isfinite(value) || value < 0)
    throw Error(Code::config, std::string(field) + " is " + text_from(py::repr(object)) + "; use seconds, 0 or more");
  return from_seconds(value);
}

py::object utc(WallTime time) {
  static constexpr std::int64_t second = 1'000'000'000;
  std::int64_t whole = time.time_since_epoch().count() / second, rest = time.time_since_epoch().count() % second;
  if (rest < 0) rest += second, --whole;
  const py::module_ datetime = py::module_::import("datetime");
  const py::object zone = datetime.attr("timezone").attr("utc");
  return datetime.attr("datetime").attr("fromtimestamp")(whole, zone) + datetime.attr("timedelta")(py::arg("microseconds") = rest / 1000);
}

py::object utc(const std::optional<WallTime>& time) { return time ? utc(*time) : py::none(); }

py::tuple to_tuple(Size size) { return py::make_tuple(size.width, size.height); }
py::tuple to_tuple(Rational rational) { return py::make_tuple(rational.num, rational.den); }

Rational rational_from(py::handle object, const char* field) {
  try {
    if (py::hasattr(object, "numerator"))
      return {object.attr("numerator").cast<std::int64_t>(), object.attr("denominator").cast<std::int64_t>()};
    const auto pair = py::cast<std::pair<std::int64_t, std::int64_t>>(object);
    if (pair.first > 0 && pair.second > 0) return {pair.first, pair.second};
  } catch (const std::exception&) {
  }
  throw Error(Code::config, std::string(field) + " is " + text_from(py::repr(object)) +
                                "; use (numerator, denominator), both above 0, or a Fraction");
}

Size size_from(py::handle object, const char* field) {
  if (object.is_none()) return {};
  try {
    const auto pair =
        py::isinstance<py::int_>(object) ? std::pair{object.cast<int>(), object.cast<int>()} : py::cast<std::pair<int, int>>(object);
    if (pair.first > 0 && pair.second > 0) return {pair.first, pair.second};
  } catch (const std::exception&) {
  }
  throw Error(Code::config,
              std::string(field) + " is " + text_from(py::repr(object)) + "; use (width, height) in pixels, both above 0");
}

}  // namespace vidloom::bindings
