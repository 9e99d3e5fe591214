// CLIP's picture tower by ATen's operators: what the packed tower is compared with, and what runs on CUDA, in 16 bits and in 8.
#include <adapters/torch/clip_aten.hpp>

#include <core/fork_guard.hpp>
#include <vidloom/core/error.hpp>
#include <vidloom/core/log.hpp>
#include <vidloom/tensors.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/Exception.h>

#include <cstring>
#include <utility>

namespace vidloom {
inline namespace v0 {
namespace {

/// \return a tensor's numbers as float32 on the CPU.
at::Tensor stored(const ClipWeights& weights, const std::string& name, std::initializer_list<std::size_t> shape) {
  const std::vector<float> numbers = weights.floats(name, shape);
  std::vector<std::int64_t> sides(shape.begin(), shape.end());
  at::Tensor made = at::empty(sides, at::kFloat);
  std::memcpy(made.data_ptr<float>(), numbers.data(), numbers.size() * sizeof(float));
  return made;
}

/// torch's warnings go where the library's messages go, and not to stderr.
class Warnings final : public c10::WarningHandler {
 public:
  void process(const c10::Warning& warning) override { log(LogLevel::debug, "clip", "torch: " + std::string(warning.msg())); }
};

// Without VNNI the products of 8 bits are summed in pairs in 16 bits, which 8 bits on both sides overflow: the inputs get 7.
bool has_vnni() noexcept {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512vnni") > 0;
#else
  return true;
#endif
}

}  // namespace

AtenLinear::AtenLinear(const AtenPlace& place, const at::Tensor& matrix, const at::Tensor& offset) {
  if (place.precision != Precision::int8) {
    weight = place.bring(matrix);
    bias = place.bring(offset);
    return;
  }
  // Symmetric, a scale for each output.
  const at::Tensor largest = std::get<0>(matrix.abs().max(1)).clamp_min(1e-12F).to(at::kDouble);
  const at::Tensor scales = largest / 127.0;
  const at::Tensor quantised = at::quantize_per_channel(matrix, scales, at::zeros({matrix.size(0)}, at::kLong), 0, at::kQInt8);
  static const auto prepack = c10::Dispatcher::singleton()
                                  .findSchemaOrThrow("quantized::linear_prepack", "")
                                  .typed<c10::intrusive_ptr<LinearPackedParamsBase>(at::Tensor, std::optional<at::Tensor>)>();
  packed = prepack.call(quantised, offset);
}

at::Tensor AtenLinear::operator()(const at::Tensor& x) const {
  if (!packed) return at::linear(x, weight, bias);
  static const bool fewer_bits = !has_vnni();
  return packed->apply_dynamic(x, fewer_bits);
}

at::Tensor AtenNorm::operator()(const at::Tensor& x, double epsilon) const { return at::layer_norm(x, {x.size(-1)}, gain, bias, epsilon); }

namespace {

/// \param pixels  (n, 3, side, side); \return (n, embedding), not normalised
at::Tensor run(const AtenWeights& weights, const at::Tensor& pixels) {
  const ClipConfig& config = weights.config;
  const std::int64_t n = pixels.size(0), patch = static_cast<std::int64_t>(config.patch), grid = pixels.size(2) / patch;
  const auto width = static_cast<std::int64_t>(config.image.width), heads = static_cast<std::int64_t>(config.image.heads);
  const double epsilon = static_cast<double>(config.image.epsilon);
  const at::Tensor pieces = pixels.view({n, 3, grid, patch, grid, patch}).permute({0, 2, 4, 1, 3, 5}).reshape({n, grid * grid, 3 * patch * patch});
  at::Tensor x = at::cat({weights.class_row.expand({n, 1, width}), at::linear(pieces, weights.patches)}, 1) + weights.positions;
  x = weights.first(x, epsilon);
  for (const AtenLayer& layer : weights.layers) {
    const std::vector<at::Tensor> parts = layer.qkv(layer.before_attention(x, epsilon)).view({n, -1, 3, heads, width / heads}).permute({2, 0, 3, 1, 4}).unbind(0);
    const at::Tensor mixed = at::scaled_dot_product_attention(parts[0], parts[1], parts[2]).transpose(1, 2).reshape({n, -1, width});
    x = x + layer.output(mixed);
    at::Tensor wide = layer.up(layer.before_mlp(x, epsilon));
    wide = config.image.activation == Activation::gelu ? at::gelu(wide) : wide * at::sigmoid(wide * 1.702);
    x = x + layer.down(wide);
  }
  return at::linear(weights.last(x.select(1, 0), epsilon), weights.projection);
}

AtenWeights load_weights(const ClipFiles& files, const ClipWeights& weights, Device device, Precision precision) {
  const c10::InferenceMode no_gradients;
  const AtenPlace place{device == Device::cpu ? at::Device(at::kCPU) : at::Device(at::kCUDA, static_cast<at::DeviceIndex>(device)), precision};
  const ClipConfig& config = files.config;
  const bool open_clip = files.layout == ClipFiles::Layout::open_clip;
  const TowerConfig& tower = config.image;
  const std::size_t width = tower.width, side = config.image_size / config.patch, patch = config.patch, embedding = config.embedding;
  const auto bring = [&](const std::string& name, std::initializer_list<std::size_t> shape) { return place.bring(stored(weights, name, shape)); };
  const auto norm = [&](const std::string& name) { return AtenNorm{bring(name + ".weight", {width}), bring(name + ".bias", {width})}; };
  const auto linear = [&](const std::string& name, std::size_t outputs, std::size_t inputs) {
    return AtenLinear(place, stored(weights, name + ".weight", {outputs, inputs}), stored(weights, name + ".bias", {outputs}));
  };
  AtenWeights made{
      .place = place,
      .config = config,
      .patches = bring(open_clip ? "visual.conv1.weight" : "vision_model.embeddings.patch_embedding.weight", {width, 3, patch, patch}).flatten(1),
      .class_row = bring(open_clip ? "visual.class_embedding" : "vision_model.embeddings.class_embedding", {width}),
      .positions = bring(open_clip ? "visual.positional_embedding" : "vision_model.embeddings.position_embedding.weight", {side * side + 1, width}),
      .projection = open_clip ? bring("visual.proj", {width, embedding}).t().contiguous() : bring("visual_projection.weight", {embedding, width}),
      .first = norm(open_clip ? "visual.ln_pre" : "vision_model.pre_layrnorm"),
      .last = norm(open_clip ? "visual.ln_post" : "vision_model.post_layernorm"),
      .layers = {}};
  made.config.pixels.device = device;
  made.config.pixels.dtype = place.type() == at::kBFloat16 ? TensorSpec::DType::bf16 : place.type() == at::kHalf ? TensorSpec::DType::f16 : TensorSpec::DType::f32;
  const std::string prefix = open_clip ? "visual.transformer.resblocks." : "vision_model.encoder.layers.";
  for (std::size_t i = 0; i < tower.layers; ++i) {
    const std::string layer = prefix + std::to_string(i) + ".";
    const auto joined = [&] {
      if (open_clip) return AtenLinear(place, stored(weights, layer + "attn.in_proj_weight", {3 * width, width}), stored(weights, layer + "attn.in_proj_bias", {3 * width}));
      std::vector<at::Tensor> matrices, offsets;
      for (const char* part : {"q_proj", "k_proj", "v_proj"}) {
        matrices.push_back(stored(weights, layer + "self_attn." + part + ".weight", {width, width}));
        offsets.push_back(stored(weights, layer + "self_attn." + part + ".bias", {width}));
      }
      return AtenLinear(place, at::cat(matrices), at::cat(offsets));
    };
    made.layers.push_back({norm(layer + (open_clip ? "ln_1" : "layer_norm1")), norm(layer + (open_clip ? "ln_2" : "layer_norm2")), joined(),
                           linear(layer + (open_clip ? "attn.out_proj" : "self_attn.out_proj"), width, width),
                           linear(layer + (open_clip ? "mlp.c_fc" : "mlp.fc1"), tower.hidden, width),
                           linear(layer + (open_clip ? "mlp.c_proj" : "mlp.fc2"), width, tower.hidden)});
  }
  weights.release_pages();
  return made;
}

class AtenImageTower final : public ImageTower {
 public:
  AtenImageTower(const ClipFiles& files, const ClipWeights& weights, Device device, Precision precision, bool graphs)
      : weights_(std::make_shared<const AtenWeights>(load_weights(files, weights, device, precision))), graphs_(graphs) {}

  std::string description() const override {
    constexpr const char* names[] = {"fp32", "bf16", "fp16", "int8"};
    return std::string(names[static_cast<std::size_t>(weights_->place.precision)]) + ", ATen on " + weights_->place.device.str();
  }
  bool survives_fork() const override { return weights_->place.device.is_cpu(); }
  std::unique_ptr<Session> session() const override {
    if (auto session = graphs_ ? make_graph_session(weights_) : nullptr) return session;
    return std::make_unique<Work>(weights_);
  }

 private:
  class Work final : public Session {
   public:
    explicit Work(std::shared_ptr<const AtenWeights> weights) : weights_(std::move(weights)) {}
    void encode(std::span<const Frame> frames, std::span<float> out) override {
      answer(frames.size(), out, [&] {
        const TensorSpec& spec = weights_->config.pixels;
        const at::Tensor pixels = at::empty({static_cast<std::int64_t>(frames.size()), 3, spec.size.height, spec.size.width},
                                            at::TensorOptions().dtype(weights_->place.type()).device(weights_->place.device));
        write_tensors(frames, spec, {static_cast<std::byte*>(pixels.data_ptr()), pixels.nbytes()});
        return pixels;
      });
    }
    void encode_pixels(std::span<const float> pixels, std::size_t n, std::span<float> out) override {
      answer(n, out, [&] {
        const auto side = static_cast<std::int64_t>(weights_->config.image_size);
        return weights_->place.bring(at::from_blob(const_cast<float*>(pixels.data()), {static_cast<std::int64_t>(n), 3, side, side}, at::kFloat));
      });
    }

   private:
    template <class Make>
    void answer(std::size_t n, std::span<float> out, const Make& make_pixels) {
      if (n == 0) return;
      try {
        const c10::InferenceMode no_gradients;
        const at::Tensor rows = run(*weights_, make_pixels()).to(at::kCPU, at::kFloat).contiguous();
        std::memcpy(out.data(), rows.const_data_ptr<float>(), rows.nbytes());
      } catch (const c10::Error& error) {
        throw Error(Code::model, std::string("torch: ") + error.what_without_backtrace());
      }
      for (std::size_t i = 0; i < n; ++i) normalise(out.subspan(i * weights_->config.embedding, weights_->config.embedding));
    }
    const std::shared_ptr<const AtenWeights> weights_;
  };

  const std::shared_ptr<const AtenWeights> weights_;
  const bool graphs_;
};

}  // namespace

int cuda_devices() noexcept try {
  return static_cast<int>(at::getNumGPUs());
} catch (const std::exception&) {  // a driver that does not fit
  return 0;
}

std::shared_ptr<const ImageTower> make_aten_image_tower(const ClipFiles& files, const ClipWeights& weights, Device device, Precision precision,
                                                        bool graphs) {
  if (device != Device::cpu) {
    static ForkGuard guard;
    if (guard.foreign()) {
      throw Error(Code::forked, "clip used a CUDA device before fork(), and after that no child can; load the model in the worker processes alone, or use device cpu");
    }
    guard.use("CUDA device");
  }
  Warnings warnings;
  const c10::WarningUtils::WarningHandlerGuard taken(&warnings);
  try {
    return std::make_shared<const AtenImageTower>(files, weights, device, precision, graphs);
  } catch (const c10::Error& error) {
    throw Error(Code::model, files.name + ": torch: " + error.what_without_backtrace());
  }
}

}  // namespace v0
}  // namespace vidloom
