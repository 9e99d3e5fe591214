#pragma once
/// Results as tuples of plain Python values and back: what pickle stores. Pixels stay behind.

#include <python.hpp>

namespace vidloom::bindings {

py::tuple state_of(const Detections& detections);
py::tuple state_of(const Trace& trace);
py::tuple state_of(const Outcome& outcome);
py::tuple state_of(const FrameResult& result);
py::tuple state_of(const Report& report);
Detections detections_from_state(const py::tuple& state);
Trace trace_from_state(const py::tuple& state);
Outcome outcome_from_state(const py::tuple& state);
FrameResult result_from_state(const py::tuple& state);
Report report_from_state(const py::tuple& state);

}  // namespace vidloom::bindings
