// The records people and programs read: schema vidloom/result/v1, vidloom/report/v1 and the predecessor's shape.

#include <vidloom/results.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace vidloom {
inline namespace v0 {

namespace {

constexpr std::size_t most_legacy_logos = 5;

/// \return `number` with at most `digits` decimals, as the real that prints so; null for NaN and infinities.
Value rounded(double number, int digits) {
  if (!std::isfinite(number)) return {};
  const double scale = std::pow(10.0, digits);
  const double scaled = number * scale;
  if (std::abs(scaled) >= 1e15) return number;  // no decimals to lose
  return std::round(scaled) / scale + 0.0;      // makes -0.0 plain 0.0
}

/// Pixels, palettes and other quantities that are often whole are written as whole: 692 and not 692.0.
Value quantity(double number, int digits) {
  Value value = rounded(number, digits);
  if (value.is_null() || std::abs(number) >= 1e15) return value;
  const double real = value.as_real();
  return std::trunc(real) == real ? Value(static_cast<std::int64_t>(real)) : value;
}

/// \return the shortest decimal that reads back as this float.
double shortest(float number) noexcept {
  char text[32];
  double value = number;
  const auto end = std::to_chars(text, text + sizeof text, number).ptr;
  std::from_chars(text, end, value);
  return value;
}

Value or_null(const std::optional<Nanos>& time) { return time ? Value(seconds(*time)) : Value(); }
Value or_null(const std::shared_ptr<const Value>& value) { return value ? *value : Value(); }

struct Normalised {
  double x1, y1, x2, y2;
  Normalised(const Box& box, Size frame) noexcept
      : x1(ratio(box.x1, frame.width)), y1(ratio(box.y1, frame.height)), x2(ratio(box.x2, frame.width)), y2(ratio(box.y2, frame.height)) {}

 private:
  static double ratio(float pixels, int length) noexcept {
    return length > 0 ? static_cast<double>(pixels) / length : std::numeric_limits<double>::quiet_NaN();
  }
};

Value record(const Error& error) {
  Value value = Value::object();
  value.set("code", to_string(error.code)).set("message", error.what()).set("retryable", error.retryable);
  value.set("retry_after", error.retry_after > Nanos(0) ? Value(seconds(error.retry_after)) : Value());
  return value;
}

Value record(const SegmentRef& segment) {
  Value value = Value::object();
  value.set("uri", redact(segment.uri)).set("sequence", segment.sequence ? Value(*segment.sequence) : Value());
  value.set("duration", or_null(segment.duration));
  return value;
}

Value record(const Trace& trace) {
  Value value = Value::object();
  value.set("where", trace.where);
  if (!trace.endpoint.empty()) value.set("endpoint", redact(trace.endpoint));
  if (trace.attempts > 1) value.set("attempts", trace.attempts);
  if (trace.queued > Nanos(0)) value.set("queued", seconds(trace.queued));
  value.set("ran", seconds(trace.ran));
  return value;
}

void set_class(Value& value, const Detections& all, std::int32_t id) {
  value.set("class_id", id).set("class_name", all.vocabulary ? Value(all.class_name(id)) : Value());
}

/// The score of one row; null where the column is empty or NaN.
Value score(const std::vector<float>& column, std::size_t row) { return row < column.size() ? rounded(column[row], 4) : Value(); }

Value detection(const Detections& all, std::size_t row, Size frame) {
  Value value = Value::object();
  if (row < all.class_id.size()) {
    set_class(value, all, all.class_id[row]);
  } else {
    value.set("class_id", nullptr).set("class_name", nullptr);
  }
  value.set("confidence", score(all.confidence, row));
  value.set("raw_score", row < all.raw_score.size() ? quantity(all.raw_score[row], 4) : Value());
  const Box& box = all.xyxy[row];
  value.set("xyxy", Value::Array{quantity(box.x1, 2), quantity(box.y1, 2), quantity(box.x2, 2), quantity(box.y2, 2)});
  const Normalised part(box, frame);
  value.set("xyxyn", Value::Array{rounded(part.x1, 4), rounded(part.y1, 4), rounded(part.x2, 4), rounded(part.y2, 4)});
  value.set("tracker_id", row < all.tracker_id.size() ? Value(all.tracker_id[row]) : Value());
  if (row < all.text.size()) value.set("text", all.text[row]);
  if (row < all.mask_rle.size()) value.set("mask_rle", all.mask_rle[row]);
  if (row < all.polygon.size()) {
    Value points = Value::array();
    for (const float coordinate : all.polygon[row]) points.push_back(quantity(coordinate, 2));
    value.set("polygon", std::move(points));
  }
  return value;
}

Value record(const Detections::Label& label, const Detections& all) {
  Value value = Value::object();
  set_class(value, all, label.class_id);
  value.set("confidence", rounded(label.confidence, 4))
      .set("raw_score", quantity(label.raw_score, 4))
      .set("margin", rounded(label.margin, 4));
  return value;
}

Value record(const Attribute& attribute) {
  if (const auto* number = std::get_if<double>(&attribute.value)) return rounded(*number, 4);
  if (const auto* text = std::get_if<std::string>(&attribute.value)) return Value(*text);
  Value rows = Value::array(), row = Value::array();
  for (const double number : std::get<std::vector<double>>(attribute.value)) {
    row.push_back(quantity(number, 4));
    if (row.size() == attribute.columns) rows.push_back(std::exchange(row, Value::array()));
  }
  return attribute.columns == 0 ? row : rows;
}

Value attributes_of(const Detections& all) {
  Value value = Value::object();
  for (const Attribute& attribute : all.attributes) value.set(attribute.name, record(attribute));
  return value;
}

/// One list for the picture, or a list of lists with a row per box.
Value embedding_of(const Detections& all) {
  const bool per_box = all.embedding_dim > 0 && all.embedding.size() != all.embedding_dim;
  Value rows = Value::array(), row = Value::array();
  for (const float number : all.embedding) {
    row.push_back(shortest(number));
    if (per_box && row.size() == all.embedding_dim) rows.push_back(std::exchange(row, Value::array()));
  }
  return per_box ? rows : row;
}

}  // namespace

Value to_value(const Outcome& outcome, Size frame_size) {
  Value value = Value::object();
  value.set("kind", outcome.kind()).set("status", to_string(outcome.status())).set("trace", record(outcome.trace()));
  if (!outcome.answered()) return value.set("error", record(outcome.error()));

  const Detections& all = outcome.detections();
  if (outcome.lists.detections || all.size() > 0) {
    Value list = Value::array();
    for (std::size_t row = 0; row < all.size(); ++row) list.push_back(detection(all, row, frame_size));
    value.set("detections", std::move(list));
  }
  if (outcome.lists.labels || !all.labels.empty()) {
    Value list = Value::array();
    for (const auto& label : all.labels) list.push_back(record(label, all));
    value.set("labels", std::move(list));
  }
  if (outcome.lists.attributes || !all.attributes.empty()) value.set("attributes", attributes_of(all));
  if (outcome.lists.embedding || !all.embedding.empty()) value.set("embedding", embedding_of(all));
  return value;
}

Value to_value(const FrameResult& result) {
  const FrameInfo& info = result.info;
  const FrameTime& time = info.time;
  Value value = Value::object();
  value.set("schema", "vidloom/result/v1").set("type", "frame").set("stream", result.stream);
  value.set("epoch", info.epoch).set("sequence", info.sequence).set("pts", time.pts);
  value.set("time_base", Value::Array{time.time_base.num, time.time_base.den}).set("media_time", seconds(time.media_time));
  value.set("captured_at", time.captured_at ? Value(format_utc(*time.captured_at)) : Value()).set("clock", to_string(time.clock));
  if (time.captured_at) value.set("clock_error", seconds(time.clock_error));
  value.set("analyzed_at", format_utc(result.analyzed_at));
  value.set("frame_size", Value::Array{result.frame_size.width, result.frame_size.height}).set("health", to_string(info.health));
  value.set("segment", result.segment ? record(*result.segment) : Value()).set("context", or_null(result.context));
  Value analyses = Value::object();
  for (const auto& [name, outcome] : result.outcomes) analyses.set(name, to_value(outcome, result.frame_size));
  return value.set("analyses", std::move(analyses));
}

Value to_value(const Report& report) {
  Value frames = Value::array();
  for (const FrameResult& frame : report.frames) frames.push_back(to_value(frame));
  Value counts = Value::object();
  for (const auto& [analysis, statuses] : report.counts) {
    Value by_status = Value::object();
    for (const auto& [status, n] : statuses) by_status.set(status, n);
    counts.set(analysis, std::move(by_status));
  }
  Value value = Value::object();
  value.set("schema", "vidloom/report/v1").set("stream", report.stream);
  value.set("segment", report.segment ? record(*report.segment) : Value()).set("status", to_string(report.status()));
  value.set("due", report.due).set("answered", report.answered).set("degraded", report.degraded).set("failed", report.failed);
  value.set("cut_short", report.cut_short ? record(*report.cut_short) : Value());
  value.set("frames", std::move(frames)).set("counts", std::move(counts));
  value.set("duration", seconds(report.duration)).set("elapsed", seconds(report.elapsed));
  return value.set("context", or_null(report.context));
}

// ── the predecessor's shape ──────────────────────────────────────────────────────────────────────────────────────────

namespace {

struct LegacyEntry {
  double confidence;
  Value value;
};
struct LegacyList {
  std::string_view key;
  bool present = false;
  std::vector<LegacyEntry> entries{};
};

/// \return the list an analysis of that kind goes to, or "".
std::string_view legacy_list(std::string_view kind) noexcept {
  if (kind == "object" || kind == "face") return "objects";
  if (kind == "logo") return "logos";
  if (kind == "text" || kind == "scene") return kind;
  return {};
}

LegacyEntry legacy_entry(std::string_view key, Value name, double confidence, Value box) {
  LegacyEntry entry{std::isfinite(confidence) ? confidence : -1.0, Value::object()};  // unknown comes last
  entry.value.set(key, std::move(name)).set("confidence", rounded(confidence, 4)).set("bbox", std::move(box));
  return entry;
}

void add_legacy(LegacyList& list, const Detections& all, Size frame) {
  list.present = true;
  for (std::size_t row = 0; row < all.size(); ++row) {
    const Normalised part(all.xyxy[row], frame);
    Value box = Value::object();
    box.set("x", rounded(part.x1, 4)).set("y", rounded(part.y1, 4));
    box.set("width", rounded(part.x2 - part.x1, 4)).set("height", rounded(part.y2 - part.y1, 4));
    const double confidence = row < all.confidence.size() ? all.confidence[row] : std::numeric_limits<double>::quiet_NaN();
    if (list.key == "text" && row < all.text.size()) {
      list.entries.push_back(legacy_entry("text", all.text[row], confidence, std::move(box)));
    } else {
      const auto name = row < all.class_id.size() ? all.class_name(all.class_id[row]) : std::string_view();
      list.entries.push_back(legacy_entry("label", name, confidence, std::move(box)));
    }
  }
  for (const auto& label : all.labels) {
    Value whole_frame = Value::object();
    whole_frame.set("x", 0).set("y", 0).set("width", 1).set("height", 1);
    list.entries.push_back(legacy_entry("label", all.class_name(label.class_id), label.confidence, std::move(whole_frame)));
  }
}

}  // namespace

Value to_legacy(const FrameResult& result, OnFailure on_failure) {
  LegacyList lists[] = {{.key = "objects"}, {.key = "logos"}, {.key = "text"}, {.key = "scene"}};
  Value visual, errors;
  for (const auto& [name, outcome] : result.outcomes) {
    if (!outcome.answered()) {
      if (on_failure == OnFailure::raise) throw outcome.error();
      errors.set(name, to_string(outcome.error().code));
      continue;
    }
    const Detections& all = outcome.detections();
    if (outcome.kind() == "visual") {
      if (visual.is_null()) visual = Value::object();
      for (const Attribute& attribute : all.attributes) visual.set(attribute.name, record(attribute));
      continue;
    }
    const std::string_view key = legacy_list(outcome.kind());
    for (LegacyList& list : lists) {
      if (list.key == key) add_legacy(list, all, result.frame_size);
    }
  }

  Value value = Value::object();
  for (LegacyList& list : lists) {
    if (!list.present) continue;
    std::ranges::stable_sort(list.entries, std::ranges::greater(), &LegacyEntry::confidence);
    if (list.key == "logos" && list.entries.size() > most_legacy_logos) list.entries.resize(most_legacy_logos);
    Value entries = Value::array();
    for (LegacyEntry& entry : list.entries) entries.push_back(std::move(entry.value));
    value.set(list.key, std::move(entries));
  }
  if (!visual.is_null()) value.set("visual", std::move(visual));
  if (!errors.is_null()) value.set("errors", std::move(errors));
  return value;
}

}  // namespace v0
}  // namespace vidloom
