#include <cli/results_file.hpp>

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <system_error>

namespace vidloom::cli {
namespace {

constexpr std::size_t block = 1U << 18U;
constexpr std::size_t longest_line = 1U << 28U;  // a record of a thousand embeddings has 10 MB
constexpr int poll_ms = 50;

std::string read_name(const std::string& path) { return path == "-" ? "standard input" : path; }

/// Adds the record's place to what Value says of a type.
template <class Read>
decltype(auto) field(std::string_view key, const Read& read) {
  try {
    return read();
  } catch (const Error& error) {
    throw Error(Code::decode, fmt::format("{}: {}", key, error.what()));
  }
}

std::int64_t integer(const Value& object, std::string_view key) {
  return field(key, [&] { return object[key].as_integer(); });
}

double number_or_nan(const Value& value, std::string_view key) {
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : field(key, [&] { return value.as_real(); });
}

std::optional<std::string> text_or_none(const Value& value, std::string_view key) {
  return value.is_null() ? std::nullopt : std::optional(field(key, [&] { return value.as_string(); }));
}

std::optional<std::int64_t> integer_or_none(const Value& value, std::string_view key) {
  return value.is_null() ? std::nullopt : std::optional(field(key, [&] { return value.as_integer(); }));
}

std::array<double, 4> four_numbers(const Value& list, std::string_view key) {
  std::array<double, 4> numbers{};
  field(key, [&] {
    if (list.as_array().size() != numbers.size()) {
      throw Error(Code::decode, fmt::format("has {} numbers; 4 are needed: x1, y1, x2, y2", list.size()));
    }
    for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = list.at(i).as_real();
  });
  return numbers;
}

Found found(const Value& value, bool with_box, Size frame) {
  Found one;
  one.class_id = integer_or_none(value["class_id"], "class_id");
  one.class_name = text_or_none(value["class_name"], "class_name");
  one.confidence = number_or_nan(value["confidence"], "confidence");
  one.raw_score = number_or_nan(value["raw_score"], "raw_score");
  if (!with_box) return one;
  one.tracker_id = integer_or_none(value["tracker_id"], "tracker_id");
  one.text = text_or_none(value["text"], "text");
  one.xyxy = four_numbers(value["xyxy"], "xyxy");
  if (value["xyxyn"].is_array()) {
    // null stands in it where the frame's size is not known
    for (std::size_t i = 0; i < 4 && i < value["xyxyn"].size(); ++i) one.xyxyn[i] = number_or_nan(value["xyxyn"].at(i), "xyxyn");
  } else {
    for (std::size_t i = 0; i < 4; ++i) one.xyxyn[i] = one.xyxy[i] / (i % 2 == 0 ? frame.width : frame.height);
  }
  if (const Value& points = value["polygon"]; points.is_array()) {
    field("polygon", [&] {
      for (const Value& coordinate : points.as_array()) one.polygon.push_back(coordinate.as_real());
    });
  }
  return one;
}

std::vector<Found> found_list(const Value& list, bool with_box, Size frame, std::string_view key) {
  std::vector<Found> all;
  std::size_t row = 0;
  for (const Value& value : field(key, [&] { return list.as_array(); })) {
    all.push_back(field(fmt::format("{}[{}]", key, row++), [&] { return found(value, with_box, frame); }));
  }
  return all;
}

Code code_named(std::string_view word) {
  for (int i = 0; i <= static_cast<int>(Code::internal); ++i) {
    if (to_string(static_cast<Code>(i)) == word) return static_cast<Code>(i);
  }
  return Code::internal;  // of a later version
}

Answer answer(const std::string& name, const Value& value, Size frame) {
  Answer result{.analysis = name, .kind = field("kind", [&] { return value["kind"].as_string(); })};
  const std::string& status = field("status", [&]() -> const std::string& { return value["status"].as_string(); });
  if (status == "dropped" || status == "failed") {
    const Value& error = value["error"];
    result.error = Error(code_named(error["code"].is_string() ? error["code"].as_string() : ""),
                         error["message"].is_string() ? error["message"].as_string() : status);
    return result;
  }
  if (const Value* list = value.find("detections")) {
    result.lists_detections = true;
    result.detections = found_list(*list, true, frame, "detections");
  }
  if (const Value* list = value.find("labels")) {
    result.lists_labels = true;
    result.labels = found_list(*list, false, frame, "labels");
  }
  if (value["attributes"].is_object()) result.attributes = value["attributes"];
  return result;
}

bool wanted(const std::vector<std::string>& only, const std::string& name) {
  return only.empty() || std::ranges::find(only, name) != only.end();
}

void note(std::vector<std::string>& names, const std::string& name) {
  if (std::ranges::find(names, name) == names.end()) names.push_back(name);
}

// ── back to FrameResult ──────────────────────────────────────────────────────────────────────────────────────────────

/// A record rounds a coordinate twice, in pixels and as a share. Where the pixels alone would give another share, the share's own
/// place within the pixels' rounding is nearer to what was rounded.
float unrounded(double pixels, double share, int length) {
  constexpr double half_pixel_step = 0.005;
  if (length <= 0 || !std::isfinite(share) || std::round(pixels / length * 1e4) == std::round(share * 1e4))
    return static_cast<float>(pixels);
  return static_cast<float>(std::clamp(share * length, pixels - half_pixel_step, pixels + half_pixel_step));
}

/// Names by id as they first appear: records that people corrected may give one id two names.
class Names {
 public:
  std::int32_t id(const std::optional<std::string>& name) {
    note(names_, name.value_or(""));
    return static_cast<std::int32_t>(std::ranges::find(names_, name.value_or("")) - names_.begin());
  }
  std::shared_ptr<const Vocabulary> vocabulary() { return Vocabulary::of(std::move(names_)); }

 private:
  std::vector<std::string> names_;
};

Attribute attribute(const std::string& name, const Value& value) {
  if (value.is_number()) return {.name = name, .value = value.as_real()};
  if (value.is_string()) return {.name = name, .value = value.as_string()};
  Attribute result{.name = name, .value = std::vector<double>{}};
  auto& numbers = std::get<std::vector<double>>(result.value);
  if (!value.is_array()) {
    result.value = std::numeric_limits<double>::quiet_NaN();
    return result;
  }
  for (const Value& row : value.as_array()) {
    if (!row.is_array()) {
      numbers.push_back(number_or_nan(row, name));
      continue;
    }
    result.columns = row.size();
    for (const Value& number : row.as_array()) numbers.push_back(number_or_nan(number, name));
  }
  return result;
}

Outcome outcome(const Answer& answer, Size frame) {
  if (answer.error) return {*answer.error, Trace{}, answer.kind};
  Detections all;
  Names names;
  for (const Found& one : answer.detections) {
    const auto pixels = [&](std::size_t i) { return unrounded(one.xyxy[i], one.xyxyn[i], i % 2 == 0 ? frame.width : frame.height); };
    all.xyxy.push_back({pixels(0), pixels(1), pixels(2), pixels(3)});
    all.confidence.push_back(static_cast<float>(one.confidence));
    all.class_id.push_back(names.id(one.class_name));
  }
  if (std::ranges::any_of(answer.detections, [](const Found& one) { return one.text.has_value(); })) {
    for (const Found& one : answer.detections) all.text.push_back(one.text.value_or(""));
  }
  for (const Found& one : answer.labels) {
    all.labels.push_back({.class_id = names.id(one.class_name), .confidence = static_cast<float>(one.confidence)});
  }
  if (answer.attributes.is_object()) {
    for (const auto& [name, value] : answer.attributes.as_object()) all.attributes.push_back(attribute(name, value));
  }
  all.vocabulary = names.vocabulary();
  return {std::move(all), Trace{}, answer.kind};
}

}  // namespace

const Answer* RecordedFrame::find(std::string_view analysis) const noexcept {
  const auto answer = std::ranges::find(answers, analysis, &Answer::analysis);
  return answer == answers.end() ? nullptr : &*answer;
}

std::string class_of(const Found& found, const Answer& answer) {
  if (found.class_name) return *found.class_name;
  return found.class_id ? fmt::format("class {}", *found.class_id) : answer.analysis;
}

FrameResult to_frame_result(const RecordedFrame& frame) {
  FrameResult result;
  result.stream = frame.stream;
  result.frame_size = frame.size;
  for (const Answer& answer : frame.answers) result.outcomes.emplace_back(answer.analysis, outcome(answer, frame.size));
  return result;
}

ResultsFile::ResultsFile(std::string path, std::optional<std::string> only_stream, std::vector<std::string> only_analyses,
                         std::stop_token stop, void (*poll)())
    : path_(std::move(path)),
      name_(read_name(path_)),
      only_stream_(std::move(only_stream)),
      only_analyses_(std::move(only_analyses)),
      stop_(std::move(stop)),
      poll_(poll),
      descriptor_(path_ == "-" ? STDIN_FILENO : ::open(path_.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (descriptor_ < 0) throw Error(Code::source, fmt::format("cannot open {}: {}", path_, std::generic_category().message(errno)));
}

ResultsFile::~ResultsFile() {
  if (descriptor_ > STDERR_FILENO) ::close(descriptor_);
}

/// \return false at the end and after a stop.
bool ResultsFile::fill() {
  if (begin_ > 0) {
    buffer_.erase(0, begin_);
    searched_ -= begin_;
    begin_ = 0;
  }
  for (;;) {
    if (stop_.stop_requested()) return false;
    if (poll_ != nullptr) poll_();
    pollfd readable{.fd = descriptor_, .events = POLLIN, .revents = 0};
    if (::poll(&readable, 1, poll_ms) <= 0) continue;  // a pipe whose writer is at work, or a signal: read() would begin to wait
    const std::size_t size = buffer_.size();
    buffer_.resize(size + block);
    const ssize_t count = ::read(descriptor_, buffer_.data() + size, block);
    const int number = errno;
    buffer_.resize(size + static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    if (count >= 0) return count > 0;
    if (number != EINTR && number != EAGAIN) {
      throw Error(Code::source, fmt::format("cannot read {}: {}", name_, std::generic_category().message(number)));
    }
  }
}

/// \return a line without its newline. What follows the last newline is one as well, where it is whole.
std::optional<std::string> ResultsFile::line() {
  while (!ended_) {
    const std::size_t newline = buffer_.find('\n', searched_);
    if (newline != std::string::npos) {
      std::string text = buffer_.substr(begin_, newline - begin_);
      begin_ = searched_ = newline + 1;
      ++number_;
      return text;
    }
    searched_ = buffer_.size();
    if (searched_ - begin_ > longest_line) {
      throw Error(Code::decode, fmt::format("{} is no results file: line {} is longer than 256 MB", name_, number_ + 1));
    }
    ended_ = !fill();
  }
  if (stop_.stop_requested() || begin_ == buffer_.size()) return std::nullopt;
  std::string text = buffer_.substr(begin_);
  begin_ = searched_ = buffer_.size();
  ++number_;
  try {
    Value::parse(text);
  } catch (const Error&) {
    if (!any_) return text;  // no results file at all: take() says so
    torn_ = text.size();
    return std::nullopt;
  }
  return text;
}

void ResultsFile::take(const std::string& text) {
  std::string_view json = text;
  if (number_ == 1 && json.starts_with("\xEF\xBB\xBF")) json.remove_prefix(3);  // what some editors write in front of UTF-8
  if (json.find_first_not_of(" \t\r") == std::string_view::npos) return;
  constexpr std::string_view advice = "; it takes what `vidloom analyze --jsonl FILE` writes";
  Value record;
  try {
    record = Value::parse(json);
  } catch (const Error& error) {
    std::string_view problem = error.what();
    if (const std::size_t column = problem.find("column "); column != std::string_view::npos) problem.remove_prefix(column);
    if (any_) throw Error(Code::decode, fmt::format("{}, line {}: {}", name_, number_, problem));
    throw Error(Code::decode, fmt::format("{} is no results file: line {}, {}{}", name_, number_, problem, advice));
  }
  const std::string schema = record["schema"].is_string() ? record["schema"].as_string() : "";
  if (schema != "vidloom/result/v1" && schema != "vidloom/report/v1") {
    throw Error(Code::decode, fmt::format("{} is no results file: line {} is not of the schema vidloom/result/v1{}{}", name_, number_,
                                          schema.empty() ? "" : " but of " + schema, advice));
  }
  any_ = true;
  try {
    if (schema == "vidloom/report/v1") {
      for (const Value& frame : record["frames"].as_array()) take_frame(frame);
    } else if (const Value& type = record["type"]; type.is_string() && type.as_string() == "frame") {
      take_frame(record);
    } else if (type.is_string() && type.as_string() == "start") {
      take_start(record);
    }
  } catch (const Error& error) {
    throw Error(Code::decode, fmt::format("{}, line {}: {}; see `vidloom schema result`", name_, number_, error.what()));
  }
}

void ResultsFile::note_stream(const std::string& stream) { note(streams_, stream); }

void ResultsFile::take_start(const Value& record) {
  const std::string stream = field("stream", [&] { return record["stream"].as_string(); });
  note_stream(stream);
  if (!record["analyses"].is_object()) return;
  for (const auto& [name, about] : record["analyses"].as_object()) {
    note(analyses_, name);
    if (!wanted(only_analyses_, name) || (only_stream_ && *only_stream_ != stream)) continue;
    StartedAnalysis analysis{.stream = stream, .analysis = name};
    if (about["every"].is_number()) analysis.every = about["every"].as_real();
    if (about["vocabulary"].is_array()) {
      for (const Value& word : about["vocabulary"].as_array()) {
        if (word.is_string()) analysis.vocabulary.push_back(word.as_string());
      }
    }
    started_.push_back(std::move(analysis));
  }
}

void ResultsFile::take_frame(const Value& record) {
  RecordedFrame frame;
  frame.stream = field("stream", [&] { return record["stream"].as_string(); });
  note_stream(frame.stream);
  frame.epoch = integer(record, "epoch");
  frame.sequence = integer(record, "sequence");
  frame.pts = integer(record, "pts");
  field("time_base", [&] {
    frame.time_base_num = record["time_base"].at(0).as_integer();
    frame.time_base_den = record["time_base"].at(1).as_integer();
  });
  frame.media_time = field("media_time", [&] { return record["media_time"].as_real(); });
  field("frame_size", [&] {
    const auto length = [&](std::size_t i) {
      constexpr std::int64_t largest = std::numeric_limits<int>::max();
      return static_cast<int>(std::clamp<std::int64_t>(record["frame_size"].at(i).as_integer(), 0, largest));
    };
    frame.size = {length(0), length(1)};
  });
  for (const auto& [name, value] : field("analyses", [&]() -> const Value::Object& { return record["analyses"].as_object(); })) {
    note(analyses_, name);
    if (!wanted(only_analyses_, name)) continue;
    frame.answers.push_back(field(fmt::format("analyses.{}", name), [&] { return answer(name, value, frame.size); }));
  }
  if (only_stream_ && *only_stream_ != frame.stream) return;
  if (frame.answers.empty() && !only_analyses_.empty()) return;  // none of those was due on it
  waiting_.push_back(std::move(frame));
}

std::optional<RecordedFrame> ResultsFile::next() {
  while (waiting_.empty()) {
    const std::optional<std::string> text = line();
    if (!text) {
      if (!any_ && !stop_.stop_requested()) throw Error(Code::decode, fmt::format("{} is empty: no results", name_));
      return std::nullopt;
    }
    take(*text);
  }
  RecordedFrame frame = std::move(waiting_.front());
  waiting_.pop_front();
  return frame;
}

void ResultsFile::check_wanted() const {
  const auto check = [this](std::string_view flag, std::string_view what, const std::string& name, const std::vector<std::string>& known) {
    if (std::ranges::find(known, name) != known.end()) return;
    throw Error(Code::config, fmt::format("{} {}: {} has no such {}; it has {}", flag, name, name_, what,
                                          known.empty() ? "none" : fmt::format("{}", fmt::join(known, ", "))));
  };
  if (only_stream_) check("--stream", "stream", *only_stream_, streams_);
  for (const std::string& name : only_analyses_) check("--analysis", "analysis", name, analyses_);
}

}  // namespace vidloom::cli
