#include <cli/tally.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace vidloom::cli {
namespace {

/// "1:19", "2:03:04"
std::string clock_text(double duration) {
  const auto whole = static_cast<std::int64_t>(std::max(0.0, std::round(duration)));
  if (whole >= 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

std::string times(double rate) { return fmt::format("{:.{}f} x real time", rate, rate < 10 ? 1 : 0); }

}  // namespace

void Tally::opened(std::size_t stream, std::optional<Nanos> length) {
  const std::lock_guard lock(mutex_);
  streams_[stream].length = length;
}

void Tally::add(std::size_t index, const FrameResult& result) {
  const std::lock_guard lock(mutex_);
  Stream& stream = streams_[index];
  const Nanos now = result.info.time.media_time;
  if (!stream.first) stream.first = now;
  stream.seen = std::max(stream.seen, now - *stream.first + result.info.duration);
  for (const auto& [name, outcome] : result.outcomes) {
    auto found = std::find_if(analyses_.begin(), analyses_.end(), [&name = name](const auto& entry) { return entry.first == name; });
    if (found == analyses_.end()) found = analyses_.insert(analyses_.end(), {name, Analysis{}});
    Analysis& analysis = found->second;
    ++analysis.answers;
    ++analysis.statuses[std::string(to_string(outcome.status()))];
    if (!outcome.answered()) {
      ++analysis.lost;
      if (analysis.first_error.empty())
        analysis.first_error = fmt::format("({}): {}", to_string(outcome.error().code), outcome.error().what());
      continue;
    }
    const Detections& detections = outcome.detections();
    std::set<std::string> here;
    const auto count = [&](std::int32_t id) {
      std::string label(detections.class_name(id));
      if (label.empty()) label = fmt::format("class {}", id);
      ++analysis.classes[label].detections;
      if (here.insert(label).second) ++analysis.classes[label].frames;
    };
    for (const std::int32_t id : detections.class_id) count(id);
    for (const Detections::Label& label : detections.labels) count(label.class_id);
  }
}

void Tally::finished(std::size_t index, const Report& report, const SourceStats& stats) {
  const std::lock_guard lock(mutex_);
  Stream& stream = streams_[index];
  stream.done = true;
  stream.seen = std::max(stream.seen, report.duration);
  stream.decoded = stats.decoded;
  stream.concealed = stats.concealed;
  stream.skipped = stats.skipped;
}

double Tally::media_seconds() const {
  double sum = 0;
  for (const Stream& stream : streams_) sum += seconds(stream.seen);
  return sum;
}

double Tally::wall_seconds() const { return std::max(1e-3, seconds(std::chrono::steady_clock::now() - began_)); }

std::string Tally::progress_line() const {
  const std::lock_guard lock(mutex_);
  const double seen = media_seconds(), rate = seen / wall_seconds();
  double length = 0;
  bool known = true;
  for (const Stream& stream : streams_) {
    if (stream.done)
      length += seconds(stream.seen);
    else if (stream.length)
      length += std::max(seconds(*stream.length), seconds(stream.seen));
    else
      known = false;
  }
  std::string line;
  if (known && length > 0) {
    line = fmt::format("{:3.0f} %  {} of {}  {}", 100 * seen / length, clock_text(seen), clock_text(length), times(rate));
    if (rate > 0) line += fmt::format("  {} left", clock_text((length - seen) / rate));
  } else {
    line = fmt::format("{}  {}", clock_text(seen), times(rate));
  }
  for (const auto& [name, analysis] : analyses_) {
    std::uint64_t found = 0;
    for (const auto& [label, entry] : analysis.classes) found += entry.detections;
    if (found > 0) line += fmt::format("  {}: {}", name, found);
    if (analysis.lost > 0) line += fmt::format("  {}: {} failed", name, analysis.lost);
  }
  return line;
}

std::string Tally::failures_locked() const {
  std::string text;
  for (const auto& [name, analysis] : analyses_) {
    if (analysis.lost > 0)
      text += fmt::format("vidloom: {} failed {} of {} {}\n", name, analysis.lost, analysis.answers, analysis.first_error);
  }
  return text;
}

std::string Tally::failures() const {
  const std::lock_guard lock(mutex_);
  return failures_locked();
}

bool Tally::any() const {
  const std::lock_guard lock(mutex_);
  return std::any_of(streams_.begin(), streams_.end(), [](const Stream& stream) { return stream.decoded > 0 || stream.first; });
}

bool Tally::failed() const {
  const std::lock_guard lock(mutex_);
  return std::any_of(analyses_.begin(), analyses_.end(), [](const auto& entry) { return entry.second.lost > 0; });
}

std::string Tally::summary(const std::vector<std::string>& files) const {
  const std::lock_guard lock(mutex_);
  std::uint64_t decoded = 0, concealed = 0, skipped = 0;
  for (const Stream& stream : streams_) {
    decoded += stream.decoded;
    concealed += stream.concealed;
    skipped += stream.skipped;
  }
  const double seen = media_seconds(), wall = wall_seconds();
  std::string text = fmt::format("{} frames, {:.1f} s of video in {:.1f} s: {}\n", decoded + skipped, seen, wall, times(seen / wall));
  if (skipped > 0) text += fmt::format("{} packets were not decoded: nothing needed their pictures\n", skipped);
  if (concealed > 0) text += fmt::format("{} frames were damaged\n", concealed);
  if (!analyses_.empty())
    text += fmt::format("{:<16} {:<28} {:<16} {:>10} {:>8}\n", "analysis", "answers", "class", "detections", "frames");
  for (const auto& [name, analysis] : analyses_) {
    std::string answers;
    for (const auto& [status, count] : analysis.statuses) answers += fmt::format("{}{} {}", answers.empty() ? "" : ", ", count, status);
    std::string head = fmt::format("{:<16} {:<28}", name, answers);
    if (analysis.classes.empty()) text += head.substr(0, head.find_last_not_of(' ') + 1) + '\n';
    for (const auto& [label, entry] : analysis.classes) {
      text += fmt::format("{} {:<16} {:>10} {:>8}\n", head, label, entry.detections, entry.frames);
      head.assign(head.size(), ' ');
    }
  }
  text += failures_locked();
  for (const std::string& file : files) text += fmt::format("wrote {}\n", file);
  return text;
}

}  // namespace vidloom::cli
