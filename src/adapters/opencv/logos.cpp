#include <adapters/opencv/logos.hpp>

#include <adapters/opencv/gray_search.hpp>
#include <adapters/opencv/logos/finder.hpp>
#include <adapters/opencv/logos/reference_files.hpp>
#include <adapters/options.hpp>
#include <vidloom/adapters/logos.hpp>

#include <opencv2/core/utility.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace vidloom {
inline namespace v0 {
namespace {

using logo_search::Find;
using logo_search::Method;
using logo_search::Reference;

// Longest side of the picture that is searched: marks of 30 pixels and more there are found, and time grows with its area.
constexpr int searched_side = 960;
// Around regions so much more is searched, for marks that reach out of them.
constexpr int least_margin = 32;
// Finds below are no answers: where that lies decides over false alarms, see docs/reference/logos.md.
constexpr double least_confidence = 0.5;
// Two finds that overlap by so much of the smaller one are one thing seen twice, or one brand taken for another.
constexpr float same_thing = 0.5F;

Method method_of(const std::string& word) { return word == "features" ? Method::features : word == "shape" ? Method::shape : Method::automatic; }

/// A find in display pixels.
struct Answer {
  Box box;
  std::vector<float> polygon;
  std::int32_t brand;
  float confidence, raw_score;
};

float overlap(const Box& a, const Box& b) noexcept {
  const float width = std::min(a.x2, b.x2) - std::max(a.x1, b.x1), height = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  if (width <= 0 || height <= 0) return 0;
  return width * height / std::max(1e-6F, std::min(a.width() * a.height(), b.width() * b.height()));
}

class Logos final : public DetectionAdapter {
 public:
  explicit Logos(const LogosOptions& options)
      : options_(options), method_(method_of(options.method)), files_(logo_search::list_references(options.references)), vocabulary_(Vocabulary::of(files_.brands)) {}

  AdapterInfo info() const override {
    AdapterInfo info;
    info.kind = "logo";
    info.vocabulary = vocabulary_;
    info.model_name = "edge-templates-orb";
    info.demand.pixels = Demand::Pixels::luma;
    info.demand.largest_useful = {searched_side, searched_side};
    return info;
  }

  void load() override {
    references_ = logo_search::read_references(files_, method_);
    needs_.templates = std::ranges::any_of(*references_, [](const Reference& one) { return !one.templates.empty(); });
    needs_.thumbnails = std::ranges::any_of(*references_, [](const Reference& one) { return !one.thumbnails.empty(); });
    needs_.corners = std::ranges::any_of(*references_, &Reference::textured);
  }

  void detect(std::span<const Item> items, std::span<Result<Detections>> out, const BatchContext& context) override {
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (context.stop.stop_requested()) {
        out[i] = Error(Code::cancelled, "logos: stopped before this picture was looked at");
      } else {
        out[i] = look_at(items[i]);
      }
    }
  }

 private:
  Result<Detections> look_at(const Item& item) const try {
    const Frame& frame = item.frame;
    const GrayPicture gray(frame, searched_side);
    const cv::Rect part = gray.part_around(item.regions, {least_margin, least_margin});
    std::vector<Answer> answers;
    if (std::min(part.width, part.height) >= 16) answers = search(gray.pixels()(part), part.tl(), gray.display_from_here(), frame.size());
    std::erase_if(answers, [&](const Answer& one) { return !looked_for(item.regions, one.box); });
    return detections_of(best_of(std::move(answers)));
  } catch (const cv::Exception& error) {
    return Error(Code::model, "logos: OpenCV: " + error.msg);
  } catch (const Error& error) {
    return error;
  }

  std::vector<Answer> search(const cv::Mat& gray, cv::Point offset, const Affine& display_from_gray, Size frame) const {
    const logo_search::Scene scene = logo_search::make_scene(gray, needs_);
    std::vector<std::vector<Find>> found(references_->size());
    // Each reference by itself: which thread does it changes nothing.
    cv::parallel_for_(cv::Range(0, static_cast<int>(found.size())), [&](const cv::Range& range) {
      for (int i = range.start; i < range.end; ++i) {
        const auto index = static_cast<std::size_t>(i);
        found[index] = logo_search::find_one(scene, (*references_)[index], index);
      }
    });
    std::vector<Answer> answers;
    for (const std::vector<Find>& finds : found) {
      for (const Find& find : finds) {
        if (find.confidence < least_confidence) continue;
        Answer answer = answer_of(find, offset, display_from_gray);
        answer.box = clip(answer.box, frame);
        if (answer.box.width() >= 1 && answer.box.height() >= 1) answers.push_back(std::move(answer));
      }
    }
    return answers;
  }

  Answer answer_of(const Find& find, cv::Point offset, const Affine& display_from_gray) const {
    Answer answer;
    answer.brand = (*references_)[find.reference].brand;
    answer.confidence = static_cast<float>(find.confidence);
    answer.raw_score = find.evidence.inliers > 0 ? static_cast<float>(find.evidence.inliers) : find.evidence.ncc;
    for (std::size_t i = 0; i < find.corners.size(); ++i) {
      // The search counts pixel centres as whole numbers, the display pixel edges.
      const auto x = static_cast<float>(find.corners[i].x + offset.x + 0.5), y = static_cast<float>(find.corners[i].y + offset.y + 0.5);
      const Box at = map_box(display_from_gray, {x, y, x, y});
      answer.polygon.push_back(at.x1), answer.polygon.push_back(at.y1);
      if (i == 0) answer.box = at;
      answer.box = {std::min(answer.box.x1, at.x1), std::min(answer.box.y1, at.y1), std::max(answer.box.x2, at.x1), std::max(answer.box.y2, at.y1)};
    }
    return answer;
  }

  /// One answer a thing, the best, and no more of a brand than asked for; the most confident first.
  std::vector<Answer> best_of(std::vector<Answer> answers) const {
    std::ranges::stable_sort(answers, [](const Answer& a, const Answer& b) { return a.confidence > b.confidence; });
    std::vector<Answer> kept;
    std::map<std::int32_t, int> of_brand;
    for (Answer& answer : answers) {
      if (std::ranges::any_of(kept, [&](const Answer& other) { return overlap(answer.box, other.box) > same_thing; })) continue;
      if (++of_brand[answer.brand] <= options_.max_instances) kept.push_back(std::move(answer));
    }
    return kept;
  }

  Detections detections_of(std::vector<Answer> answers) const {
    Detections found;
    found.vocabulary = vocabulary_;
    for (Answer& answer : answers) {
      found.xyxy.push_back(answer.box);
      found.confidence.push_back(answer.confidence);
      found.raw_score.push_back(answer.raw_score);
      found.class_id.push_back(answer.brand);
      found.polygon.push_back(std::move(answer.polygon));
    }
    return found;
  }

  const LogosOptions options_;
  const Method method_;
  const logo_search::ReferenceFiles files_;
  const std::shared_ptr<const Vocabulary> vocabulary_;
  std::shared_ptr<const std::vector<Reference>> references_;
  logo_search::Needs needs_{};
};

}  // namespace

std::unique_ptr<DetectionAdapter> make_logos(const Value& options) {
  const LogosOptions fallback;
  LogosOptions made;
  const Value& references = options["references"];
  if (references.is_null()) throw Error(Code::config, "logos.references is missing; give a folder of pictures, one per brand, or a picture");
  if (!references.is_string() || references.as_string().empty()) refuse_option("logos", "references", references, "the path of a folder of pictures, one per brand, or of a picture");
  made.references = references.as_string();
  made.max_instances = integer_option(options, "logos", "max_instances", fallback.max_instances, [](int v) { return v >= 1; }, "1 or more");
  if (const Value& method = options["method"]; !method.is_null()) {
    static constexpr std::array<std::string_view, 3> known{"auto", "features", "shape"};
    if (!method.is_string() || std::ranges::find(known, method.as_string()) == known.end()) refuse_option("logos", "method", method, "auto, features or shape");
    made.method = method.as_string();
  }
  return std::make_unique<Logos>(made);
}

}  // namespace v0
}  // namespace vidloom
