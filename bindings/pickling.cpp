#include <pickling.hpp>

#include <cstring>
#include <type_traits>

namespace vidloom::bindings {
namespace {

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

py::object nanos_or_none(const std::optional<Nanos>& time) { return time ? py::object(py::int_(time->count())) : py::none(); }
std::optional<Nanos> nanos_from(py::handle object) {
  return object.is_none() ? std::nullopt : std::optional(Nanos{object.cast<std::int64_t>()});
}

py::object state_of(const std::optional<SegmentRef>& segment) {
  if (!segment) return py::none();
  return py::make_tuple(to_python_text(segment->uri), segment->sequence, nanos_or_none(segment->duration));
}

std::optional<SegmentRef> segment_from_state(py::handle state) {
  if (state.is_none()) return {};
  const auto s = state.cast<py::tuple>();
  return SegmentRef{s[0].cast<std::string>(), s[1].cast<std::optional<std::int64_t>>(), nanos_from(s[2])};
}

}  // namespace

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

py::tuple state_of(const Trace& t) {
  return py::make_tuple(t.where, t.endpoint, t.model_sha256, t.attempts, t.queued.count(), t.ran.count());
}

Trace trace_from_state(const py::tuple& t) {
  return {t[0].cast<std::string>(), t[1].cast<std::string>(),         t[2].cast<std::string>(),
          t[3].cast<int>(),         Nanos{t[4].cast<std::int64_t>()}, Nanos{t[5].cast<std::int64_t>()}};
}

py::tuple state_of(const Outcome& o) {
  const auto& l = o.lists;
  return py::make_tuple(static_cast<int>(o.status()), o.kind(), state_of(o.trace()),
                        py::make_tuple(l.detections, l.labels, l.attributes, l.embedding),
                        o.answered() ? py::object(state_of(o.detections())) : to_python(o.error()));
}

Outcome outcome_from_state(const py::tuple& s) {
  const auto l = s[3].cast<py::tuple>();
  const Trace trace = trace_from_state(s[2].cast<py::tuple>());
  const auto status = static_cast<Outcome::Status>(s[0].cast<int>());
  const auto kind = s[1].cast<std::string>();
  Outcome outcome = py::isinstance<py::tuple>(s[4]) ? Outcome(detections_from_state(s[4].cast<py::tuple>()), trace, kind, status)
                                                    : Outcome(error_from(s[4], Code::internal, ""), trace, kind, status);
  outcome.lists = {l[0].cast<bool>(), l[1].cast<bool>(), l[2].cast<bool>(), l[3].cast<bool>()};
  return outcome;
}

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

}  // namespace vidloom::bindings
