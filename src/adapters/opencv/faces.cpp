#include <adapters/opencv/faces.hpp>

#include <adapters/opencv/gray_search.hpp>
#include <adapters/options.hpp>
#include <core/model_path.hpp>
#include <core/sha256.hpp>
#include <vidloom/adapters/faces.hpp>

#include <opencv2/imgproc.hpp>
#include <opencv2/objdetect.hpp>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <system_error>
#include <tuple>
#include <vector>

namespace vidloom {
inline namespace v0 {
namespace {

namespace fs = std::filesystem;

// The cascade that finds, and another, trained otherwise (gentle AdaBoost over trees), that confirms: their mistakes differ.
constexpr const char* finder_file = "haarcascade_frontalface_default.xml";
constexpr const char* second_file = "haarcascade_frontalface_alt2.xml";
// Windows around one place that must agree.
constexpr int least_windows = 4;
// A find is shown to the second cascade with so much of its side around it, enlarged to at least so many pixels.
constexpr double second_look_margin = 0.3;
constexpr int second_look_side = 60;

std::vector<fs::path> cascade_folders() {
  std::vector<fs::path> folders = model_folders();
  for (const char* prefix : {"/usr/share", "/usr/local/share"}) {
    for (const char* version : {"opencv4", "opencv5", "opencv"}) folders.push_back(fs::path(prefix) / version / "haarcascades");
  }
  return folders;
}

/// Throws Error(model) that names the folders and the package.
fs::path find_cascade(const std::string& file) {
  std::string looked;
  for (const fs::path& folder : cascade_folders()) {
    std::error_code ignored;
    if (fs::is_regular_file(folder / file, ignored)) return folder / file;
    looked += (looked.empty() ? "" : ", ") + folder.string();
  }
  throw Error(Code::model, "faces: " + file + " is in none of " + looked +
                               "; apt-get install opencv-data, or name a cascade's file: faces.model, or its folder: VIDLOOM_MODEL_PATH");
}

struct Cascade {
  cv::CascadeClassifier classifier;
  std::string sha256;
};

Cascade load_cascade(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file.good() && text.empty()) throw Error(Code::model, "faces.model is '" + path.string() + "', which cannot be read; give a cascade's XML file");
  Cascade cascade{.classifier = {}, .sha256 = sha256_hex(text)};
  bool whole = false;
  try {
    // OpenCV opens a cascade by its path; from here on it is the file that was read.
    const cv::FileStorage storage(text, cv::FileStorage::READ | cv::FileStorage::MEMORY);
    whole = storage.isOpened() && cascade.classifier.read(storage.getFirstTopLevelNode());
  } catch (const cv::Exception&) {
    whole = false;
  }
  if (!whole) throw Error(Code::model, path.string() + " is no cascade that OpenCV reads; faces.model wants an XML file as opencv_traincascade writes");
  return cascade;
}

struct Find {
  cv::Rect box;
  double weight;
};

// Sums below this were false finds, sums of faces began above it (docs/reference/adapters.md).
constexpr double least_weight = 2;

/// A logistic of slope 0.9 about 2.4: what lies between the false finds and the faces that were seen. Not fitted to footage.
float confidence_of(double weight) { return static_cast<float>(1 / (1 + std::exp(-0.9 * (weight - 2.4)))); }

class Faces final : public DetectionAdapter {
 public:
  explicit Faces(FacesOptions options) : options_(std::move(options)) {}

  AdapterInfo info() const override {
    AdapterInfo info;
    info.kind = "face";
    info.vocabulary = vocabulary_;
    info.model_name = options_.model.empty() ? "haarcascade-frontalface" : fs::path(options_.model).stem().string();
    info.model_sha256 = finder_.sha256;
    info.demand.pixels = Demand::Pixels::luma;
    info.demand.largest_useful = {options_.largest, options_.largest};
    return info;
  }

  void load() override {
    finder_ = load_cascade(options_.model.empty() ? find_cascade(finder_file) : fs::path(options_.model));
    if (options_.model.empty()) second_ = load_cascade(find_cascade(second_file));
  }

  void detect(std::span<const Item> items, std::span<Result<Detections>> out, const BatchContext& context) override {
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (context.stop.stop_requested()) {
        out[i] = Error(Code::cancelled, "faces: stopped before this picture was looked at");
      } else {
        out[i] = look_at(items[i]);
      }
    }
  }

 private:
  Result<Detections> look_at(const Item& item) try {
    const GrayPicture gray(item.frame, options_.largest);
    const cv::Rect part = gray.part_around(item.regions, {smallest(), smallest()});
    Detections found;
    found.vocabulary = vocabulary_;
    for (const Find& face : search(gray.pixels(), part)) {
      const Box box = clip(gray.to_display(face.box), item.frame.size());
      if (box.width() < 1 || box.height() < 1 || !looked_for(item.regions, box)) continue;
      if (!confirmed(gray.pixels(), face.box)) continue;
      found.xyxy.push_back(box);
      found.confidence.push_back(confidence_of(face.weight));
      found.raw_score.push_back(static_cast<float>(face.weight));
      found.class_id.push_back(0);
    }
    return found;
  } catch (const cv::Exception& error) {
    return Error(Code::model, "faces: OpenCV: " + error.msg);
  } catch (const Error& error) {
    return error;
  }

  int smallest() const noexcept { return 3 * options_.stride; }

  /// Best first, because OpenCV finds windows on many threads in any order.
  std::vector<Find> search(const cv::Mat& gray, const cv::Rect& part) {
    if (part.width < smallest() || part.height < smallest()) return {};
    std::vector<cv::Rect> boxes;
    std::vector<int> levels;
    std::vector<double> weights;
    finder_.classifier.detectMultiScale(gray(part), boxes, levels, weights, options_.scale, least_windows, 0, {smallest(), smallest()}, {}, true);
    std::vector<Find> finds;
    for (std::size_t i = 0; i < boxes.size(); ++i) {
      // OpenCV reports windows of the last stages, too, also those that were turned down there, with a sum below 0.
      if (weights[i] >= least_weight) finds.push_back({boxes[i] + part.tl(), weights[i]});
    }
    std::ranges::sort(finds, [](const Find& a, const Find& b) {
      return std::tie(b.weight, a.box.x, a.box.y, a.box.width) < std::tie(a.weight, b.box.x, b.box.y, b.box.width);
    });
    return finds;
  }

  /// Whether the second cascade sees a face of about that size there.
  bool confirmed(const cv::Mat& gray, const cv::Rect& face) {
    if (second_.classifier.empty()) return true;
    const int margin = static_cast<int>(std::lround(second_look_margin * face.width));
    const cv::Rect around = cv::Rect(face.x - margin, face.y - margin, face.width + 2 * margin, face.height + 2 * margin) & cv::Rect({}, gray.size());
    const double factor = std::max(1.0, static_cast<double>(second_look_side) / face.width);
    cv::resize(gray(around), close_up_, {}, factor, factor, cv::INTER_LINEAR);
    const int side = static_cast<int>(std::lround(face.width * factor));
    std::vector<cv::Rect> seen;
    second_.classifier.detectMultiScale(close_up_, seen, 1.1, 1, 0, {side * 6 / 10, side * 6 / 10}, {side * 15 / 10, side * 15 / 10});
    return !seen.empty();
  }

  FacesOptions options_;
  std::shared_ptr<const Vocabulary> vocabulary_ = Vocabulary::of({"face"});
  Cascade finder_, second_;
  cv::Mat close_up_;
};

}  // namespace

std::unique_ptr<DetectionAdapter> make_faces(const Value& options) {
  const FacesOptions fallback;
  const Value& model = options["model"];
  if (!model.is_null() && (!model.is_string() || model.as_string().empty())) refuse_option("faces", "model", model, "the path of a cascade's XML file");
  return std::make_unique<Faces>(
      FacesOptions{.scale = real_option(
                       options, "faces", "scale", fallback.scale, [](double v) { return v > 1; }, "more than 1"),
                   .stride = integer_option(
                       options, "faces", "stride", fallback.stride, [](int v) { return v > 0 && v % 8 == 0; }, "a multiple of 8"),
                   .largest = integer_option(
                       options, "faces", "largest", fallback.largest, [](int v) { return v >= 0; }, "0 (full size) or more"),
                   .model = model.is_null() ? "" : model.as_string()});
}

}  // namespace v0
}  // namespace vidloom
