#pragma once
/// Model input of several frames in one block of memory, on the CPU or on a CUDA device.
///
///     const TensorSpec spec{.size = {224, 224}, .mean = {0.48F, 0.46F, 0.41F}, .std = {0.27F, 0.26F, 0.28F}};
///     std::vector<std::byte> memory(frames.size() * slot_bytes(spec));         // (N, 3, 224, 224)
///     std::vector<Affine> display_from_tensor(frames.size());
///     write_tensors(frames, spec, memory, display_from_tensor);
///
/// With PyTorch, <vidloom/interop/torch.hpp> says it shorter.

#include <vidloom/core/export.hpp>
#include <vidloom/core/geometry.hpp>
#include <vidloom/frame.hpp>
#include <vidloom/imaging/tensor_spec.hpp>

#include <cstddef>
#include <span>

namespace vidloom {
inline namespace v0 {

/// Writes one tensor (3, height, width) a frame, one behind the other.
/// \param memory  frames.size() * slot_bytes(spec) bytes or more, of the CPU where spec.device is Device::cpu; else memory of that CUDA
/// device, written on the calling thread's current stream of PyTorch without waiting for it: whoever reads it does so on that
/// stream, or makes his own wait for it. The frames themselves may go as soon as the call returns.
/// \param display_from_tensor  empty, or one a frame: pixels of its tensor -> display pixels.
/// Thread-safe. Throws Error(config) on a size, deviation or span that does not fit, Error(not_built) where the device needs the
/// component torch and that is missing, Error(forked) for a CUDA device after a fork.
VIDLOOM_API void write_tensors(std::span<const Frame> frames, const TensorSpec& spec, std::span<std::byte> memory,
                               std::span<Affine> display_from_tensor = {});

/// How one sample position of a plane lies in memory: `samples` numbers side by side (3 in rgb24, 2 in the chroma of nv12) of `bytes`
/// bytes each, little endian.
struct SampleLayout {
  int samples = 1, bytes = 1;
};
/// Throws Error(config) where the frame has no such plane or its pixel format is not made of whole bytes.
VIDLOOM_API SampleLayout sample_layout(const Frame& frame, std::size_t plane);

}  // namespace v0
}  // namespace vidloom
