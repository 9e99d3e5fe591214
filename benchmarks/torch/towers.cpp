// CLIP's towers alone, behind the line protocol of the side-by-side runs: ours, ATen's operators as the same tower, and as the limit one
// matrix product with as many operations.
#include <adapters/clip/amx.hpp>
#include <adapters/clip/clip_model.hpp>
#include <adapters/torch/clip_aten.hpp>
#include <side_by_side/line_protocol.hpp>

#include <ATen/ops/matmul.h>
#include <ATen/ops/rand.h>

#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <thread>

using namespace vidloom;
using side_by_side::Reply;
using side_by_side::Request;

namespace {

struct Loaded {
  ClipFiles files;
  std::unique_ptr<const ClipWeights> weights;
  std::map<std::string, std::unique_ptr<ImageTower::Session>> sessions;
};

Loaded& loaded(const std::string& folder) {
  static std::map<std::string, Loaded> all;
  Loaded& one = all[folder];
  if (!one.weights) {
    one.files = find_clip(folder);
    one.weights = std::make_unique<const ClipWeights>(one.files);
  }
  return one;
}

/// The first `most` numbers of a file.
template <class T>
std::vector<T> numbers_in(const std::string& path, std::size_t most = SIZE_MAX) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  std::vector<T> numbers(std::min(most, static_cast<std::size_t>(file.tellg()) / sizeof(T)));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(numbers.data()), static_cast<std::streamsize>(numbers.size() * sizeof(T)));
  return numbers;
}

std::shared_ptr<const ImageTower> tower_of(const Loaded& model, const std::string& route) {
  const std::string numbers = route.substr(route.find('_') + 1);
  if (route.starts_with("packed")) {
    const NarrowKernels* const narrow = numbers == "bf16" ? bf16_kernels() : numbers == "int8" ? int8_kernels() : nullptr;
    if (route != "packed" && !narrow) throw std::runtime_error("this processor has no instructions for " + route);
    return make_packed_image_tower(model.files, *model.weights, {&tower_kernels(), narrow});
  }
  const bool on_gpu = route != numbers;
  return make_aten_image_tower(model.files, *model.weights, on_gpu ? static_cast<Device>(0) : Device::cpu,
                               numbers == "bf16" ? Precision::bf16 : numbers == "int8" ? Precision::int8 : numbers == "fp16" ? Precision::fp16 : Precision::fp32,
                               route.starts_with("graph"));
}

/// The first `batch` pictures of a file of float pixels; `route`: packed, packed_bf16, packed_int8 by our kernels, fp32,
/// bf16, int8 by ATen's operators; graph_fp16, graph_bf16, cuda_fp32, cuda_fp16, cuda_bf16 on the first GPU, as CUDA graphs or by ATen's operators.
void image(const Request& request, Reply& reply) {
  Loaded& model = loaded(request.text("model"));
  const std::string route = request.text("route");
  auto& session = model.sessions[route];
  if (!session) session = tower_of(model, route)->session();
  const auto batch = static_cast<std::size_t>(request.integer("batch", 1)), width = model.files.config.embedding;
  const std::vector<float> pixels = numbers_in<float>(request.text("pixels"), batch * 3 * model.files.config.image_size * model.files.config.image_size);
  std::vector<float> out(batch * width);
  reply.timed([&] { session->encode_pixels(pixels, batch, out); }, static_cast<int>(batch));
  reply.times.assign(batch, 0);
  reply.values.assign(out.begin(), out.end());
}

/// Texts of `length` tokens each, from a file of ids; weights are packed inside the clock.
void texts(const Request& request, Reply& reply) {
  Loaded& model = loaded(request.text("model"));
  const std::vector<std::int64_t> ids = numbers_in<std::int64_t>(request.text("ids"));
  const auto length = static_cast<std::size_t>(request.integer("length", 12));
  std::vector<std::vector<std::int64_t>> rows;
  for (std::size_t at = 0; at + length <= ids.size(); at += length) rows.emplace_back(ids.begin() + static_cast<std::ptrdiff_t>(at), ids.begin() + static_cast<std::ptrdiff_t>(at + length));
  std::vector<float> out;
  reply.timed([&] { out = encode_texts(model.files, *model.weights, rows); });
  reply.times.assign(rows.size(), 0);
  reply.values.assign(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(model.files.config.embedding));  // the first text's
}

/// One product of square matrices of 2048 by torch, as often as `operations` asks for; `kind`: fp32 or bf16.
void product(const Request& request, Reply& reply) {
  const auto kind = request.text("kind") == "bf16" ? at::kBFloat16 : at::kFloat;
  const at::Tensor a = at::rand({2048, 2048}, kind), b = at::rand({2048, 2048}, kind);
  const double wanted = request.number("operations"), one = 2.0 * 2048 * 2048 * 2048;
  const int times = std::max(1, static_cast<int>(wanted / one + 0.5));
  (void)at::matmul(a, b);  // what a library prepares at the first of a kind is no part of it
  reply.timed([&] { for (int i = 0; i < times; ++i) (void)at::matmul(a, b); });
  reply.scale(wanted / (one * times) / request.integer("batch", 1));
}

/// A thread's multiplications and additions from registers to registers, `steps` times twelve of them; twelve chains, so that none waits
/// for the one before. The numbers stay what they are.
#define VIDLOOM_CHAINS(one) one(0) one(1) one(2) one(3) one(4) one(5) one(6) one(7) one(8) one(9) one(10) one(11)
#define VIDLOOM_PEAK(name, set, bytes, instruction)                                                  \
  __attribute__((target(set))) void name(long steps) {                                               \
    using Vector = float __attribute__((vector_size(bytes)));                                        \
    Vector sums[12] = {}, a{}, b{};                                                                  \
    for (long i = 0; i < steps; ++i) {                                                               \
      VIDLOOM_CHAINS(instruction)                                                                    \
    }                                                                                                \
  }
#define VIDLOOM_FMA(i) asm volatile("vfmadd231ps %2, %1, %0" : "+v"(sums[i]) : "v"(a), "v"(b));
#define VIDLOOM_BF16(i) asm volatile("vdpbf16ps %2, %1, %0" : "+v"(sums[i]) : "v"(a), "v"(b));
#define VIDLOOM_VNNI(i) asm volatile("vpdpbusd %2, %1, %0" : "+v"(sums[i]) : "v"(a), "v"(b));
VIDLOOM_PEAK(fma_256, "avx2,fma", 32, VIDLOOM_FMA)
VIDLOOM_PEAK(fma_512, "avx512f", 64, VIDLOOM_FMA)
VIDLOOM_PEAK(bf16_512, "avx512f,avx512bf16", 64, VIDLOOM_BF16)
VIDLOOM_PEAK(vnni_512, "avx512f,avx512vnni", 64, VIDLOOM_VNNI)

/// The same by tiles of AMX: sums in tiles 0 to 3, each step adds to all four.
struct alignas(64) TileShapes {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
#define VIDLOOM_TILE_PEAK(name, set, instruction)                                                    \
  __attribute__((target("amx-tile," set))) void name(long steps) {                                  \
    const TileShapes shapes;                                                                         \
    asm volatile("ldtilecfg %0" : : "m"(shapes));                                                    \
    for (long i = 0; i < steps; ++i) {                                                               \
      instruction(0, 4, 6);                                                                          \
      instruction(1, 4, 7);                                                                          \
      instruction(2, 5, 6);                                                                          \
      instruction(3, 5, 7);                                                                          \
    }                                                                                                \
    _tile_release();                                                                                 \
  }
VIDLOOM_TILE_PEAK(bf16_tiles, "amx-bf16", _tile_dpbf16ps)
VIDLOOM_TILE_PEAK(int8_tiles, "amx-int8", _tile_dpbusd)

/// As many operations as asked for by nothing but the instruction that does most of them, on `threads` threads.
void peak(const Request& request, Reply& reply) {
  struct Way { void (*run)(long); double operations; } way{};  // operations of a step
  const std::string kind = request.text("kind");
  if (kind == "bf16" && __builtin_cpu_supports("avx512bf16")) way = {bf16_512, 12 * 64};
  if (kind == "int8" && __builtin_cpu_supports("avx512vnni")) way = {vnni_512, 12 * 128};
  if (kind == "bf16" && usable_amx().bf16) way = {bf16_tiles, 4 * 2 * 16 * 16 * 32};
  if (kind == "int8" && usable_amx().int8) way = {int8_tiles, 4 * 2 * 16 * 16 * 64};
  if (kind == "fp32") way = __builtin_cpu_supports("avx512f") ? Way{fma_512, 12 * 32} : Way{fma_256, 12 * 16};
  if (!way.run) throw std::runtime_error("this processor has no instruction for " + kind);
  const int threads = request.integer("threads", 1);
  const double operations = request.number("operations");
  const long steps = static_cast<long>(operations / (way.operations * threads));
  reply.timed([&] {
    std::vector<std::thread> others;
    for (int i = 1; i < threads; ++i) others.emplace_back(way.run, steps);
    way.run(steps);
    for (auto& other : others) other.join();
  }, request.integer("batch", 1));
}

}  // namespace

int main() { return side_by_side::serve({{"image", image}, {"texts", texts}, {"product", product}, {"peak", peak}}); }
