#include <adapters/opencv/motion.hpp>

#include <adapters/background_model.hpp>
#include <adapters/options.hpp>
#include <support/opencv/gray.hpp>
#include <vidloom/adapters/motion.hpp>

#include <opencv2/imgproc.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

namespace vidloom {
inline namespace v0 {
namespace {

// Longest side of the picture the background is learned on: people stay recognisable, noise and single pixels do not.
constexpr int learned_size = 384;
// The first picture has nothing to be compared with, the second compares two pictures only.
constexpr int pictures_to_learn = 2;

/// What is remembered of one stream.
struct Background final : StreamState {
  Size luma_size{};
  Affine display_from_luma{};
  std::optional<BackgroundModel> model{};
  int seen = 0;
};

class Motion final : public DetectionAdapter {
 public:
  explicit Motion(const MotionOptions& options) : options_(options) {}

  AdapterInfo info() const override {
    AdapterInfo info;
    info.kind = "motion";
    info.vocabulary = vocabulary_;
    info.model_name = "mog2";
    info.demand.pixels = Demand::Pixels::luma;
    info.demand.largest_useful = {learned_size, learned_size};
    info.per_stream_state = true;
    info.lists.attributes = true;
    return info;
  }

  std::unique_ptr<StreamState> new_state() override { return std::make_unique<Background>(); }

  void detect(std::span<const Item> items, std::span<Result<Detections>> out, const BatchContext&) override {
    // Skipping a picture once stop is requested would change what later ones are compared with, and one takes milliseconds.
    for (std::size_t i = 0; i < items.size(); ++i) out[i] = look_at(items[i]);
  }

 private:
  Result<Detections> look_at(const Item& item) try {
    auto* background = dynamic_cast<Background*>(item.state);
    if (!background) return Error(Code::internal, "motion: a picture came without the state of its stream");
    learn(item.frame, *background);
    Detections found;
    found.vocabulary = vocabulary_;
    double moving = 0;
    if (background->seen > pictures_to_learn) moving = regions(item, *background, found);
    found.attributes.push_back({"moving_fraction", moving});
    return found;
  } catch (const cv::Exception& error) {
    return Error(Code::model, "motion: OpenCV: " + error.msg);
  } catch (const Error& error) {
    return error;
  }

  /// Compares the picture with the background and learns from it. A picture of another size or orientation starts anew.
  void learn(const Frame& frame, Background& background) {
    const PlaneView luma = frame.luma();
    const Affine display_from_luma = frame.display_from_luma();
    const Size size = fit_inside(luma.size, learned_size);
    if (!background.model || luma.size != background.luma_size || display_from_luma != background.display_from_luma) {
      // The threshold is a squared distance in standard deviations; 0.5 gives MOG2's own default, 16.
      background.model.emplace(size, options_.history, 64 * std::pow(16.0, -options_.sensitivity));
      background.luma_size = luma.size;
      background.display_from_luma = display_from_luma;
      background.seen = 0;
    }
    cv::resize(matrix_of(luma), small_, {size.width, size.height}, 0, 0, cv::INTER_AREA);
    changed_.create(small_.size(), CV_8UC1);
    background.model->learn({small_.data, small_.total()}, {changed_.data, changed_.total()});
    background.seen = std::min(background.seen, pictures_to_learn) + 1;
    cv::medianBlur(changed_, moving_, 3);
    cv::morphologyEx(moving_, moving_, cv::MORPH_CLOSE, closing_);
  }

  /// Adds the connected regions to `found`, largest first. \return the share of the picture that moves in them.
  double regions(const Item& item, const Background& background, Detections& found) {
    const Affine display_from_small =
        compose(background.display_from_luma,
                Affine{{static_cast<float>(background.luma_size.width) / static_cast<float>(small_.cols), 0, 0, 0,
                        static_cast<float>(background.luma_size.height) / static_cast<float>(small_.rows), 0}});
    if (!item.regions.empty()) keep_only(item.regions, inverse(display_from_small), moving_);
    const int count = cv::connectedComponentsWithStats(moving_, labels_, stats_, centres_, 8, CV_32S);
    const double all = static_cast<double>(small_.total());
    std::vector<int> order;
    for (int label = 1; label < count; ++label) {
      if (stats_.at<int>(label, cv::CC_STAT_AREA) >= std::max(1.0, options_.min_area * all)) order.push_back(label);
    }
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
      return stats_.at<int>(a, cv::CC_STAT_AREA) > stats_.at<int>(b, cv::CC_STAT_AREA);
    });
    const Size frame = item.frame.size();
    const double display_pixels = static_cast<double>(frame.width) * frame.height / all;
    double moving = 0;
    for (const int label : order) {
      const auto stat = [&](int which) { return stats_.at<int>(label, which); };
      const auto left = static_cast<float>(stat(cv::CC_STAT_LEFT)), top = static_cast<float>(stat(cv::CC_STAT_TOP));
      const Box box{left, top, left + static_cast<float>(stat(cv::CC_STAT_WIDTH)), top + static_cast<float>(stat(cv::CC_STAT_HEIGHT))};
      found.xyxy.push_back(clip(map_box(display_from_small, box), frame));
      found.class_id.push_back(0);
      found.confidence.push_back(std::numeric_limits<float>::quiet_NaN());
      found.raw_score.push_back(static_cast<float>(stat(cv::CC_STAT_AREA) * display_pixels));
      moving += stat(cv::CC_STAT_AREA);
    }
    return moving / all;
  }

  static void keep_only(std::span<const Box> regions, const Affine& small_from_display, cv::Mat& moving) {
    cv::Mat wanted = cv::Mat::zeros(moving.size(), CV_8UC1);
    for (const Box& region : regions) {
      const Box box = clip(map_box(small_from_display, region), {moving.cols, moving.rows});
      const cv::Rect part(cv::Point(static_cast<int>(std::floor(box.x1)), static_cast<int>(std::floor(box.y1))),
                          cv::Point(static_cast<int>(std::ceil(box.x2)), static_cast<int>(std::ceil(box.y2))));
      wanted(part).setTo(255);
    }
    cv::bitwise_and(moving, wanted, moving);
  }

  MotionOptions options_;
  std::shared_ptr<const Vocabulary> vocabulary_ = Vocabulary::of({"motion"});
  // The buffers of one picture.
  cv::Mat small_{}, changed_{}, moving_{}, labels_{}, stats_{}, centres_{};
  cv::Mat closing_ = cv::getStructuringElement(cv::MORPH_ELLIPSE, {5, 5});
};

}  // namespace

std::unique_ptr<DetectionAdapter> make_motion(const Value& options) {
  const MotionOptions fallback;
  const auto share = [](double value) { return value >= 0 && value <= 1; };
  return std::make_unique<Motion>(
      MotionOptions{.history = integer_option(
                        options, "motion", "history", fallback.history, [](int v) { return v >= 1; }, "1 picture or more"),
                    .sensitivity = real_option(options, "motion", "sensitivity", fallback.sensitivity, share, "0 to 1"),
                    .min_area = real_option(options, "motion", "min_area", fallback.min_area, share, "a share of the picture, 0 to 1")});
}

}  // namespace v0
}  // namespace vidloom
