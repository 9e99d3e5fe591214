// CLIP's picture tower by ATen: our own towers agree with it, and so does a GPU.
#include <adapters/torch/clip_aten.hpp>

#include <doctest/doctest.h>
#include <support/clip_models.hpp>

#include <string>
#include <thread>
#include <vector>

using namespace vidloom;
using namespace clip_models;

TEST_CASE("ATen's operators answer as the packed tower does") {
  for (const std::string activation : {"quick_gelu", "gelu"}) {
    CAPTURE(activation);
    ModelFolder folder(config_of(activation));
    fill_model(folder);
    const ClipFiles files = find_clip(folder.path());
    const ClipWeights weights(files);
    const std::size_t n = 19, picture = 3 * 35 * 35;
    const std::vector<float> pixels = random_floats(n * picture, 9);
    const auto encode = [&](const ImageTower& tower) {
      std::vector<float> out(n * 24);
      tower.session()->encode_pixels(pixels, n, out);
      return out;
    };
    const auto reference = encode(*make_packed_image_tower(files, weights));
    CHECK(largest_difference(encode(*make_aten_image_tower(files, weights, Device::cpu, Precision::fp32)), reference) < 2e-5);
    // 16 bits and 8: near, and not the same.
    for (const auto& [precision, least] : {std::pair{Precision::bf16, 0.99}, std::pair{Precision::int8, 0.98}}) {
      const auto other = encode(*make_aten_image_tower(files, weights, Device::cpu, precision));
      CHECK(other != reference);
      for (std::size_t i = 0; i < n; ++i) CHECK(cosine(std::span(other).subspan(i * 24, 24), std::span(reference).subspan(i * 24, 24)) > least);
    }
  }
}

TEST_CASE("on CUDA a batch of any size, as a graph or not, answers as the CPU does") {
  if (cuda_devices() == 0) {
    MESSAGE("skipped: no CUDA device here");
    return;
  }
  for (const char* activation : {"quick_gelu", "gelu"}) {
    CAPTURE(activation);
    ModelFolder model(R"({"projection_dim":24,"vision_config":{"hidden_size":192,"num_hidden_layers":3,"num_attention_heads":3,"intermediate_size":1096,)"
                      R"("image_size":60,"patch_size":6,"hidden_act":")" + std::string(activation) + R"("},"text_config":{"hidden_size":40,"num_hidden_layers":2,"num_attention_heads":4,)"
                      R"("intermediate_size":96,"max_position_embeddings":16,"vocab_size":50,"hidden_act":"gelu"}})");
    fill_model(model, 50, {.width = 192, .hidden = 1096, .patch = 6, .tokens = 101});
    const ClipFiles files = find_clip(model.path());
    const ClipWeights weights(files);
    const std::size_t most = 35, picture = 3 * 60 * 60, embedding = files.config.embedding;
    const std::vector<float> pixels = random_floats(most * picture, 21);
    std::vector<float> wanted(most * embedding);
    make_packed_image_tower(files, weights)->session()->encode_pixels(pixels, most, wanted);
    for (const Precision precision : {Precision::fp32, Precision::fp16, Precision::bf16}) {
      for (const bool graphs : {true, false}) {
        CAPTURE(static_cast<int>(precision));
        CAPTURE(graphs);
        const auto tower = make_aten_image_tower(files, weights, static_cast<Device>(0), precision, graphs);
        const auto session = tower->session(), other = tower->session();
        for (const std::size_t n : {1UL, 3UL, most, 2UL, 3UL, 8UL}) {
          std::vector<float> found(n * embedding), again(n * embedding);
          session->encode_pixels(std::span(pixels).first(n * picture), n, found);
          std::thread([&] { other->encode_pixels(std::span(pixels).first(n * picture), n, again); }).join();
          for (std::size_t i = 0; i < n; ++i) {
            const auto row = [&](const std::vector<float>& rows) { return std::span(rows).subspan(i * embedding, embedding); };
            CHECK(cosine(row(found), row(wanted)) > (precision == Precision::fp32 ? 0.99999 : precision == Precision::fp16 ? 0.9999 : 0.999));
            CHECK(cosine(row(found), row(again)) > 0.9999);
          }
        }
      }
    }
  }
}
