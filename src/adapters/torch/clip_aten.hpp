#pragma once
/// CLIP's picture tower as ATen's tensors, on any device.

#include <adapters/clip/clip_model.hpp>

#include <ATen/core/Tensor.h>
#include <ATen/native/quantized/PackedParams.h>

#include <memory>
#include <vector>

namespace vidloom {
inline namespace v0 {

/// The picture tower by ATen's operators, as AtenTowers::make says.
/// \param graphs  whether a batch on CUDA may be a graph of own kernels and cuBLAS's products instead, where there is one (make_graph_session)
VIDLOOM_API std::shared_ptr<const ImageTower> make_aten_image_tower(const ClipFiles& files, const ClipWeights& weights, Device device, Precision precision,
                                                        bool graphs = true);
/// As AtenTowers::cuda_devices.
VIDLOOM_API int cuda_devices() noexcept;

/// Which numbers to go where.
struct AtenPlace {
  at::Device device;
  Precision precision;
  at::ScalarType type() const {
    return precision == Precision::bf16 ? at::kBFloat16 : precision == Precision::fp16 ? at::kHalf : at::kFloat;
  }
  at::Tensor bring(const at::Tensor& tensor) const { return tensor.to(device, type()).contiguous(); }
};

struct AtenLinear {
  AtenLinear(const AtenPlace& place, const at::Tensor& weight, const at::Tensor& bias);
  at::Tensor operator()(const at::Tensor& x) const;

  at::Tensor weight, bias;  ///< (outputs, inputs), (outputs)
  c10::intrusive_ptr<LinearPackedParamsBase> packed;  ///< of int8 in their place
};

struct AtenNorm {
  at::Tensor gain, bias;
  at::Tensor operator()(const at::Tensor& x, double epsilon) const;
};

struct AtenLayer {
  AtenNorm before_attention, before_mlp;
  AtenLinear qkv, output, up, down;
};

struct AtenWeights {
  AtenPlace place;
  ClipConfig config;  ///< config.pixels of place.device and place.type()
  at::Tensor patches, class_row, positions, projection;  ///< (width, 3 * patch * patch), (width), (tokens, width), (embedding, width)
  AtenNorm first, last;
  std::vector<AtenLayer> layers;
};

/// One that starts a batch as a single CUDA graph: own kernels around cuBLAS's products, in memory that stays. For 16-bit numbers on a GPU
/// of compute capability 8.0 or more and heads of 64; null elsewhere, and where NVRTC or the driver will not.
std::unique_ptr<ImageTower::Session> make_graph_session(std::shared_ptr<const AtenWeights> weights);

}  // namespace v0
}  // namespace vidloom
