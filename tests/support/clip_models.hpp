#pragma once
/// CLIP models of random weights, written here.

#include <doctest/doctest.h>

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace clip_models {

inline double cosine(std::span<const float> a, std::span<const float> b) {
  double products = 0, left = 0, right = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
    products += x * y, left += x * x, right += y * y;
  }
  return products / std::sqrt(left * right);
}

inline std::vector<float> random_floats(std::size_t count, unsigned seed, float scale = 1) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> numbers(count);
  for (float& number : numbers) number = normal(engine);
  return numbers;
}

inline double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  REQUIRE_FALSE(a.empty());
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  return largest;
}

/// A folder in the temporary directory with a model of random weights, written tensor by tensor.
class ModelFolder {
 public:
  explicit ModelFolder(const std::string& config) : path_(std::filesystem::temp_directory_path() / ("vidloom_clip_" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path_);
    std::ofstream(path_ / "config.json") << config;
  }
  ~ModelFolder() { std::filesystem::remove_all(path_); }
  void add(const std::string& name, std::vector<std::size_t> shape, float scale = 0.08F, float offset = 0) {
    std::size_t count = 1;
    std::string sides;
    for (const std::size_t side : shape) count *= side, sides += (sides.empty() ? "" : ",") + std::to_string(side);
    std::vector<float> numbers = random_floats(count, static_cast<unsigned>(data_.size() + 7), scale);
    for (float& number : numbers) number += offset;
    const std::size_t from = data_.size();
    data_.append(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(float));
    header_ += (header_.empty() ? "{\"" : ",\"") + name + R"(":{"dtype":"F32","shape":[)" + sides + R"(],"data_offsets":[)" + std::to_string(from) + "," +
               std::to_string(data_.size()) + "]}";
  }
  void write() const {
    const std::string header = header_ + "}";
    std::string length(8, '\0');
    for (std::size_t i = 0; i < 8; ++i) length[i] = static_cast<char>(header.size() >> (8 * i) & 0xFF);
    std::ofstream(path_ / "model.safetensors", std::ios::binary) << length << header << data_;
  }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
  std::string header_, data_;
};

struct PictureShape { std::size_t width = 60, hidden = 1100, patch = 7, tokens = 26; };

/// Odd sizes on purpose: no width is a multiple of a panel, the last pass of rows is short.
inline void fill_model(ModelFolder& model, std::size_t vocabulary = 50, const PictureShape& picture = {}) {
  const auto tower = [&](const std::string& prefix, std::size_t width, std::size_t hidden, std::size_t layers) {
    for (std::size_t i = 0; i < layers; ++i) {
      const std::string layer = prefix + ".encoder.layers." + std::to_string(i) + ".";
      for (const char* norm : {"layer_norm1", "layer_norm2"}) {
        model.add(layer + norm + ".weight", {width}, 0.1F, 1);
        model.add(layer + norm + ".bias", {width});
      }
      for (const char* part : {"q_proj", "k_proj", "v_proj", "out_proj"}) {
        model.add(layer + "self_attn." + part + ".weight", {width, width});
        model.add(layer + "self_attn." + part + ".bias", {width});
      }
      model.add(layer + "mlp.fc1.weight", {hidden, width});
      model.add(layer + "mlp.fc1.bias", {hidden});
      model.add(layer + "mlp.fc2.weight", {width, hidden});
      model.add(layer + "mlp.fc2.bias", {width});
    }
  };
  const std::size_t width = picture.width;
  tower("vision_model", width, picture.hidden, 3);
  model.add("vision_model.embeddings.class_embedding", {width}, 1);
  model.add("vision_model.embeddings.patch_embedding.weight", {width, 3, picture.patch, picture.patch});
  model.add("vision_model.embeddings.position_embedding.weight", {picture.tokens, width}, 0.5F);
  for (const char* norm : {"vision_model.pre_layrnorm", "vision_model.post_layernorm"}) {
    model.add(std::string(norm) + ".weight", {width}, 0.1F, 1);
    model.add(std::string(norm) + ".bias", {width});
  }
  model.add("visual_projection.weight", {24, width});
  tower("text_model", 40, 96, 2);
  model.add("text_model.embeddings.token_embedding.weight", {vocabulary, 40}, 1);
  model.add("text_model.embeddings.position_embedding.weight", {16, 40}, 0.5F);
  model.add("text_model.final_layer_norm.weight", {40}, 0.1F, 1);
  model.add("text_model.final_layer_norm.bias", {40});
  model.add("text_projection.weight", {24, 40});
  model.add("logit_scale", {}, 0, 4.6F);
  model.write();
}

inline std::string config_of(const std::string& activation, std::size_t vocabulary = 50, std::size_t image_width = 60) {
  return R"({"projection_dim":24,"vision_config":{"hidden_size":)" + std::to_string(image_width) + R"(,"num_hidden_layers":3,"num_attention_heads":4,"intermediate_size":1100,)"
         R"("image_size":35,"patch_size":7,"hidden_act":")" + activation + R"("},"text_config":{"hidden_size":40,"num_hidden_layers":2,"num_attention_heads":4,)"
         R"("intermediate_size":96,"max_position_embeddings":16,"vocab_size":)" + std::to_string(vocabulary) + R"(,"hidden_act":")" + activation + "\"}}";
}

}  // namespace clip_models
