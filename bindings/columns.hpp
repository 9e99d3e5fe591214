#pragma once
/// Columns of Detections as NumPy arrays and lists, and the properties that Detections and Outcome have in common.

#include <python.hpp>

#include <pybind11/numpy.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace vidloom::bindings {

inline constexpr float nan = std::numeric_limits<float>::quiet_NaN();
inline constexpr std::int32_t no_id = -1;

struct LabelRow {
  std::int32_t class_id = no_id;
  std::string class_name;
  float confidence = nan, raw_score = nan, margin = nan;
};
struct DetectionRow {
  Box xyxy;
  std::optional<Box> xyxyn;
  std::int32_t class_id;
  std::string class_name;
  float confidence, raw_score;
  std::optional<std::int32_t> tracker_id;
  std::optional<std::string> text;
  py::object polygon;
};

/// NaN is None in Python where a single number stands.
py::object number(float value);
float number(py::handle value);
py::tuple box_tuple(const Box& box);

/// `rows` long; full of `missing` where the column is empty.
template <class T>
py::array_t<T> column(const std::vector<T>& values, std::size_t rows, T missing) {
  py::array_t<T> array(static_cast<py::ssize_t>(rows));
  if (values.empty())
    std::fill_n(array.mutable_data(), rows, missing);
  else if (rows > 0)
    std::memcpy(array.mutable_data(), values.data(), rows * sizeof(T));
  return array;
}

/// (N, 4), each side times its scale.
py::array_t<float> boxes(const Detections& detections, float x_scale, float y_scale);
py::list polygons(const Detections& detections);
py::list texts(const Detections& detections);
py::list class_names(const Detections& detections);
py::list labels(const Detections& detections);
py::dict attributes(const Detections& detections);
py::object embedding(const Detections& detections);
/// \param frame_size  empty: without xyxyn.
DetectionRow row(const Detections& detections, std::size_t i, Size frame_size);
py::list rows(const Detections& detections, Size frame_size);
/// Calls a function of vidloom._supervision.
py::object supervision(const char* function, py::handle argument);

/// The columns that Detections and Outcome have in common. `of` throws the stored Error where there are none.
template <class Class, class Of>
void def_columns(Class& bound, Of of) {
  using Self = typename Class::type;
  bound
      .def_property_readonly(
          "xyxy", [of](const Self& self) { return boxes(of(self), 1, 1); },
          "(N, 4) float32: x1, y1, x2, y2 in display pixels, x2 and y2 exclusive.")
      .def_property_readonly(
          "confidence", [of](const Self& self) { return column(of(self).confidence, of(self).size(), nan); },
          "(N,) float32, 0..1; NaN where the adapter has no notion of it.")
      .def_property_readonly(
          "raw_score", [of](const Self& self) { return column(of(self).raw_score, of(self).size(), nan); },
          "(N,) float32: the adapter's own quantity; NaN: none.")
      .def_property_readonly(
          "class_id", [of](const Self& self) { return column(of(self).class_id, of(self).size(), no_id); }, "(N,) int32; -1: none.")
      .def_property_readonly(
          "class_name", [of](const Self& self) { return class_names(of(self)); }, "N texts.")
      .def_property_readonly(
          "tracker_id", [of](const Self& self) { return column(of(self).tracker_id, of(self).size(), no_id); },
          "(N,) int32; -1: not tracked.")
      .def_property_readonly(
          "polygon", [of](const Self& self) { return polygons(of(self)); }, "N arrays (K, 2) in display pixels, or None.")
      .def_property_readonly(
          "text", [of](const Self& self) { return texts(of(self)); }, "N texts, or None.")
      .def_property_readonly(
          "labels", [of](const Self& self) { return labels(of(self)); }, "Labels of the whole picture, best first.")
      .def_property_readonly(
          "attributes", [of](const Self& self) { return attributes(of(self)); }, "Measures of the whole picture by name.")
      .def_property_readonly(
          "embedding", [of](const Self& self) { return embedding(of(self)); }, "(D,) float32 of the picture, (N, D) of the boxes, or None.")
      .def_property_readonly(
          "partial", [of](const Self& self) { return of(self).partial; }, "Answered, but not all of it.")
      .def("__len__", [of](const Self& self) { return of(self).size(); })
      .def(
          "to_supervision", [](const py::object& self) { return supervision("to_supervision", self); },
          "The boxes as supervision.Detections (pip install supervision).");
}

}  // namespace vidloom::bindings
