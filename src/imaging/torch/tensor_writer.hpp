#pragma once
/// The one TensorWriter: planes up to the device in one copy, the rest there. On the current stream, without waiting for it.

#include <core/component.hpp>

#include <cstdint>
#include <memory>
#include <span>

namespace vidloom {

std::shared_ptr<const TensorWriter> make_tensor_writer();

/// Which way the arithmetic goes. kernel: the kernel of <imaging/device_tensor.cuh>, compiled by NVRTC at the first use on a GPU, else
/// what `operators` is; operators: torch's own, a matrix product a direction, on any device of torch.
enum class TensorRoute : std::uint8_t { kernel, operators };

/// As TensorWriter::write(), on any device: tests and measurements choose the route, and device "cpu" runs it here.
/// \param memory  of that device.
VIDLOOM_API void write_tensors_by(TensorRoute route, int cuda_device, std::span<const Frame> frames, const TensorSpec& spec,
                                  std::span<std::byte> memory, std::span<Affine> display_from_tensor);

/// \return why the kernel cannot run on that CUDA device, or "".
VIDLOOM_API std::string tensor_kernel_trouble(int cuda_device);

}  // namespace vidloom
