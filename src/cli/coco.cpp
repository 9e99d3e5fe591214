// COCO's object detection format, as pycocotools, CVAT and FiftyOne read it. What it has no key for stands under keys of our own,
// which readers pass over.
#include <cli/formats.hpp>
#include <vidloom/core/version.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace vidloom::cli {
namespace {

/// Pixels as records have them: two decimals, and whole where they are whole.
Value pixels(double number) {
  const double value = std::round(number * 100) / 100 + 0.0;
  return std::trunc(value) == value && std::abs(value) < 1e15 ? Value(static_cast<std::int64_t>(value)) : Value(value);
}

/// The shoelace formula.
double area_of(const std::vector<double>& polygon) {
  double twice = 0;
  const std::size_t points = polygon.size() / 2;
  for (std::size_t i = 0; i < points; ++i) {
    const std::size_t next = (i + 1) % points;
    twice += polygon[2 * i] * polygon[2 * next + 1] - polygon[2 * next] * polygon[2 * i + 1];
  }
  return std::abs(twice) / 2;
}

class Coco final : public Format {
 public:
  Coco(OutputFile& out, const ResultsFile& results) : out_(out), results_(results) {
    Value info = Value::object();
    info.set("description", "results of Vidloom").set("version", version());
    out_.write(fmt::format("{{\"info\": {},\n\"images\": [", info.dump()));
  }

  void add(const RecordedFrame& frame) override {
    ++images_;
    Value image = Value::object();
    image.set("id", images_).set("file_name", image_name(frame)).set("width", frame.size.width).set("height", frame.size.height);
    image.set("stream", frame.stream).set("epoch", frame.epoch).set("sequence", frame.sequence).set("pts", frame.pts);
    image.set("time_base", Value::Array{frame.time_base_num, frame.time_base_den}).set("media_time", frame.media_time);
    Value labels = Value::array(), unanswered = Value::object();
    for (const Answer& answer : frame.answers) {
      if (answer.error) unanswered.set(answer.analysis, to_string(answer.error->code));
      for (const Found& found : answer.detections) add(found, answer);
      for (const Found& label : answer.labels) {
        Value entry = Value::object();
        entry.set("category_id", category(class_of(label, answer), answer.kind)).set("analysis", answer.analysis);
        if (std::isfinite(label.confidence)) entry.set("score", label.confidence);
        labels.push_back(std::move(entry));
      }
    }
    if (labels.size() > 0) image.set("labels", std::move(labels));
    if (unanswered.size() > 0) image.set("unanswered", std::move(unanswered));
    out_.write(fmt::format("{}\n{}", images_ == 1 ? "" : ",", image.dump()));
  }

  void finish() override {
    for (const StartedAnalysis& analysis : results_.started()) {  // also what was looked for and never seen
      for (const std::string& name : analysis.vocabulary) category(name, "");
    }
    out_.write(fmt::format("\n],\n\"annotations\": [{}\n],\n\"categories\": [", annotations_));
    for (std::size_t i = 0; i < categories_.size(); ++i) {
      Value entry = Value::object();
      entry.set("id", static_cast<std::int64_t>(i + 1)).set("name", categories_[i].name).set("supercategory", categories_[i].kind);
      out_.write(fmt::format("{}\n{}", i == 0 ? "" : ",", entry.dump()));
    }
    out_.write("\n]}\n");
  }

 private:
  struct Category {
    std::string name, kind;
  };

  std::int64_t category(const std::string& name, const std::string& kind) {
    const auto [place, is_new] = ids_.try_emplace(name, static_cast<std::int64_t>(categories_.size() + 1));
    if (is_new) categories_.push_back({name, kind});
    return place->second;
  }

  void add(const Found& found, const Answer& answer) {
    const auto& box = found.xyxy;
    const double width = box[2] - box[0], height = box[3] - box[1];
    const bool outlined = found.polygon.size() >= 6;  // three points at least
    Value entry = Value::object();
    entry.set("id", ++count_).set("image_id", images_).set("category_id", category(class_of(found, answer), answer.kind));
    entry.set("bbox", Value::Array{pixels(box[0]), pixels(box[1]), pixels(width), pixels(height)});
    entry.set("area", pixels(outlined ? area_of(found.polygon) : width * height)).set("iscrowd", 0);
    Value outlines = Value::array();
    if (outlined) {
      Value points = Value::array();
      for (const double coordinate : found.polygon) points.push_back(pixels(coordinate));
      outlines.push_back(std::move(points));
    }
    entry.set("segmentation", std::move(outlines));
    if (std::isfinite(found.confidence)) entry.set("score", found.confidence);
    entry.set("analysis", answer.analysis);
    if (found.tracker_id) entry.set("tracker_id", *found.tracker_id);
    if (found.text) entry.set("text", *found.text);
    annotations_ += fmt::format("{}\n{}", count_ == 1 ? "" : ",", entry.dump());
  }

  OutputFile& out_;
  const ResultsFile& results_;
  std::int64_t images_ = 0, count_ = 0;
  std::string annotations_;  // they follow the images in the file
  std::vector<Category> categories_;
  std::map<std::string, std::int64_t> ids_;
};

}  // namespace

std::string image_name(const RecordedFrame& frame) {
  std::string stream = frame.stream;
  for (char& c : stream) {
    if (c == '/' || c == '\\' || static_cast<unsigned char>(c) < 0x20) c = '-';
  }
  return fmt::format("{}_{}_{:06}.jpg", stream, frame.epoch, frame.sequence);
}

std::unique_ptr<Format> make_coco(OutputFile& out, const ResultsFile& results) { return std::make_unique<Coco>(out, results); }

}  // namespace vidloom::cli
