// CLIP's towers by our own kernels: against plain arithmetic, and the same bits in any company.
#include <adapters/clip/clip_model.hpp>
#include <adapters/clip/team.hpp>

#include <vidloom/core/error.hpp>

#include <doctest/doctest.h>
#include <support/clip_models.hpp>
#include <vidloom/adapters/clip.hpp>
#include <vidloom/contracts/adapter.hpp>
#include <vidloom/registry.hpp>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace vidloom;
using namespace clip_models;

namespace {

std::vector<const TowerKernels*> all_kernels() {
  std::vector<const TowerKernels*> sets{&portable_tower_kernels()};
  for (const TowerKernels* set : {avx2_tower_kernels(), avx512_tower_kernels()}) {
    if (set) sets.push_back(set);
  }
  return sets;
}

/// Those of this processor; where it has none the products of narrow numbers are left to ATen, and to other machines' tests.
std::vector<const NarrowKernels*> narrow_kernels() {
  if (!avx512_bf16_kernels()) MESSAGE("skipped: this processor has no AVX512_BF16");
  if (!avx512_vnni_kernels()) MESSAGE("skipped: this processor has no AVX512_VNNI");
  if (!amx_bf16_kernels() || !amx_int8_kernels()) MESSAGE("skipped: this processor has no tiles (AMX) of bf16 and int8, or the system keeps them back");
  std::vector<const NarrowKernels*> sets;
  for (const NarrowKernels* set : {avx512_bf16_kernels(), avx512_vnni_kernels(), amx_bf16_kernels(), amx_int8_kernels()}) {
    if (set) sets.push_back(set);
  }
  return sets;
}

float from_bf16(const void* stored) {
  std::uint16_t half = 0;
  std::memcpy(&half, stored, sizeof half);
  const std::uint32_t bits = std::uint32_t{half} << 16;
  float value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/// The nearest bf16 number, of two as near the even one.
float to_bf16(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  bits = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000;
  std::memcpy(&value, &bits, sizeof bits);
  return value;
}

double activated(Activation activation, double x) {
  if (activation == Activation::quick_gelu) return x / (1 + std::exp(-1.702 * x));
  if (activation == Activation::gelu) return x * 0.5 * (1 + std::erf(x / std::sqrt(2.0)));
  return x;
}

/// The bytes, each alone and at the end of a word, and what begins and ends a text: no merges.
void write_vocabulary(const std::string& folder) {
  std::vector<std::string> letters;
  const auto add = [&](unsigned code) {
    if (code < 0x80) letters.push_back(code == '"' || code == '\\' ? std::string("\\") + static_cast<char>(code) : std::string(1, static_cast<char>(code)));
    else letters.push_back({static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))});
  };
  for (unsigned code = 0x21; code < 0x7F; ++code) add(code);
  for (unsigned code = 0xA1; code < 0x100; ++code) {
    if (code != 0xAD) add(code);
  }
  for (unsigned code = 0x100; letters.size() < 256; ++code) add(code);
  std::string json;
  std::size_t id = 0;
  for (const char* end : {"", "</w>"}) {
    for (const std::string& letter : letters) json += "\"" + letter + end + "\":" + std::to_string(id++) + ",";
  }
  std::ofstream(folder + "/vocab.json") << "{" << json << R"("<|startoftext|>":512,"<|endoftext|>":513})";
  std::ofstream(folder + "/merges.txt") << "#version: 0.2\n";
}

void check_layer_norm(decltype(TowerKernels::layer_norm) layer_norm, std::size_t size) {
  auto x = random_floats(2 * size, 6, 3);
  for (float& value : x) value += 100;  // far from zero: the variance must not come from a difference of large sums
  const auto gain = random_floats(size, 7), bias = random_floats(size, 8);
  std::vector<float> out(x.size());
  layer_norm(x.data(), 2, size, gain.data(), bias.data(), 1e-5F, out.data());
  for (std::size_t row = 0; row < 2; ++row) {
    double mean = 0, variance = 0;
    for (std::size_t i = 0; i < size; ++i) mean += static_cast<double>(x[row * size + i]) / static_cast<double>(size);
    for (std::size_t i = 0; i < size; ++i) variance += std::pow(static_cast<double>(x[row * size + i]) - mean, 2) / static_cast<double>(size);
    for (std::size_t i = 0; i < size; ++i) {
      const double wanted = (static_cast<double>(x[row * size + i]) - mean) / std::sqrt(variance + 1e-5) * static_cast<double>(gain[i]) + static_cast<double>(bias[i]);
      CHECK(static_cast<double>(out[row * size + i]) == doctest::Approx(wanted).epsilon(1e-3).scale(1));
    }
  }
}

void check_products(void (*multiply)(const Product&) noexcept, std::size_t width) {
  for (const std::size_t rows : {1UL, 2UL, 5UL, 6UL, 7UL, 13UL, 25UL, 50UL}) {
    for (const std::size_t depth : {1UL, 63UL, 768UL, 1024UL, 2500UL}) {  // one pass, two, four of unequal depth
      for (const std::size_t columns : {width, width - 3}) {
        const auto a = random_floats(rows * (depth + 2), 1), weights = random_floats(depth * width, 2, 1 / std::sqrt(static_cast<float>(depth))), bias = random_floats(columns, 3);
        std::vector<float> panel = weights;
        for (std::size_t k = 0; k < depth; ++k) std::fill_n(panel.begin() + static_cast<std::ptrdiff_t>(k * width + columns), width - columns, 0.0F);
        for (const Activation activation : {Activation::none, Activation::quick_gelu, Activation::gelu}) {
          const bool adds = activation == Activation::none;
          std::vector<float> c = random_floats(rows * (width + 1), 4);
          const std::vector<float> before = c;
          multiply({.a = a.data(), .a_stride = depth + 2, .panel = panel.data(), .depth = depth, .c = c.data(), .c_stride = width + 1,
                    .rows = rows, .columns = columns, .bias = bias.data(), .residual = adds ? c.data() : nullptr, .activation = activation});
          double worst = 0;
          for (std::size_t i = 0; i < rows; ++i) {
            for (std::size_t j = 0; j < columns; ++j) {
              double sum = static_cast<double>(bias[j]) + (adds ? static_cast<double>(before[i * (width + 1) + j]) : 0);
              for (std::size_t k = 0; k < depth; ++k) sum += static_cast<double>(a[i * (depth + 2) + k]) * static_cast<double>(panel[k * width + j]);
              worst = std::max(worst, std::abs(activated(activation, sum) - static_cast<double>(c[i * (width + 1) + j])));
            }
            for (std::size_t j = columns; j < width + 1; ++j) REQUIRE(c[i * (width + 1) + j] == before[i * (width + 1) + j]);  // not ours
          }
          CHECK(worst < 2e-5);
        }
      }
    }
  }
}

}  // namespace

TEST_CASE("each set of kernels multiplies, normalises and exponentiates as plain arithmetic does") {
  for (const TowerKernels* kernels : all_kernels()) {
    CAPTURE(kernels->name);
    check_products(kernels->multiply, kernels->panel_width);
    check_products(kernels->multiply_small, kernels->small_width);
    const std::size_t width = kernels->panel_width;
    for (const std::size_t rows : {1UL, 4UL, 7UL, width}) {
      for (const std::size_t columns : {1UL, 6UL, 64UL}) {
        const auto from = random_floats(rows * (columns + 3), 10);
        std::vector<float> to(columns * (rows + 2), 7.0F);
        kernels->transpose(from.data(), columns + 3, rows, columns, to.data(), rows + 2);
        for (std::size_t c = 0; c < columns; ++c) {
          for (std::size_t r = 0; r < rows + 2; ++r) REQUIRE(to[c * (rows + 2) + r] == (r < rows ? from[r * (columns + 3) + c] : 7.0F));
        }
      }
    }
    for (const std::size_t valid : {1UL, 3UL, 16UL, 50UL, 77UL}) {
      std::vector<float> row = random_floats(96, 5, 20);
      const std::vector<float> scores = row;
      kernels->softmax(row.data(), valid, row.size());
      double largest = -1e30, sum = 0;
      for (std::size_t i = 0; i < valid; ++i) largest = std::max(largest, static_cast<double>(scores[i]));
      for (std::size_t i = 0; i < valid; ++i) sum += std::exp(static_cast<double>(scores[i]) - largest);
      for (std::size_t i = 0; i < row.size(); ++i) {
        CHECK(static_cast<double>(row[i]) == doctest::Approx(i < valid ? std::exp(static_cast<double>(scores[i]) - largest) / sum : 0).epsilon(1e-5));
      }
    }
    for (const std::size_t size : {3UL, 16UL, 60UL, 768UL}) check_layer_norm(kernels->layer_norm, size);
  }
}

TEST_CASE("products of narrow numbers are those of the rounded factors") {
  for (const NarrowKernels* kernels : narrow_kernels()) {
    CAPTURE(kernels->name);
    const bool bytes = kernels->numbers_in_word == 4;
    const std::size_t width = kernels->panel_width;
    for (const std::size_t rows : {1UL, 2UL, 5UL, 12UL, 13UL, 33UL, 50UL, 130UL}) {
      for (const std::size_t depth : {1UL, 7UL, 64UL, 147UL, 2500UL}) {
        for (const std::size_t columns : {width, width - 3, width / 2, 5UL}) {
          const std::size_t in_line = words_in_line * kernels->numbers_in_word, words = (depth + in_line - 1) / in_line * words_in_line, stride = words * 4 + 64;
          const auto a = random_floats(rows * (depth + 2), 1), weights = random_floats(columns * depth, 2, 1 / std::sqrt(static_cast<float>(depth)));
          std::vector<float> bias = random_floats(columns, 3);
          bias.resize(width);
          // What the factors become.
          std::vector<std::byte> narrowed(rows * stride, std::byte{0x7F});
          std::vector<RowScale> a_scale(rows);
          kernels->narrow(a.data(), depth + 2, rows, depth, narrowed.data(), stride, a_scale.data());
          std::vector<double> x(rows * depth), w(columns * depth);
          for (std::size_t i = 0; i < rows; ++i) {
            for (std::size_t k = 0; k < depth; ++k) {
              const float exact = a[i * (depth + 2) + k];
              double& rounded = x[i * depth + k];
              if (bytes) {
                rounded = static_cast<double>(a_scale[i].step) * std::to_integer<int>(narrowed[i * stride + k]) + static_cast<double>(a_scale[i].least);
                CHECK(std::abs(rounded - static_cast<double>(exact)) <= 0.501 * static_cast<double>(a_scale[i].step) + 1e-6);
              } else {
                rounded = static_cast<double>(to_bf16(exact));
                CHECK(static_cast<double>(from_bf16(narrowed.data() + i * stride + 2 * k)) == rounded);
              }
            }
          }
          for (std::size_t j = 0; j < columns; ++j) {
            float largest = 0;
            for (std::size_t k = 0; k < depth; ++k) largest = std::max(largest, std::abs(weights[j * depth + k]));
            const float step = largest / 127;
            for (std::size_t k = 0; k < depth; ++k) {
              const float exact = weights[j * depth + k];
              w[j * depth + k] = static_cast<double>(bytes ? static_cast<float>(std::lrint(exact / step)) * step : to_bf16(exact));
            }
          }
          std::vector<float> given = weights, scales(2 * width);
          std::vector<std::byte> panel(words * width * 4, std::byte{0x7F});
          kernels->pack(given.data(), columns, depth, panel.data(), scales.data());
          for (const Activation activation : {Activation::none, Activation::quick_gelu, Activation::gelu}) {
            for (const bool narrow_c : {false, true}) {
              const bool adds = activation == Activation::none && !narrow_c;
              std::vector<float> c = random_floats(rows * (width + 1), 4);
              const std::vector<float> before = c;
              kernels->multiply({.a = narrowed.data(), .a_stride = stride, .a_scale = a_scale.data(), .panel = panel.data(), .panel_scale = scales.data(), .words = words,
                                 .c = reinterpret_cast<std::byte*>(c.data()), .c_stride = (width + 1) * sizeof(float), .rows = rows, .columns = columns, .bias = bias.data(),
                                 .residual = adds ? c.data() : nullptr, .activation = activation, .narrow_c = narrow_c, .next = panel.data()});
              double worst = 0;
              for (std::size_t i = 0; i < rows; ++i) {
                for (std::size_t j = 0; j < columns; ++j) {
                  double sum = static_cast<double>(bias[j]) + (adds ? static_cast<double>(before[i * (width + 1) + j]) : 0);
                  for (std::size_t k = 0; k < depth; ++k) sum += x[i * depth + k] * w[j * depth + k];
                  const double wanted = activated(activation, sum);
                  const float* const row = c.data() + i * (width + 1);
                  const auto found = static_cast<double>(narrow_c ? from_bf16(reinterpret_cast<const std::byte*>(row) + 2 * j) : row[j]);
                  worst = std::max(worst, std::abs(wanted - found) - (narrow_c ? std::abs(wanted) / 256 : 0));
                }
                for (std::size_t j = narrow_c ? width / 2 : columns; j < width + 1; ++j) REQUIRE(c[i * (width + 1) + j] == before[i * (width + 1) + j]);  // not ours
              }
              CHECK(worst < 2e-4);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("8-bit products by tiles are those by vectors, bit for bit") {
  const NarrowKernels *const vectors = avx512_vnni_kernels(), *const tiles = amx_int8_kernels();
  if (!vectors || !tiles) {
    MESSAGE("skipped: this processor has no AVX512_VNNI or no tiles (AMX)");
    return;
  }
  REQUIRE(tiles->panel_width == vectors->panel_width);
  const std::size_t width = tiles->panel_width, depth = 777, words = 208, stride = words * 4 + 64;
  for (const std::size_t rows : {1UL, 17UL, 50UL, 129UL}) {
    std::vector<float> a = random_floats(rows * depth, 1, 3);
    if (rows > 20) a[11 * depth + 6] = std::numeric_limits<float>::infinity();
    std::vector<std::byte> narrowed(rows * stride);
    std::vector<RowScale> a_scale(rows);
    vectors->narrow(a.data(), depth, rows, depth, narrowed.data(), stride, a_scale.data());
    std::vector<std::byte> panels[2];
    std::vector<float> scales[2], c[2];
    for (const std::size_t which : {0UL, 1UL}) {
      const NarrowKernels& kernels = which == 0 ? *vectors : *tiles;
      std::vector<float> weights = random_floats(width * depth, 2, 0.1F);
      panels[which].resize(words * width * 4), scales[which].resize(2 * width), c[which] = random_floats(rows * width, 3);
      kernels.pack(weights.data(), width, depth, panels[which].data(), scales[which].data());
      const std::vector<float> bias = random_floats(width, 4);
      kernels.multiply({.a = narrowed.data(), .a_stride = stride, .a_scale = a_scale.data(), .panel = panels[which].data(), .panel_scale = scales[which].data(),
                        .words = words, .c = reinterpret_cast<std::byte*>(c[which].data()), .c_stride = width * sizeof(float), .rows = rows, .columns = width,
                        .bias = bias.data(), .residual = c[which].data(), .activation = Activation::quick_gelu});
    }
    CHECK(panels[0] == panels[1]);
    CHECK(std::memcmp(c[0].data(), c[1].data(), c[0].size() * sizeof(float)) == 0);
    if (rows > 20) CHECK(std::ranges::none_of(std::span(c[1]).subspan(11 * width, width), [](float value) { return std::isfinite(value); }));
  }
}

TEST_CASE("attention of narrow numbers is that of plain arithmetic with the rounded ones") {
  for (const NarrowKernels* kernels : narrow_kernels()) {
    if (!kernels->attend) continue;
    CAPTURE(kernels->name);
    for (const std::size_t length : {1UL, 5UL, 32UL, 50UL, 77UL, 257UL}) {
      for (const std::size_t size : {32UL, 64UL, 96UL}) {
        for (const std::size_t rows : {std::size_t{1}, length}) {
          constexpr std::size_t heads = 2;
          const std::size_t width = heads * size;
          const auto bf16_rows = [&](std::size_t count, unsigned seed, float scale) {
            std::vector<std::uint16_t> numbers;
            for (const float number : random_floats(count * width, seed, scale)) {
              const float rounded = to_bf16(number);
              std::uint32_t bits = 0;
              std::memcpy(&bits, &rounded, sizeof bits);
              numbers.push_back(static_cast<std::uint16_t>(bits >> 16));
            }
            return numbers;
          };
          auto queries = bf16_rows(rows, 1, 0.6F);
          const auto keys = bf16_rows(length, 2, 1), values = bf16_rows(length, 3, 1);
          queries.resize((rows + attention_rows - 1) / attention_rows * attention_rows * width, 0x7FC0);  // NaN: not ours
          std::vector<std::byte> scratch_memory(attention_scratch(length, size) + 64, std::byte{0xFF});
          void* scratch = scratch_memory.data();
          std::size_t room = scratch_memory.size();
          REQUIRE(std::align(64, attention_scratch(length, size), scratch, room));
          std::vector<std::uint16_t> mixed(rows * width + 1, 7);
          kernels->attend({.queries = reinterpret_cast<const std::byte*>(queries.data()), .query_stride = width * 2, .rows = rows,
                           .keys = reinterpret_cast<const std::byte*>(keys.data()), .values = reinterpret_cast<const std::byte*>(values.data()), .key_stride = width * 2,
                           .length = length, .size = size, .heads = heads, .mixed = reinterpret_cast<std::byte*>(mixed.data()), .mixed_stride = width * 2,
                           .scratch = static_cast<std::byte*>(scratch)});
          const auto number = [](const std::vector<std::uint16_t>& from, std::size_t at) { return static_cast<double>(from_bf16(&from[at])); };
          double worst = 0;
          for (std::size_t row = 0; row < rows; ++row) {
            for (std::size_t head = 0; head < heads; ++head) {
              std::vector<double> weights(length);
              double sum = 0;
              for (std::size_t key = 0; key < length; ++key) {
                double score = 0;
                for (std::size_t d = head * size; d < (head + 1) * size; ++d) score += number(queries, row * width + d) * number(keys, key * width + d);
                sum += weights[key] = std::exp(score);
              }
              for (std::size_t d = head * size; d < (head + 1) * size; ++d) {
                double wanted = 0;
                for (std::size_t key = 0; key < length; ++key) wanted += weights[key] / sum * number(values, key * width + d);
                worst = std::max(worst, std::abs(wanted - number(mixed, row * width + d)) - std::abs(wanted) / 128);
              }
            }
          }
          CHECK(worst < 0.01);  // weights are rounded too, to 1/256 of their size
          CHECK(mixed.back() == 7);
        }
      }
    }
  }
}

TEST_CASE("rows of bf16 become the same bytes as the floats they stand for, and are normalised as plain arithmetic does") {
  for (const NarrowKernels* kernels : narrow_kernels()) {
    CAPTURE(kernels->name);
    for (const std::size_t width : {1UL, 3UL, 16UL, 60UL, 100UL, 768UL}) {
      constexpr std::size_t rows = 3;
      const std::size_t stride = (width + 63) / 64 * 64;
      if (kernels->narrow_halves) {
        std::vector<float> floats = random_floats(rows * width, 1, 2);
        std::vector<std::uint16_t> halves;
        for (float& value : floats) {
          value = to_bf16(value);
          std::uint32_t bits = 0;
          std::memcpy(&bits, &value, sizeof bits);
          halves.push_back(static_cast<std::uint16_t>(bits >> 16));
        }
        std::vector<std::byte> bytes[2] = {std::vector<std::byte>(rows * stride), std::vector<std::byte>(rows * stride)};
        std::vector<RowScale> scales[2] = {std::vector<RowScale>(rows), std::vector<RowScale>(rows)};
        kernels->narrow(floats.data(), width, rows, width, bytes[0].data(), stride, scales[0].data());
        kernels->narrow_halves(reinterpret_cast<const std::byte*>(halves.data()), width * 2, rows, width, bytes[1].data(), stride, scales[1].data());
        CHECK(bytes[0] == bytes[1]);
        for (std::size_t row = 0; row < rows; ++row) CHECK((scales[0][row].step == scales[1][row].step && scales[0][row].least == scales[1][row].least));
      }
      if (kernels->layer_norm) check_layer_norm(kernels->layer_norm, width);
    }
  }
}

TEST_CASE("each set of kernels gives a picture the same bits in any company, and nearly those of the portable one") {
  for (const auto& [activation, width] : {std::pair{std::string("quick_gelu"), 60UL}, std::pair{std::string("gelu"), 60UL}, std::pair{std::string("quick_gelu"), 128UL}}) {
    CAPTURE(activation);
    CAPTURE(width);  // 128: heads wide enough for attention in narrow numbers
    ModelFolder folder(config_of(activation, 50, width));
    fill_model(folder, 50, {.width = width});
    const ClipFiles files = find_clip(folder.path());
    const ClipWeights weights(files);
    const std::size_t n = 19, picture = 3 * 35 * 35;  // more pictures than go by at once
    const std::vector<float> pixels = random_floats(n * picture, 9);
    const auto encode = [&](const ImageTower& tower, std::size_t first, std::size_t count) {
      std::vector<float> out(count * 24);
      tower.session()->encode_pixels(std::span(pixels).subspan(first * picture, count * picture), count, out);
      return out;
    };
    const auto reference = encode(*make_packed_image_tower(files, weights, {&portable_tower_kernels()}), 0, n);
    double length = 0;
    for (std::size_t i = 0; i < 24; ++i) length += static_cast<double>(reference[i]) * static_cast<double>(reference[i]);
    CHECK(length == doctest::Approx(1).epsilon(1e-5));
    CHECK(largest_difference({reference.begin(), reference.begin() + 24}, {reference.begin() + 24, reference.begin() + 48}) > 1e-3);  // pictures differ
    for (const TowerKernels* kernels : all_kernels()) {
      CAPTURE(kernels->name);
      const auto tower = make_packed_image_tower(files, weights, {kernels});
      const auto all = encode(*tower, 0, n);
      CHECK(largest_difference(all, reference) < 2e-5);
      for (std::size_t i = 0; i < n; ++i) {
        const auto alone = encode(*tower, i, 1);
        CHECK(std::equal(alone.begin(), alone.end(), all.begin() + static_cast<std::ptrdiff_t>(i * 24)));
      }
      // Many threads share the tower; each has its session.
      std::atomic<int> wrong{0};
      std::vector<std::thread> threads;
      for (int t = 0; t < 6; ++t) threads.emplace_back([&] { if (encode(*tower, 0, n) != all) ++wrong; });
      for (auto& thread : threads) thread.join();
      CHECK(wrong == 0);
    }
    for (const NarrowKernels* kernels : narrow_kernels()) {
      CAPTURE(kernels->name);
      const auto tower = make_packed_image_tower(files, weights, {&tower_kernels(), kernels});
      CHECK(tower->description() == std::string(kernels->precision) + ", " + kernels->name);
      const auto all = encode(*tower, 0, n);
      CHECK(all != reference);
      for (std::size_t i = 0; i < n; ++i) {
        CHECK(cosine(std::span(all).subspan(i * 24, 24), std::span(reference).subspan(i * 24, 24)) > (std::string(kernels->precision) == "bf16" ? 0.999 : 0.99));
        const auto alone = encode(*tower, i, 1);
        CHECK(std::equal(alone.begin(), alone.end(), all.begin() + static_cast<std::ptrdiff_t>(i * 24)));
      }
      std::atomic<int> wrong{0};
      std::vector<std::thread> threads;
      for (int t = 0; t < 16; ++t) threads.emplace_back([&] { if (encode(*tower, 0, n) != all) ++wrong; });
      for (auto& thread : threads) thread.join();
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("a text's embedding does not depend on the texts beside it, nor on how many pass at once") {
  ModelFolder folder(config_of("quick_gelu"));
  fill_model(folder);
  const ClipFiles files = find_clip(folder.path());
  const ClipWeights weights(files);
  std::vector<std::vector<std::int64_t>> texts;
  for (std::int64_t i = 0; i < 150; ++i) {  // more rows than weights are used for in passing
    auto& text = texts.emplace_back();
    for (std::int64_t j = 0; j < 2 + i % 15; ++j) text.push_back((i * 7 + j * 3) % 50);
  }
  for (const TowerKernels* kernels : all_kernels()) {
    const auto all = encode_texts(files, weights, texts, *kernels);
    REQUIRE(all.size() == texts.size() * 24);
    const auto few = encode_texts(files, weights, std::span(texts).first(70), *kernels);
    CHECK(std::equal(few.begin(), few.end(), all.begin()));
    for (const std::size_t i : {0UL, 14UL, 60UL, 89UL, 149UL}) {
      const auto alone = encode_texts(files, weights, std::span(texts).subspan(i, 1), *kernels);
      CHECK(std::equal(alone.begin(), alone.end(), all.begin() + static_cast<std::ptrdiff_t>(i * 24)));
    }
  }
  texts.front() = {3, 50};
  CHECK_THROWS_WITH_AS(encode_texts(files, weights, texts), doctest::Contains("the tokenizer knows id 50, the model only 50 ids"), Error);
  CHECK(logit_scale(weights) == doctest::Approx(std::exp(4.6)));
}

TEST_CASE("a team does every piece once, alone or not, from several callers at the same time") {
  Team team(4);
  std::vector<std::thread> callers;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 5; ++t) {
    callers.emplace_back([&] {
      for (std::size_t count = 0; count < 200; ++count) {
        std::vector<std::atomic<int>> done(count);
        std::atomic<unsigned> widest{0};
        team.run(count, [&](std::size_t index, unsigned member) noexcept {
          ++done[index];
          unsigned seen = widest;
          while (seen < member && !widest.compare_exchange_weak(seen, member)) {}
        });
        for (const auto& one : done) wrong += one != 1;
        wrong += widest >= team.width();
        for (auto& one : done) one = 0;
        team.run_in_rows(count, [&](std::size_t index, unsigned member) noexcept {
          ++done[index];
          if (member >= team.width()) ++wrong;
        });
        for (const auto& one : done) wrong += one != 1;
      }
    });
  }
  for (auto& caller : callers) caller.join();
  CHECK(wrong == 0);
}

TEST_CASE("a model that does not fit its configuration is told by the tensor's name") {
  ModelFolder folder(config_of("quick_gelu"));
  fill_model(folder);
  const auto complaint = [&](const std::string& config) -> std::string {
    try {
      std::ofstream(std::filesystem::path(folder.path()) / "config.json") << config;
      const ClipFiles files = find_clip(folder.path());
      make_packed_image_tower(files, ClipWeights(files));
      return "fine";
    } catch (const Error& error) {
      CHECK(error.code == Code::model);
      return error.what();
    }
  };
  const std::string good = config_of("quick_gelu");
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    return text.replace(text.find(from), from.size(), to);
  };
  const auto holds = [](const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; };
  CHECK(complaint(good) == "fine");
  CHECK(holds(complaint(with("\"intermediate_size\":1100", "\"intermediate_size\":1000")), "mlp.fc1.weight' has the shape [1100,60]; the configuration asks for [1000,60]"));
  CHECK(holds(complaint(with("\"num_hidden_layers\":3", "\"num_hidden_layers\":4")), "layers.3.layer_norm1.weight' is missing"));
  CHECK(holds(complaint(with("\"num_attention_heads\":4", "\"num_attention_heads\":7")), "does not divide into 7 heads"));
  CHECK(holds(complaint(with("\"hidden_act\":\"quick_gelu\"", "\"hidden_act\":\"swish\"")), "quick_gelu and gelu are known"));
  CHECK(holds(complaint(with("\"hidden_size\":60", "\"hidden_size\":-1")), "hidden_size is -1"));
  CHECK(holds(complaint("{}"), "lacks vision_config"));
  CHECK(holds(complaint("{"), "no configuration of a model"));
}

TEST_CASE("clip keeps the contract of adapters") {
  ModelFolder folder(config_of("quick_gelu", 514));
  fill_model(folder, 514);
  write_vocabulary(folder.path());
  for (const int tiles : {0, 4}) {
    CAPTURE(tiles);
    const AdapterSpec spec = clip({.model = folder.path(), .labels = {"ox", "cat"}, .prompts = {"{}"}, .precision = "fp32", .tiles = tiles, .embedding = true});
    for (const std::string& broken : contracts::check_adapter([spec] { return make_adapter(spec); })) FAIL_CHECK(broken);
  }
}
