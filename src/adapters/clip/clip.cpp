#include <adapters/clip/clip.hpp>

#include <adapters/options.hpp>
#include <adapters/clip/bpe_tokenizer.hpp>
#include <adapters/clip/clip_model.hpp>
#include <adapters/clip/clip_store.hpp>
#include <adapters/clip/team.hpp>
#include <core/component.hpp>
#include <core/device_name.hpp>
#include <core/fork_guard.hpp>
#include <core/sha256.hpp>
#include <vidloom/adapters/clip.hpp>
#include <vidloom/core/log.hpp>
#include <vidloom/core/version.hpp>
#include <vidloom/source.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <map>
#include <mutex>
#include <numeric>
#include <optional>
#include <thread>
#include <utility>

namespace vidloom {
inline namespace v0 {
namespace {

/// A model in memory: one for all replicas, analyses and threads that name the same files, precision and device.
struct Model {
  ClipFiles files;
  std::unique_ptr<const ClipWeights> weights;
  std::shared_ptr<const ImageTower> tower;
  std::string precision;
  std::string identity;
  double scale = 100;
  unsigned generation = process_generation();
};

std::atomic<const AtenTowers*> known_aten_towers{nullptr};

/// Loads PyTorch. Throws Error(not_built).
const AtenTowers& aten_towers(const std::string& needed_for) {
  require_component("torch", needed_for);
  return *known_aten_towers.load(std::memory_order_acquire);
}

double cosine(std::span<const float> a, std::span<const float> b) noexcept {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0, std::plus<>(), [](float x, float y) { return static_cast<double>(x) * static_cast<double>(y); });
}

/// Two pictures that are none, through each tower: the seconds it took and what it answered.
struct Trial {
  double seconds = std::numeric_limits<double>::infinity();
  std::vector<float> answer;
};

Trial try_tower(const ImageTower& tower, const ClipConfig& config) {
  constexpr std::size_t n = 2;
  std::vector<float> pixels(n * 3 * config.image_size * config.image_size);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = std::sin(static_cast<float>(i % 4099) * 0.37F) * 2;
  Trial trial;
  trial.answer.resize(n * config.embedding);
  const auto session = tower.session();
  for (int round = 0; round < 2; ++round) {  // the first finds nothing in the caches
    const auto start = std::chrono::steady_clock::now();
    session->encode_pixels(pixels, n, trial.answer);
    trial.seconds = std::min(trial.seconds, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return trial;
}

/// A cosine of `least` and more for each picture.
bool agrees(const Trial& trial, const Trial& reference, const ClipConfig& config, double least) {
  for (std::size_t at = 0; at < reference.answer.size(); at += config.embedding) {
    if (!(cosine(std::span(reference.answer).subspan(at, config.embedding), std::span(trial.answer).subspan(at, config.embedding)) >= least)) return false;
  }
  return true;
}
constexpr double least_cosine_16 = 0.999, least_cosine_8 = 0.99;

std::shared_ptr<const ImageTower> int8_tower(const ClipFiles& files, const ClipWeights& weights) {
  if (const NarrowKernels* const kernels = int8_kernels()) return make_packed_image_tower(files, weights, {&tower_kernels(), kernels});
  return aten_towers("clip.precision int8 on this processor").make(files, weights, Device::cpu, Precision::int8);
}

/// All that decides which way of computing is the faster, apart from the model. The kernels' names tell what the system lets us use as well.
std::string this_processor() {
  std::string text = std::string(VIDLOOM_VERSION) + "\n" + tower_kernels().name + "\n" + (bf16_kernels() ? bf16_kernels()->name : "") + "\n" +
                     std::to_string(Team::shared()->width()) + "\n";
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line) && !line.empty();) {  // of the first core
    if (line.starts_with("model name") || line.starts_with("flags")) text += line + "\n";
  }
  return text;
}

/// By whose products bf16 is the faster: where both multiply by tiles, by trying once, which is remembered.
std::shared_ptr<const ImageTower> bf16_tower(const ClipFiles& files, const ClipWeights& weights) {
  const auto ours = [&] { return make_packed_image_tower(files, weights, {&tower_kernels(), bf16_kernels()}); };
  const auto atens = [&] { return aten_towers("clip.precision bf16 on this processor").make(files, weights, Device::cpu, Precision::bf16); };
  if (!bf16_kernels()) return atens();
  if (!amx_bf16_kernels()) return ours();
  const std::string key = sha256_hex("bf16/1\n" + weights.identity() + "\n" + this_processor());
  const std::string known = recall_word(key);
  if (known == "ours") return ours();
  auto own = known == "aten" ? nullptr : ours();
  try {
    auto other = atens();
    const bool better = own && try_tower(*own, files.config).seconds <= try_tower(*other, files.config).seconds;
    remember_word(key, better ? "ours" : "aten");
    return better ? own : other;
  } catch (const Error&) {  // there is no PyTorch
    return own ? own : ours();
  }
}

using NamedTower = std::pair<std::shared_ptr<const ImageTower>, std::string>;

/// The precision that answers soonest of those whose embeddings agree with fp32's, by trying: processors that have the instructions differ
/// too much in what they gain by them. By a tenth at least. What was found is remembered, so that it is the same at each start, and sooner there.
/// \param int8_too  labels were compared on pictures of the user's
NamedTower fastest_tower(const ClipFiles& files, const ClipWeights& weights, bool int8_too) {
  struct Way {
    std::string name;
    double least_cosine;
    std::function<std::shared_ptr<const ImageTower>()> make;
  };
  std::vector<Way> ways{{"fp32", 1, [&] { return make_packed_image_tower(files, weights); }}};
  if (bf16_kernels()) ways.push_back({"bf16", least_cosine_16, [&] { return bf16_tower(files, weights); }});
  if (int8_too && int8_kernels()) ways.push_back({"int8", least_cosine_8, [&] { return int8_tower(files, weights); }});
  if (ways.size() == 1) return {ways.front().make(), ways.front().name};
  const std::string key = sha256_hex("precision/1\n" + weights.identity() + "\n" + this_processor() + (int8_too ? "\nint8" : ""));
  const std::string known = recall_word(key);
  for (const Way& way : ways) {
    if (way.name == known) return {way.make(), known};
  }
  // Never two in memory at once; in most cases the last is the fastest.
  Trial reference;
  const Way* best = nullptr;
  double seconds = 0;
  std::shared_ptr<const ImageTower> tower;
  for (const Way& way : ways) {
    tower.reset();
    auto tried = way.make();
    Trial trial = try_tower(*tried, files.config);
    if (best && !(agrees(trial, reference, files.config, way.least_cosine) && trial.seconds < 0.9 * seconds)) continue;
    if (!best) reference = trial;
    best = &way, seconds = trial.seconds, tower = std::move(tried);
  }
  remember_word(key, best->name);
  return {tower ? std::move(tower) : best->make(), best->name};
}

/// The option as a device. Throws Error(not_built) for one that is not there.
DeviceName device_of(const std::string& text) {
  const DeviceName named = device_named(text.empty() ? "auto" : text).value_or(DeviceName{});
  if (named.automatic || named.ordinal < 0) return named;
  const int there = aten_towers("clip.device '" + text + "'").cuda_devices();
  if (named.ordinal < there) return named;
  throw Error(Code::not_built, "clip.device is '" + text + "', but this PyTorch sees " + (there == 0 ? "no CUDA device" : std::to_string(there) + " CUDA devices, from cuda:0 on") +
                                   "; use device auto or cpu, or install a PyTorch with CUDA");
}

/// In half precision unless it is said otherwise.
NamedTower cuda_tower(const ClipFiles& files, const ClipWeights& weights, int ordinal, const std::string& precision) {
  if (precision == "int8") throw Error(Code::config, "clip.precision is int8, which runs on the CPU only; use auto, fp16, bf16 or fp32, or device cpu");
  const std::string name = precision == "auto" ? "fp16" : precision;
  const Precision chosen = name == "fp32" ? Precision::fp32 : name == "bf16" ? Precision::bf16 : Precision::fp16;
  return {aten_towers("clip on a CUDA device").make(files, weights, static_cast<Device>(ordinal), chosen), name};
}

NamedTower cpu_tower(const ClipFiles& files, const ClipWeights& weights, const std::string& precision, bool int8_too) {
  if (precision == "auto") return fastest_tower(files, weights, int8_too);
  if (precision == "fp32") return {make_packed_image_tower(files, weights), precision};
  if (precision == "bf16") return {bf16_tower(files, weights), precision};
  if (precision == "int8") return {int8_tower(files, weights), precision};
  throw Error(Code::config, "clip.precision is fp16, which needs a CUDA device; use auto, fp32, bf16 or int8");
}

/// On the first CUDA device where there is one and it answers as the CPU does.
NamedTower tower_anywhere(const ClipFiles& files, const ClipWeights& weights, const std::string& precision, bool int8_too) {
  // PyTorch takes a quarter of a second to load and 150 MB: it is asked for devices only where it is one that could have some.
  if (precision == "int8" || !component_brings("torch", "libtorch_cuda.so")) return cpu_tower(files, weights, precision, int8_too);
  try {
    if (aten_towers("clip on a CUDA device").cuda_devices() == 0) return cpu_tower(files, weights, precision, int8_too);
    auto made = cuda_tower(files, weights, 0, precision);
    if (agrees(try_tower(*made.first, files.config), try_tower(*make_packed_image_tower(files, weights), files.config), files.config, least_cosine_16)) return made;
    log(LogLevel::warning, "clip", files.name + ": the CUDA device answers otherwise than the CPU, which is taken instead");
  } catch (const Error& error) {
    log(LogLevel::warning, "clip", files.name + ": the CPU is taken instead of the CUDA device: " + error.what());
  }
  return cpu_tower(files, weights, precision, int8_too);
}

std::shared_ptr<const Model> make_model(const std::string& name, const std::string& precision, const DeviceName& device, const std::string& int8_for) {
  auto model = std::make_shared<Model>();
  model->files = find_clip(name);
  model->weights = std::make_unique<const ClipWeights>(model->files);
  model->scale = logit_scale(*model->weights);
  model->identity = model->weights->identity();
  const bool int8_too = int8_for == model->identity;
  std::tie(model->tower, model->precision) = device.automatic      ? tower_anywhere(model->files, *model->weights, precision, int8_too)
                                             : device.ordinal >= 0 ? cuda_tower(model->files, *model->weights, device.ordinal, precision)
                                                                   : cpu_tower(model->files, *model->weights, precision, int8_too);
  return model;
}

/// One load for all who ask at once; gone with the last user.
/// \param int8_for  the weights whose labels int8 was seen to give; "": none
std::shared_ptr<const Model> share_model(const std::string& name, const std::string& precision, const DeviceName& device, const std::string& int8_for) {
  struct Entry {
    std::mutex loading;
    std::weak_ptr<const Model> model;
  };
  static std::mutex mutex;
  static std::map<std::string, std::shared_ptr<Entry>> entries;
  std::shared_ptr<Entry> entry;
  {
    const std::lock_guard lock(mutex);
    auto& known = entries[name + "\n" + precision + "\n" + (device.automatic ? "auto" : std::to_string(device.ordinal)) + "\n" + int8_for];
    if (!known) known = std::make_shared<Entry>();
    entry = known;
  }
  const std::lock_guard lock(entry->loading);
  std::shared_ptr<const Model> model = entry->model.lock();
  const bool usable = model && (model->tower->survives_fork() || model->generation == process_generation());
  if (!usable) entry->model = model = make_model(name, precision, device, int8_for);
  return model;
}

std::vector<std::string> texts_option(const Value& options, const char* name) {
  std::vector<std::string> texts;
  const Value& given = options[name];
  if (given.is_null()) return texts;
  if (!given.is_array()) refuse_option("clip", name, given, "a list of texts");
  for (const Value& text : given.as_array()) {
    if (!text.is_string()) refuse_option("clip", name, given, "a list of texts");
    texts.push_back(text.as_string());
  }
  return texts;
}

std::string filled(const std::string& prompt, const std::string& label) {
  const std::size_t at = prompt.find("{}");
  return at == std::string::npos ? prompt : prompt.substr(0, at) + label + prompt.substr(at + 2);
}

/// What turns a cosine into a confidence, label by label: 1 / (1 + e^(-(cosine - threshold) / temperature)).
struct Calibration {
  struct Curve { double threshold = 0, temperature = 1; };
  std::string id;
  using Curves = std::map<std::string, Curve>;
  Curves of_label;
  Curves of_label_int8;         ///< not empty: int8 was seen to give the model's labels, with cosines of its own
  std::string model, model_id;  ///< whose cosines it was made of; "": not said
};

Calibration read_calibration(const std::string& path) {
  const auto refuse = [&](const std::string& why) { return Error(Code::config, "clip.calibration: " + path + " " + why + "; write it with: vidloom calibrate"); };
  std::ifstream file(path, std::ios::binary);
  if (!file) throw refuse("cannot be read");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  Calibration made;
  made.id = "sha256:" + sha256_hex(text);
  try {
    const Value content = Value::parse(text);
    if (!content["version"].is_number() || content["version"].as_real() != 1) throw refuse("is not of version 1");
    const auto curves = [&](const Value& labels) {
      if (!labels.is_object()) throw refuse("lacks labels");
      Calibration::Curves read;
      for (const auto& [label, curve] : labels.as_object()) {
        read[label] = {curve["threshold"].as_real(), curve["temperature"].as_real()};
        if (!(read[label].temperature > 0)) throw refuse("has a temperature of label '" + label + "' that is not above 0");
      }
      return read;
    };
    made.of_label = curves(content["labels"]);
    const auto said = [](const Value& value) { return value.is_string() ? value.as_string() : std::string(); };
    made.model = said(content["model"]["name"]), made.model_id = said(content["model"]["id"]);
    if (const Value& passes = content["int8"]["passes"]; passes.is_bool() && passes.as_bool()) made.of_label_int8 = curves(content["int8"]["labels"]);
  } catch (const Error& error) {
    if (std::string_view(error.what()).starts_with("clip.calibration")) throw;
    throw refuse(std::string("is no calibration: ") + error.what());
  }
  return made;
}

/// Pictures of a file or folder, in the order of their names.
std::vector<Frame> read_pictures(const std::string& label, const std::string& path) try {
  const auto source = open_source(path);
  SourceContext context{.cpu = CpuGate::process()};
  source->open(context);
  std::vector<Frame> pictures;
  for (;;) {
    ReadResult result = source->read();
    if (std::holds_alternative<End>(result)) break;
    if (Frame* const frame = std::get_if<Frame>(&result)) pictures.push_back(std::move(*frame));
    // A film given by mistake would be read to its end.
    if (pictures.size() > 1000) throw Error(Code::config, path + " holds more than 1000 pictures");
  }
  source->close();
  if (pictures.empty()) throw Error(Code::config, path + " holds no picture");
  return pictures;
} catch (const Error& error) {
  throw Error(error.code == Code::not_built ? Code::not_built : Code::config, "clip.references." + label + ": " + error.what());
}

/// The part of a frame that `region` (display pixels) covers, as a frame: the decoder's planes under a narrower crop.
Frame part_of(const Frame& frame, const Box& region) {
  FrameInfo info = frame.info();
  const PlaneView shown = frame.luma();
  const Box box = map_box(inverse(frame.display_from_luma()), clip(region, frame.size()));
  const int left = std::clamp(static_cast<int>(std::floor(box.x1)), 0, shown.size.width - 1), top = std::clamp(static_cast<int>(std::floor(box.y1)), 0, shown.size.height - 1);
  const int right = std::clamp(static_cast<int>(std::ceil(box.x2)), left + 1, shown.size.width), bottom = std::clamp(static_cast<int>(std::ceil(box.y2)), top + 1, shown.size.height);
  info.crop.left += left;
  info.crop.top += top;
  info.crop.right += shown.size.width - right;
  info.crop.bottom += shown.size.height - bottom;
  return frame.with_info(info);
}

/// Square parts of a picture at several scales, each half over the next.
std::vector<Box> tiles_of(Size size, int wanted) {
  std::vector<Box> tiles;
  const int limit = wanted < 0 ? 24 : wanted;
  for (int divisor = 1; divisor <= 8; ++divisor) {
    const float side = static_cast<float>(std::min(size.width, size.height)) / static_cast<float>(divisor);
    const auto steps = [side](int length) { return std::max(1, static_cast<int>(std::ceil((static_cast<float>(length) - side) / (side / 2) - 1e-3F)) + 1); };
    const int columns = steps(size.width), rows = steps(size.height);
    if (side < 48 || (!tiles.empty() && static_cast<int>(tiles.size()) + columns * rows > limit)) break;
    for (int row = 0; row < rows; ++row) {
      for (int column = 0; column < columns; ++column) {
        const auto at = [side](int index, int count, int length) { return count == 1 ? 0 : (static_cast<float>(length) - side) * static_cast<float>(index) / static_cast<float>(count - 1); };
        const float x = at(column, columns, size.width), y = at(row, rows, size.height);
        tiles.push_back({x, y, x + side, y + side});
      }
    }
    if (static_cast<int>(tiles.size()) >= limit) break;
  }
  return tiles;
}

float overlap(const Box& a, const Box& b) noexcept {
  const float width = std::min(a.x2, b.x2) - std::max(a.x1, b.x1), height = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  if (width <= 0 || height <= 0) return 0;
  return width * height / std::min(a.width() * a.height(), b.width() * b.height());
}

class Clip final : public DetectionAdapter {
 public:
  explicit Clip(ClipOptions options) : options_(std::move(options)) {
    if (options_.labels.empty()) {
      for (const auto& [label, path] : options_.references) options_.labels.push_back(label);
    }
    if (options_.prompts.empty()) options_.prompts = {options_.kind == "logo" ? "a photo of the {} logo" : "a photo of {}"};
    vocabulary_ = Vocabulary::of(options_.labels);
  }

  AdapterInfo info() const override {
    AdapterInfo info;
    info.kind = options_.kind;
    info.vocabulary = vocabulary_;
    info.max_batch = options_.max_batch;
    info.max_wait = std::chrono::duration_cast<Nanos>(std::chrono::duration<double>(options_.max_wait));
    info.max_replicas = 1;  // one batch uses all cores
    info.lists = {.detections = options_.tiles != 0, .labels = true, .embedding = options_.embedding};
    info.calibration_id = calibration_.id;
    if (model_) {
      info.model_name = model_->files.name;
      info.model_sha256 = sha256_;
      info.model_id = model_->identity;
      info.precision = model_->precision;
    }
    return info;
  }

  void load() override {
    if (!options_.calibration.empty()) {
      calibration_ = read_calibration(options_.calibration);
      for (const std::string& label : options_.labels) {
        const bool lacks = !calibration_.of_label_int8.empty() && !calibration_.of_label_int8.contains(label);
        if (lacks || !calibration_.of_label.contains(label)) throw Error(Code::config, "clip.calibration: " + options_.calibration + " knows no label '" + label + "'; write it anew with: vidloom calibrate");
      }
    }
    model_ = share_model(options_.model, options_.precision, device_of(options_.device), !calibration_.of_label_int8.empty() && options_.precision == "auto" ? calibration_.model_id : "");
    if (model_->precision == "int8" && !calibration_.of_label_int8.empty()) calibration_.of_label = calibration_.of_label_int8;
    if (!calibration_.model_id.empty() && calibration_.model_id != model_->identity) {
      log(LogLevel::warning, "clip", "clip.calibration: " + options_.calibration + " was made with " + calibration_.model + " and not with these weights of " + model_->files.name +
                                         ": its confidences are not theirs; write it anew with: vidloom calibrate");
    }
    session_ = model_->tower->session();
    width_ = model_->files.config.embedding;
    scale_ = options_.logit_scale.value_or(model_->scale);
    sha256_ = known_sha256(model_->weights->path());
    read_texts();
    read_references();
  }

  void detect(std::span<const Item> items, std::span<Result<Detections>> out, const BatchContext& context) override {
    // All parts of all pictures in one batch: whole ones first.
    std::vector<Frame> parts;
    std::vector<std::size_t> owners;  // of each part
    std::vector<std::vector<Box>> boxes(items.size());
    std::vector<std::size_t> first(items.size());
    std::vector<std::optional<Error>> failed(items.size());
    for (std::size_t i = 0; i < items.size(); ++i) {
      const Frame& frame = items[i].frame;
      first[i] = parts.size();
      parts.push_back(frame);
      boxes[i].assign(items[i].regions.begin(), items[i].regions.end());
      if (boxes[i].empty() && options_.tiles != 0) boxes[i] = tiles_of(frame.size(), options_.tiles);
      try {
        for (const Box& box : boxes[i]) parts.push_back(part_of(frame, box));
      } catch (const Error&) {  // one that cannot be read at all, as encoding it will tell
        boxes[i].clear();
        parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(first[i]) + 1, parts.end());
      }
      owners.resize(parts.size(), i);
    }
    std::vector<float> embeddings(parts.size() * width_);
    const auto encode = [&](std::size_t from, std::size_t n) {
      session_->encode(std::span(parts).subspan(from, n), std::span(embeddings).subspan(from * width_, n * width_));
    };
    for (std::size_t from = 0; from < parts.size(); from += options_.max_batch) {
      const std::size_t n = std::min(options_.max_batch, parts.size() - from);
      if (context.stop.stop_requested()) {
        for (std::size_t i = owners[from]; i < items.size(); ++i) failed[i] = Error(Code::cancelled, "clip: stopped before this picture was looked at");
        break;
      }
      try {
        encode(from, n);
      } catch (const Error&) {  // of one picture, which the others do not pay for
        for (std::size_t part = from; part < from + n; ++part) {
          try {
            encode(part, 1);
          } catch (const Error& error) {
            failed[owners[part]] = error;
          }
        }
      }
    }
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (failed[i]) out[i] = *failed[i];
      else out[i] = answer(std::span(embeddings).subspan(first[i] * width_, (boxes[i].size() + 1) * width_), boxes[i]);
    }
  }

 private:
  /// One embedding per label and one per negative sentence: the mean of its prompts' embeddings, made one long again.
  void read_texts() {
    std::vector<std::string> sentences;
    for (const std::string& label : options_.labels) {
      for (const std::string& prompt : options_.prompts) sentences.push_back(filled(prompt, label));
    }
    sentences.insert(sentences.end(), options_.negatives.begin(), options_.negatives.end());
    Value key = Value::array();
    key.push_back("text/1").push_back(model_->identity).push_back(static_cast<std::int64_t>(model_->files.config.text.activation == Activation::gelu));
    for (const char* name : {"tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"}) {
      std::ifstream file(model_->files.folder / name, std::ios::binary);
      key.push_back(file ? Value(sha256_hex(std::string{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()})) : Value());
    }
    for (const std::string& sentence : sentences) key.push_back(sentence);
    const std::string hash = sha256_hex(key.dump());
    std::vector<float> rows;
    if (auto known = recall_floats(hash, sentences.size() * width_)) {
      rows = std::move(*known);
    } else {
      const auto tokenizer = BpeTokenizer::read(model_->files.folder);
      std::vector<std::vector<std::int64_t>> ids;
      for (const std::string& sentence : sentences) {
        auto& tokens = ids.emplace_back(tokenizer->encode(sentence, model_->files.config.context));
        // The tower answers at the first end of text; what stands behind it cannot matter.
        tokens.erase(std::ranges::find(tokens, tokenizer->end_of_text()) + 1, tokens.end());
      }
      rows = encode_texts(model_->files, *model_->weights, ids);
      remember_floats(hash, rows);
    }
    const std::size_t each = options_.prompts.size();
    for (std::size_t i = 0; i < options_.labels.size(); ++i) {
      std::vector<float> mean(width_, 0.0F);
      for (std::size_t j = 0; j < each; ++j) {
        for (std::size_t k = 0; k < width_; ++k) mean[k] += rows[(i * each + j) * width_ + k];
      }
      normalise(mean);
      texts_.insert(texts_.end(), mean.begin(), mean.end());
    }
    texts_.insert(texts_.end(), rows.begin() + static_cast<std::ptrdiff_t>(options_.labels.size() * each * width_), rows.end());
  }

  /// Pictures resemble pictures far more than sentences (a cosine of 0.6 between any two, 0.2 with any sentence), so the cosine with a
  /// reference picture is brought to the sentences' scale: by what the best sentence of a label reaches on its own references.
  void read_references() {
    references_.assign(options_.labels.size(), {});
    double anchor = std::min(1.0, 30 / scale_);  // a cosine at which trained models agree: a logit of 30
    for (const auto& [label, path] : options_.references) {
      const auto at = std::ranges::find(options_.labels, label);
      const auto index = static_cast<std::size_t>(at - options_.labels.begin());
      const std::vector<Frame> pictures = read_pictures(label, path);
      references_[index].resize(pictures.size() * width_);
      session_->encode(pictures, references_[index]);
      for (std::size_t i = 0; i < pictures.size(); ++i) {
        anchor = std::max(anchor, cosine(std::span(references_[index]).subspan(i * width_, width_), text(index)));
      }
    }
    anchor_ = anchor;
  }

  std::span<const float> text(std::size_t index) const { return std::span(texts_).subspan(index * width_, width_); }

  /// Cosine of each label and, behind them, of each negative sentence.
  std::vector<double> scores(std::span<const float> picture) const {
    std::vector<double> scores(options_.labels.size() + options_.negatives.size());
    for (std::size_t i = 0; i < scores.size(); ++i) scores[i] = cosine(picture, text(i));
    for (std::size_t i = 0; i < references_.size(); ++i) {
      for (std::size_t at = 0; at < references_[i].size(); at += width_) {
        scores[i] = std::max(scores[i], anchor_ * cosine(picture, std::span(references_[i]).subspan(at, width_)));
      }
    }
    return scores;
  }

  /// Labels, the most confident first.
  std::vector<Detections::Label> labels_of(std::span<const float> picture) const {
    const std::vector<double> all = scores(picture);
    const double best = *std::ranges::max_element(all);
    double sum = 0;
    for (const double score : all) sum += std::exp(scale_ * (score - best));
    std::vector<Detections::Label> labels(options_.labels.size());
    const bool calibrated = !calibration_.id.empty() && options_.scoring == "calibrated";
    for (std::size_t i = 0; i < labels.size(); ++i) {
      double rival = -std::numeric_limits<double>::infinity();
      for (std::size_t j = 0; j < all.size(); ++j) {
        if (j != i) rival = std::max(rival, all[j]);
      }
      double confidence = std::exp(scale_ * (all[i] - best)) / sum;
      if (calibrated) {
        const Calibration::Curve& curve = calibration_.of_label.at(options_.labels[i]);
        confidence = 1 / (1 + std::exp(-(all[i] - curve.threshold) / curve.temperature));
      }
      labels[i] = {.class_id = static_cast<std::int32_t>(i),
                   .confidence = static_cast<float>(confidence),
                   .raw_score = static_cast<float>(all[i]),
                   .margin = all.size() > 1 ? static_cast<float>(all[i] - rival) : std::numeric_limits<float>::quiet_NaN()};
    }
    std::ranges::stable_sort(labels, [](const auto& a, const auto& b) { return a.confidence != b.confidence ? a.confidence > b.confidence : a.raw_score > b.raw_score; });
    if (labels.size() > options_.top_k) labels.resize(options_.top_k);
    return labels;
  }

  Result<Detections> answer(std::span<const float> embeddings, const std::vector<Box>& boxes) const {
    Detections found;
    found.vocabulary = vocabulary_;
    found.labels = labels_of(embeddings.first(width_));
    if (options_.embedding) {
      found.embedding.assign(embeddings.begin(), embeddings.begin() + static_cast<std::ptrdiff_t>(width_));
      found.embedding_dim = width_;
    }
    // Of each part the label that wins against all others, negatives included; parts of one thing become its best one.
    struct Hit { Box box; Detections::Label label; };
    std::vector<Hit> hits;
    for (std::size_t i = 0; i < boxes.size(); ++i) {
      const Detections::Label best = labels_of(embeddings.subspan((i + 1) * width_, width_)).front();
      if (best.margin > 0 || std::isnan(best.margin)) hits.push_back({boxes[i], best});
    }
    std::ranges::stable_sort(hits, [](const Hit& a, const Hit& b) { return a.label.confidence > b.label.confidence; });
    for (const Hit& hit : hits) {
      const auto same = [&](std::size_t i) { return found.class_id[i] == hit.label.class_id && overlap(found.xyxy[i], hit.box) > 0.3F; };
      bool taken = false;
      for (std::size_t i = 0; i < found.size() && !taken; ++i) taken = same(i);
      if (taken) continue;
      found.xyxy.push_back(hit.box);
      found.class_id.push_back(hit.label.class_id);
      found.confidence.push_back(hit.label.confidence);
      found.raw_score.push_back(hit.label.raw_score);
    }
    return found;
  }

  ClipOptions options_;
  std::shared_ptr<const Vocabulary> vocabulary_;
  Calibration calibration_;
  std::shared_ptr<const Model> model_;
  std::unique_ptr<ImageTower::Session> session_;
  std::string sha256_;
  std::size_t width_ = 0;
  double scale_ = 100, anchor_ = 0.3;
  std::vector<float> texts_;                     // a row a label, then a row a negative sentence
  std::vector<std::vector<float>> references_;  // of each label, a row a picture
};

}  // namespace

void set_aten_towers(const AtenTowers& towers) noexcept {
  static const AtenTowers kept = towers;
  known_aten_towers.store(&kept, std::memory_order_release);
}

std::unique_ptr<DetectionAdapter> make_clip(const Value& options) {
  const ClipOptions fallback;
  const auto text = [&](const char* name, const std::string& otherwise) {
    const Value& value = options[name];
    if (value.is_null()) return otherwise;
    if (!value.is_string()) refuse_option("clip", name, value, "a text");
    return value.as_string();
  };
  const auto one_of = [&](const char* name, const std::string& otherwise, std::initializer_list<std::string_view> allowed, const char* fix) {
    const std::string value = text(name, otherwise);
    if (std::ranges::find(allowed, value) == allowed.end()) refuse_option("clip", name, options[name], fix);
    return value;
  };
  ClipOptions made;
  made.model = text("model", "");
  if (made.model.empty()) throw Error(Code::config, "clip.model is missing; give a folder, a .safetensors file or a name such as openai/clip-vit-base-patch32");
  made.labels = texts_option(options, "labels");
  made.prompts = texts_option(options, "prompts");
  made.negatives = texts_option(options, "negatives");
  if (const Value& references = options["references"]; !references.is_null()) {
    if (!references.is_object()) refuse_option("clip", "references", references, "an object: label -> file or folder of pictures");
    for (const auto& [label, path] : references.as_object()) {
      if (!path.is_string()) refuse_option("clip", "references." + label, path, "the path of a file or folder of pictures");
      made.references[label] = path.as_string();
    }
  }
  made.top_k = static_cast<std::size_t>(integer_option(options, "clip", "top_k", static_cast<int>(fallback.top_k), [](int v) { return v > 0; }, "1 or more"));
  made.max_batch = static_cast<std::size_t>(integer_option(options, "clip", "max_batch", static_cast<int>(fallback.max_batch), [](int v) { return v > 0; }, "1 or more"));
  made.max_wait = real_option(options, "clip", "max_wait", fallback.max_wait, [](double v) { return v >= 0 && v <= 3600; }, "0 to 3600 seconds");
  made.precision = one_of("precision", fallback.precision, {"auto", "fp32", "bf16", "int8", "fp16"}, "auto, fp32, bf16, int8 or fp16");
  made.device = text("device", fallback.device);
  made.scoring = one_of("scoring", fallback.scoring, {"calibrated", "softmax"}, "calibrated or softmax");
  made.kind = text("kind", fallback.kind);
  made.calibration = text("calibration", "");
  if (const Value& tiles = options["tiles"]; tiles.is_string() && tiles.as_string() == "auto") made.tiles = -1;
  else made.tiles = integer_option(options, "clip", "tiles", 0, [](int v) { return v >= 0 && v <= 256; }, "0 to 256, or \"auto\"");
  if (const Value& embedding = options["embedding"]; !embedding.is_null()) {
    if (!embedding.is_bool()) refuse_option("clip", "embedding", embedding, "true or false");
    made.embedding = embedding.as_bool();
  }
  if (!options["logit_scale"].is_null()) made.logit_scale = real_option(options, "clip", "logit_scale", 100, [](double v) { return v > 0; }, "more than 0");
  return std::make_unique<Clip>(std::move(made));
}

}  // namespace v0
}  // namespace vidloom
