#include <vidloom/results.hpp>

#include <core/sha256.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace vidloom {
inline namespace v0 {

namespace {

[[noreturn]] void refuse(const std::string& message) { throw Error(Code::model, "the adapter's answer does not fit together: " + message); }

void check_length(std::string_view column, std::size_t length, std::size_t boxes) {
  if (length != 0 && length != boxes) {
    refuse(std::string(column) + " has " + std::to_string(length) + (length == 1 ? " entry" : " entries") + ", xyxy has " +
           std::to_string(boxes) + "; a column is empty or as long as xyxy");
  }
}

void check_class(std::string_view column, std::size_t row, std::int32_t id, const Vocabulary& vocabulary) {
  if (id < 0 || static_cast<std::size_t>(id) >= vocabulary.names.size()) {
    refuse(std::string(column) + " " + std::to_string(row) + " is class " + std::to_string(id) + " of a vocabulary of " +
           std::to_string(vocabulary.names.size()) + " names");
  }
}

void check_confidence(std::string_view column, std::size_t row, float confidence) {
  constexpr float slack = 5e-5F;  // what a softmax in floats may go over; records round it away
  if (confidence < -slack || confidence > 1 + slack) {
    refuse(fmt::format("{} {} is {:g}; use 0 to 1, or NaN where there is none (raw_score takes any quantity)", column, row, confidence));
  }
}

template <class T>
void keep_rows(std::vector<T>& column, const std::vector<bool>& keep, std::size_t width = 1) {
  std::size_t to = 0;
  for (std::size_t row = 0; (row + 1) * width <= column.size(); ++row) {
    if (!keep[row]) continue;
    for (std::size_t i = 0; i < width; ++i, ++to) {
      if (to != row * width + i) column[to] = std::move(column[row * width + i]);
    }
  }
  column.resize(to);
}

}  // namespace

// The id is sha256 of the names as a JSON array without blanks: unambiguous, and one line in any language.
std::shared_ptr<const Vocabulary> Vocabulary::of(std::vector<std::string> names) {
  Value list = Value::array();
  for (const std::string& name : names) list.push_back(name);
  auto vocabulary = std::make_shared<Vocabulary>();
  vocabulary->id = "sha256:" + sha256_hex(list.dump());
  vocabulary->names = std::move(names);
  return vocabulary;
}

std::string_view Detections::class_name(std::int32_t id) const noexcept {
  if (!vocabulary || id < 0 || static_cast<std::size_t>(id) >= vocabulary->names.size()) return {};
  return vocabulary->names[static_cast<std::size_t>(id)];
}

void Detections::check() const {
  const std::size_t boxes = size();
  check_length("confidence", confidence.size(), boxes);
  check_length("raw_score", raw_score.size(), boxes);
  check_length("class_id", class_id.size(), boxes);
  check_length("tracker_id", tracker_id.size(), boxes);
  check_length("text", text.size(), boxes);
  check_length("mask_rle", mask_rle.size(), boxes);
  check_length("polygon", polygon.size(), boxes);
  for (std::size_t row = 0; row < boxes; ++row) {
    const Box& box = xyxy[row];
    if (!std::isfinite(box.x1) || !std::isfinite(box.y1) || !std::isfinite(box.x2) || !std::isfinite(box.y2))
      refuse("xyxy " + std::to_string(row) + " is not finite");
  }
  for (std::size_t row = 0; row < confidence.size(); ++row) check_confidence("confidence", row, confidence[row]);
  for (std::size_t row = 0; row < labels.size(); ++row) check_confidence("confidence of label", row, labels[row].confidence);
  for (std::size_t row = 0; row < polygon.size(); ++row) {
    if (polygon[row].size() % 2 != 0) refuse("polygon " + std::to_string(row) + " has an odd number of values; use x0, y0, x1, y1, ...");
  }
  if (vocabulary) {
    for (std::size_t row = 0; row < class_id.size(); ++row) check_class("class_id", row, class_id[row], *vocabulary);
    for (std::size_t row = 0; row < labels.size(); ++row) check_class("label", row, labels[row].class_id, *vocabulary);
  }
  for (const Attribute& attribute : attributes) {
    const auto* values = std::get_if<std::vector<double>>(&attribute.value);
    if (values != nullptr && attribute.columns > 0 && values->size() % attribute.columns != 0)
      refuse("attribute '" + attribute.name + "' has " + std::to_string(values->size()) + " values in rows of " +
             std::to_string(attribute.columns));
  }
  if (!embedding.empty() && (embedding_dim == 0 || (embedding.size() != embedding_dim && embedding.size() != embedding_dim * boxes))) {
    refuse("embedding has " + std::to_string(embedding.size()) + " values; with embedding_dim " + std::to_string(embedding_dim) +
           " use one row for the picture or one for each of " + std::to_string(boxes) + " boxes");
  }
}

void Detections::select(const std::vector<bool>& keep) {
  const std::size_t boxes = size();
  if (keep.size() != boxes) {
    throw Error(Code::internal,
                "Detections::select() got " + std::to_string(keep.size()) + " flags for " + std::to_string(boxes) + " boxes");
  }
  check();
  if (boxes > 0 && embedding.size() == embedding_dim * boxes) keep_rows(embedding, keep, std::max<std::size_t>(embedding_dim, 1));
  keep_rows(xyxy, keep);
  keep_rows(confidence, keep);
  keep_rows(raw_score, keep);
  keep_rows(class_id, keep);
  keep_rows(tracker_id, keep);
  keep_rows(text, keep);
  keep_rows(mask_rle, keep);
  keep_rows(polygon, keep);
}

Outcome::Outcome(Detections detections, Trace trace, std::string kind, Status status)
    : state_(std::move(detections)), trace_(std::move(trace)), kind_(std::move(kind)), status_(status) {
  if (status == Status::dropped || status == Status::failed)
    throw Error(Code::internal, "an outcome with detections cannot be " + std::string(to_string(status)) + "; it is ok, degraded or stale");
  if (status_ == Status::ok && state_.value().partial) status_ = Status::degraded;
}

Outcome::Outcome(Error error, Trace trace, std::string kind, Status status)
    : state_(std::move(error)), trace_(std::move(trace)), kind_(std::move(kind)), status_(status) {
  if (status != Status::dropped && status != Status::failed)
    throw Error(Code::internal, "an outcome with an error cannot be " + std::string(to_string(status)) + "; it is dropped or failed");
}

std::string_view to_string(Outcome::Status status) noexcept {
  switch (status) {
    case Outcome::Status::ok: return "ok";
    case Outcome::Status::degraded: return "degraded";
    case Outcome::Status::stale: return "stale";
    case Outcome::Status::dropped: return "dropped";
    case Outcome::Status::failed: break;
  }
  return "failed";
}

const Outcome* FrameResult::find(std::string_view name) const noexcept {
  for (const auto& [analysis, outcome] : outcomes) {
    if (analysis == name) return &outcome;
  }
  return nullptr;
}

const Outcome& FrameResult::operator[](std::string_view name) const {
  if (const Outcome* outcome = find(name)) return *outcome;
  std::string due;
  for (const auto& [analysis, outcome] : outcomes) due += (due.empty() ? "" : ", ") + analysis;
  throw Error(Code::config, "no analysis '" + std::string(name) + "' was due on this frame; " +
                                (due.empty() ? "none was" : "due were: " + due) + ". find() asks without an error");
}

Report::Status Report::status() const noexcept {
  std::uint64_t with = answered, without = failed;  // in frames, where nobody counted outcomes
  if (!counts.empty()) {
    with = without = 0;
    for (const auto& [analysis, statuses] : counts) {
      for (const auto& [status, n] : statuses) {
        const bool unanswered = status == to_string(Outcome::Status::dropped) || status == to_string(Outcome::Status::failed);
        (unanswered ? without : with) += n;
      }
    }
  }
  if (without == 0 && !cut_short) return Status::ok;
  return with == 0 ? Status::failed : Status::partial;
}

std::string_view to_string(Report::Status status) noexcept {
  switch (status) {
    case Report::Status::ok: return "ok";
    case Report::Status::partial: return "partial";
    case Report::Status::failed: break;
  }
  return "failed";
}

}  // namespace v0
}  // namespace vidloom
