#include <cli/truth.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <iterator>
#include <set>
#include <system_error>

namespace vidloom::cli {
namespace {

/// Reads one file, so that every message can say where it stands.
class Reader {
 public:
  explicit Reader(std::string path) : path_(std::move(path)) {}

  Truth read() {
    std::ifstream file(path_, std::ios::binary);
    if (!file) refuse(std::string(std::generic_category().message(errno)));
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (file.bad()) refuse("cannot be read");
    Value all;
    try {
      all = Value::parse(text);
    } catch (const Error& error) {
      refuse(error.what());
    }
    for (const char* key : {"images", "annotations", "categories"}) {
      if (!all[key].is_array()) refuse(fmt::format("is no COCO file: it has no list \"{}\"", key));
    }
    each(all, "categories", [this](const Value& value) { category(value); });
    each(all, "images", [this](const Value& value) { image(value); });
    each(all, "annotations", [this](const Value& value) { annotation(value); });
    truth_.path = path_;
    std::ranges::sort(truth_.images, {}, &TruthImage::id);
    return std::move(truth_);
  }

 private:
  [[noreturn]] void refuse(const std::string& problem) const { throw Error(Code::config, fmt::format("--truth {}: {}", path_, problem)); }

  template <class Take>
  void each(const Value& all, std::string_view key, const Take& take) {
    std::size_t i = 0;
    for (const Value& value : all[key].as_array()) {
      try {
        take(value);
      } catch (const Error& error) {
        refuse(fmt::format("{}[{}]: {}", key, i, error.what()));
      }
      ++i;
    }
  }

  static std::int64_t integer(const Value& value, std::string_view key) {
    if (value[key].is_null()) throw Error(Code::config, fmt::format("has no {}", key));
    try {
      return value[key].as_integer();
    } catch (const Error& error) {
      throw Error(Code::config, fmt::format("{}: {}", key, error.what()));
    }
  }
  static std::optional<std::int64_t> maybe_integer(const Value& value, std::string_view key) {
    return value[key].is_null() ? std::nullopt : std::optional(integer(value, key));
  }

  void category(const Value& value) {
    if (!value["name"].is_string()) throw Error(Code::config, "has no name");
    const std::string& name = value["name"].as_string();
    if (!classes_.emplace(integer(value, "id"), name).second)
      throw Error(Code::config, fmt::format("id {} stands twice", integer(value, "id")));
    if (std::ranges::find(truth_.classes, name) == truth_.classes.end()) truth_.classes.push_back(name);
  }

  const std::string& class_of(const Value& value) const {
    const auto found = classes_.find(integer(value, "category_id"));
    if (found == classes_.end())
      throw Error(Code::config, fmt::format("category_id {} is none of the categories", integer(value, "category_id")));
    return found->second;
  }

  void image(const Value& value) {
    TruthImage image{.id = integer(value, "id")};
    if (!places_.emplace(image.id, truth_.images.size()).second) throw Error(Code::config, fmt::format("id {} stands twice", image.id));
    if (value["file_name"].is_string()) image.file_name = value["file_name"].as_string();
    image.epoch = maybe_integer(value, "epoch");
    image.sequence = maybe_integer(value, "sequence");
    image.pts = maybe_integer(value, "pts");
    if (value["stream"].is_string()) image.stream = value["stream"].as_string();
    if (value["media_time"].is_number()) image.media_time = value["media_time"].as_real();
    if (value["time_base"].is_array()) image.time_base = {value["time_base"].at(0).as_integer(), value["time_base"].at(1).as_integer()};
    if (!image.pts && !image.media_time && !image.sequence) read_name(image);
    if (value["labels"].is_array()) {
      for (const Value& label : value["labels"].as_array()) add_label(image, class_of(label), ignored(label));
    }
    truth_.images.push_back(std::move(image));
  }

  /// "folder/street_0_000045.png": stream, epoch, sequence, in the manner of image_name().
  static void read_name(TruthImage& image) {
    std::string_view stem = image.file_name;
    stem.remove_prefix(stem.find_last_of("/\\") + 1);  // npos + 1 is 0
    stem = stem.substr(0, stem.rfind('.'));
    const auto number = [&stem]() -> std::optional<std::int64_t> {
      const std::size_t bar = stem.rfind('_');
      if (bar == std::string_view::npos) return std::nullopt;
      std::int64_t value = 0;
      const std::string_view digits = stem.substr(bar + 1);
      const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
      if (error != std::errc{} || end != digits.data() + digits.size() || value < 0) return std::nullopt;
      stem = stem.substr(0, bar);
      return value;
    };
    const auto sequence = number();
    const auto epoch = number();
    if (!sequence || !epoch) return;
    image.sequence = sequence;
    image.epoch = epoch;
    image.stream = std::string(stem);
  }

  static bool ignored(const Value& value) {
    const auto flag = [&value](std::string_view key) {
      const Value& mark = value[key];
      return mark.is_bool() ? mark.as_bool() : mark.is_number() && mark.as_real() != 0;
    };
    return flag("ignore") || flag("iscrowd");
  }

  void add_label(TruthImage& image, const std::string& name, bool ignored) {
    const auto [place, is_new] = image.labels.emplace(name, ignored);
    place->second = place->second && ignored;
    if (is_new) ++truth_.labels[name];
  }

  void annotation(const Value& value) {
    const auto place = places_.find(integer(value, "image_id"));
    if (place == places_.end()) throw Error(Code::config, fmt::format("image_id {} is none of the images", integer(value, "image_id")));
    TruthImage& image = truth_.images[place->second];
    const std::string& name = class_of(value);
    const Value& box = value["bbox"];
    if (box.is_null() || (box.is_array() && box.size() == 0)) return add_label(image, name, ignored(value));
    if (box.size() != 4) throw Error(Code::config, fmt::format("bbox has {} numbers; 4 are needed: x, y, width, height", box.size()));
    TruthBox truth{.ignored = ignored(value)};
    for (std::size_t i = 0; i < 4; ++i) truth.box[i] = box.at(i).as_real();
    if (!(truth.box[2] >= 0 && truth.box[3] >= 0))
      throw Error(Code::config, "bbox is x, y, width, height, and one of its sides is negative");
    const Value& crowd = value["iscrowd"];
    truth.crowd = crowd.is_bool() ? crowd.as_bool() : crowd.is_number() && crowd.as_real() != 0;
    image.boxes[name].push_back(truth);
    ++truth_.boxes[name];
  }

  const std::string path_;
  Truth truth_{};
  std::map<std::int64_t, std::string> classes_;
  std::map<std::int64_t, std::size_t> places_;
};

/// As image_name() writes a stream's name.
std::string in_file_names(std::string stream) {
  for (char& c : stream) {
    if (c == '/' || c == '\\' || static_cast<unsigned char>(c) < 0x20) c = '-';
  }
  return stream;
}

class Tying {
 public:
  Tying(const Truth& truth, const std::vector<RecordedFrame>& frames) : frames_(frames) {
    std::set<std::string> ours, theirs;
    for (std::size_t i = 0; i < frames.size(); ++i) {
      ours.insert(frames[i].stream);
      by_pts_.emplace(frames[i].pts, i);
      by_time_.emplace(frames[i].media_time, i);
      by_sequence_.emplace(frames[i].sequence, i);
    }
    for (const TruthImage& image : truth.images) {
      if (image.stream) theirs.insert(*image.stream);
    }
    compare_streams_ = ours.size() > 1 || theirs.size() > 1;
  }

  std::vector<std::size_t> candidates(const TruthImage& image) const {
    if (image.pts) {
      const auto range = by_pts_.equal_range(*image.pts);
      std::vector<std::size_t> found = fitting(image, range.first, range.second, true);
      if (!found.empty() || !image.media_time) return found;
    }
    if (image.media_time) {
      constexpr double half_ms = 0.0005;
      return fitting(image, by_time_.lower_bound(*image.media_time - half_ms), by_time_.upper_bound(*image.media_time + half_ms), false);
    }
    if (!image.sequence) return {};
    const auto range = by_sequence_.equal_range(*image.sequence);
    return fitting(image, range.first, range.second, false);
  }

 private:
  template <class Iterator>
  std::vector<std::size_t> fitting(const TruthImage& image, Iterator begin, Iterator end, bool same_base) const {
    std::vector<std::size_t> found;
    for (; begin != end; ++begin) {
      const RecordedFrame& frame = frames_[begin->second];
      if (image.epoch && *image.epoch != frame.epoch) continue;
      if (same_base && image.time_base && *image.time_base != std::pair(frame.time_base_num, frame.time_base_den)) continue;
      if (compare_streams_ && image.stream && in_file_names(*image.stream) != in_file_names(frame.stream)) continue;
      found.push_back(begin->second);
    }
    return found;
  }

  const std::vector<RecordedFrame>& frames_;
  std::multimap<std::int64_t, std::size_t> by_pts_, by_sequence_;
  std::multimap<double, std::size_t> by_time_;
  bool compare_streams_ = false;
};

}  // namespace

Truth read_truth(const std::string& path) { return Reader(path).read(); }

Tally::Presence presence(const std::string& name, const TruthImage& image) {
  bool ignored = false;
  if (const auto label = image.labels.find(name); label != image.labels.end()) {
    if (!label->second) return Tally::Presence::yes;
    ignored = true;
  }
  if (const auto boxes = image.boxes.find(name); boxes != image.boxes.end()) {
    if (!std::ranges::all_of(boxes->second, &TruthBox::ignored)) return Tally::Presence::yes;
    ignored = true;
  }
  return ignored ? Tally::Presence::ignored : Tally::Presence::no;
}

Ties tie(const Truth& truth, const std::vector<RecordedFrame>& frames) {
  const Tying tying(truth, frames);
  Ties ties;
  std::map<std::size_t, std::size_t> image_of;
  for (std::size_t i = 0; i < truth.images.size(); ++i) {
    const std::vector<std::size_t> candidates = tying.candidates(truth.images[i]);
    ties.frame.push_back(candidates.size() == 1 ? std::optional(candidates.front()) : std::nullopt);
    if (candidates.empty()) ties.without_frame.push_back(i);
    if (candidates.size() > 1) ties.ambiguous.push_back(i);
    if (candidates.size() != 1) continue;
    const auto [place, is_new] = image_of.emplace(candidates.front(), i);
    if (!is_new) {
      throw Error(Code::config, fmt::format("--truth {}: the images {} and {} are the same frame, at {} s; keep one of them", truth.path,
                                            truth.images[place->second].id, truth.images[i].id, frames[candidates.front()].media_time));
    }
  }
  ties.frames_without_image = frames.size() - image_of.size();
  return ties;
}

}  // namespace vidloom::cli
