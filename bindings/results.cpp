// Detections, Outcome, FrameResult, Report. Columns become NumPy arrays; all of them pickle.
#include <results.hpp>

#include <pybind11/numpy.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <type_traits>

namespace vidloom::bindings {
namespace {

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr std::int32_t no_id = -1;

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

py::object number(float value) { return std::isnan(value) ? py::object(py::none()) : py::object(py::float_(value)); }
float number(py::handle value) { return value.is_none() ? nan : value.cast<float>(); }
py::tuple box_tuple(const Box& box) { return py::make_tuple(box.x1, box.y1, box.x2, box.y2); }

// ── columns ─────────────────────────────────────────────────────────────────────────────────────────────────

template <class T>
py::array_t<T> column(const std::vector<T>& values, std::size_t rows, T missing) {
  py::array_t<T> array(static_cast<py::ssize_t>(rows));
  if (values.empty())
    std::fill_n(array.mutable_data(), rows, missing);
  else if (rows > 0)
    std::memcpy(array.mutable_data(), values.data(), rows * sizeof(T));
  return array;
}

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

py::dict attributes(const Detections& detections) {
  py::dict dict;
  for (const Attribute& attribute : detections.attributes) {
    const auto* vector = std::get_if<std::vector<double>>(&attribute.value);
    if (!vector || attribute.columns == 0) {
      dict[py::str(attribute.name)] = py::cast(attribute.value);
      continue;
    }
    py::list rows;
    for (std::size_t i = 0; i + attribute.columns <= vector->size(); i += attribute.columns)
      rows.append(py::cast(std::vector<double>(vector->begin() + static_cast<std::ptrdiff_t>(i),
                                               vector->begin() + static_cast<std::ptrdiff_t>(i + attribute.columns))));
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

// ── Detections from Python ──────────────────────────────────────────────────────────────────────────────────

std::string shape_of(const py::array& array) { return py::cast<std::string>(py::str(py::object(array.attr("shape")))); }

template <class T>
std::vector<T> column_from(py::handle object, std::size_t size, const char* name) {
  if (object.is_none()) return {};
  const auto array = py::array_t<T, py::array::c_style | py::array::forcecast>::ensure(object);
  if (!array || array.ndim() != 1) {
    PyErr_Clear();
    throw Error(Code::config,
                std::string("Detections.") + name + " is " + py::cast<std::string>(py::repr(object)) + "; use one number per box");
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
  for (const py::handle name : class_name) texts.push_back(py::cast<std::string>(py::str(name)));
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
      label.class_name = entry.cast<std::string>();
    else if (py::isinstance<LabelRow>(entry))
      label = entry.cast<LabelRow>();
    else if (py::isinstance<py::tuple>(entry) && py::len(entry) == 2) {
      const auto pair = entry.cast<py::tuple>();
      label.class_name = py::cast<std::string>(py::str(py::object(pair[0])));
      label.confidence = number(pair[1]);
    } else
      throw Error(Code::config, "a label is " + py::cast<std::string>(py::repr(entry)) + "; use vl.Label, (name, confidence) or a name");
    if (label.class_id < 0)
      label.class_id = names.id_of(label.class_name);
    else if (!label.class_name.empty())
      names.set(label.class_id, label.class_name);
    result.labels.push_back({label.class_id, label.confidence, label.raw_score, label.margin});
  }
}

void read_attributes(Detections& result, const py::dict& attributes) {
  for (const auto& [key, member] : attributes) {
    const auto name = py::cast<std::string>(py::str(key));
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
      throw Error(Code::config, "Detections.xyxy has shape " + (array ? shape_of(array) : py::cast<std::string>(py::repr(xyxy))) +
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
                    "Detections.polygon holds " + py::cast<std::string>(py::repr(points)) + "; use (K, 2) points in display pixels");
      }
      result.polygon.emplace_back(array.data(), array.data() + array.size());
    }
    if (result.polygon.size() != size)
      throw Error(Code::config, "Detections.polygon has " + std::to_string(result.polygon.size()) + " entries for " + std::to_string(size) +
                                    " boxes; use one per box, or None");
  }
  if (!text.is_none()) {
    for (const py::handle entry : text) result.text.push_back(entry.is_none() ? "" : py::cast<std::string>(py::str(entry)));
    if (result.text.size() != size)
      throw Error(Code::config, "Detections.text has " + std::to_string(result.text.size()) + " entries for " + std::to_string(size) +
                                    " boxes; use one per box, or None");
  }
  if (!embedding.is_none()) {
    const auto array = py::array_t<float, py::array::c_style | py::array::forcecast>::ensure(embedding);
    if (!array || array.ndim() < 1 || array.ndim() > 2) {
      PyErr_Clear();
      throw Error(Code::config, "Detections.embedding is " + py::cast<std::string>(py::repr(embedding)) +
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

// ── pickling ────────────────────────────────────────────────────────────────────────────────────────────────

template <class T>
py::bytes pack(const std::vector<T>& values) {
  static_assert(std::is_trivially_copyable_v<T>);
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

template <class T>
std::vector<T> unpack(py::handle packed) {
  const auto bytes = packed.cast<std::string_view>();
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

py::tuple state_of(const Detections& d) {
  py::list attributes;
  for (const Attribute& a : d.attributes) attributes.append(py::make_tuple(a.name, a.value, a.unit, a.columns));
  return py::make_tuple(d.vocabulary ? py::cast(std::pair(d.vocabulary->id, d.vocabulary->names)) : py::none(), pack(d.xyxy),
                        pack(d.confidence), pack(d.raw_score), pack(d.class_id), pack(d.tracker_id), d.text, d.mask_rle, d.polygon,
                        pack(d.labels), attributes, pack(d.embedding), d.embedding_dim, d.partial);
}

Detections detections_from_state(const py::tuple& s) {
  Detections d;
  if (!s[0].is_none()) {
    const auto [id, names] = s[0].cast<std::pair<std::string, std::vector<std::string>>>();
    d.vocabulary = std::make_shared<const Vocabulary>(Vocabulary{id, names});
  }
  d.xyxy = unpack<Box>(s[1]);
  d.confidence = unpack<float>(s[2]);
  d.raw_score = unpack<float>(s[3]);
  d.class_id = unpack<std::int32_t>(s[4]);
  d.tracker_id = unpack<std::int32_t>(s[5]);
  d.text = s[6].cast<std::vector<std::string>>();
  d.mask_rle = s[7].cast<std::vector<std::string>>();
  d.polygon = s[8].cast<std::vector<std::vector<float>>>();
  d.labels = unpack<Detections::Label>(s[9]);
  for (const py::handle entry : s[10]) {
    const auto a = entry.cast<py::tuple>();
    d.attributes.push_back(
        {a[0].cast<std::string>(), a[1].cast<decltype(Attribute::value)>(), a[2].cast<std::string>(), a[3].cast<std::size_t>()});
  }
  d.embedding = unpack<float>(s[11]);
  d.embedding_dim = s[12].cast<std::size_t>();
  d.partial = s[13].cast<bool>();
  return d;
}

py::tuple state_of(const Outcome& o) {
  const Trace& t = o.trace();
  const auto& l = o.lists;
  return py::make_tuple(static_cast<int>(o.status()), o.kind(),
                        py::make_tuple(t.where, t.endpoint, t.model_sha256, t.attempts, t.queued.count(), t.ran.count()),
                        py::make_tuple(l.detections, l.labels, l.attributes, l.embedding),
                        o.answered() ? py::object(state_of(o.detections())) : to_python(o.error()));
}

Outcome outcome_from_state(const py::tuple& s) {
  const auto t = s[2].cast<py::tuple>();
  const auto l = s[3].cast<py::tuple>();
  const Trace trace{t[0].cast<std::string>(), t[1].cast<std::string>(),         t[2].cast<std::string>(),
                    t[3].cast<int>(),         Nanos{t[4].cast<std::int64_t>()}, Nanos{t[5].cast<std::int64_t>()}};
  const auto status = static_cast<Outcome::Status>(s[0].cast<int>());
  const auto kind = s[1].cast<std::string>();
  Outcome outcome = py::isinstance<py::tuple>(s[4]) ? Outcome(detections_from_state(s[4].cast<py::tuple>()), trace, kind, status)
                                                    : Outcome(error_from(s[4], Code::internal, ""), trace, kind, status);
  outcome.lists = {l[0].cast<bool>(), l[1].cast<bool>(), l[2].cast<bool>(), l[3].cast<bool>()};
  return outcome;
}

py::object nanos_or_none(const std::optional<Nanos>& time) { return time ? py::object(py::int_(time->count())) : py::none(); }
std::optional<Nanos> nanos_from(py::handle object) {
  return object.is_none() ? std::nullopt : std::optional(Nanos{object.cast<std::int64_t>()});
}

py::object state_of(const std::optional<SegmentRef>& segment) {
  if (!segment) return py::none();
  return py::make_tuple(segment->uri, segment->sequence, nanos_or_none(segment->duration));
}

std::optional<SegmentRef> segment_from_state(py::handle state) {
  if (state.is_none()) return {};
  const auto s = state.cast<py::tuple>();
  return SegmentRef{s[0].cast<std::string>(), s[1].cast<std::optional<std::int64_t>>(), nanos_from(s[2])};
}

py::object context_state(const std::shared_ptr<const Value>& context) { return context ? to_python(*context) : py::none(); }

/// Pixels stay behind: `frame` is None after pickling.
py::tuple state_of(const FrameResult& r) {
  const FrameInfo& i = r.info;
  const FrameTime& t = i.time;
  py::list outcomes;
  for (const auto& [name, outcome] : r.outcomes) outcomes.append(py::make_tuple(name, state_of(outcome)));
  const auto captured_at = t.captured_at ? std::optional(t.captured_at->time_since_epoch()) : std::nullopt;
  return py::make_tuple(py::make_tuple(static_cast<std::uint32_t>(i.stream), i.epoch, i.sequence, i.duration.count(),
                                       static_cast<int>(i.health), i.keyframe, to_tuple(i.sample_aspect), i.rotation_degrees, i.mirrored),
                        py::make_tuple(t.pts, t.time_base.num, t.time_base.den, t.media_time.count(), nanos_or_none(captured_at),
                                       static_cast<int>(t.clock), t.clock_error.count()),
                        outcomes, to_tuple(r.frame_size), r.stream, r.analyzed_at.time_since_epoch().count(), state_of(r.segment),
                        context_state(r.context));
}

FrameResult result_from_state(const py::tuple& s) {
  FrameResult r;
  const auto i = s[0].cast<py::tuple>();
  const auto t = s[1].cast<py::tuple>();
  r.info.stream = static_cast<StreamId>(i[0].cast<std::uint32_t>());
  r.info.epoch = i[1].cast<std::uint32_t>();
  r.info.sequence = i[2].cast<std::uint64_t>();
  r.info.duration = Nanos{i[3].cast<std::int64_t>()};
  r.info.health = static_cast<Health>(i[4].cast<int>());
  r.info.keyframe = i[5].cast<bool>();
  const auto aspect = i[6].cast<std::pair<std::int64_t, std::int64_t>>();
  r.info.sample_aspect = {aspect.first, aspect.second};
  r.info.rotation_degrees = i[7].cast<int>();
  r.info.mirrored = i[8].cast<bool>();
  r.info.time.pts = t[0].cast<std::int64_t>();
  r.info.time.time_base = {t[1].cast<std::int64_t>(), t[2].cast<std::int64_t>()};
  r.info.time.media_time = Nanos{t[3].cast<std::int64_t>()};
  if (const auto captured_at = nanos_from(t[4])) r.info.time.captured_at = WallTime{*captured_at};
  r.info.time.clock = static_cast<Clock>(t[5].cast<int>());
  r.info.time.clock_error = Nanos{t[6].cast<std::int64_t>()};
  for (const py::handle entry : s[2]) {
    const auto pair = entry.cast<py::tuple>();
    r.outcomes.emplace_back(pair[0].cast<std::string>(), outcome_from_state(pair[1].cast<py::tuple>()));
  }
  const auto size = s[3].cast<std::pair<int, int>>();
  r.frame_size = {size.first, size.second};
  r.stream = s[4].cast<std::string>();
  r.analyzed_at = WallTime{Nanos{s[5].cast<std::int64_t>()}};
  r.segment = segment_from_state(s[6]);
  r.context = context_from(s[7]);
  return r;
}

py::tuple state_of(const Report& r) {
  py::list frames;
  for (const FrameResult& frame : r.frames) frames.append(state_of(frame));
  return py::make_tuple(frames, r.due, r.answered, r.degraded, r.failed, r.counts, r.stream, state_of(r.segment), r.duration.count(),
                        r.elapsed.count(), context_state(r.context), r.cut_short ? to_python(*r.cut_short) : py::none());
}

Report report_from_state(const py::tuple& s) {
  Report r;
  for (const py::handle frame : s[0]) r.frames.push_back(result_from_state(frame.cast<py::tuple>()));
  r.due = s[1].cast<std::uint64_t>();
  r.answered = s[2].cast<std::uint64_t>();
  r.degraded = s[3].cast<std::uint64_t>();
  r.failed = s[4].cast<std::uint64_t>();
  r.counts = s[5].cast<decltype(r.counts)>();
  r.stream = s[6].cast<std::string>();
  r.segment = segment_from_state(s[7]);
  r.duration = Nanos{s[8].cast<std::int64_t>()};
  r.elapsed = Nanos{s[9].cast<std::int64_t>()};
  r.context = context_from(s[10]);
  if (!s[11].is_none()) r.cut_short = error_from(s[11], Code::internal, "");
  return r;
}

// ── views ───────────────────────────────────────────────────────────────────────────────────────────────────

py::object segment_dict(const std::optional<SegmentRef>& segment) {
  if (!segment) return py::none();
  py::dict dict;
  dict["uri"] = segment->uri;
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
            return py::isinstance<py::str>(name) && self.result->find(name.cast<std::string>());
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
      });
}

void bind_detections(py::module_& module) {
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
      });
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
             if (!self.outcome->answered()) return "<vidloom.Outcome " + status + ": " + self.outcome->error().what() + ">";
             return "<vidloom.Outcome " + status + ": " + std::to_string(self.outcome->detections().size()) + " detections>";
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
      .def("__repr__", [](const ResultView& self) { return "<vidloom.FrameResult " + to_line(*self.result) + ">"; })
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
  bind_rows(module);
  bind_detections(module);
  bind_outcome(module);
  bind_frame_result(module);
  bind_report(module);
}

}  // namespace vidloom::bindings
