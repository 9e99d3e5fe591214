#pragma once
/// Results: what adapters answer (Detections), what one analysis says of one frame (Outcome), and all of them (FrameResult).
///
/// A failure is never an empty list: detections() throws the stored Error when there are none. `ok` and nothing found is the
/// only "saw nothing".

#include <vidloom/core/error.hpp>
#include <vidloom/core/export.hpp>
#include <vidloom/core/geometry.hpp>
#include <vidloom/core/time.hpp>
#include <vidloom/core/value.hpp>
#include <vidloom/frame.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace vidloom {
inline namespace v0 {

/// Class names by class_id. Equal names give equal ids.
struct VIDLOOM_API Vocabulary {
  std::string id;  ///< "sha256:" and hex of the names (or prompts) as a JSON array without blanks
  std::vector<std::string> names;
  static std::shared_ptr<const Vocabulary> of(std::vector<std::string> names);
};

struct Attribute {
  std::string name;
  std::variant<double, std::string, std::vector<double>> value;
  std::string unit{};        ///< "" for a ratio
  std::size_t columns = 0;   ///< of a vector: 0 flat, else rows of that many (palette: 3)
};

/// One adapter's answer for one picture, as columns. A column is empty or size() long. Boxes are display pixels.
struct VIDLOOM_API Detections {
  struct Label {
    std::int32_t class_id = 0;
    float confidence = 0, raw_score = 0;
    float margin = 0;  ///< distance to the runner-up, negatives included; NaN where there is none
  };
  std::shared_ptr<const Vocabulary> vocabulary{};
  std::vector<Box> xyxy{};
  std::vector<float> confidence{};  ///< 0..1; NaN where the adapter has no notion of it
  std::vector<float> raw_score{};   ///< the adapter's own quantity
  std::vector<std::int32_t> class_id{}, tracker_id{};
  std::vector<std::string> text{}, mask_rle{};
  std::vector<std::vector<float>> polygon{};  ///< x0, y0, x1, y1, ... in display pixels
  std::vector<Label> labels{};                ///< of the whole picture: never a made-up box
  std::vector<Attribute> attributes{};
  std::vector<float> embedding{};  ///< a row per box, or one for the picture
  std::size_t embedding_dim = 0;
  bool partial = false;  ///< answered, but not all of it: the outcome becomes degraded

  std::size_t size() const noexcept { return xyxy.size(); }
  /// \return the class name, or "" without a vocabulary. Never throws.
  std::string_view class_name(std::int32_t id) const noexcept;
  /// Throws Error(model) that names the first column of another length than size(), or value (class, box, row) that is wrong.
  void check() const;
  /// Keeps the rows for which `keep[i]` is true, in all columns. Throws what check() throws; Error(internal) on another length.
  void select(const std::vector<bool>& keep);
};

struct Trace {
  std::string where{};     ///< "local", "lan", "cloud"
  std::string endpoint{};  ///< "" in process
  std::string model_sha256{};
  int attempts = 0;
  Nanos queued{}, ran{};   ///< `ran` is of the whole batch it was in
};

/// What one analysis says of one frame. ok, degraded and stale hold detections; dropped and failed hold an error.
class VIDLOOM_API Outcome {
 public:
  enum class Status : std::uint8_t { ok, degraded, stale, dropped, failed };
  /// `partial` detections make `ok` degraded. Throws Error(internal) on dropped and failed.
  Outcome(Detections detections, Trace trace, std::string kind, Status status = Status::ok);
  /// \param status  dropped or failed; throws Error(internal) on all others
  Outcome(Error error, Trace trace, std::string kind, Status status = Status::failed);

  Status status() const noexcept { return status_; }
  const Trace& trace() const noexcept { return trace_; }
  /// "object", "logo", "face", "motion", "text", "scene" or "visual".
  const std::string& kind() const noexcept { return kind_; }
  bool answered() const noexcept { return static_cast<bool>(state_); }
  /// \pre !answered(); throws std::bad_variant_access otherwise.
  const Error& error() const { return state_.error(); }
  /// Throws error() when there are none.
  const Detections& detections() const { return state_.value(); }

  /// Which lists the adapter can produce: they stand in records even when empty.
  struct Lists { bool detections = true, labels = false, attributes = false, embedding = false; } lists{};

 private:
  Result<Detections> state_;
  Trace trace_;
  std::string kind_;
  Status status_;
};
VIDLOOM_API std::string_view to_string(Outcome::Status status) noexcept;

struct SegmentRef {
  std::string uri{};
  std::optional<std::int64_t> sequence{};
  std::optional<Nanos> duration{};
};

struct VIDLOOM_API FrameResult {
  FrameInfo info;
  std::optional<Frame> frame{};  ///< pixels only where somebody asked
  std::vector<std::pair<std::string, Outcome>> outcomes{};  ///< an analysis that was not due here is not listed
  Size frame_size{};             ///< display pixels
  std::string stream{};
  WallTime analyzed_at{};
  std::optional<SegmentRef> segment{};
  std::shared_ptr<const Value> context{};  ///< as given to the call; null: none

  /// \return the outcome, or nullptr when that analysis was not due here.
  const Outcome* find(std::string_view name) const noexcept;
  /// Throws Error(config) that lists the analyses of this frame.
  const Outcome& operator[](std::string_view name) const;
};

struct VIDLOOM_API Report {
  std::vector<FrameResult> frames{};
  std::uint64_t due = 0;       ///< frames on which an analysis was due
  std::uint64_t answered = 0;  ///< of those, frames on which all due analyses answered
  std::uint64_t degraded = 0, failed = 0;  ///< frames with a degraded (but no failed), or with a failed or dropped outcome
  std::vector<std::pair<std::string, std::vector<std::pair<std::string, std::uint64_t>>>> counts{};  ///< analysis: status: n
  std::string stream{};
  std::optional<SegmentRef> segment{};
  Nanos duration{};  ///< of media seen
  Nanos elapsed{};   ///< wall time
  std::shared_ptr<const Value> context{};
  std::optional<Error> cut_short{};  ///< set when the work ended before the source did: deadline, damage, cancel

  enum class Status : std::uint8_t { ok, partial, failed };
  /// By `counts`: ok: every due outcome answered and not cut short; failed: none was; partial: the rest.
  Status status() const noexcept;
};
VIDLOOM_API std::string_view to_string(Report::Status status) noexcept;

/// The records of schema vidloom/result/v1 and vidloom/report/v1, see `vidloom schema`.
VIDLOOM_API Value to_value(const FrameResult& result);
VIDLOOM_API Value to_value(const Outcome& outcome, Size frame_size);
VIDLOOM_API Value to_value(const Report& report);
enum class OnFailure : std::uint8_t { raise, omit };
/// The predecessor's shape: objects, logos, text, scene, visual; best first, at most 5 logos.
/// `raise` throws the first stored Error; `omit` lists the failed analyses under "errors".
VIDLOOM_API Value to_legacy(const FrameResult& result, OnFailure on_failure = OnFailure::raise);

}  // namespace v0
}  // namespace vidloom
