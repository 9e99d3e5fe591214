// Detections from and to Python, their rows and labels.
#include <columns.hpp>
#include <pickling.hpp>

namespace vidloom::bindings {
namespace {

std::string shape_of(const py::array& array) { return text_from(py::str(py::object(array.attr("shape")))); }

template <class T>
std::vector<T> column_from(py::handle object, std::size_t size, const char* name) {
  if (object.is_none()) return {};
  const auto array = py::array_t<T, py::array::c_style | py::array::forcecast>::ensure(object);
  if (!array || array.ndim() != 1) {
    PyErr_Clear();
    throw Error(Code::config,
                std::string("Detections.") + name + " is " + text_from(py::repr(object)) + "; use one number per box");
  }
  if (static_cast<std::size_t>(array.size()) != size)
    throw Error(Code::config, std::string("Detections.") + name + " has " + std::to_string(array.size()) + " entries for " +
                                  std::to_string(size) + " boxes; use one per box, or None");
  return {array.data(), array.data() + array.size()};
}

/// Class names by id while columns and labels of one answer are read.
class NameTable {
 public:
  explicit NameTable(std::vector<std::string> names) : names_(std::move(names)), fixed_(!names_.empty()) {}
  std::int32_t id_of(const std::string& name) {
    for (std::size_t i = 0; i < names_.size(); ++i)
      if (names_[i] == name) return static_cast<std::int32_t>(i);
    if (fixed_) throw Error(Code::config, "class name '" + name + "' is not in the vocabulary" + hint(name));
    names_.push_back(name);
    return static_cast<std::int32_t>(names_.size() - 1);
  }
  void set(std::int32_t id, const std::string& name) {
    static constexpr std::int32_t limit = 100'000;
    if (id < 0 || id >= limit) throw Error(Code::config, "class_id is " + std::to_string(id) + "; use 0 to " + std::to_string(limit - 1));
    const auto index = static_cast<std::size_t>(id);
    if (index >= names_.size()) names_.resize(index + 1);
    if (!names_[index].empty() && names_[index] != name)
      throw Error(Code::config,
                  "class_id " + std::to_string(id) + " is called both '" + names_[index] + "' and '" + name + "'; use one name per id");
    names_[index] = name;
  }
  std::shared_ptr<const Vocabulary> vocabulary() const { return names_.empty() ? nullptr : Vocabulary::of(names_); }

 private:
  std::string hint(const std::string& name) const {
    const std::string near = nearest(name, names_);
    return near.empty() ? "" : "; did you mean '" + near + "'?";
  }
  std::vector<std::string> names_;
  bool fixed_;
};

void read_classes(Detections& result, py::handle class_id, py::handle class_name, NameTable& names) {
  result.class_id = column_from<std::int32_t>(class_id, result.size(), "class_id");
  if (class_name.is_none()) return;
  std::size_t i = 0;
  std::vector<std::string> texts;
  for (const py::handle name : class_name) texts.push_back(text_from(py::str(name)));
  if (py::isinstance<py::str>(class_name) || texts.size() != result.size())
    throw Error(Code::config, "Detections.class_name has " + std::to_string(texts.size()) + " entries for " +
                                  std::to_string(result.size()) + " boxes; use one per box, or None");
  if (result.class_id.empty()) {
    for (const std::string& name : texts) result.class_id.push_back(names.id_of(name));
  } else {
    for (const std::string& name : texts) names.set(result.class_id[i++], name);
  }
}

void read_labels(Detections& result, py::handle labels, NameTable& names) {
  for (const py::handle entry : labels) {
    LabelRow label;
    if (py::isinstance<py::str>(entry))
      label.class_name = text_from(entry);
    else if (py::isinstance<LabelRow>(entry))
      label = entry.cast<LabelRow>();
    else if (py::isinstance<py::tuple>(entry) && py::len(entry) == 2) {
      const auto pair = entry.cast<py::tuple>();
      label.class_name = text_from(py::str(py::object(pair[0])));
      label.confidence = number(pair[1]);
    } else
      throw Error(Code::config, "a label is " + text_from(py::repr(entry)) + "; use vl.Label, (name, confidence) or a name");
    if (label.class_id < 0)
      label.class_id = names.id_of(label.class_name);
    else if (!label.class_name.empty())
      names.set(label.class_id, label.class_name);
    result.labels.push_back({label.class_id, label.confidence, label.raw_score, label.margin});
  }
}

void read_attributes(Detections& result, const py::dict& attributes) {
  for (const auto& [key, member] : attributes) {
    const auto name = text_from(py::str(key));
    Attribute attribute{name, 0.0, {}, 0};
    const Value value = from_python(member, "attribute '" + name + "'");
    if (value.is_string())
      attribute.value = value.as_string();
    else if (value.is_bool())
      attribute.value = value.as_bool() ? 1.0 : 0.0;
    else if (value.is_number())
      attribute.value = value.as_real();
    else if (value.is_array()) {
      std::vector<double> numbers;
      for (const Value& element : value.as_array()) {
        if (!element.is_array()) {
          numbers.push_back(element.as_real());
          continue;
        }
        if (attribute.columns != 0 && attribute.columns != element.size())
          throw Error(Code::config, "attribute '" + name + "' has rows of different lengths; use equal ones");
        attribute.columns = element.size();
        for (const Value& cell : element.as_array()) numbers.push_back(cell.as_real());
      }
      attribute.value = std::move(numbers);
    } else
      throw Error(Code::config,
                  "attribute '" + name + "' is " + std::string(value.type_name()) + "; use a number, a text, or a list of numbers");
    result.attributes.push_back(std::move(attribute));
  }
}

Detections make_detections(const py::object& xyxy, const py::object& confidence, const py::object& class_id, const py::object& class_name,
                           const py::object& raw_score, const py::object& polygon, const py::object& text, const py::object& labels,
                           const py::object& attributes, const py::object& embedding, bool partial, const py::object& tracker_id,
                           const py::object& vocabulary) {
  Detections result;
  if (!xyxy.is_none()) {
    const auto array = py::array_t<float, py::array::c_style | py::array::forcecast>::ensure(xyxy);
    const bool one_box = array && array.ndim() == 1 && array.size() == 4;
    if (!array || (array.size() > 0 && !one_box && (array.ndim() != 2 || array.shape(1) != 4))) {
      PyErr_Clear();
      throw Error(Code::config, "Detections.xyxy has shape " + (array ? shape_of(array) : text_from(py::repr(xyxy))) +
                                    "; use (N, 4): x1, y1, x2, y2 in display pixels");
    }
    const float* from = array.data();
    for (py::ssize_t i = 0; i < array.size(); i += 4) result.xyxy.push_back({from[i], from[i + 1], from[i + 2], from[i + 3]});
  }
  const std::size_t size = result.size();
  NameTable names(vocabulary.is_none() ? std::vector<std::string>{} : vocabulary.cast<std::vector<std::string>>());
  result.confidence = column_from<float>(confidence, size, "confidence");
  result.raw_score = column_from<float>(raw_score, size, "raw_score");
  result.tracker_id = column_from<std::int32_t>(tracker_id, size, "tracker_id");
  read_classes(result, class_id, class_name, names);
  read_labels(result, labels, names);
  if (!attributes.is_none()) read_attributes(result, attributes.cast<py::dict>());
  if (!polygon.is_none()) {
    for (const py::handle points : polygon) {
      if (points.is_none()) {
        result.polygon.emplace_back();
        continue;
      }
      const auto array = py::array_t<float, py::array::c_style | py::array::forcecast>::ensure(points);
      if (!array || array.size() % 2 != 0) {
        PyErr_Clear();
        throw Error(Code::config,
                    "Detections.polygon holds " + text_from(py::repr(points)) + "; use (K, 2) points in display pixels");
      }
      result.polygon.emplace_back(array.data(), array.data() + array.size());
    }
    if (result.polygon.size() != size)
      throw Error(Code::config, "Detections.polygon has " + std::to_string(result.polygon.size()) + " entries for " + std::to_string(size) +
                                    " boxes; use one per box, or None");
  }
  if (!text.is_none()) {
    for (const py::handle entry : text) result.text.push_back(entry.is_none() ? "" : text_from(py::str(entry)));
    if (result.text.size() != size)
      throw Error(Code::config, "Detections.text has " + std::to_string(result.text.size()) + " entries for " + std::to_string(size) +
                                    " boxes; use one per box, or None");
  }
  if (!embedding.is_none()) {
    const auto array = py::array_t<float, py::array::c_style | py::array::forcecast>::ensure(embedding);
    if (!array || array.ndim() < 1 || array.ndim() > 2) {
      PyErr_Clear();
      throw Error(Code::config, "Detections.embedding is " + text_from(py::repr(embedding)) +
                                    "; use (D,) for the picture or (N, D) for the boxes");
    }
    if (array.ndim() == 2 && static_cast<std::size_t>(array.shape(0)) != size)
      throw Error(Code::config, "Detections.embedding has shape " + shape_of(array) + " for " + std::to_string(size) +
                                    " boxes; use (N, D), or (D,) for the picture");
    result.embedding.assign(array.data(), array.data() + array.size());
    result.embedding_dim = static_cast<std::size_t>(array.shape(array.ndim() - 1));
  }
  result.partial = partial;
  result.vocabulary = names.vocabulary();
  return result;
}

void bind_rows(py::module_& module) {
  py::class_<LabelRow, py::smart_holder>(module, "Label", "A label of the whole picture.")
      .def(py::init([](const py::object& class_id, const std::string& class_name, const py::object& confidence, const py::object& raw_score,
                       const py::object& margin) {
             return LabelRow{class_id.is_none() ? no_id : class_id.cast<std::int32_t>(), class_name, number(confidence), number(raw_score),
                             number(margin)};
           }),
           py::arg("class_id") = py::none(), py::arg("class_name") = "", py::arg("confidence") = py::none(),
           py::arg("raw_score") = py::none(), py::arg("margin") = py::none())
      .def_readonly("class_id", &LabelRow::class_id)
      .def_readonly("class_name", &LabelRow::class_name)
      .def_property_readonly(
          "confidence", [](const LabelRow& self) { return number(self.confidence); }, "0..1, or None.")
      .def_property_readonly("raw_score", [](const LabelRow& self) { return number(self.raw_score); })
      .def_property_readonly(
          "margin", [](const LabelRow& self) { return number(self.margin); }, "Distance to the runner-up, or None.")
      .def("__eq__",
           [](const LabelRow& a, const py::object& other) {
             if (!py::isinstance<LabelRow>(other)) return false;
             const auto b = other.cast<LabelRow>();
             const auto same = [](float x, float y) { return x == y || (std::isnan(x) && std::isnan(y)); };
             return a.class_id == b.class_id && a.class_name == b.class_name && same(a.confidence, b.confidence) &&
                    same(a.raw_score, b.raw_score) && same(a.margin, b.margin);
           })
      .def("__repr__",
           [](const py::object& self) {
             return py::str("Label(class_id={}, class_name={!r}, confidence={}, raw_score={}, margin={})")
                 .format(self.attr("class_id"), self.attr("class_name"), self.attr("confidence"), self.attr("raw_score"),
                         self.attr("margin"));
           })
      .def(py::pickle([](const LabelRow& s) { return py::make_tuple(s.class_id, s.class_name, s.confidence, s.raw_score, s.margin); },
                      [](const py::tuple& s) {
                        return LabelRow{s[0].cast<std::int32_t>(), s[1].cast<std::string>(), s[2].cast<float>(), s[3].cast<float>(),
                                        s[4].cast<float>()};
                      }));
  py::class_<DetectionRow, py::smart_holder>(module, "Detection", "One row of Detections.")
      .def_property_readonly(
          "xyxy", [](const DetectionRow& self) { return box_tuple(self.xyxy); }, "(x1, y1, x2, y2) in display pixels, x2 and y2 exclusive.")
      .def_property_readonly(
          "xyxyn", [](const DetectionRow& self) { return self.xyxyn ? py::object(box_tuple(*self.xyxyn)) : py::none(); },
          "The same over the frame's size; None without a frame.")
      .def_readonly("class_id", &DetectionRow::class_id)
      .def_readonly("class_name", &DetectionRow::class_name)
      .def_property_readonly(
          "confidence", [](const DetectionRow& self) { return number(self.confidence); }, "0..1, or None.")
      .def_property_readonly("raw_score", [](const DetectionRow& self) { return number(self.raw_score); })
      .def_readonly("tracker_id", &DetectionRow::tracker_id)
      .def_readonly("text", &DetectionRow::text)
      .def_readonly("polygon", &DetectionRow::polygon)
      .def("__repr__", [](const py::object& self) {
        return py::str("Detection(class_name={!r}, confidence={}, xyxy={})")
            .format(self.attr("class_name"), self.attr("confidence"), self.attr("xyxy"));
      })
      .def(py::pickle(
          [](const DetectionRow& s) {
            return py::make_tuple(box_tuple(s.xyxy), s.xyxyn ? py::object(box_tuple(*s.xyxyn)) : py::none(), s.class_id, s.class_name,
                                  s.confidence, s.raw_score, s.tracker_id, s.text, s.polygon);
          },
          [](const py::tuple& s) {
            const auto box = [](const py::handle corners) {
              const auto [x1, y1, x2, y2] = corners.cast<std::tuple<float, float, float, float>>();
              return Box{x1, y1, x2, y2};
            };
            return DetectionRow{box(s[0]), s[1].is_none() ? std::nullopt : std::optional(box(s[1])), s[2].cast<std::int32_t>(),
                                s[3].cast<std::string>(), s[4].cast<float>(), s[5].cast<float>(), s[6].cast<std::optional<std::int32_t>>(),
                                s[7].cast<std::optional<std::string>>(), s[8]};
          }));
}

}  // namespace

void bind_detections(py::module_& module) {
  bind_rows(module);
  py::class_<Detections, py::smart_holder> bound(
      module, "Detections", "One answer for one picture, as columns: each is None or one entry per box. Boxes are display pixels.");
  bound.def(py::init(&make_detections), py::arg("xyxy") = py::none(), py::arg("confidence") = py::none(), py::arg("class_id") = py::none(),
            py::arg("class_name") = py::none(), py::arg("raw_score") = py::none(), py::arg("polygon") = py::none(),
            py::arg("text") = py::none(), py::arg("labels") = py::tuple(), py::arg("attributes") = py::none(),
            py::arg("embedding") = py::none(), py::arg("partial") = false, py::kw_only(), py::arg("tracker_id") = py::none(),
            py::arg("vocabulary") = py::none(),
            "xyxy: (N, 4) display pixels. class_name: N texts, with or without class_id. labels: vl.Label, (name, confidence) or names, of "
            "the whole\n"
            "picture. attributes: name -> number, text or list of numbers. embedding: (D,) or (N, D). vocabulary: names by class_id.\n"
            "Raises ConfigError naming the column that does not fit.");
  def_columns(bound, [](const Detections& self) -> const Detections& { return self; });
  bound.def("__iter__", [](const Detections& self) { return py::iter(rows(self, {})); })
      .def(
          "__getitem__",
          [](const Detections& self, py::ssize_t index) {
            const auto size = static_cast<py::ssize_t>(self.size());
            if (index < -size || index >= size) throw py::index_error("detection " + std::to_string(index) + " of " + std::to_string(size));
            return row(self, static_cast<std::size_t>(index < 0 ? index + size : index), {});
          },
          py::arg("index"))
      .def_property_readonly(
          "vocabulary", [](const Detections& self) { return self.vocabulary ? self.vocabulary->names : std::vector<std::string>{}; },
          "Class names by class_id.")
      .def_static(
          "from_supervision", [](const py::object& detections) { return supervision("from_supervision", detections); },
          py::arg("detections"))
      .def("__repr__",
           [](const Detections& self) {
             return "<vidloom.Detections: " + std::to_string(self.size()) + " boxes, " + std::to_string(self.labels.size()) + " labels, " +
                    std::to_string(self.attributes.size()) + " attributes>";
           })
      .def(py::pickle([](const Detections& self) { return state_of(self); },
                      [](const py::tuple& state) { return detections_from_state(state); }));
}

}  // namespace vidloom::bindings
