#include <columns.hpp>

#include <cmath>

namespace vidloom::bindings {

py::object number(float value) { return std::isnan(value) ? py::object(py::none()) : py::object(py::float_(value)); }
float number(py::handle value) { return value.is_none() ? nan : value.cast<float>(); }
py::tuple box_tuple(const Box& box) { return py::make_tuple(box.x1, box.y1, box.x2, box.y2); }

py::array_t<float> boxes(const Detections& detections, float x_scale, float y_scale) {
  py::array_t<float> array({static_cast<py::ssize_t>(detections.size()), py::ssize_t{4}});
  float* to = array.mutable_data();
  for (const Box& box : detections.xyxy) {
    *to++ = box.x1 * x_scale, *to++ = box.y1 * y_scale;
    *to++ = box.x2 * x_scale, *to++ = box.y2 * y_scale;
  }
  return array;
}

py::object polygon_array(const std::vector<float>& points) {
  py::array_t<float> array({static_cast<py::ssize_t>(points.size() / 2), py::ssize_t{2}});
  if (!points.empty()) std::memcpy(array.mutable_data(), points.data(), points.size() / 2 * 2 * sizeof(float));
  return array;
}

py::list polygons(const Detections& detections) {
  py::list list;
  for (std::size_t i = 0; i < detections.size(); ++i)
    list.append(detections.polygon.empty() || detections.polygon[i].empty() ? py::object(py::none())
                                                                            : polygon_array(detections.polygon[i]));
  return list;
}

py::list texts(const Detections& detections) {
  py::list list;
  for (std::size_t i = 0; i < detections.size(); ++i)
    list.append(detections.text.empty() ? py::object(py::none()) : py::object(py::str(detections.text[i])));
  return list;
}

py::list class_names(const Detections& detections) {
  py::list list;
  for (std::size_t i = 0; i < detections.size(); ++i)
    list.append(detections.class_id.empty() ? std::string() : std::string(detections.class_name(detections.class_id[i])));
  return list;
}

py::list labels(const Detections& detections) {
  py::list list;
  for (const Detections::Label& label : detections.labels)
    list.append(py::cast(
        LabelRow{label.class_id, std::string(detections.class_name(label.class_id)), label.confidence, label.raw_score, label.margin}));
  return list;
}

/// Palettes and the like are whole, as in the records: [70, 85, 28].
static py::object whole_or_real(double value) {
  if (std::abs(value) < 1e15 && std::trunc(value) == value) return py::int_(static_cast<std::int64_t>(value));
  return py::float_(value);
}

py::dict attributes(const Detections& detections) {
  py::dict dict;
  for (const Attribute& attribute : detections.attributes) {
    const auto* vector = std::get_if<std::vector<double>>(&attribute.value);
    if (!vector || attribute.columns == 0) {
      dict[py::str(attribute.name)] = py::cast(attribute.value);
      continue;
    }
    py::list rows;
    for (std::size_t i = 0; i + attribute.columns <= vector->size(); i += attribute.columns) {
      py::list row;
      for (std::size_t c = 0; c < attribute.columns; ++c) row.append(whole_or_real((*vector)[i + c]));
      rows.append(row);
    }
    dict[py::str(attribute.name)] = rows;
  }
  return dict;
}

py::object embedding(const Detections& detections) {
  if (detections.embedding.empty()) return py::none();
  const std::size_t width = detections.embedding_dim ? detections.embedding_dim : detections.embedding.size(),
                    rows = detections.embedding.size() / width;
  py::array_t<float> array = column(detections.embedding, detections.embedding.size(), nan);
  if (rows == 1 && detections.size() != 1) return array;
  return array.attr("reshape")(rows, width);
}

DetectionRow row(const Detections& detections, std::size_t i, Size frame_size) {
  const Box& box = detections.xyxy[i];
  const auto at = [i]<class T>(const std::vector<T>& values, T missing) { return values.empty() ? missing : values[i]; };
  DetectionRow row{box, {},        at(detections.class_id, no_id), {}, at(detections.confidence, nan), at(detections.raw_score, nan), {},
                   {},  py::none()};
  if (!detections.class_id.empty()) row.class_name = std::string(detections.class_name(row.class_id));
  if (!frame_size.empty()) {
    const auto width = static_cast<float>(frame_size.width), height = static_cast<float>(frame_size.height);
    row.xyxyn = Box{box.x1 / width, box.y1 / height, box.x2 / width, box.y2 / height};
  }
  if (!detections.tracker_id.empty() && detections.tracker_id[i] >= 0) row.tracker_id = detections.tracker_id[i];
  if (!detections.text.empty()) row.text = detections.text[i];
  if (!detections.polygon.empty() && !detections.polygon[i].empty()) row.polygon = polygon_array(detections.polygon[i]);
  return row;
}

py::list rows(const Detections& detections, Size frame_size) {
  py::list list;
  for (std::size_t i = 0; i < detections.size(); ++i) list.append(py::cast(row(detections, i, frame_size)));
  return list;
}

py::object supervision(const char* function, py::handle argument) {
  return py::module_::import("vidloom._supervision").attr(function)(argument);
}

}  // namespace vidloom::bindings
