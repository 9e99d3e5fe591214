// Outcome, FrameResult, Report: views of C++ results.
#include <results.hpp>

#include <columns.hpp>
#include <pickling.hpp>

#include <algorithm>
#include <cstdio>

namespace vidloom::bindings {
namespace {

py::object segment_dict(const std::optional<SegmentRef>& segment) {
  if (!segment) return py::none();
  py::dict dict;
  dict["uri"] = to_python_text(segment->uri);
  dict["sequence"] = segment->sequence;
  dict["duration"] = segment->duration ? py::object(py::float_(seconds(*segment->duration))) : py::none();
  return dict;
}

std::string quoted(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "'" : ", '") + name + "'";
  return text.empty() ? "none" : text;
}

OutcomeView outcome_of(const ResultView& view, std::size_t index) {
  return {{view.result, &view.result->outcomes[index].second}, view.result->frame_size};
}

OutcomeView outcome_of(const ResultView& view, const std::string& name) {
  std::vector<std::string> due;
  for (std::size_t i = 0; i < view.result->outcomes.size(); ++i) {
    if (view.result->outcomes[i].first == name) return outcome_of(view, i);
    due.push_back(view.result->outcomes[i].first);
  }
  const auto& known = *view.known;
  if (std::find(known.begin(), known.end(), name) != known.end()) {
    char time[32];
    std::snprintf(time, sizeof time, "%.3f", seconds(view.result->info.time.media_time));
    throw py::key_error("analysis '" + name + "' was not due on this frame (media_time " + time + " s); due here: " + quoted(due));
  }
  throw py::key_error("no analysis is named '" + name + "'; there are: " + quoted(known.empty() ? due : known));
}

OnFailure on_failure_from(const std::string& text) {
  if (text == "raise") return OnFailure::raise;
  if (text == "omit") return OnFailure::omit;
  throw Error(Code::config, "on_failure is '" + text + "'; use 'raise' or 'omit'");
}

template <class Class>
void def_mapping(Class& bound) {
  bound
      .def(
          "__getitem__", [](const ResultView& self, const std::string& name) { return outcome_of(self, name); }, py::arg("name"))
      .def(
          "__contains__",
          [](const ResultView& self, const py::object& name) {
            return py::isinstance<py::str>(name) && self.result->find(text_from(name));
          },
          py::arg("name"))
      .def("__len__", [](const ResultView& self) { return self.result->outcomes.size(); })
      .def("keys",
           [](const ResultView& self) {
             py::list names;
             for (const auto& entry : self.result->outcomes) names.append(entry.first);
             return names;
           })
      .def("values",
           [](const ResultView& self) {
             py::list outcomes;
             for (std::size_t i = 0; i < self.result->outcomes.size(); ++i) outcomes.append(py::cast(outcome_of(self, i)));
             return outcomes;
           })
      .def("items",
           [](const ResultView& self) {
             py::list items;
             for (std::size_t i = 0; i < self.result->outcomes.size(); ++i)
               items.append(py::make_tuple(self.result->outcomes[i].first, outcome_of(self, i)));
             return items;
           })
      .def(
          "get",
          [](const ResultView& self, const std::string& name, const py::object& fallback) {
            return self.result->find(name) ? py::cast(outcome_of(self, name)) : fallback;
          },
          py::arg("name"), py::arg("default") = py::none())
      .def("__iter__", [](const py::object& self) { return py::iter(self.attr("keys")()); });
}

void bind_outcome(py::module_& module) {
  py::class_<Trace, py::smart_holder>(module, "Trace", "Where and how an answer came about.")
      .def_readonly("where", &Trace::where)
      .def_readonly("endpoint", &Trace::endpoint)
      .def_readonly("model_sha256", &Trace::model_sha256)
      .def_readonly("attempts", &Trace::attempts)
      .def_property_readonly(
          "queued", [](const Trace& self) { return seconds(self.queued); }, "Seconds it waited.")
      .def_property_readonly(
          "ran", [](const Trace& self) { return seconds(self.ran); }, "Seconds the whole batch took.")
      .def("__repr__", [](const py::object& self) {
        return py::str("Trace(where={!r}, attempts={}, queued={:.4f}, ran={:.4f})")
            .format(self.attr("where"), self.attr("attempts"), self.attr("queued"), self.attr("ran"));
      })
      .def(py::pickle([](const Trace& self) { return state_of(self); }, [](const py::tuple& state) { return trace_from_state(state); }));
  py::class_<OutcomeView, py::smart_holder> bound(
      module, "Outcome",
      "What one analysis says of one frame. A dropped or failed one raises its error wherever an answer is asked of it.");
  const auto answer = [](const OutcomeView& self) -> const Detections& { return self.outcome->detections(); };
  def_columns(bound, answer);
  bound
      .def_property_readonly(
          "status", [](const OutcomeView& self) { return std::string(to_string(self.outcome->status())); },
          "'ok', 'degraded', 'stale', 'dropped' or 'failed'.")
      .def_property_readonly("answered", [](const OutcomeView& self) { return self.outcome->answered(); })
      .def_property_readonly(
          "error",
          [](const OutcomeView& self) { return self.outcome->answered() ? py::object(py::none()) : to_python(self.outcome->error()); },
          "The vl.Error of a dropped or failed one, else None.")
      .def_property_readonly("kind", [](const OutcomeView& self) { return self.outcome->kind(); })
      .def_property_readonly("trace", [](const OutcomeView& self) { return self.outcome->trace(); })
      .def_property_readonly("detections", [answer](const OutcomeView& self) { return answer(self); })
      .def_property_readonly(
          "xyxyn",
          [answer](const OutcomeView& self) {
            const Detections& detections = answer(self);
            const Size size = self.frame_size.empty() ? Size{1, 1} : self.frame_size;
            return boxes(detections, 1.0F / static_cast<float>(size.width), 1.0F / static_cast<float>(size.height));
          },
          "(N, 4) float32: xyxy over the frame's size, 0..1.")
      .def("__iter__", [answer](const OutcomeView& self) { return py::iter(rows(answer(self), self.frame_size)); })
      .def(
          "__getitem__",
          [answer](const OutcomeView& self, py::ssize_t index) {
            const auto size = static_cast<py::ssize_t>(answer(self).size());
            if (index < -size || index >= size) throw py::index_error("detection " + std::to_string(index) + " of " + std::to_string(size));
            return row(answer(self), static_cast<std::size_t>(index < 0 ? index + size : index), self.frame_size);
          },
          py::arg("index"))
      .def(
          "to_dict", [](const OutcomeView& self) { return to_python(to_value(*self.outcome, self.frame_size)); },
          "As in the records of vidloom/result/v1.")
      .def("__repr__",
           [](const OutcomeView& self) {
             const std::string status(to_string(self.outcome->status()));
             if (!self.outcome->answered()) return to_python_text("<vidloom.Outcome " + status + ": " + self.outcome->error().what() + ">");
             const std::string count = std::to_string(self.outcome->detections().size());
             return to_python_text("<vidloom.Outcome " + status + ": " + count + " detections>");
           })
      .def(py::pickle(
          [](const OutcomeView& self) { return py::make_tuple(state_of(*self.outcome), to_tuple(self.frame_size)); },
          [](const py::tuple& state) {
            const auto size = state[1].cast<std::pair<int, int>>();
            return OutcomeView{std::make_shared<const Outcome>(outcome_from_state(state[0].cast<py::tuple>())), {size.first, size.second}};
          }));
}

void bind_frame_result(py::module_& module) {
  py::class_<ResultView, py::smart_holder> bound(
      module, "FrameResult", "The outcomes of one frame by analysis name. An analysis that was not due on this frame is not in it.");
  def_mapping(bound);
  const auto info = [](const ResultView& self) -> const FrameInfo& { return self.result->info; };
  bound.def_property_readonly("stream", [](const ResultView& self) { return self.result->stream; })
      .def_property_readonly("epoch", [info](const ResultView& self) { return info(self).epoch; })
      .def_property_readonly(
          "sequence", [info](const ResultView& self) { return info(self).sequence; }, "Counts decoded frames of the epoch from 0.")
      .def_property_readonly("pts", [info](const ResultView& self) { return info(self).time.pts; })
      .def_property_readonly(
          "time_base", [info](const ResultView& self) { return to_tuple(info(self).time.time_base); },
          "(numerator, denominator): seconds of one pts.")
      .def_property_readonly(
          "media_time", [info](const ResultView& self) { return seconds(info(self).time.media_time); },
          "Seconds on the container's own timeline.")
      .def_property_readonly(
          "captured_at", [info](const ResultView& self) { return utc(info(self).time.captured_at); }, "datetime in UTC, or None.")
      .def_property_readonly("clock", [info](const ResultView& self) { return std::string(to_string(info(self).time.clock)); })
      .def_property_readonly(
          "clock_error", [info](const ResultView& self) { return seconds(info(self).time.clock_error); },
          "Seconds, plus or minus, of captured_at.")
      .def_property_readonly(
          "analyzed_at", [](const ResultView& self) { return utc(self.result->analyzed_at); }, "datetime in UTC.")
      .def_property_readonly(
          "frame_size", [](const ResultView& self) { return to_tuple(self.result->frame_size); }, "(width, height) in display pixels.")
      .def_property_readonly("health", [info](const ResultView& self) { return std::string(to_string(info(self).health)); })
      .def_property_readonly("segment", [](const ResultView& self) { return segment_dict(self.result->segment); })
      .def_property_readonly("context", [](const ResultView& self) { return context_state(self.result->context); })
      .def_property_readonly(
          "frame", [](const ResultView& self) { return self.result->frame; }, "The picture, where keep_frames asked for it; else None.")
      .def(
          "to_dict", [](const ResultView& self) { return to_python(to_value(*self.result)); }, "The record of schema vidloom/result/v1.")
      .def(
          "to_json", [](const ResultView& self) { return to_value(*self.result).dump(); }, "The same as one line of JSON.")
      .def(
          "to_legacy",
          [](const ResultView& self, const std::string& on_failure) {
            return to_python(to_legacy(*self.result, on_failure_from(on_failure)));
          },
          py::arg("on_failure") = "raise",
          "The predecessor's shape. 'raise' raises the first stored error, 'omit' lists failed analyses under 'errors'.")
      .def("__repr__", [](const ResultView& self) { return to_python_text("<vidloom.FrameResult " + to_line(*self.result) + ">"); })
      .def(py::pickle([](const ResultView& self) { return py::make_tuple(state_of(*self.result), *self.known); },
                      [](const py::tuple& state) {
                        return ResultView{std::make_shared<const FrameResult>(result_from_state(state[0].cast<py::tuple>())),
                                          std::make_shared<const std::vector<std::string>>(state[1].cast<std::vector<std::string>>())};
                      }));
  py::module_::import("collections.abc").attr("Mapping").attr("register")(bound);
}

void bind_report(py::module_& module) {
  py::class_<ReportView, py::smart_holder>(module, "Report", "The results of one segment or file.")
      .def_property_readonly(
          "status", [](const ReportView& self) { return std::string(to_string(self.report->status())); }, "'ok', 'partial' or 'failed'.")
      .def_property_readonly("frames",
                             [](const ReportView& self) {
                               py::list frames;
                               for (const FrameResult& frame : self.report->frames)
                                 frames.append(py::cast(ResultView{{self.report, &frame}, self.known}));
                               return frames;
                             })
      .def_property_readonly(
          "due", [](const ReportView& self) { return self.report->due; }, "Frames on which an analysis was due.")
      .def_property_readonly(
          "answered", [](const ReportView& self) { return self.report->answered; }, "Of those, frames on which all due analyses answered.")
      .def_property_readonly("degraded", [](const ReportView& self) { return self.report->degraded; })
      .def_property_readonly("failed", [](const ReportView& self) { return self.report->failed; })
      .def_property_readonly(
          "counts",
          [](const ReportView& self) {
            py::dict counts;
            for (const auto& [name, statuses] : self.report->counts) {
              py::dict of_name;
              for (const auto& [status, count] : statuses) of_name[py::str(status)] = count;
              counts[py::str(name)] = of_name;
            }
            return counts;
          },
          "{analysis: {status: n}}.")
      .def_property_readonly("stream", [](const ReportView& self) { return self.report->stream; })
      .def_property_readonly("segment", [](const ReportView& self) { return segment_dict(self.report->segment); })
      .def_property_readonly(
          "duration", [](const ReportView& self) { return seconds(self.report->duration); }, "Seconds of media seen.")
      .def_property_readonly(
          "elapsed", [](const ReportView& self) { return seconds(self.report->elapsed); }, "Seconds it took.")
      .def_property_readonly("context", [](const ReportView& self) { return context_state(self.report->context); })
      .def_property_readonly(
          "error",
          [](const ReportView& self) { return self.report->cut_short ? to_python(*self.report->cut_short) : py::object(py::none()); },
          "Why the work ended before the source did, or None.")
      .def(
          "to_dict", [](const ReportView& self) { return to_python(to_value(*self.report)); }, "The record of schema vidloom/report/v1.")
      .def(
          "to_json", [](const ReportView& self) { return to_value(*self.report).dump(); }, "The same as JSON.")
      .def(
          "to_legacy",
          [](const ReportView& self, const std::string& on_failure) {
            py::list frames;
            for (const FrameResult& frame : self.report->frames) frames.append(to_python(to_legacy(frame, on_failure_from(on_failure))));
            return frames;
          },
          py::arg("on_failure") = "raise", "FrameResult.to_legacy() of each frame.")
      .def(
          "raise_for_status", [](const py::object& self) { py::module_::import("vidloom.errors").attr("raise_for_status")(self); },
          "Raises vl.Error unless status is 'ok'; retryable if all causes are.")
      .def("__repr__",
           [](const ReportView& self) {
             return "<vidloom.Report " + std::string(to_string(self.report->status())) + ": " + std::to_string(self.report->answered) +
                    " of " + std::to_string(self.report->due) + " frames answered>";
           })
      .def(py::pickle([](const ReportView& self) { return py::make_tuple(state_of(*self.report), *self.known); },
                      [](const py::tuple& state) {
                        return ReportView{std::make_shared<const Report>(report_from_state(state[0].cast<py::tuple>())),
                                          std::make_shared<const std::vector<std::string>>(state[1].cast<std::vector<std::string>>())};
                      }));
}

}  // namespace

void bind_results(py::module_& module) {
  bind_detections(module);
  bind_outcome(module);
  bind_frame_result(module);
  bind_report(module);
}

}  // namespace vidloom::bindings
