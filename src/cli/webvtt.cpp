// WebVTT: a cue for as long as an analysis answers the same. Each analysis has cues of its own, since each has its own `every`: what
// people said at 0 s holds until people is asked again, however many frames motion looks at in between.
#include <cli/formats.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

namespace vidloom::cli {
namespace {

/// Cue text as the browsers' parser takes it: no mark-up, no line that would end the cue.
std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&': result += "&amp;"; break;
      case '<': result += "&lt;"; break;
      case '>': result += "&gt;"; break;
      default: result += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return result;
}

std::string timestamp(std::int64_t ms) {
  return fmt::format("{:02}:{:02}:{:02}.{:03}", ms / 3'600'000, ms / 60'000 % 60, ms / 1000 % 60, ms % 1000);
}

std::int64_t milliseconds(double seconds) {
  constexpr double largest = 1e12;  // thirty years
  return std::llround(std::clamp(seconds * 1000, -largest, largest));
}

/// "" when nothing was found: silence is said by there being no cue, and "not known" is never silence.
std::string text_of(const Answer& answer) {
  if (answer.error) return fmt::format("{}: not known ({})", escaped(answer.analysis), to_string(answer.error->code));
  std::vector<std::pair<std::string, std::size_t>> counts;  // in the order of their first appearance
  std::string parts;
  const auto add = [&parts](const std::string& part) { parts += (parts.empty() ? "" : ", ") + part; };
  for (const Found& found : answer.detections) {
    const std::string name = found.text ? fmt::format("\"{}\"", *found.text) : class_of(found, answer);
    const auto known = std::ranges::find(counts, name, &std::pair<std::string, std::size_t>::first);
    if (known == counts.end())
      counts.emplace_back(name, 1);
    else
      ++known->second;
  }
  std::ranges::sort(counts);  // detections come best first: their order alone must not begin a new cue
  for (const auto& [name, count] : counts) add(count == 1 ? escaped(name) : fmt::format("{} x {}", escaped(name), count));
  std::vector<std::string> labels;
  for (const Found& label : answer.labels) labels.push_back(class_of(label, answer));
  std::ranges::sort(labels);
  for (const std::string& label : labels) add(escaped(label));
  return parts.empty() ? "" : fmt::format("{}: {}", escaped(answer.analysis), parts);
}

class WebVtt final : public Format {
 public:
  WebVtt(OutputFile& out, const ResultsFile& results) : out_(out), results_(results) { out_.write("WEBVTT\n"); }

  void add(const RecordedFrame& frame) override {
    for (const Answer& answer : frame.answers) {
      Open& open = open_[answer.analysis];
      const std::int64_t now = milliseconds(frame.media_time);
      if (open.any && open.epoch != frame.epoch) {  // its clock is another one
        close(answer.analysis, open, std::nullopt);
        open = Open{};
      }
      std::string text = text_of(answer);
      if (open.any) open.interval = now - open.last;
      if (!open.any || text != open.text) {
        if (open.any) close(answer.analysis, open, now);
        open.text = std::move(text);
        open.begin = now;
      }
      open.any = true;
      open.epoch = frame.epoch;
      open.last = now;
    }
  }

  void finish() override {
    for (auto& [analysis, open] : open_) close(analysis, open, std::nullopt);
    std::ranges::stable_sort(cues_, {}, &Cue::begin);
    for (const Cue& cue : cues_) out_.write(fmt::format("\n{} --> {}\n{}\n", timestamp(cue.begin), timestamp(cue.end), cue.text));
  }

 private:
  struct Cue {
    std::int64_t begin, end;
    std::string text;
  };
  struct Open {
    bool any = false;
    std::int64_t epoch = 0, begin = 0, last = 0, interval = 0;
    std::string text{};
  };

  /// \param end  of the next record; nothing: there is none, so the last answer holds as long as the one before it did
  void close(const std::string& analysis, const Open& open, std::optional<std::int64_t> end) {
    if (open.text.empty()) return;
    if (!end) end = open.last + (open.interval > 0 ? open.interval : milliseconds(every(analysis)));
    const std::int64_t begin = std::max<std::int64_t>(open.begin, 0);  // WebVTT has no time before 0
    if (*end > 0) cues_.push_back({begin, std::max(*end, begin + 1), open.text});
  }

  double every(const std::string& analysis) const {
    const auto started = std::ranges::find(results_.started(), analysis, &StartedAnalysis::analysis);
    return started != results_.started().end() && started->every ? *started->every : 1.0;
  }

  OutputFile& out_;
  const ResultsFile& results_;
  std::map<std::string, Open> open_;
  std::vector<Cue> cues_;
};

}  // namespace

std::unique_ptr<Format> make_webvtt(OutputFile& out, const ResultsFile& results) { return std::make_unique<WebVtt>(out, results); }

}  // namespace vidloom::cli
