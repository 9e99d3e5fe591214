#pragma once
/// A transformer with pre-layer-norm (Vaswani 2017; Dosovitskiy 2020; Radford 2021) on the CPU, its weights packed once for
/// the kernels. Each number of the result is summed in one order, whatever the batch and the threads: equal inputs give equal bits.

#include <adapters/clip/narrow_kernels.hpp>
#include <adapters/clip/team.hpp>
#include <adapters/clip/tower_kernels.hpp>

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

/// What a tower computes with. Products of weights are of narrow numbers where there are kernels for them; all else is fp32.
struct Arithmetic {
  const TowerKernels* wide;
  const NarrowKernels* narrow = nullptr;  ///< null: fp32 throughout
};

/// The left side of a product of weights: rows of floats, or of what NarrowKernels::narrow makes of them.
struct Operand {
  const std::byte* data;
  std::size_t stride;  ///< bytes
  const RowScale* scales = nullptr;
};

/// Room for an operand, reused from call to call.
class OperandBuffer {
 public:
  /// Room for `rows` rows of `width` numbers; what was in it is lost.
  void ask(const Arithmetic& arithmetic, std::size_t rows, std::size_t width);
  /// Writes `count` rows from row `first` on. Thread-safe for rows apart.
  void write(const Arithmetic& arithmetic, const float* from, std::size_t first, std::size_t count) noexcept;
  /// The same of rows of bf16, by NarrowKernels::narrow_halves.
  void write_halves(const Arithmetic& arithmetic, const Operand& from, std::size_t first, std::size_t count) noexcept;
  std::byte* data() const noexcept { return data_; }
  std::size_t stride() const noexcept { return stride_; }
  operator Operand() const noexcept { return {data_, stride_, scales_}; }

 private:
  FloatBuffer memory_;
  std::byte* data_ = nullptr;
  RowScale* scales_ = nullptr;
  std::size_t stride_ = 0, width_ = 0;
};

/// (outputs x inputs) weights in panels, and a bias. Read-only once made; shared by all threads.
class PackedLinear {
 public:
  PackedLinear() = default;
  /// \param row  writes the weights of one output: called once each, from several threads.
  /// \param bias  empty, or one an output
  PackedLinear(const Arithmetic& arithmetic, Team& team, std::size_t outputs, std::size_t inputs,
               const std::function<void(std::size_t output, std::span<float> weights)>& row, std::vector<float> bias);

  /// The same in fp32 without memory for panels: each is made anew in `scratch`, one a member of the team, whenever it is multiplied with.
  /// For weights that are needed once. One caller at a time.
  PackedLinear(const TowerKernels& kernels, std::size_t outputs, std::size_t inputs, std::function<void(std::size_t output, std::span<float> weights)> row,
               std::vector<float> bias, std::shared_ptr<std::vector<FloatBuffer>> scratch);

  /// c = act(a * W^T + bias + residual); residual laid out as c, and may be c.
  /// \param c_stride  floats
  void operator()(Team& team, const Operand& a, std::size_t rows, float* c, std::size_t c_stride, Activation activation = Activation::none,
                  const float* residual = nullptr) const noexcept;
  /// The same as the next product's operand, in room for `rows` rows of outputs(). \param scratch  for answers that are not narrow
  void operator()(Team& team, const Operand& a, std::size_t rows, OperandBuffer& c, FloatBuffer& scratch, Activation activation) const;

  /// The same as rows of bf16, `c_stride` bytes apart, with room for all panels of each; by narrow kernels alone.
  void as_bf16(Team& team, const Operand& a, std::size_t rows, std::byte* c, std::size_t c_stride) const noexcept;

  std::size_t outputs() const noexcept { return outputs_; }
  std::size_t inputs() const noexcept { return inputs_; }

 private:
  void fill(std::size_t index, float* block, std::byte* panel, float* scales, const std::function<void(std::size_t, std::span<float>)>& row) const noexcept;
  void multiply_panel(const std::byte* panel, std::size_t index, const std::byte* next, const Operand& a, std::size_t from, std::size_t to, std::byte* c,
                      std::size_t c_stride, Activation activation, const float* residual, bool narrow_c) const noexcept;
  void multiply(Team& team, const Operand& a, std::size_t rows, std::byte* c, std::size_t c_stride, Activation activation, const float* residual,
                bool narrow_c) const noexcept;

  Arithmetic arithmetic_{};
  std::size_t outputs_ = 0, inputs_ = 0;
  std::size_t panel_width_ = 0, panel_bytes_ = 0;
  std::shared_ptr<std::byte> panels_;
  std::vector<float> scales_;  // 2 * panel width a panel, of 8-bit weights alone
  std::vector<float> bias_;    // of narrow products one a column of all panels
  // Where no panels are kept:
  std::function<void(std::size_t, std::span<float>)> row_;
  std::shared_ptr<std::vector<FloatBuffer>> scratch_;
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
    FloatBuffer heads, mixed, answer, wanted;
    OperandBuffer normed, mixed_operand, hidden;
    std::vector<FloatBuffer> scratch;
  };
  /// \param x  (rows, width), overwritten
  /// \param out  (sequences, projection.outputs())
  void run(const Arithmetic& arithmetic, Team& team, Workspace& workspace, float* x, std::size_t rows,
           std::span<const Sequence> sequences, float* out) const;

 private:
  void attend(const TowerKernels& kernels, Team& team, Workspace& workspace, std::span<const Sequence> sequences, bool only_wanted,
              const float* queries, const float* keys_values, std::size_t keys_values_stride, float* mixed) const;
  void attend_narrow(const NarrowKernels& kernels, Team& team, Workspace& workspace, std::span<const Sequence> sequences, bool only_wanted,
                     const Operand& queries, const Operand& keys_values, std::byte* mixed, std::size_t mixed_stride) const;
};

}  // namespace v0
}  // namespace vidloom
