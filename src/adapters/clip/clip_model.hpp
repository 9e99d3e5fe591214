#pragma once
/// CLIP (Radford et al. 2021): a picture and a text to embeddings that can be compared.

#include <adapters/clip/clip_files.hpp>
#include <adapters/clip/transformer.hpp>
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
  virtual bool survives_fork() const { return true; }  ///< whether a child of the process that made it may use it
};

/// By our own kernels; each embedding is bit for bit the same whatever its company. Throws Error(model).
VIDLOOM_API std::shared_ptr<const ImageTower> make_packed_image_tower(const ClipFiles& files, const ClipWeights& weights,
                                                          const Arithmetic& arithmetic = {&tower_kernels()});
enum class Precision : std::uint8_t { fp32, bf16, fp16, int8 };

/// What PyTorch does for clip, brought by the component torch: the reference of our own towers, other devices, and precisions that this
/// processor has no kernels for.
struct AtenTowers {
  /// How many CUDA devices PyTorch sees. Never throws.
  int (*cuda_devices)() noexcept;
  /// Throws Error(model). int8 on the CPU alone: weights quantised per channel once, the inputs of each product while it runs.
  std::shared_ptr<const ImageTower> (*make)(const ClipFiles& files, const ClipWeights& weights, Device device, Precision precision);
};
/// Called by the component torch when it is loaded.
VIDLOOM_API void set_aten_towers(const AtenTowers& towers) noexcept;

/// Texts to embeddings, (n, embedding), L2-normalised: each at its own length, since no token behind the end of a text can reach it.
/// \param texts  token ids from start to end of text, at most config.context each, all within the vocabulary
VIDLOOM_API std::vector<float> encode_texts(const ClipFiles& files, const ClipWeights& weights, std::span<const std::vector<std::int64_t>> texts,
                                const TowerKernels& kernels = tower_kernels());

/// e^logit_scale of the model; throws Error(model) when it is not above 0.
VIDLOOM_API double logit_scale(const ClipWeights& weights);

/// A row to length 1; throws Error(model) when it is not finite.
VIDLOOM_API void normalise(std::span<float> row);

}  // namespace v0
}  // namespace vidloom
