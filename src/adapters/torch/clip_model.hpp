#pragma once
/// CLIP (Radford et al. 2021): a picture and a text to embeddings that can be compared.

#include <adapters/torch/clip_files.hpp>
#include <adapters/torch/transformer.hpp>
#include <vidloom/frame.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace vidloom {
inline namespace v0 {

/// Pictures to embeddings. The weights are read-only and shared; one thread at a time uses a Session.
class VIDLOOM_API ImageTower {
 public:
  class VIDLOOM_API Session {
   public:
    virtual ~Session();
    /// \param out  (frames, embedding), L2-normalised
    virtual void encode(std::span<const Frame> frames, std::span<float> out) = 0;
    /// \param pixels  (n, 3, side, side) as the model's TensorSpec says
    virtual void encode_pixels(std::span<const float> pixels, std::size_t n, std::span<float> out) = 0;
  };
  virtual ~ImageTower();
  virtual std::unique_ptr<Session> session() const = 0;
  virtual std::string description() const = 0;  ///< "fp32, avx2"
};

/// By our own kernels; each embedding is bit for bit the same whatever its company. Throws Error(model).
VIDLOOM_API std::shared_ptr<const ImageTower> make_packed_image_tower(const ClipFiles& files, const ClipWeights& weights,
                                                          const Arithmetic& arithmetic = {&tower_kernels()});
/// The same by ATen's operators: the reference, and what runs on other devices and in other precisions.
/// int8, on the CPU alone: weights quantised per channel once, the inputs of each product while it runs.
enum class Precision : std::uint8_t { fp32, bf16, fp16, int8 };
/// \param graphs  whether a batch on CUDA may be a graph of own kernels and cuBLAS's products instead, where there is one (make_graph_session)
VIDLOOM_API std::shared_ptr<const ImageTower> make_aten_image_tower(const ClipFiles& files, const ClipWeights& weights, Device device, Precision precision,
                                                        bool graphs = true);

/// How many CUDA devices PyTorch sees. Never throws.
VIDLOOM_API int cuda_devices() noexcept;

/// Texts to embeddings, (n, embedding), L2-normalised: each at its own length, since no token behind the end of a text can reach it.
/// \param texts  token ids from start to end of text, at most config.context each, all within the vocabulary
VIDLOOM_API std::vector<float> encode_texts(const ClipFiles& files, const ClipWeights& weights, std::span<const std::vector<std::int64_t>> texts,
                                const TowerKernels& kernels = tower_kernels());

/// e^logit_scale of the model; throws Error(model) when it is not above 0.
VIDLOOM_API double logit_scale(const ClipWeights& weights);

/// A row to length 1; throws Error(model) when it is not finite.
void normalise(std::span<float> row);

}  // namespace v0
}  // namespace vidloom
