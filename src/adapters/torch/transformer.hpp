#pragma once
/// A transformer with pre-layer-norm (Vaswani 2017; Dosovitskiy 2020; Radford 2021) on the CPU in fp32, its weights packed once for
/// the kernels. Each number of the result is summed in one order, whatever the batch and the threads: equal inputs give equal bits.

#include <adapters/torch/team.hpp>
#include <adapters/torch/tower_kernels.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace vidloom {
inline namespace v0 {

/// Rows of 64-byte aligned floats, reused from call to call.
class FloatBuffer {
 public:
  /// \return at least `floats` floats of unknown value.
  float* ask(std::size_t floats);

 private:
  std::shared_ptr<std::byte> memory_;
  std::size_t floats_ = 0;
};

/// (outputs x inputs) weights in panels, and a bias. Read-only once made; shared by all threads.
class PackedLinear {
 public:
  PackedLinear() = default;
  /// \param row  writes the weights of one output: called once each, from several threads.
  /// \param bias  empty, or one an output
  PackedLinear(const TowerKernels& kernels, Team& team, std::size_t outputs, std::size_t inputs,
               const std::function<void(std::size_t output, std::span<float> weights)>& row, std::vector<float> bias);

  /// c = act(a * W^T + bias + residual); strides in floats, residual laid out as c, and may be c.
  void operator()(Team& team, const float* a, std::size_t a_stride, std::size_t rows, float* c, std::size_t c_stride,
                  Activation activation = Activation::none, const float* residual = nullptr) const noexcept;

  std::size_t outputs() const noexcept { return outputs_; }
  std::size_t inputs() const noexcept { return inputs_; }

 private:
  const TowerKernels* kernels_ = nullptr;
  std::size_t outputs_ = 0, inputs_ = 0;
  std::shared_ptr<std::byte> panels_;
  std::vector<float> bias_;
};

struct LayerNorm {
  std::vector<float> gain, bias;
};

struct TransformerLayer {
  LayerNorm before_attention, before_mlp;
  PackedLinear query, key_value;  ///< the query already divided by sqrt(width / heads)
  PackedLinear output, up, down;
};

struct Transformer {
  std::size_t width = 0, heads = 0;
  Activation activation = Activation::quick_gelu;
  float epsilon = 1e-5F;
  bool causal = false;
  std::vector<TransformerLayer> layers;
  LayerNorm last;
  PackedLinear projection;

  /// Rows of one sequence among all, and the one whose answer is wanted.
  struct Sequence { std::size_t first, length, wanted; };
  class Workspace {
   public:
    explicit Workspace(unsigned members) : scratch(members) {}
    FloatBuffer normed, heads, mixed, wide, wanted;
    std::vector<FloatBuffer> scratch;
  };
  /// \param x  (rows, width), overwritten
  /// \param out  (sequences, projection.outputs())
  void run(const TowerKernels& kernels, Team& team, Workspace& workspace, float* x, std::size_t rows,
           std::span<const Sequence> sequences, float* out) const;

 private:
  void attend(const TowerKernels& kernels, Team& team, Workspace& workspace, std::span<const Sequence> sequences, bool only_wanted,
              const float* queries, const float* keys_values, float* mixed) const;
};

}  // namespace v0
}  // namespace vidloom
