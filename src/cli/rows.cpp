// Formats of rows and lines: CSV, supervision's JSONSink, the predecessor's shape.
#include <cli/formats.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace vidloom::cli {
namespace {

Value or_null(double number) { return std::isfinite(number) ? Value(number) : Value(); }
Value or_null(const std::optional<std::int64_t>& number) { return number ? Value(*number) : Value(); }

/// Pixels that are whole are written as whole, as in records.
Value pixels(double number) {
  return std::trunc(number) == number && std::abs(number) < 1e15 ? Value(static_cast<std::int64_t>(number)) : Value(number);
}

// ── CSV, RFC 4180 ────────────────────────────────────────────────────────────────────────────────────────────────────

constexpr std::string_view header = "stream,media_time,pts,analysis,class_id,class_name,confidence,x_min,y_min,x_max,y_max,tracker_id\r\n";

std::string quoted_cell(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) quoted.append(c == '"' ? 2 : 1, c);
  return quoted + '"';
}

std::string number_cell(const Value& number) { return number.is_null() ? std::string() : number.dump(); }

class Csv final : public Format {
 public:
  explicit Csv(OutputFile& out) : out_(out) { out_.write(header); }

  void add(const RecordedFrame& frame) override {
    for (const Answer& answer : frame.answers) {
      const std::string start =
          fmt::format("{},{},{},{},", quoted_cell(frame.stream), number_cell(frame.media_time), frame.pts, quoted_cell(answer.analysis));
      for (const Found& found : answer.detections) row(start, found, true);
      for (const Found& label : answer.labels) row(start, label, false);
    }
  }

 private:
  void row(const std::string& start, const Found& found, bool boxed) {
    std::string line = start;
    line += fmt::format("{},{},{}", number_cell(or_null(found.class_id)), quoted_cell(found.class_name.value_or("")),
                        number_cell(or_null(found.confidence)));
    for (const double number : found.xyxy) line += ',' + (boxed ? number_cell(pixels(number)) : std::string());
    out_.write(line + ',' + number_cell(or_null(found.tracker_id)) + "\r\n");
  }

  OutputFile& out_;
};

// ── rows as supervision's JSONSink writes them ───────────────────────────────────────────────────────────────────────

/// It writes a row per box: coordinates, then "" for columns that a whole sv.Detections has not, then `data`, then custom_data.
class SupervisionJson final : public Format {
 public:
  explicit SupervisionJson(OutputFile& out) : out_(out) { out_.write("["); }

  void add(const RecordedFrame& frame) override {
    for (const Answer& answer : frame.answers) {
      const auto any = [&answer](auto has) { return std::ranges::any_of(answer.detections, has); };
      const bool named = any([](const Found& found) { return found.class_name.has_value(); });
      const bool scored = any([](const Found& found) { return std::isfinite(found.raw_score); });
      const bool texts = any([](const Found& found) { return found.text.has_value(); });
      for (const Found& found : answer.detections) {
        Value row = Value::object();
        row.set("x_min", found.xyxy[0]).set("y_min", found.xyxy[1]).set("x_max", found.xyxy[2]).set("y_max", found.xyxy[3]);
        row.set("class_id", or_blank(or_null(found.class_id))).set("confidence", or_blank(or_null(found.confidence)));
        row.set("tracker_id", or_blank(or_null(found.tracker_id)));
        if (named) row.set("class_name", found.class_name.value_or(""));
        if (scored) row.set("raw_score", or_blank(or_null(found.raw_score)));
        if (texts) row.set("text", found.text.value_or(""));
        row.set("stream", frame.stream).set("media_time", frame.media_time).set("pts", frame.pts);
        row.set("sequence", frame.sequence).set("analysis", answer.analysis);
        put(row);
      }
    }
  }

  void finish() override { out_.write(any_ ? "\n]" : "]"); }

 private:
  static Value or_blank(Value value) { return value.is_null() ? Value("") : value; }

  /// Indented by four, as json.dump(indent=4) does it.
  void put(const Value& row) {
    std::string text = row.dump(4);
    for (std::size_t at = text.find('\n'); at != std::string::npos; at = text.find('\n', at + 5)) text.insert(at + 1, 4, ' ');
    out_.write(fmt::format("{}\n    {}", any_ ? "," : "", text));
    any_ = true;
  }

  OutputFile& out_;
  bool any_ = false;
};

// ── the predecessor's shape ──────────────────────────────────────────────────────────────────────────────────────────

class Legacy final : public Format {
 public:
  explicit Legacy(OutputFile& out) : out_(out) {}
  void add(const RecordedFrame& frame) override { out_.write(to_legacy(to_frame_result(frame), OnFailure::omit).dump() + '\n'); }

 private:
  OutputFile& out_;
};

}  // namespace

std::unique_ptr<Format> make_csv(OutputFile& out, const ResultsFile&) { return std::make_unique<Csv>(out); }
std::unique_ptr<Format> make_supervision_json(OutputFile& out, const ResultsFile&) { return std::make_unique<SupervisionJson>(out); }
std::unique_ptr<Format> make_legacy(OutputFile& out, const ResultsFile&) { return std::make_unique<Legacy>(out); }

}  // namespace vidloom::cli
