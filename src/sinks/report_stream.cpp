#include <sinks/report_stream.hpp>

#include <core/component.hpp>
#include <sinks/report_picture.hpp>
#include <vidloom/sinks/lines.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace vidloom {
inline namespace v0 {
namespace {

constexpr std::size_t longest_name = 80, longest_line = 400;

std::string shortened(std::string_view text, std::size_t longest) {
  if (text.size() <= longest) return std::string(text);
  std::size_t end = longest;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return std::string(text.substr(0, end)) + "\u2026";
}

std::string class_of(const Detections& found, std::int32_t id) {
  const std::string_view name = found.class_name(id);
  return name.empty() ? fmt::format("class {}", id) : shortened(name, longest_name);
}

std::int32_t class_id_at(const Detections& found, std::size_t row) { return row < found.class_id.size() ? found.class_id[row] : 0; }

/// "people: 2 person (0.97, 0.94) · motion: 3 regions": the readable line without its time, and without what each picture has.
std::string words_of(const FrameResult& result) {
  FrameResult part;
  part.info = result.info;
  for (const auto& entry : result.outcomes)
    if (entry.second.kind() != "visual" || !entry.second.answered()) part.outcomes.push_back(entry);
  const std::string line = to_line(part.outcomes.empty() ? result : part);
  std::string words = line.substr(std::min(line.find(" s") + 2, line.size()));
  words.erase(0, std::min(words.find_first_not_of(' '), words.size()));
  for (std::size_t at = words.find("   "); at != std::string::npos; at = words.find("   ", at)) words.replace(at, 3, " \u00b7 ");
  return shortened(words, longest_line);
}

/// How much a frame is worth a picture: several classes before many boxes, sure ones before doubtful ones.
double score_of(const FrameResult& result) {
  double score = 0.01;
  for (const auto& [name, outcome] : result.outcomes) {
    if (!outcome.answered()) {
      score += 0.5;
      continue;
    }
    const Detections& found = outcome.detections();
    const double weight = outcome.kind() == "motion" ? 0.1 : 1;
    std::set<std::int32_t> classes;
    for (std::size_t row = 0; row < std::min<std::size_t>(found.size(), ReportLimits::boxes); ++row) {
      const float confidence = row < found.confidence.size() ? found.confidence[row] : NAN;
      score += weight * (std::isnan(confidence) ? 0.5 : static_cast<double>(confidence));
      classes.insert(class_id_at(found, row));
    }
    score += weight * static_cast<double>(classes.size());
    float best = 0;
    for (const Detections::Label& label : found.labels) best = std::max(best, std::isnan(label.confidence) ? 0.0F : label.confidence);
    score += weight * static_cast<double>(best);
  }
  return score;
}

}  // namespace

void ReportBin::join(const ReportBin& later) {
  if (later.frames > 0 && (frames == 0 || later.most > most)) {
    most = later.most;
    peak = later.peak;
  }
  frames += later.frames;
  sum += later.sum;
}

ReportStream::ReportStream(const SourceInfo& about, Options options)
    : source(about), frame_size(about.size), pictures(options.moments), options_(std::move(options)) {
  if (!about.analyses.is_object()) return;
  for (const auto& [name, settings] : about.analyses.as_object()) {
    outcomes.emplace_back(name, ReportOutcomes{});
    bool knows = false;
    const Value& vocabulary = settings["vocabulary"];
    if (!options_.hidden.empty()) knows = !vocabulary.is_array() || vocabulary.size() == 0 || options_.hidden.contains("*");
    if (!knows && vocabulary.is_array()) {
      for (const Value& word : vocabulary.as_array()) knows = knows || (word.is_string() && options_.hidden.contains(word.as_string()));
    }
    if (knows) private_.insert(name);
  }
}

/// Where a picture stands in the film: timelines that begin anew follow on, as in the video sink.
Nanos ReportStream::placed(const FrameInfo& info) {
  const Nanos time = info.time.media_time;
  if (frames_seen == 0) {
    begin_ = film_begins_at_first ? time : film_start;
    offset_ = -begin_;
    epoch_ = info.epoch;
  }
  if (info.epoch != epoch_) offset_ = film_end_ - time;
  epoch_ = info.epoch;
  return std::max(time + offset_, Nanos{0});
}

std::size_t ReportStream::bin_of(Nanos film_time) {
  while (film_time / bin_width_ >= static_cast<std::int64_t>(2 * ReportLimits::bins)) join_bins();
  return static_cast<std::size_t>(film_time / bin_width_);
}

void ReportStream::join_bins() {
  bin_width_ *= 2;
  for (ReportRow& row : rows) {
    std::vector<ReportBin> joined((row.bins.size() + 1) / 2);
    for (std::size_t i = 0; i < row.bins.size(); ++i) joined[i / 2].join(row.bins[i]);
    row.bins = std::move(joined);
  }
}

std::size_t ReportStream::number_of(const std::string& analysis) const {
  const auto found = std::find_if(outcomes.begin(), outcomes.end(), [&](const auto& one) { return one.first == analysis; });
  return static_cast<std::size_t>(found - outcomes.begin());
}

std::size_t ReportStream::row_of(ReportRow::Kind kind, const std::string& analysis, std::string name, std::size_t colour) {
  const auto key = [&] { return std::pair(analysis, fmt::format("{}{}", static_cast<int>(kind), name)); };
  if (const auto found = row_numbers_.find(key()); found != row_numbers_.end()) return found->second;
  const bool of_classes = kind == ReportRow::Kind::boxes || kind == ReportRow::Kind::labels || kind == ReportRow::Kind::number;
  if (of_classes && rows.size() >= ReportLimits::rows && name != "all others") {
    ++rows_left_out;
    return row_of(kind, analysis, "all others", colour);
  }
  rows.push_back({.kind = kind, .analysis = analysis, .name = name, .colour = colour % 10});
  return row_numbers_[key()] = rows.size() - 1;
}

ReportMomentPtr ReportStream::moment_of(const FrameResult& result) {
  auto moment = std::make_shared<ReportMoment>();
  moment->media_time = result.info.time.media_time;
  moment->film_time = now_;
  moment->length = result.info.duration;
  moment->sequence = result.info.sequence;
  moment->epoch = result.info.epoch;
  moment->words = redact(words_of(result));
  if (result.info.health != Health::ok) {
    moment->words = fmt::format("damaged ({}){}{}", to_string(result.info.health), moment->words.empty() ? "" : " \u00b7 ", moment->words);
  }
  for (const auto& [name, outcome] : result.outcomes) {
    if (!outcome.answered()) continue;
    const Detections& found = outcome.detections();
    for (std::size_t row = 0; row < found.size() && moment->marks.size() < ReportLimits::boxes; ++row) {
      const std::int32_t id = class_id_at(found, row);
      const std::size_t number = row_of(ReportRow::Kind::boxes, name, class_of(found, id), number_of(name) * 3 + static_cast<std::size_t>(std::max(id, 0)));
      moment->marks.push_back({found.xyxy[row], number, row < found.confidence.size() ? found.confidence[row] : NAN});
    }
  }
  last_ = moment;
  return moment;
}

/// \param amount  how high the bin stands; the highest frame of a bin is its peak.
void ReportStream::count(std::size_t number, double amount, std::uint64_t found, const FrameResult& result, ReportMomentPtr& here) {
  const std::size_t index = bin_of(now_);
  const auto is_peak = [&] {
    const std::vector<ReportBin>& bins = rows[number].bins;
    return index >= bins.size() || bins[index].frames == 0 || amount > bins[index].most;
  };
  const bool peak = is_peak();
  if (peak && !here) here = moment_of(result);  // may add rows
  ReportRow& row = rows[number];
  if (index >= row.bins.size()) row.bins.resize(index + 1);
  ReportBin& bin = row.bins[index];
  if (peak) {
    bin.most = amount;
    bin.peak = here;
  }
  ++bin.frames;
  bin.sum += amount;
  row.most = row.frames == 0 ? amount : std::max(row.most, amount);
  row.least = row.frames == 0 ? amount : std::min(row.least, amount);
  ++row.frames;
  row.found += found;
}

void ReportStream::look_at(const std::string& name, const Outcome& outcome, const FrameResult& result, ReportMomentPtr& here) {
  const std::size_t number = number_of(name);
  if (number == outcomes.size()) outcomes.emplace_back(name, ReportOutcomes{});
  ReportOutcomes& counts = outcomes[number].second;
  counts.kind = outcome.kind();
  ++counts.answers;
  ++counts.statuses[std::string(to_string(outcome.status()))];
  counts.ran += outcome.trace().ran;
  counts.slowest = std::max(counts.slowest, outcome.trace().ran);
  if (!outcome.answered()) {
    ++counts.lost;
    const std::string reason = shortened(fmt::format("{}: {}", to_string(outcome.error().code), redact(outcome.error().what())), longest_line);
    const bool known = counts.reasons.contains(reason) || counts.reasons.size() < ReportLimits::reasons;
    ++counts.reasons[known ? reason : "other reasons"];
    return count(row_of(ReportRow::Kind::failed, name, std::string(to_string(outcome.status())), 2), 1, 1, result, here);
  }
  const Detections& found = outcome.detections();
  std::map<std::int32_t, std::pair<std::uint64_t, double>> boxes;  // class: how many, and a little for how sure they are
  for (std::size_t row = 0; row < found.size(); ++row) {
    auto& [many, sure] = boxes[class_id_at(found, row)];
    ++many;
    if (row < found.confidence.size() && !std::isnan(found.confidence[row])) sure = std::max(sure, static_cast<double>(found.confidence[row]));
  }
  for (const auto& [id, entry] : boxes) {
    const std::size_t row = row_of(ReportRow::Kind::boxes, name, class_of(found, id), number * 3 + static_cast<std::size_t>(std::max(id, 0)));
    count(row, static_cast<double>(entry.first) + std::min(entry.second, 1.0) * 0.5, entry.first, result, here);
  }
  for (const Detections::Label& label : found.labels) {
    const std::size_t row = row_of(ReportRow::Kind::labels, name, class_of(found, label.class_id), number * 3 + static_cast<std::size_t>(std::max(label.class_id, 0)));
    count(row, std::isnan(label.confidence) ? static_cast<double>(label.raw_score) : static_cast<double>(label.confidence), 1, result, here);
  }
  for (const Attribute& attribute : found.attributes) {
    if (const double* value = std::get_if<double>(&attribute.value); value && std::isfinite(*value)) {
      count(row_of(ReportRow::Kind::number, name, shortened(attribute.name, longest_name), number * 3 + 1), *value, 1, result, here);
    }
  }
}

/// Whether somebody who must not be seen may be anywhere in it: who knows them has not answered for this very picture.
bool ReportStream::hides_all(const FrameResult& result) const {
  return std::any_of(private_.begin(), private_.end(), [&](const std::string& name) {
    const Outcome* outcome = result.find(name);
    return !outcome || !outcome->answered();
  });
}

void ReportStream::keep_picture(const FrameResult& result, ReportMomentPtr& here) {
  if (!result.frame || result.outcomes.empty()) return;
  const double score = score_of(result);
  if (!pictures.wants(now_, score)) return;
  if (!here) here = moment_of(result);
  SmallPicture small(*result.frame, ReportLimits::picture);
  if (hides_all(result)) {
    small.hide_all();
  } else if (!private_.empty()) {
    for (const std::string& name : private_) {
      const Detections& found = result[name].detections();
      for (std::size_t row = 0; row < found.size(); ++row) {
        if (options_.hidden.contains("*") || options_.hidden.contains(found.class_name(class_id_at(found, row)))) small.hide(found.xyxy[row]);
      }
    }
  }
  pictures.keep(now_, score, {here, small.size(), small.jpeg()});
}

void ReportStream::add(const FrameResult& result) {
  const FrameInfo& info = result.info;
  now_ = placed(info);
  if (const ReportMomentPtr before = last_.lock(); before && now_ > before->film_time) {
    const Nanos stood = now_ - before->film_time;  // until this picture, or its own duration where pictures in between are not told
    before->length = before->length > Nanos{0} ? std::min(before->length, stood) : stood;
  }
  last_.reset();
  if (frames_seen++ == 0) {
    frame_size = result.frame_size;
    sample_aspect = info.sample_aspect;
    if (info.rotation_degrees % 180 != 0) std::swap(sample_aspect.num, sample_aspect.den);
  }
  film_end_ = std::max(film_end_, now_ + info.duration);
  if (!result.outcomes.empty()) ++analysed;
  ReportMomentPtr here;
  if (info.health != Health::ok) {
    ++damaged;
    count(row_of(ReportRow::Kind::damaged, "", std::string(to_string(info.health)), 8), 1, 1, result, here);
  }
  for (const auto& [name, outcome] : result.outcomes) look_at(name, outcome, result, here);
  keep_picture(result, here);
}

void ReportStream::note(const StreamEvent& event) {
  std::string text = event.kind == StreamEvent::Kind::new_epoch ? "the timeline begins anew" : event.kind == StreamEvent::Kind::gap ? "a gap" : "the format changes";
  if (!event.detail.empty()) text += ": " + shortened(redact(event.detail), longest_line);
  if (notes.size() < ReportLimits::notes) notes.push_back({film_end_, std::move(text)});
  else ++notes_left_out;
}

void ReportStream::end(const StreamEvent& event) { ending = event.data.is_object() ? event.data : Value::object().set("reason", event.detail); }

}  // namespace v0
}  // namespace vidloom
