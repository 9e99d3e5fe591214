// CLIP's picture tower by ATen's operators: what the packed tower is compared with, and what runs on CUDA, in 16 bits and in 8.
#include <adapters/torch/clip_model.hpp>

#include <vidloom/core/error.hpp>
#include <vidloom/core/log.hpp>
#include <vidloom/tensors.hpp>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/native/quantized/PackedParams.h>
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

/// Which numbers to go where.
struct Place {
  at::Device device;
  Precision precision;
  at::ScalarType type() const {
    return precision == Precision::bf16 ? at::kBFloat16 : precision == Precision::fp16 ? at::kHalf : at::kFloat;
  }
  at::Tensor bring(const at::Tensor& tensor) const { return tensor.to(device, type()).contiguous(); }
};

// Without VNNI the products of 8 bits are summed in pairs in 16 bits, which 8 bits on both sides overflow: the inputs get 7.
bool has_vnni() noexcept {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512vnni") > 0;
#else
  return true;
#endif
}

class Linear {
 public:
  Linear(const Place& place, const at::Tensor& weight, const at::Tensor& bias) {
    if (place.precision != Precision::int8) {
      weight_ = place.bring(weight);
      if (bias.defined()) bias_ = place.bring(bias);
      return;
    }
    // Symmetric, a scale for each output.
    const at::Tensor largest = std::get<0>(weight.abs().max(1)).clamp_min(1e-12F).to(at::kDouble);
    const at::Tensor scales = largest / 127.0;
    const at::Tensor quantised = at::quantize_per_channel(weight, scales, at::zeros({weight.size(0)}, at::kLong), 0, at::kQInt8);
    static const auto prepack = c10::Dispatcher::singleton()
                                    .findSchemaOrThrow("quantized::linear_prepack", "")
                                    .typed<c10::intrusive_ptr<LinearPackedParamsBase>(at::Tensor, std::optional<at::Tensor>)>();
    packed_ = prepack.call(quantised, bias.defined() ? std::optional(bias) : std::nullopt);
  }
  at::Tensor operator()(const at::Tensor& x) const {
    if (!packed_) return at::linear(x, weight_, bias_);
    static const bool fewer_bits = !has_vnni();
    return packed_->apply_dynamic(x, fewer_bits);
  }

 private:
  at::Tensor weight_, bias_;
  c10::intrusive_ptr<LinearPackedParamsBase> packed_;
};

struct Norm {
  at::Tensor gain, bias;
  at::Tensor operator()(const at::Tensor& x, double epsilon) const { return at::layer_norm(x, {x.size(-1)}, gain, bias, epsilon); }
};

struct Layer {
  Norm before_attention, before_mlp;
  Linear qkv, output, up, down;
};

class AtenImageTower final : public ImageTower, public std::enable_shared_from_this<AtenImageTower> {
 public:
  AtenImageTower(const ClipFiles& files, const ClipWeights& weights, Device device, Precision precision)
      : place_{device == Device::cpu ? at::Device(at::kCPU) : at::Device(at::kCUDA, static_cast<at::DeviceIndex>(device)), precision},
        config_(files.config) {
    const c10::InferenceMode no_gradients;
    const bool open_clip = files.layout == ClipFiles::Layout::open_clip;
    const TowerConfig& tower = config_.image;
    const std::size_t width = tower.width, side = config_.image_size / config_.patch, patch = config_.patch;
    const auto bring = [&](const std::string& name, std::initializer_list<std::size_t> shape) { return place_.bring(stored(weights, name, shape)); };
    const auto norm = [&](const std::string& name) { return Norm{bring(name + ".weight", {width}), bring(name + ".bias", {width})}; };
    const auto linear = [&](const std::string& name, std::size_t outputs, std::size_t inputs) {
      return Linear(place_, stored(weights, name + ".weight", {outputs, inputs}), stored(weights, name + ".bias", {outputs}));
    };
    config_.pixels.device = device;
    config_.pixels.dtype = place_.type() == at::kBFloat16 ? TensorSpec::DType::bf16 : place_.type() == at::kHalf ? TensorSpec::DType::f16 : TensorSpec::DType::f32;
    patches_ = bring(open_clip ? "visual.conv1.weight" : "vision_model.embeddings.patch_embedding.weight", {width, 3, patch, patch}).flatten(1);
    class_row_ = bring(open_clip ? "visual.class_embedding" : "vision_model.embeddings.class_embedding", {width});
    positions_ = bring(open_clip ? "visual.positional_embedding" : "vision_model.embeddings.position_embedding.weight", {side * side + 1, width});
    first_ = norm(open_clip ? "visual.ln_pre" : "vision_model.pre_layrnorm");
    last_ = norm(open_clip ? "visual.ln_post" : "vision_model.post_layernorm");
    const std::string prefix = open_clip ? "visual.transformer.resblocks." : "vision_model.encoder.layers.";
    for (std::size_t i = 0; i < tower.layers; ++i) {
      const std::string layer = prefix + std::to_string(i) + ".";
      const auto joined = [&] {
        if (open_clip) return Linear(place_, stored(weights, layer + "attn.in_proj_weight", {3 * width, width}), stored(weights, layer + "attn.in_proj_bias", {3 * width}));
        std::vector<at::Tensor> matrices, offsets;
        for (const char* part : {"q_proj", "k_proj", "v_proj"}) {
          matrices.push_back(stored(weights, layer + "self_attn." + part + ".weight", {width, width}));
          offsets.push_back(stored(weights, layer + "self_attn." + part + ".bias", {width}));
        }
        return Linear(place_, at::cat(matrices), at::cat(offsets));
      };
      layers_.push_back({norm(layer + (open_clip ? "ln_1" : "layer_norm1")), norm(layer + (open_clip ? "ln_2" : "layer_norm2")), joined(),
                         linear(layer + (open_clip ? "attn.out_proj" : "self_attn.out_proj"), width, width),
                         linear(layer + (open_clip ? "mlp.c_fc" : "mlp.fc1"), tower.hidden, width),
                         linear(layer + (open_clip ? "mlp.c_proj" : "mlp.fc2"), width, tower.hidden)});
    }
    const std::size_t embedding = config_.embedding;
    projection_ = open_clip ? bring("visual.proj", {width, embedding}).t().contiguous() : bring("visual_projection.weight", {embedding, width});
    weights.release_pages();
  }

  std::string description() const override {
    constexpr const char* names[] = {"fp32", "bf16", "fp16", "int8"};
    return std::string(names[static_cast<std::size_t>(place_.precision)]) + ", ATen on " + place_.device.str();
  }
  std::unique_ptr<Session> session() const override { return std::make_unique<Work>(shared_from_this()); }

 private:
  class Work final : public Session {
   public:
    explicit Work(std::shared_ptr<const AtenImageTower> tower) : tower_(std::move(tower)) {}
    void encode(std::span<const Frame> frames, std::span<float> out) override {
      answer(frames.size(), out, [&] {
        const TensorSpec& spec = tower_->config_.pixels;
        const at::Tensor pixels = at::empty({static_cast<std::int64_t>(frames.size()), 3, spec.size.height, spec.size.width},
                                            at::TensorOptions().dtype(tower_->place_.type()).device(tower_->place_.device));
        write_tensors(frames, spec, {static_cast<std::byte*>(pixels.data_ptr()), pixels.nbytes()});
        return pixels;
      });
    }
    void encode_pixels(std::span<const float> pixels, std::size_t n, std::span<float> out) override {
      answer(n, out, [&] {
        const auto side = static_cast<std::int64_t>(tower_->config_.image_size);
        return tower_->place_.bring(at::from_blob(const_cast<float*>(pixels.data()), {static_cast<std::int64_t>(n), 3, side, side}, at::kFloat));
      });
    }

   private:
    template <class Make>
    void answer(std::size_t n, std::span<float> out, const Make& make_pixels) {
      if (n == 0) return;
      try {
        const c10::InferenceMode no_gradients;
        const at::Tensor rows = tower_->run(make_pixels()).to(at::kCPU, at::kFloat).contiguous();
        std::memcpy(out.data(), rows.const_data_ptr<float>(), rows.nbytes());
      } catch (const c10::Error& error) {
        throw Error(Code::model, std::string("torch: ") + error.what_without_backtrace());
      }
      for (std::size_t i = 0; i < n; ++i) normalise(out.subspan(i * tower_->config_.embedding, tower_->config_.embedding));
    }
    const std::shared_ptr<const AtenImageTower> tower_;
  };

  /// \param pixels  (n, 3, side, side); \return (n, embedding), not normalised
  at::Tensor run(const at::Tensor& pixels) const {
    const std::int64_t n = pixels.size(0), patch = static_cast<std::int64_t>(config_.patch), grid = pixels.size(2) / patch;
    const auto width = static_cast<std::int64_t>(config_.image.width), heads = static_cast<std::int64_t>(config_.image.heads);
    const double epsilon = static_cast<double>(config_.image.epsilon);
    const at::Tensor pieces = pixels.view({n, 3, grid, patch, grid, patch}).permute({0, 2, 4, 1, 3, 5}).reshape({n, grid * grid, 3 * patch * patch});
    at::Tensor x = at::cat({class_row_.expand({n, 1, width}), at::linear(pieces, patches_)}, 1) + positions_;
    x = first_(x, epsilon);
    for (const Layer& layer : layers_) {
      const std::vector<at::Tensor> parts = layer.qkv(layer.before_attention(x, epsilon)).view({n, -1, 3, heads, width / heads}).permute({2, 0, 3, 1, 4}).unbind(0);
      const at::Tensor mixed = at::scaled_dot_product_attention(parts[0], parts[1], parts[2]).transpose(1, 2).reshape({n, -1, width});
      x = x + layer.output(mixed);
      at::Tensor wide = layer.up(layer.before_mlp(x, epsilon));
      wide = config_.image.activation == Activation::gelu ? at::gelu(wide) : wide * at::sigmoid(wide * 1.702);
      x = x + layer.down(wide);
    }
    return at::linear(last_(x.select(1, 0), epsilon), projection_);
  }

  const Place place_;
  ClipConfig config_;
  at::Tensor patches_, class_row_, positions_, projection_;
  Norm first_, last_;
  std::vector<Layer> layers_;
};

}  // namespace

int cuda_devices() noexcept try {
  return static_cast<int>(at::getNumGPUs());
} catch (const std::exception&) {  // a driver that does not fit
  return 0;
}

std::shared_ptr<const ImageTower> make_aten_image_tower(const ClipFiles& files, const ClipWeights& weights, Device device, Precision precision) {
  Warnings warnings;
  const c10::WarningUtils::WarningHandlerGuard taken(&warnings);
  try {
    return std::make_shared<const AtenImageTower>(files, weights, device, precision);
  } catch (const c10::Error& error) {
    throw Error(Code::model, files.name + ": torch: " + error.what_without_backtrace());
  }
}

}  // namespace v0
}  // namespace vidloom
