#include <adapters/clip/clip_files.hpp>

#include <core/model_path.hpp>
#include <core/sha256.hpp>
#include <vidloom/core/error.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <utility>

namespace vidloom {
inline namespace v0 {
namespace {

namespace fs = std::filesystem;

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(Code::model, path.string() + " cannot be read");
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

Value read_json(const fs::path& path) {
  try {
    Value value = Value::parse(read_text(path));
    if (!value.is_object()) throw Error(Code::config, "it holds " + std::string(value.type_name()));
    return value;
  } catch (const Error& error) {
    throw Error(Code::model, path.string() + " is no configuration of a model: " + error.what());
  }
}

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

/// Reads members of one object of a configuration, with its place in the messages.
struct Section {
  const Value& object;
  std::string place;

  std::size_t count(std::string_view name, std::size_t fallback) const {
    const Value& value = object[name];
    if (value.is_null()) return fallback;
    // The bound keeps products of two such numbers, and what is allocated by them, far from overflow.
    if (!value.is_integer() || value.as_integer() < 1 || value.as_integer() > 1'000'000) {
      throw Error(Code::model, place + "." + std::string(name) + " is " + value.dump() + "; a whole number from 1 to 1000000 is expected");
    }
    return static_cast<std::size_t>(value.as_integer());
  }
  double real(std::string_view name, double fallback) const {
    const Value& value = object[name];
    if (value.is_null()) return fallback;
    if (!value.is_number() || !(value.as_real() > 0)) {
      throw Error(Code::model, place + "." + std::string(name) + " is " + value.dump() + "; a number above 0 is expected");
    }
    return value.as_real();
  }
};

Activation activation_of(const Value& value, const std::string& place) {
  if (value.is_null() || (value.is_string() && value.as_string() == "quick_gelu")) return Activation::quick_gelu;
  if (value.is_string() && value.as_string() == "gelu") return Activation::gelu;
  throw Error(Code::model, place + " is " + value.dump() + "; quick_gelu and gelu are known");
}

void read_triple(const Value& values, const std::string& place, float (&to)[3]) {
  if (values.is_null()) return;
  if (values.size() != 3 || !values.is_array()) throw Error(Code::model, place + " is " + values.dump() + "; three numbers are expected");
  for (std::size_t i = 0; i < 3; ++i) to[i] = static_cast<float>(values.at(i).as_real());
}

TensorSpec openai_pixels(std::size_t side) {
  TensorSpec spec{.size = {static_cast<int>(side), static_cast<int>(side)}};
  constexpr float mean[3] = {0.48145466F, 0.4578275F, 0.40821073F}, deviation[3] = {0.26862954F, 0.26130258F, 0.27577711F};
  std::copy_n(mean, 3, spec.mean);
  std::copy_n(deviation, 3, spec.std);
  return spec;
}

ClipConfig read_hugging_face(const fs::path& folder) {
  const fs::path path = folder / "config.json";
  const Value config = read_json(path);
  const auto tower = [&](const char* name, TowerConfig fallback) {
    const Section section{config[name], path.string() + ": " + name};
    return TowerConfig{.width = section.count("hidden_size", fallback.width),
                       .layers = section.count("num_hidden_layers", fallback.layers),
                       .heads = section.count("num_attention_heads", fallback.heads),
                       .hidden = section.count("intermediate_size", fallback.hidden),
                       .activation = activation_of(section.object["hidden_act"], section.place + ".hidden_act"),
                       .epsilon = static_cast<float>(section.real("layer_norm_eps", 1e-5))};
  };
  ClipConfig found;
  found.image = tower("vision_config", {.width = 768, .layers = 12, .heads = 12, .hidden = 3072});
  found.text = tower("text_config", {.width = 512, .layers = 12, .heads = 8, .hidden = 2048});
  const Section image{config["vision_config"], path.string() + ": vision_config"}, text{config["text_config"], path.string() + ": text_config"};
  found.image_size = image.count("image_size", 224);
  found.patch = image.count("patch_size", 32);
  found.context = text.count("max_position_embeddings", 77);
  found.vocabulary = text.count("vocab_size", 49408);
  found.embedding = Section{config, path.string()}.count("projection_dim", 512);
  found.pixels = openai_pixels(found.image_size);
  if (const fs::path process = folder / "preprocessor_config.json"; is_there(process)) {
    const Value given = read_json(process);
    read_triple(given["image_mean"], process.string() + ": image_mean", found.pixels.mean);
    read_triple(given["image_std"], process.string() + ": image_std", found.pixels.std);
  }
  return found;
}

ClipConfig read_open_clip(const fs::path& path) {
  const Value config = read_json(path);
  const Value& model = config.find("model_cfg") ? config["model_cfg"] : config;
  const Section image{model["vision_cfg"], path.string() + ": vision_cfg"}, text{model["text_cfg"], path.string() + ": text_cfg"};
  for (const Section& section : {image, text}) {
    for (const char* other : {"timm_model_name", "hf_model_name", "attentional_pool", "pool_type"}) {
      const Value& value = section.object[other];
      if (value.is_null() || (value.is_bool() && !value.as_bool()) || (value.is_string() && (value.as_string() == "tok" || value.as_string() == "argmax"))) continue;
      throw Error(Code::model, section.place + "." + other + " is " + value.dump() + "; vision transformers and text transformers of CLIP's own kind can be read");
    }
  }
  if (image.object["layers"].is_array()) throw Error(Code::model, image.place + " is a ResNet; use a vision transformer (ViT)");
  const Value& quick = model["quick_gelu"];
  const Activation activation = quick.is_bool() && quick.as_bool() ? Activation::quick_gelu : Activation::gelu;
  ClipConfig found;
  found.image.width = image.count("width", 768);
  found.image.layers = image.count("layers", 12);
  found.image.heads = found.image.width / image.count("head_width", 64);
  found.image.hidden = static_cast<std::size_t>(static_cast<double>(found.image.width) * image.real("mlp_ratio", 4.0));
  found.text.width = text.count("width", 512);
  found.text.layers = text.count("layers", 12);
  found.text.heads = text.count("heads", 8);
  found.text.hidden = static_cast<std::size_t>(static_cast<double>(found.text.width) * text.real("mlp_ratio", 4.0));
  found.image.activation = found.text.activation = activation;
  found.image_size = image.count("image_size", 224);
  found.patch = image.count("patch_size", 16);
  found.context = text.count("context_length", 77);
  found.vocabulary = text.count("vocab_size", 49408);
  found.embedding = Section{model, path.string()}.count("embed_dim", 512);
  found.pixels = openai_pixels(found.image_size);
  const Value& process = config["preprocess_cfg"];
  read_triple(process["mean"], path.string() + ": preprocess_cfg.mean", found.pixels.mean);
  read_triple(process["std"], path.string() + ": preprocess_cfg.std", found.pixels.std);
  const Value &mode = process["resize_mode"], &filter = process["interpolation"];
  if (mode.is_string() && mode.as_string() == "squash") found.pixels.fit = TensorSpec::Fit::stretch;
  else if (mode.is_string() && mode.as_string() != "shortest") throw Error(Code::model, path.string() + ": preprocess_cfg.resize_mode is " + mode.dump() + "; shortest and squash are known");
  if (filter.is_string() && filter.as_string() == "bilinear") found.pixels.filter = Filter::bilinear;
  return found;
}

void check(const ClipConfig& config, const std::string& place) {
  for (const TowerConfig& tower : {config.image, config.text}) {
    if (tower.heads == 0 || tower.width % tower.heads != 0) {
      throw Error(Code::model, place + ": a width of " + std::to_string(tower.width) + " does not divide into " + std::to_string(tower.heads) + " heads");
    }
  }
  if (config.image_size > 4096 || config.image_size % config.patch != 0) {
    throw Error(Code::model, place + ": an image size of " + std::to_string(config.image_size) + " does not divide into patches of " + std::to_string(config.patch));
  }
  for (const float deviation : config.pixels.std) {
    if (!(deviation > 0)) throw Error(Code::model, place + ": the pictures' standard deviation has to be above 0");
  }
}

/// Folders in which Hugging Face's tools keep what they downloaded, in the order in which those tools look.
std::vector<fs::path> hub_caches() {
  const auto variable = [](const char* name) -> fs::path {
    const char* text = std::getenv(name);
    return text && *text ? fs::path(text) : fs::path();
  };
  std::vector<fs::path> caches;
  const auto add = [&](const fs::path& path) {
    if (!path.empty() && std::ranges::find(caches, path) == caches.end()) caches.push_back(path);
  };
  add(variable("HF_HUB_CACHE"));
  if (const fs::path home = variable("HF_HOME"); !home.empty()) add(home / "hub");
  add(variable("TRANSFORMERS_CACHE"));
  if (caches.empty()) {
    if (const fs::path cache = variable("XDG_CACHE_HOME"); !cache.empty()) add(cache / "huggingface" / "hub");
    else if (const fs::path home = variable("HOME"); !home.empty()) add(home / ".cache" / "huggingface" / "hub");
  }
  return caches;
}

/// The folder of the newest revision of a downloaded model, or an empty path.
fs::path snapshot_of(const fs::path& cache, const std::string& model) {
  std::string folder = "models--" + model;
  for (std::size_t at = 0; (at = folder.find('/', at)) != std::string::npos;) folder.replace(at, 1, "--");
  const fs::path base = cache / folder;
  if (const fs::path main = base / "refs" / "main"; is_there(main)) {
    std::string revision = read_text(main);
    while (!revision.empty() && std::isspace(static_cast<unsigned char>(revision.back()))) revision.pop_back();
    if (revision.find('/') == std::string::npos && is_there(base / "snapshots" / revision)) return base / "snapshots" / revision;
  }
  std::error_code ignored;
  std::set<fs::path> snapshots;
  for (const auto& entry : fs::directory_iterator(base / "snapshots", ignored)) snapshots.insert(entry.path());
  return snapshots.size() == 1 ? *snapshots.begin() : fs::path();
}

bool ends_with_any(const fs::path& path, std::initializer_list<std::string_view> endings) {
  return std::ranges::find(endings, path.extension().string()) != endings.end();
}

std::vector<fs::path> weights_in(const fs::path& folder, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (is_there(folder / name)) return {folder / name};
  }
  if (const fs::path index = folder / "model.safetensors.index.json"; is_there(index)) {
    std::set<fs::path> parts;
    const Value listed = read_json(index);
    const Value& map = listed["weight_map"];
    if (!map.is_object()) throw Error(Code::model, index.string() + " lacks weight_map");
    for (const auto& [tensor, file] : map.as_object()) {
      if (!file.is_string() || file.as_string().find('/') != std::string::npos) throw Error(Code::model, index.string() + ": " + tensor + " lies in " + file.dump());
      parts.insert(folder / file.as_string());
    }
    if (!parts.empty()) return {parts.begin(), parts.end()};
  }
  return {};
}

}  // namespace

ClipFiles find_clip(const std::string& model) {
  ClipFiles files;
  files.name = model;
  fs::path file;
  std::error_code ignored;
  if (const fs::path path(model); fs::is_directory(path, ignored)) {
    files.folder = path;
  } else if (fs::exists(path, ignored)) {
    file = path;
    files.folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  } else {
    const bool hub_name = !model.empty() && path.is_relative() && std::ranges::count(model, '/') == 1 && model.front() != '.' && model.back() != '/';
    std::string looked;
    for (const fs::path& folder : model_folders()) {
      if (!files.folder.empty()) break;
      looked += (looked.empty() ? "" : ", ") + folder.string();
      if (fs::is_directory(folder / path, ignored)) files.folder = folder / path;
    }
    for (const fs::path& cache : hub_name ? hub_caches() : std::vector<fs::path>{}) {
      if (!files.folder.empty()) break;
      looked += (looked.empty() ? "" : ", ") + cache.string();
      files.folder = snapshot_of(cache, model);
    }
    if (files.folder.empty()) {
      throw Error(Code::model, "clip.model is '" + model + "', which is no file or folder" + (looked.empty() ? "" : ", and is not in " + looked) +
                                   (hub_name ? "; get it with: hf download " + model : "; give a folder, a .safetensors file or a name such as openai/clip-vit-base-patch32"));
    }
  }
  if (!file.empty() && ends_with_any(file, {".bin", ".pt", ".pth", ".ckpt"})) {
    throw Error(Code::model, file.string() + " is a PyTorch pickle, which could run code when it is read; turn it into safetensors: python -m vidloom.convert " +
                                 file.string() + " -o FOLDER");
  }
  if (fs::is_directory(model, ignored)) files.name = fs::weakly_canonical(model, ignored).filename().string();

  const fs::path hugging_face = files.folder / "config.json", open_clip = files.folder / "open_clip_config.json";
  const bool have_hugging_face = is_there(hugging_face) && read_json(hugging_face).find("vision_config") != nullptr;
  // A repository of open_clip may hold both layouts; the file's own name says which it is.
  const bool wants_open_clip = file.filename().string().starts_with("open_clip") || !have_hugging_face;
  if (is_there(open_clip) && wants_open_clip) {
    files.layout = ClipFiles::Layout::open_clip;
    files.config = read_open_clip(open_clip);
    files.weights = file.empty() ? weights_in(files.folder, {"open_clip_model.safetensors", "model.safetensors"}) : std::vector{file};
  } else if (have_hugging_face) {
    files.config = read_hugging_face(files.folder);
    files.weights = file.empty() ? weights_in(files.folder, {"model.safetensors"}) : std::vector{file};
  } else {
    throw Error(Code::model, files.folder.string() + (is_there(hugging_face) ? " holds a config.json of another kind of model: it lacks vision_config"
                                                                           : " lacks config.json (Hugging Face) and open_clip_config.json (open_clip), which say how the weights are to be read"));
  }
  check(files.config, files.folder.string());
  if (files.weights.empty()) {
    for (const auto& entry : fs::directory_iterator(files.folder, ignored)) {
      if (!ends_with_any(entry.path(), {".bin", ".pt"})) continue;
      throw Error(Code::model, files.folder.string() + " has its weights as a pickle only (" + entry.path().filename().string() +
                                   "), which could run code when it is read; turn it into safetensors: python -m vidloom.convert " + entry.path().string() + " -o FOLDER");
    }
    throw Error(Code::model, files.folder.string() + " lacks model.safetensors; copy or download the model again");
  }
  return files;
}

ClipWeights::ClipWeights(const ClipFiles& files) {
  for (const fs::path& path : files.weights) files_.push_back(std::make_unique<const Safetensors>(path.string()));
}

bool ClipWeights::has(std::string_view name) const noexcept {
  return std::ranges::any_of(files_, [&](const auto& file) { return file->find(name) != nullptr; });
}

const StoredTensor& ClipWeights::tensor(std::string_view name, std::span<const std::size_t> shape) const {
  for (const auto& file : files_) {
    const StoredTensor* const found = file->find(name);
    if (!found) continue;
    const bool equal = std::ranges::equal(found->shape, shape, [](std::int64_t a, std::size_t b) { return static_cast<std::uint64_t>(a) == b; });
    if (!equal) {
      Value is = Value::array(), wanted = Value::array();
      for (const auto side : found->shape) is.push_back(side);
      for (const auto side : shape) wanted.push_back(side);
      throw Error(Code::model, file->path() + ": tensor '" + std::string(name) + "' has the shape " + is.dump() + "; the configuration asks for " + wanted.dump());
    }
    if (found->number != Number::f64 && found->number != Number::f32 && found->number != Number::f16 && found->number != Number::bf16) {
      throw Error(Code::model, file->path() + ": tensor '" + std::string(name) + "' holds whole numbers; only F64, F32, F16 and BF16 can be read");
    }
    return *found;
  }
  throw Error(Code::model, path() + ": tensor '" + std::string(name) + "' is missing; the configuration beside it is of another model");
}

std::vector<float> ClipWeights::floats(std::string_view name, std::initializer_list<std::size_t> shape) const {
  const StoredTensor& found = tensor(name, shape);
  std::vector<float> numbers(found.bytes.size() / bytes_of(found.number));
  read_floats(found, 0, numbers);
  if (!std::ranges::all_of(numbers, [](float value) { return std::isfinite(value); })) {
    throw Error(Code::model, path() + ": tensor '" + std::string(name) + "' holds NaN or infinity; the checkpoint is damaged");
  }
  return numbers;
}

std::string ClipWeights::identity() const {
  constexpr std::size_t sample = 512;
  std::vector<std::pair<std::string, const StoredTensor*>> tensors;
  for (const auto& file : files_) {
    for (const auto& [name, tensor] : file->all()) tensors.emplace_back(name, &tensor);
  }
  std::ranges::sort(tensors);
  Sha256 hash;
  for (const auto& [name, tensor] : tensors) {
    hash.update(name);
    for (const auto side : tensor->shape) hash.update(" " + std::to_string(side));
    const std::span<const std::byte> bytes = tensor->bytes;
    for (const std::size_t at : {std::size_t{0}, bytes.size() / 2, bytes.size() - std::min(bytes.size(), sample)}) {
      const auto part = bytes.subspan(at, std::min(sample, bytes.size() - at));
      hash.update({reinterpret_cast<const char*>(part.data()), part.size()});
    }
  }
  return hash.hex();
}

void ClipWeights::release_pages() const noexcept {
  for (const auto& file : files_) file->release_pages();
}

}  // namespace v0
}  // namespace vidloom
