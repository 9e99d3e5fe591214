// CLIP's picture tower on a GPU: each size of batch is a CUDA graph. At one picture the tower's ninety kernels take less time than a CPU
// needs to start them one by one.
#include <adapters/torch/clip_aten.hpp>
#include <core/fork_guard.hpp>
#include <support/torch/cuda.hpp>

#include <vidloom/core/error.hpp>
#include <vidloom/core/log.hpp>
#include <vidloom/tensors.hpp>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace vidloom {
inline namespace v0 {
namespace {

constexpr const char* kernel_source =
#include <clip_kernels_text.inc>
    ;

constexpr std::int64_t head_width = 64, widest = 2048;  // of clip_kernels.cuh
constexpr std::size_t most_pictures = 32;

/// The functions of clip_kernels.cuh on one GPU, for one kind of numbers.
class Kernels {
 public:
  Kernels(int device, at::ScalarType type)
      : device_(device),
        module_((std::string("#define VIDLOOM_NUMBERS ") + (type == at::kHalf ? "Half\n" : "Brain\n") + kernel_source).c_str(), "vidloom/clip_kernels.cu", device),
        embed_(module_.function("vidloom_embed")), norm_(module_.function("vidloom_norm")), activate_(module_.function("vidloom_activate")),
        attend_(module_.function("vidloom_attend")) {}

  void embed(const AtenWeights& weights, const at::Tensor& patches, const at::Tensor& x, std::int64_t tokens) const {
    start(embed_, warps(x.size(0)), {128}, memory(weights.class_row), memory(patches), memory(weights.positions), memory(weights.first.gain),
          memory(weights.first.bias), memory(x), number(x.size(0)), number(tokens), number(x.size(1)), weights.config.image.epsilon);
  }
  /// \param x  rows that may lie apart; \param later  added to x, may be undefined; \param to  as many rows, one behind the other
  void norm(const at::Tensor& x, const AtenNorm& by, const at::Tensor& later, const at::Tensor& to, float epsilon) const {
    start(norm_, warps(x.size(0)), {128}, memory(x), static_cast<long long>(x.stride(0)), memory(by.gain), memory(by.bias), later.defined() ? memory(later) : nullptr,
          memory(to), number(x.size(0)), number(x.size(1)), epsilon);
  }
  void activate(const at::Tensor& x, const at::Tensor& bias, Activation activation) const {
    constexpr std::int64_t threads = 256, numbers = threads * 8;
    start(activate_, {static_cast<unsigned>((x.numel() + numbers - 1) / numbers)}, {threads}, memory(x), memory(bias), static_cast<long long>(x.numel()), number(x.size(1)),
          static_cast<int>(activation == Activation::gelu));
  }
  /// \param all  false: of each picture the first rows alone
  void attend(const at::Tensor& qkv, const at::Tensor& bias, const at::Tensor& mixed, std::int64_t tokens, bool all) const {
    const auto heads = static_cast<unsigned>(mixed.size(1) / head_width), pictures = static_cast<unsigned>(mixed.size(0) / tokens);
    const unsigned blocks = all ? static_cast<unsigned>((tokens + 63) / 64) : 1, threads = all ? 128 : 32;
    start(attend_, {blocks, heads, pictures}, {threads}, memory(qkv), memory(bias), memory(mixed), number(tokens), number(mixed.size(1)));
  }

 private:
  static void* memory(const at::Tensor& tensor) { return tensor.data_ptr(); }
  static int number(std::int64_t value) { return static_cast<int>(value); }
  static CudaGrid warps(std::int64_t rows) { return {static_cast<unsigned>((rows + 3) / 4)}; }
  template <class... Arguments>
  void start(void* function, CudaGrid blocks, CudaGrid threads, Arguments... values) const {
    void* arguments[] = {&values...};
    launch(function, blocks, threads, device_, arguments);
  }

  int device_;
  CudaModule module_;
  void *embed_, *norm_, *activate_, *attend_;
};

/// Null, and a line in the log, where they cannot be had; an attempt that failed is not repeated.
const Kernels* kernels_of(int device, at::ScalarType type) {
  struct Known {
    std::mutex mutex;
    std::map<std::pair<int, at::ScalarType>, std::unique_ptr<const Kernels>> made;
  };
  Known& known = of_this_process<Known>();
  const std::lock_guard lock(known.mutex);
  const auto [at, fresh] = known.made.try_emplace({device, type});
  if (fresh) {
    try {
      at->second = std::make_unique<const Kernels>(device, type);
    } catch (const std::exception& error) {
      log(LogLevel::warning, "clip", "cuda:" + std::to_string(device) + " does without the kernels of Vidloom, slower: " + error.what());
    }
  }
  return at->second.get();
}

/// A batch of one size: memory for all that is between pixels and embeddings, and the steps from one to the other.
class Batch {
 public:
  Batch(const AtenWeights& weights, const Kernels& kernels, std::int64_t pictures) : weights_(weights), kernels_(kernels) {
    const ClipConfig& config = weights.config;
    const auto side = static_cast<std::int64_t>(config.image_size), patch = static_cast<std::int64_t>(config.patch), grid = side / patch;
    const auto width = static_cast<std::int64_t>(config.image.width), hidden = static_cast<std::int64_t>(config.image.hidden);
    tokens_ = grid * grid + 1;
    const std::int64_t rows = pictures * tokens_;
    const auto room = [&](at::IntArrayRef sizes) { return at::zeros(sizes, at::TensorOptions().dtype(weights.place.type()).device(weights.place.device)); };
    pixels = room({pictures, 3, side, side});
    pieces_ = room({pictures, grid, grid, 3, patch, patch});
    patches_ = room({pictures * grid * grid, width});
    x_ = room({rows, width});
    normed_ = room({rows, width});
    qkv_ = room({rows, 3 * width});
    mixed_ = room({rows, width});
    hidden_ = room({rows, hidden});
    embeddings = room({pictures, static_cast<std::int64_t>(config.embedding)});
  }

  /// On torch's current stream, always the same one.
  void run() {
    if (!graph_) {
      steps();  // cuBLAS makes what it keeps
      graph_.emplace(weights_.place.device.index(), [this] { steps(); });
    }
    graph_->launch();
  }

  at::Tensor pixels;      ///< (pictures, 3, side, side)
  at::Tensor embeddings;  ///< (pictures, embedding), not normalised

 private:
  void steps() {
    const float epsilon = weights_.config.image.epsilon;
    const std::int64_t pictures = pixels.size(0), grid = pieces_.size(1), patch = pieces_.size(4);
    pieces_.copy_(pixels.view({pictures, 3, grid, patch, grid, patch}).permute({0, 2, 4, 1, 3, 5}));
    at::mm_out(patches_, pieces_.view({pictures * grid * grid, -1}), weights_.patches.t());
    kernels_.embed(weights_, patches_, x_, tokens_);
    // Of the last layer's answers only the class rows are looked at.
    at::Tensor x = x_, normed = normed_, mixed = mixed_, hidden = hidden_;
    for (const AtenLayer& layer : weights_.layers) {
      const bool last = &layer == &weights_.layers.back();
      kernels_.norm(x_, layer.before_attention, layer.output.bias, normed_, epsilon);
      at::mm_out(qkv_, normed_, layer.qkv.weight.t());
      kernels_.attend(qkv_, layer.qkv.bias, mixed_, tokens_, !last);
      if (last) {
        x = x_.view({pictures, tokens_, -1}).select(1, 0);
        mixed = mixed_.view({pictures, tokens_, -1}).select(1, 0);
        normed = normed_.narrow(0, 0, pictures);
        hidden = hidden_.narrow(0, 0, pictures);
      }
      at::addmm_out(x, x, mixed, layer.output.weight.t());
      kernels_.norm(x, layer.before_mlp, layer.down.bias, normed, epsilon);
      at::mm_out(hidden, normed, layer.up.weight.t());
      kernels_.activate(hidden, layer.up.bias, weights_.config.image.activation);
      at::addmm_out(x, x, hidden, layer.down.weight.t());
    }
    kernels_.norm(x, weights_.last, {}, normed, epsilon);
    at::mm_out(embeddings, normed, weights_.projection.t());
  }

  const AtenWeights& weights_;
  const Kernels& kernels_;
  std::int64_t tokens_ = 0;
  at::Tensor pieces_, patches_, x_, normed_, qkv_, mixed_, hidden_;
  std::optional<CudaGraph> graph_;
};

class GraphSession final : public ImageTower::Session {
 public:
  GraphSession(std::shared_ptr<const AtenWeights> weights, const Kernels& kernels)
      : weights_(std::move(weights)), kernels_(kernels), device_(weights_->place.device.type()), stream_(device_.getStreamFromGlobalPool(weights_->place.device)) {
    device_.synchronizeDevice(weights_->place.device.index());  // the weights came on another stream
  }

  void encode(std::span<const Frame> frames, std::span<float> out) override {
    in_batches(frames.size(), out, [&](const Batch& batch, std::size_t from, std::size_t n) {
      const std::size_t bytes = slot_bytes(weights_->config.pixels) * n;
      write_tensors(frames.subspan(from, n), weights_->config.pixels, {static_cast<std::byte*>(batch.pixels.data_ptr()), bytes});
    });
  }
  void encode_pixels(std::span<const float> pixels, std::size_t count, std::span<float> out) override {
    in_batches(count, out, [&](const Batch& batch, std::size_t from, std::size_t n) {
      const at::Tensor to = batch.pixels.narrow(0, 0, static_cast<std::int64_t>(n));
      to.copy_(at::from_blob(const_cast<float*>(pixels.data()) + from * static_cast<std::size_t>(to[0].numel()), to.sizes(), at::kFloat));
    });
  }

 private:
  /// \param fill  writes pictures [from, from + n) into the first places of a batch
  template <class Fill>
  void in_batches(std::size_t count, std::span<float> out, const Fill& fill) try {
    const c10::InferenceMode no_gradients;
    const c10::StreamGuard on_stream(stream_);
    const std::size_t embedding = weights_->config.embedding;
    for (std::size_t from = 0; from < count;) {
      const std::size_t n = std::min(count - from, most_pictures);
      Batch& batch = batch_for(n);
      fill(batch, from, n);
      batch.run();
      const at::Tensor rows = batch.embeddings.narrow(0, 0, static_cast<std::int64_t>(n)).to(at::kCPU).to(at::kFloat);
      const std::span<float> answers = out.subspan(from * embedding, n * embedding);
      std::memcpy(answers.data(), rows.const_data_ptr<float>(), answers.size_bytes());
      for (std::size_t i = 0; i < n; ++i) normalise(answers.subspan(i * embedding, embedding));
      from += n;
    }
  } catch (const Error&) {
    throw;
  } catch (const c10::Error& error) {
    throw Error(Code::model, std::string("torch: ") + error.what_without_backtrace());
  } catch (const std::exception& error) {
    throw Error(Code::model, error.what());
  }

  /// Sizes are powers of two: what a place without a picture holds costs less than a graph more.
  Batch& batch_for(std::size_t n) {
    auto& batch = batches_[std::bit_ceil(n)];
    if (!batch) batch = std::make_unique<Batch>(*weights_, kernels_, static_cast<std::int64_t>(std::bit_ceil(n)));
    return *batch;
  }

  const std::shared_ptr<const AtenWeights> weights_;
  const Kernels& kernels_;
  const c10::impl::VirtualGuardImpl device_;
  const c10::Stream stream_;
  std::map<std::size_t, std::unique_ptr<Batch>> batches_;
};

}  // namespace

std::unique_ptr<ImageTower::Session> make_graph_session(std::shared_ptr<const AtenWeights> weights) {
  const TowerConfig& tower = weights->config.image;
  const auto width = static_cast<std::int64_t>(tower.width), heads = static_cast<std::int64_t>(tower.heads);
  const bool fits = weights->place.device.is_cuda() && weights->place.type() != at::kFloat && width == heads * head_width && width <= widest && tower.hidden % 8 == 0;
  if (!fits) return nullptr;
  const Kernels* const kernels = kernels_of(weights->place.device.index(), weights->place.type());
  return kernels ? std::make_unique<GraphSession>(std::move(weights), *kernels) : nullptr;
}

}  // namespace v0
}  // namespace vidloom
