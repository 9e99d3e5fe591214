#pragma once
/// Sinks across the border.

#include <python.hpp>

#include <memory>

namespace vidloom::bindings {

/// A C++ sink as Python holds it.
struct NativeSink {
  std::shared_ptr<Sink> sink;
};

/// \param object  a NativeSink, or an object with the methods of `vidloom._sinks.SinkHost`.
std::shared_ptr<Sink> sink_from(const py::object& object);

}  // namespace vidloom::bindings
