#pragma once
/// What a report remembers of one stream: timelines in a fixed number of bins, the best moments, counts of all that failed.

#include <top_moments.hpp>
#include <vidloom/sink.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace vidloom {
inline namespace v0 {

/// Note [Bounds of a report]
/// Nothing grows with the film: a row has at most 2 * bins bins, which are joined two by two when the film outgrows them; a bin
/// remembers one frame, its peak. The numbers are in docs/how_to/report.md; change both.
struct ReportLimits {
  static constexpr std::size_t bins = 160, rows = 40, boxes = 64, reasons = 20, notes = 50, moments_of_a_page = 240;
  static constexpr int picture = 320;  ///< longer side of a moment's picture, pixels
};

/// A frame that something on the page stands for.
struct ReportMoment {
  struct Mark {
    Box box;  ///< display pixels
    std::size_t row;
    float confidence;
  };
  Nanos media_time{}, film_time{}, length{};  ///< film_time: since the first picture; length: how long it stands
  std::uint64_t sequence = 0;
  std::uint32_t epoch = 0;
  std::vector<Mark> marks{};
  std::string words{};  ///< what was found, as one readable line without its time
};
using ReportMomentPtr = std::shared_ptr<ReportMoment>;

struct ReportBin {
  std::uint64_t frames = 0;
  double most = 0, sum = 0;
  ReportMomentPtr peak{};
  void join(const ReportBin& later);
};

struct ReportRow {
  enum class Kind : std::uint8_t { boxes, labels, number, failed, damaged } kind = Kind::boxes;
  std::string analysis{}, name{};
  std::size_t colour = 0;       ///< of the ten that annotated video uses
  std::uint64_t frames = 0, found = 0;
  double most = 0, least = 0;
  std::vector<ReportBin> bins{};
};

struct ReportOutcomes {
  std::map<std::string, std::uint64_t> statuses{};
  std::map<std::string, std::uint64_t> reasons{};  ///< of failed and dropped ones: "deadline: no answer ..."
  std::uint64_t answers = 0, lost = 0;
  Nanos ran{}, slowest{};
  std::string kind{};
};

struct ReportPicture {
  ReportMomentPtr moment;
  Size size;
  std::vector<std::byte> jpeg;
};

/// One thread at a time.
class ReportStream {
 public:
  struct Options {
    std::size_t moments = 24;
    std::set<std::string, std::less<>> hidden{};  ///< classes that must not be seen
  };
  ReportStream(const SourceInfo& source, Options options);

  void add(const FrameResult& result);
  void note(const StreamEvent& event);
  void end(const StreamEvent& event);

  struct Note {
    Nanos film_time;
    std::string text;
  };
  const SourceInfo source;
  Value ending{};                ///< of the `end` record; null: under way
  Size frame_size{};
  Rational sample_aspect{1, 1};  ///< as shown
  std::vector<std::pair<std::string, ReportOutcomes>> outcomes{};  ///< by analysis, in the order of the settings
  std::vector<ReportRow> rows{};
  std::vector<Note> notes{};
  std::uint64_t notes_left_out = 0, analysed = 0, frames_seen = 0, damaged = 0, rows_left_out = 0;
  TopMoments<ReportPicture> pictures;
  std::string video{};           ///< URL from the page; "": none
  bool film_begins_at_first = true;  ///< film time 0 is the first picture's; false: the media time of its first picture is `film_start`
  Nanos film_start{};

  Nanos bin_width() const noexcept { return bin_width_; }
  Nanos film_end() const noexcept { return film_end_; }
  /// Media time at the film's beginning.
  Nanos begin() const noexcept { return begin_; }

 private:
  Nanos placed(const FrameInfo& info);
  std::size_t bin_of(Nanos film_time);
  void join_bins();
  std::size_t row_of(ReportRow::Kind kind, const std::string& analysis, std::string name, std::size_t colour);
  void count(std::size_t row, double amount, std::uint64_t found, const FrameResult& result, ReportMomentPtr& here);
  void look_at(const std::string& name, const Outcome& outcome, const FrameResult& result, ReportMomentPtr& here);
  ReportMomentPtr moment_of(const FrameResult& result);
  void keep_picture(const FrameResult& result, ReportMomentPtr& here);
  bool hides_all(const FrameResult& result) const;
  std::size_t number_of(const std::string& analysis) const;

  const Options options_;
  std::set<std::string> private_;  ///< analyses that know a hidden class
  std::map<std::pair<std::string, std::string>, std::size_t> row_numbers_;
  Nanos bin_width_ = std::chrono::milliseconds(10);
  Nanos film_end_{}, now_{}, begin_{};
  std::uint32_t epoch_ = 0;
  Nanos offset_{};  ///< media_time + offset_ is film time
  std::weak_ptr<ReportMoment> last_;
};

}  // namespace v0
}  // namespace vidloom
