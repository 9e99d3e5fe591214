#include <adapters/opencv/people.hpp>

#include <adapters/opencv/gray_search.hpp>
#include <adapters/options.hpp>
#include <vidloom/adapters/people.hpp>

#include <opencv2/objdetect.hpp>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

namespace vidloom {
inline namespace v0 {
namespace {

constexpr int window_width = 64, window_height = 128;
// The search goes so far beyond the picture's border, so that people who are just leaving it are found.
constexpr int border = 8;
// Windows that overlap the best one of a person by so much belong to that person ...
constexpr double same_person_overlap = 0.45;
// ... and so many must agree: one window alone is a false alarm more often than not.
constexpr std::size_t least_windows = 3;
// Two answers that overlap by so much are one person at two scales.
constexpr double duplicate_overlap = 0.5;

struct Window {
  cv::Rect2d box;
  double margin;
};

double overlap(const cv::Rect2d& a, const cv::Rect2d& b) {
  const double common = (a & b).area();
  return common <= 0 ? 0 : common / (a.area() + b.area() - common);
}

/// One answer per person: the windows around each local best are averaged with their margins as weights, and the best
/// margin is kept. Sorts first, because OpenCV finds windows on many threads in any order.
std::vector<Window> group(std::vector<Window> windows) {
  std::sort(windows.begin(), windows.end(), [](const Window& a, const Window& b) {
    return std::tie(b.margin, a.box.x, a.box.y, a.box.width) < std::tie(a.margin, b.box.x, b.box.y, b.box.width);
  });
  std::vector<bool> taken(windows.size());
  std::vector<Window> people;
  for (std::size_t best = 0; best < windows.size(); ++best) {
    if (taken[best]) continue;
    double x1 = 0, y1 = 0, x2 = 0, y2 = 0, weight = 0;
    std::size_t agreeing = 0;
    for (std::size_t i = best; i < windows.size(); ++i) {
      if (taken[i] || overlap(windows[best].box, windows[i].box) < same_person_overlap) continue;
      taken[i] = true;
      ++agreeing;
      const cv::Rect2d& box = windows[i].box;
      const double w = std::max(windows[i].margin, 1e-6);
      x1 += w * box.x, y1 += w * box.y, x2 += w * (box.x + box.width), y2 += w * (box.y + box.height), weight += w;
    }
    if (agreeing < least_windows) continue;
    const cv::Rect2d mean(cv::Point2d(x1 / weight, y1 / weight), cv::Point2d(x2 / weight, y2 / weight));
    const bool duplicate = std::any_of(people.begin(), people.end(), [&](const Window& other) {
      return (mean & other.box).area() > duplicate_overlap * std::min(mean.area(), other.box.area());
    });
    if (!duplicate) people.push_back({mean, windows[best].margin});
  }
  return people;
}

/// The training windows show the person with 16 of their 64x128 pixels around it on every side (Dalal & Triggs, section 3).
cv::Rect2d shrink_to_person(const cv::Rect2d& window) {
  constexpr double side = 16.0 / window_width, above = 16.0 / window_height;
  return {window.x + side * window.width, window.y + above * window.height, (1 - 2 * side) * window.width, (1 - 2 * above) * window.height};
}

/// The margin as a probability: Platt's logistic with slope 1 and offset 0.
float confidence_of(double margin) { return static_cast<float>(1 / (1 + std::exp(-margin))); }

class People final : public DetectionAdapter {
 public:
  explicit People(const PeopleOptions& options) : options_(options) {}

  AdapterInfo info() const override {
    AdapterInfo info;
    info.kind = "object";
    info.vocabulary = vocabulary_;
    info.model_name = "hog-default-people";
    info.demand.pixels = Demand::Pixels::luma;
    info.demand.largest_useful = {options_.largest, options_.largest};
    return info;
  }

  void load() override { hog_.setSVMDetector(cv::HOGDescriptor::getDefaultPeopleDetector()); }

  void detect(std::span<const Item> items, std::span<Result<Detections>> out, const BatchContext& context) override {
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (context.stop.stop_requested()) {
        out[i] = Error(Code::cancelled, "people: stopped before this picture was looked at");
      } else {
        out[i] = look_at(items[i]);
      }
    }
  }

 private:
  Result<Detections> look_at(const Item& item) const try {
    const GrayPicture gray(item.frame, options_.largest);
    const cv::Rect part = gray.part_around(item.regions, {window_width, window_height});
    Detections found;
    found.vocabulary = vocabulary_;
    for (const Window& person : group(search(gray.pixels(), part))) {
      const Box box = clip(gray.to_display(shrink_to_person(person.box)), item.frame.size());
      if (box.width() < 1 || box.height() < 1 || !looked_for(item.regions, box)) continue;
      found.xyxy.push_back(box);
      found.confidence.push_back(confidence_of(person.margin));
      found.raw_score.push_back(static_cast<float>(person.margin));
      found.class_id.push_back(0);
    }
    return found;
  } catch (const cv::Exception& error) {
    return Error(Code::model, "people: OpenCV: " + error.msg);
  } catch (const Error& error) {
    return error;
  }

  std::vector<Window> search(const cv::Mat& gray, const cv::Rect& part) const {
    if (part.width + 2 * border < window_width || part.height + 2 * border < window_height) return {};
    std::vector<cv::Rect> boxes;
    std::vector<double> margins;
    hog_.detectMultiScale(gray(part), boxes, margins, 0, {options_.stride, options_.stride}, {border, border}, options_.scale, 0);
    std::vector<Window> windows;
    windows.reserve(boxes.size());
    for (std::size_t i = 0; i < boxes.size(); ++i) windows.push_back({cv::Rect2d(boxes[i] + part.tl()), margins[i]});
    return windows;
  }

  PeopleOptions options_;
  std::shared_ptr<const Vocabulary> vocabulary_ = Vocabulary::of({"person"});
  cv::HOGDescriptor hog_;
};

}  // namespace

std::unique_ptr<DetectionAdapter> make_people(const Value& options) {
  const PeopleOptions fallback;
  return std::make_unique<People>(
      PeopleOptions{.scale = real_option(
                        options, "people", "scale", fallback.scale, [](double v) { return v > 1; }, "more than 1"),
                    .stride = integer_option(
                        options, "people", "stride", fallback.stride, [](int v) { return v > 0 && v % 8 == 0; }, "a multiple of 8"),
                    .largest = integer_option(
                        options, "people", "largest", fallback.largest, [](int v) { return v >= 0; }, "0 (full size) or more")});
}

}  // namespace v0
}  // namespace vidloom
