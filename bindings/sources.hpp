#pragma once
/// Sources across the border: `vl.Source` objects as vidloom::Source and the other way round.

#include <python.hpp>

#include <memory>

namespace vidloom::bindings {

/// A C++ source as Python holds it.
struct NativeSource {
  std::shared_ptr<Source> source;
};

/// \param object  a NativeSource, or an object with the methods of `vidloom._sources.SourceHost`.
std::shared_ptr<Source> source_from(const py::object& object);

}  // namespace vidloom::bindings
