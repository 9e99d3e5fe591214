#include <core/catalogue.hpp>

#include <core/device_name.hpp>

#include <algorithm>
#include <array>
#include <utility>

namespace vidloom {
inline namespace v0 {
namespace {

constexpr std::array<ComponentEntryInfo, 6> component_table{{
    {"ffmpeg", "files, segments, pictures and lavfi: sources, the conversion of decoded pictures, and video files: sinks",
     "apt-get install --no-install-recommends libavformat-dev libavcodec-dev libavutil-dev libswscale-dev libavfilter-dev "
     "libavdevice-dev, then build Vidloom again (from source), or pip install --force-reinstall vidloom"},
    {"opencv", "the adapters people, faces, motion and logos",
     "apt-get install --no-install-recommends libopencv-core-dev libopencv-imgproc-dev libopencv-video-dev libopencv-objdetect-dev "
     "libopencv-calib3d-dev libopencv-features2d-dev opencv-data, then build Vidloom again (from source), or pip install --force-reinstall vidloom"},
    {"pango", "labels on annotated video: letters of every script",
     "apt-get install --no-install-recommends libpango1.0-dev libcairo2-dev, then build Vidloom again (from source), or pip install "
     "--force-reinstall vidloom"},
    {"clip", "the adapter clip, on the CPU",
     "apt-get install --no-install-recommends libutf8proc-dev, then build Vidloom again (from source), or pip install --force-reinstall vidloom"},
    {"torch", "clip on CUDA devices; tensors on CUDA devices: vl.torch.tensor(..., device=\"cuda\"), vidloom/interop/torch.hpp",
     "pip install torch==2.13.0, then, with a checkout of Vidloom, pip install --no-build-isolation --no-deps --force-reinstall ."},
    {"net", "live sources and sinks, work on other machines (lan, cloud)", ""},
}};

OptionInfo number(std::string name, Value fallback, std::string text, std::optional<double> minimum = {},
                  std::optional<double> maximum = {}) {
  return {.name = std::move(name),
          .type = "number",
          .fallback = std::move(fallback),
          .text = std::move(text),
          .minimum = minimum,
          .maximum = maximum};
}
OptionInfo integer(std::string name, Value fallback, std::string text, std::optional<double> minimum = {},
                   std::optional<double> maximum = {}) {
  OptionInfo option = number(std::move(name), std::move(fallback), std::move(text), minimum, maximum);
  option.type = "integer";
  return option;
}
OptionInfo of_type(std::string type, std::string name, Value fallback, std::string text) {
  return {.name = std::move(name), .type = std::move(type), .fallback = std::move(fallback), .text = std::move(text)};
}
OptionInfo choice(std::string name, std::string fallback, std::vector<std::string> choices, std::string text) {
  OptionInfo option = of_type("text", std::move(name), std::move(fallback), std::move(text));
  option.choices = std::move(choices);
  return option;
}
OptionInfo required(OptionInfo option) {
  option.required = true;
  return option;
}

AdapterDescription people_like(std::string name, std::string summary, std::string kind, std::string raw_score) {
  return {.name = name,
          .summary = std::move(summary),
          .kind = std::move(kind),
          .component = "opencv",
          .options = {number("scale", 1.05, "step between pyramid levels, above 1; more is faster and coarser"),
                      integer("stride", 8, "window step in pixels, a multiple of 8", 8),
                      integer("largest", 0, "longest side in pixels of the picture the search runs on; 0: full size", 0)},
          .raw_score = std::move(raw_score),
          .example = "vidloom analyze street.mp4 --detect " + name + " --every 0.5"};
}

std::vector<AdapterDescription> make_table() {
  AdapterDescription faces = people_like("faces", "faces seen from the front: a cascade of boosted classifiers (Viola & Jones 2001)", "face",
                                         "sum of the cascade's last stage (no unit)");
  faces.options[1].text = "a multiple of 8: faces from 3 x stride pixels on; more is faster and coarser";
  faces.options.push_back(of_type("text", "model", nullptr, "a cascade's XML file; default: OpenCV's frontal faces (Debian: opencv-data)"));
  std::vector<AdapterDescription> table{
      people_like("people", "people standing or walking: histograms of oriented gradients and a linear SVM (Dalal & Triggs 2005)", "object",
                  "SVM margin (no unit): distance from the hyperplane that parts people from all else"),
      {.name = "motion",
       .summary = "what moves against a learned background, on luma (MOG2, Zivkovic 2004)",
       .kind = "motion",
       .component = "opencv",
       .options = {integer("history", 120, "analysed pictures the background is learned over", 1),
                   number("sensitivity", 0.5, "0 to 1; smaller changes count as it grows", 0, 1),
                   number("min_area", 0.0005, "smallest region, as a share of the picture, 0 to 1", 0, 1)},
       .raw_score = "area of the region in display pixels",
       .example = "vidloom analyze gate.mp4 --detect motion --every 0.2 --set motion.min_area=0.001"},
      {.name = "visual",
       .summary = "dominant colours, brightness, contrast and saturation of the whole picture",
       .kind = "visual",
       .options = {integer("colors", 3, "how many dominant colours", 1, 16)},
       .raw_score = "none: it answers with attributes",
       .example = "vidloom analyze street.mp4 --detect visual --every 6"},
      std::move(faces),
      {.name = "logos",
       .summary = "brand marks found by reference pictures: prints by local features, flat marks by their edges",
       .kind = "logo",
       .component = "opencv",
       .options = {required(of_type("text", "references", nullptr, "folder or file of pictures; a brand is its sub-folder or file stem")),
                   integer("max_instances", 8, "most finds of one brand in a picture", 1),
                   choice("method", "auto", {"auto", "features", "shape"}, "local features, or the outline for plain marks")},
       .raw_score = "verified inliers (features, 1 and more), or normalised cross-correlation (shape, up to 1)",
       .example = "vidloom analyze shelf.mp4 --detect logos --references brands/"},
      {.name = "clip",
       .summary = "labels in words for the whole picture, by CLIP",
       .kind = "scene",
       .component = "clip",
       .options = {required(of_type("text", "model", nullptr, "folder, .safetensors file, or name on the Hugging Face hub whose files are in its cache")),
                   of_type("list", "labels", nullptr, "what to tell apart; required unless there are references"),
                   of_type("list", "prompts", nullptr, "sentences with {} for the label; default: \"a photo of {}\", for kind logo \"a photo of the {} logo\""),
                   of_type("list", "negatives", Value::array(), "sentences for what is there when no label is: they compete"),
                   of_type("object", "references", nullptr, "label: file or folder of pictures"),
                   integer("top_k", 5, "most labels in an answer", 1),
                   choice("precision", "auto", {"auto", "fp32", "bf16", "int8", "fp16"}, "of the arithmetic; auto: the fastest of fp32 and bf16 here; fp16 on CUDA only"),
                   of_type("text", "device", nullptr, "auto, cpu, cuda or cuda:N; default: the Analyzer's, auto: CUDA where there is one"),
                   choice("scoring", "calibrated", {"calibrated", "softmax"}, "confidence by the calibration, where one is given; or always the softmax over labels and negatives"),
                   of_type("text", "calibration", nullptr, "file written by vidloom calibrate"),
                   of_type("any", "tiles", 0, "0: the whole picture; else about so many square parts of it at several scales, too, as boxes; or auto"),
                   integer("max_batch", 32, "most pictures in one batch", 1),
                   number("max_wait", 0.005, "seconds a picture waits for company", 0),
                   of_type("bool", "embedding", false, "put the L2-normalised picture embedding into the answer"),
                   number("logit_scale", nullptr, "the model's own when not given", 0), of_type("text", "kind", nullptr, "scene, or logo")},
       .raw_score = "cosine of picture and label embedding; with references brought to the same scale",
       .example = "vidloom analyze shelf.mp4 --detect clip --model openai/clip-vit-base-patch32 --labels Apple,Google --every 1"},
      {.name = "yolo",
       .summary = "objects, by a YOLO model",
       .kind = "object",
       .options = {required(of_type("text", "model", nullptr, "file of an exported model"))},
       .raw_score = "the model's own score, 0 to 1",
       .example = "vidloom analyze street.mp4 --detect yolo --model yolo11n.pt2",
       .built = false},
      {.name = "text",
       .summary = "written text",
       .kind = "text",
       .any_option = true,
       .raw_score = "the reader's own score",
       .example = "vidloom analyze shop.mp4 --detect text",
       .built = false},
      {.name = "cloud_vision",
       .summary = "labels, logos, text and faces, by Google Cloud Vision",
       .kind = "scene",
       .options = {of_type("list", "features", nullptr, "such as LOGO_DETECTION, LABEL_DETECTION, TEXT_DETECTION")},
       .raw_score = "the service's own score, 0 to 1",
       .example = "vidloom analyze shop.mp4 --detect cloud_vision --where cloud",
       .built = false},
  };
  std::ranges::sort(table, {}, &AdapterDescription::name);
  return table;
}

struct Reserved {
  std::string_view names, missing;
};
constexpr std::array<Reserved, 3> reserved_schemes{{
    {" rtmp rtmps srt rtsp rtsps rtp http https hls udp tcp whep ", "live and network sources"},
    {" v4l2 webcam video avfoundation dshow ", "webcams"},
    {" director canvas generate ", "generated sources"},
}};
constexpr std::array<Reserved, 2> reserved_sinks{{
    {" hls rtmp rtmps srt rtsp rtp udp tcp whip webhook http https queue ", "live sinks"},
    {" mp4 file ", "files by these names"},
}};

std::string_view missing_for(std::string_view name, std::span<const Reserved> table) {
  if (name.empty()) return "";
  const std::string word = " " + std::string(name) + " ";
  for (const auto& [names, missing] : table) {
    if (names.find(word) != std::string_view::npos) return missing;
  }
  return "";
}

}  // namespace

std::span<const ComponentEntryInfo> known_components() noexcept { return component_table; }

const std::vector<AdapterDescription>& known_adapters() {
  static const auto* const table = new std::vector<AdapterDescription>(make_table());
  return *table;
}

const AdapterDescription* find_known_adapter(std::string_view name) {
  const auto found = std::ranges::find(known_adapters(), name, &AdapterDescription::name);
  return found == known_adapters().end() ? nullptr : &*found;
}

std::pair<std::string, std::string> broken_rule(std::string_view adapter, const Value& options) {
  if (adapter == "people" || adapter == "faces") {
    const Value& scale = options["scale"];
    if (!scale.is_null() && scale.as_real() <= 1) return {"scale", "is " + scale.dump() + "; use a number above 1, such as 1.05"};
    const Value& stride = options["stride"];
    if (!stride.is_null() && stride.as_integer() % 8 != 0) return {"stride", "is " + stride.dump() + "; use a multiple of 8"};
  }
  if (adapter == "clip") {
    const Value &labels = options["labels"], &references = options["references"], &prompts = options["prompts"];
    if (labels.size() == 0 && references.size() == 0) {
      return {"labels", std::string(labels.is_null() ? "is missing" : "is an empty list") + "; name at least one label, or give references"};
    }
    for (const char* list : {"labels", "prompts", "negatives"}) {
      if (!options[list].is_array()) continue;
      for (const Value& text : options[list].as_array()) {
        if (!text.is_string() || text.as_string().empty()) return {list, "holds " + text.dump() + "; use a list of texts"};
      }
    }
    if (const Value& device = options["device"]; device.is_string() && !device_named(device.as_string())) {
      return {"device", "is " + device.dump() + "; use auto, cpu, cuda or cuda:N"};
    }
    if (labels.is_array()) {
      for (std::size_t i = 0; i < labels.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
          if (labels.at(i) == labels.at(j)) return {"labels", "names " + labels.at(i).dump() + " twice; name each once"};
        }
      }
    }
    if (prompts.is_array()) {
      if (prompts.size() == 0) return {"prompts", "is an empty list; leave it out for the default, or give sentences such as \"a photo of {}\""};
      for (const Value& text : prompts.as_array()) {
        if (text.as_string().find("{}") == std::string::npos) return {"prompts", "holds " + text.dump() + ", which lacks {}: that is where the label goes"};
      }
    }
    if (references.is_object() && labels.size() > 0) {
      for (const auto& [label, path] : references.as_object()) {
        if (std::ranges::find(labels.as_array(), Value(label)) == labels.as_array().end()) return {"references." + label, "is of no label; add \"" + label + "\" to labels"};
      }
    }
  }
  return {};
}

std::string_view reserved_scheme(std::string_view scheme) { return missing_for(scheme, reserved_schemes); }
std::string_view reserved_sink(std::string_view name) { return missing_for(name, reserved_sinks); }

}  // namespace v0
}  // namespace vidloom
