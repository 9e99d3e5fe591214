#pragma once
/// Reads what `analyze --jsonl` wrote: the frames of a results file, one at a time, from a file, a pipe or standard input.
///
/// Lines of schema vidloom/report/v1 give their frames as well. Everything a later program may have added is passed over.

#include <vidloom/core/value.hpp>
#include <vidloom/results.hpp>

#include <array>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace vidloom::cli {

/// A detection or, without a box, a label of the whole picture. Numbers that the record has not are NaN.
struct Found {
  std::optional<std::int64_t> class_id{}, tracker_id{};
  std::optional<std::string> class_name{}, text{};
  double confidence = std::numeric_limits<double>::quiet_NaN(), raw_score = confidence;
  std::array<double, 4> xyxy{}, xyxyn{};  ///< zeros for labels; xyxyn is what the record says, or xyxy over the frame's size
  std::vector<double> polygon{};          ///< x0, y0, x1, y1, ...
};

/// What one analysis said of one frame.
struct Answer {
  std::string analysis{}, kind{};
  std::optional<Error> error{};  ///< set: dropped or failed, and nothing below is known
  bool lists_detections = false, lists_labels = false;
  std::vector<Found> detections{}, labels{};
  Value attributes{};
};

struct RecordedFrame {
  std::string stream{};
  std::int64_t epoch = 0, sequence = 0, pts = 0, time_base_num = 0, time_base_den = 1;
  double media_time = 0;  ///< seconds
  Size size{};
  std::vector<Answer> answers{};

  const Answer* find(std::string_view analysis) const noexcept;
};

/// What a `start` record says of one analysis of a stream.
struct StartedAnalysis {
  std::string stream{}, analysis{};
  std::optional<double> every{};
  std::vector<std::string> vocabulary{};
};

/// The name a class goes by in tables: its own, else "class 7", else the analysis' name.
std::string class_of(const Found& found, const Answer& answer);

/// The FrameResult of a record, as exact as its rounded numbers are; for to_legacy().
FrameResult to_frame_result(const RecordedFrame& frame);

class ResultsFile {
 public:
  /// \param path  "-" is standard input
  /// \param only_stream  frames of other streams are passed over; nothing: all
  /// \param only_analyses  answers of others are passed over; empty: all
  /// \param poll  null, or called at least every 50 ms while nothing comes; may throw to leave
  /// Throws Error(source) when the file cannot be opened.
  ResultsFile(std::string path, std::optional<std::string> only_stream, std::vector<std::string> only_analyses, std::stop_token stop,
              void (*poll)());
  ResultsFile(const ResultsFile&) = delete;
  ResultsFile& operator=(const ResultsFile&) = delete;
  ~ResultsFile();

  /// \return the next frame; nothing at the end of the file or after a stop.
  /// Throws Error(decode) naming the line where this is no results file or a record is not what the schema says.
  std::optional<RecordedFrame> next();

  const std::string& path() const noexcept { return path_; }
  /// Analyses that the `start` records read so far name, in their order.
  const std::vector<StartedAnalysis>& started() const noexcept { return started_; }
  /// Streams of the frames and starts seen so far, passed-over ones included.
  const std::vector<std::string>& streams() const noexcept { return streams_; }
  /// Bytes of a last line that breaks off, as a machine that lost power leaves it; 0: none.
  std::size_t torn() const noexcept { return torn_; }
  /// Throws Error(config) for a stream or an analysis that was asked for and that the whole file, read by now, does not have.
  void check_wanted() const;

 private:
  bool fill();
  std::optional<std::string> line();
  void take(const std::string& text);
  void take_frame(const Value& record);
  void take_start(const Value& record);
  void note_stream(const std::string& stream);

  const std::string path_, name_;
  const std::optional<std::string> only_stream_;
  const std::vector<std::string> only_analyses_;
  const std::stop_token stop_;
  void (*const poll_)();
  int descriptor_ = -1;
  bool ended_ = false, any_ = false;
  std::size_t number_ = 0;  ///< of the line read last, from 1
  std::string buffer_{};
  std::size_t begin_ = 0;  ///< of what is unread in buffer_
  std::size_t searched_ = 0;
  std::deque<RecordedFrame> waiting_{};
  std::vector<StartedAnalysis> started_{};
  std::vector<std::string> streams_{}, analyses_{};
  std::size_t torn_ = 0;
};

}  // namespace vidloom::cli
