#include <sinks/sinks.hpp>
#include <vidloom/sinks/lines.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <mutex>
#include <utility>

namespace vidloom {
inline namespace v0 {
namespace {

constexpr std::size_t shown = 5;  // scores, attributes or letters of a kind per line: a line stays one line

/// Text of a model, a picture or an error may hold anything: a terminal must not obey it.
std::string printable(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool c1 = byte == 0xC2 && i + 1 < text.size() && (static_cast<unsigned char>(text[i + 1]) & 0xE0U) == 0x80U;
    if (byte < 0x20 || byte == 0x7F || c1) {
      result += byte == '\n' ? ' ' : '?';
      if (c1) ++i;
    } else {
      result += text[i];
    }
  }
  return result;
}

std::string class_text(const Detections& found, std::int32_t id) {
  const std::string_view name = found.class_name(id);
  return name.empty() ? fmt::format("class {}", id) : printable(name);
}

std::string scores_text(std::vector<float> scores) {
  std::sort(scores.begin(), scores.end(), std::greater<>());
  std::string text;
  for (std::size_t i = 0; i < std::min(scores.size(), shown); ++i) text += fmt::format("{}{:.2f}", i == 0 ? "" : ", ", scores[i]);
  return scores.size() > shown ? text + ", ..." : text;
}

/// "2 person (0.97, 0.94), 1 dog (0.70)"
void add_boxes(const Detections& found, const std::string& kind, std::vector<std::string>& parts) {
  if (kind == "motion") {
    parts.push_back(fmt::format("{} {}", found.size(), found.size() == 1 ? "region" : "regions"));
    return;
  }
  std::map<std::string, std::pair<std::size_t, std::vector<float>>> classes;
  for (std::size_t row = 0; row < found.size(); ++row) {
    auto& [count, scores] = classes[row < found.class_id.size() ? class_text(found, found.class_id[row]) : std::string("box")];
    ++count;
    if (row < found.confidence.size() && !std::isnan(found.confidence[row])) scores.push_back(found.confidence[row]);
  }
  for (auto& [name, entry] : classes) {
    auto& [count, scores] = entry;
    parts.push_back(scores.empty() ? fmt::format("{} {}", count, name) : fmt::format("{} {} ({})", count, name, scores_text(scores)));
  }
  for (std::size_t row = 0; row < std::min(found.text.size(), shown); ++row) {
    if (!found.text[row].empty()) parts.push_back(fmt::format("\"{}\"", printable(found.text[row])));
  }
  if (found.size() == 0) parts.emplace_back("none");
}

void add_labels(const Detections& found, std::vector<std::string>& parts) {
  if (found.labels.empty()) parts.emplace_back("none");
  for (std::size_t i = 0; i < std::min(found.labels.size(), shown); ++i) {
    const Detections::Label& label = found.labels[i];
    const float score = std::isnan(label.confidence) ? label.raw_score : label.confidence;
    const std::string name = class_text(found, label.class_id);
    parts.push_back(std::isnan(score) ? name : fmt::format("{} {:.2f}", name, score));
  }
}

std::string attribute_text(const Attribute& attribute) {
  std::string name = printable(attribute.name);
  const auto short_name = [&name](std::string_view ending) {
    if (name.size() > ending.size() && name.ends_with(ending)) name.resize(name.size() - ending.size());
  };
  if (const auto* number = std::get_if<double>(&attribute.value)) {
    if (name == "moving_fraction") return fmt::format("{:.1f} % moving", *number * 100);
    short_name("_level");
    return fmt::format("{} {:.2f}{}{}", name, *number, attribute.unit.empty() ? "" : " ", printable(attribute.unit));
  }
  if (const auto* text = std::get_if<std::string>(&attribute.value)) return fmt::format("{} {}", name, printable(*text));
  const auto& numbers = std::get<std::vector<double>>(attribute.value);
  if (name == "dominant_colors" && attribute.columns == 3) {
    std::string colours = "colors";
    for (std::size_t i = 0; i + 2 < numbers.size(); i += 3) {
      colours += " #";
      for (std::size_t c = 0; c < 3; ++c) {
        const double value = std::isnan(numbers[i + c]) ? 0.0 : std::clamp(numbers[i + c], 0.0, 255.0);
        colours += fmt::format("{:02x}", static_cast<int>(value));
      }
    }
    return colours;
  }
  std::string text = name;
  for (std::size_t i = 0; i < std::min(numbers.size(), shown); ++i) text += fmt::format(" {:.2f}", numbers[i]);
  return numbers.size() > shown ? text + " ..." : text;
}

std::string outcome_text(const Outcome& outcome) {
  if (!outcome.answered()) {
    return fmt::format("{} ({}): {}", to_string(outcome.status()), to_string(outcome.error().code), printable(outcome.error().what()));
  }
  const Detections& found = outcome.detections();
  std::vector<std::string> parts;
  if (outcome.lists.detections || found.size() > 0) add_boxes(found, outcome.kind(), parts);
  if (outcome.lists.labels || !found.labels.empty()) add_labels(found, parts);
  for (const Attribute& attribute : found.attributes) parts.push_back(attribute_text(attribute));
  if (!found.embedding.empty()) parts.push_back(fmt::format("embedding of {}", found.embedding.size()));
  std::string text = fmt::format("{}", fmt::join(parts, ", "));
  if (outcome.status() != Outcome::Status::ok) text += fmt::format(" ({})", to_string(outcome.status()));
  return text;
}

class Lines final : public Sink {
 public:
  Lines(std::function<void(std::string_view)> write, bool stream_names) : write_(std::move(write)), stream_names_(stream_names) {}

  void open(StreamId stream, const SourceInfo& source) override {
    const std::lock_guard lock(mutex_);
    names_[stream] = source.stream;
  }
  void write(const FrameResult& result) override { put(result.stream, to_line(result)); }
  void event(StreamId stream, const StreamEvent& event) override {
    if (event.kind == StreamEvent::Kind::ended) return;
    std::string_view word = "gap";
    if (event.kind == StreamEvent::Kind::new_epoch) word = "new epoch";
    if (event.kind == StreamEvent::Kind::format_change) word = "format change";
    std::string name;
    {
      const std::lock_guard lock(mutex_);
      if (const auto found = names_.find(stream); found != names_.end()) name = found->second;
    }
    put(name, fmt::format("           [{}] {}", word, printable(event.detail)));
  }
  void close(StreamId stream) noexcept override {
    const std::lock_guard lock(mutex_);
    names_.erase(stream);
  }

 private:
  void put(const std::string& stream, const std::string& text) {
    write_(stream_names_ ? fmt::format("{:<12} {}\n", printable(stream), text) : text + '\n');
  }

  const std::function<void(std::string_view)> write_;
  const bool stream_names_;
  std::mutex mutex_;  ///< guards names_
  std::map<StreamId, std::string> names_;
};

}  // namespace

std::string to_line(const FrameResult& result) {
  std::string line = fmt::format("{:>7.2f} s", seconds(result.info.time.media_time));
  bool first = true;
  for (const auto& [name, outcome] : result.outcomes) {
    line += std::exchange(first, false) ? "  " : "   ";
    line += fmt::format("{}: {}", printable(name), outcome_text(outcome));
  }
  return line;
}

std::unique_ptr<Sink> make_lines(std::function<void(std::string_view)> write, bool stream_names) {
  if (!write) throw Error(Code::config, "lines: write is empty; give a function that takes a line");
  return std::make_unique<Lines>(std::move(write), stream_names);
}

std::shared_ptr<Sink> lines(std::function<void(std::string_view)> write, bool stream_names) {
  return make_lines(std::move(write), stream_names);
}

}  // namespace v0
}  // namespace vidloom
