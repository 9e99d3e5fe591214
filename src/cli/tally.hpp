#pragma once
/// Counts of a whole `analyze` command, and how they read: the progress line while it runs, the summary at its end.

#include <vidloom/analyzer.hpp>

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace vidloom::cli {

/// Thread-safe: a thread per source adds to it.
class Tally {
 public:
  explicit Tally(std::size_t streams) : streams_(streams), began_(std::chrono::steady_clock::now()) {}

  /// \param length  of the part to be analysed, if it is known.
  void opened(std::size_t stream, std::optional<Nanos> length);
  void add(std::size_t stream, const FrameResult& result);
  void finished(std::size_t stream, const Report& report, const SourceStats& stats);

  /// " 45 %  0:35 of 1:19  6.7 x real time  0:07 left  people: 123"
  std::string progress_line() const;
  /// A table of answers and classes, one line per thing that failed.
  std::string summary(const std::vector<std::string>& files) const;
  /// "people failed 9 of 159 (deadline): no answer in 20 s", one line per analysis with failures; "": none.
  std::string failures() const;
  /// \return whether a picture was seen.
  bool any() const;
  /// \return whether an answer failed or was dropped.
  bool failed() const;

 private:
  struct Stream {
    std::optional<Nanos> length{};
    std::optional<Nanos> first{};
    Nanos seen{};
    std::uint64_t decoded = 0, concealed = 0, skipped = 0;
    bool done = false;
  };
  struct Class {
    std::uint64_t detections = 0, frames = 0;
  };
  struct Analysis {
    std::map<std::string, std::uint64_t> statuses{};
    std::map<std::string, Class> classes{};
    std::uint64_t answers = 0, lost = 0;
    std::string first_error{};
  };
  double media_seconds() const;
  double wall_seconds() const;
  std::string failures_locked() const;

  mutable std::mutex mutex_;
  std::vector<Stream> streams_;
  std::vector<std::pair<std::string, Analysis>> analyses_;  ///< in order of appearance
  const SteadyTime began_;
};

}  // namespace vidloom::cli
