#pragma once
/// Frames as PyTorch tensors. Opt-in, and the one public header that names types of torch: link vidloom::torch, which
/// find_package(vidloom COMPONENTS torch) gives.
///
///     const at::Tensor input = vidloom::to_tensor(frame, {.size = {224, 224}});                  // (3, 224, 224) float32
///     std::vector<vidloom::Affine> maps;
///     const at::Tensor batch = vidloom::to_tensor(frames, spec_on_cuda_0, &maps);                // (N, 3, H, W)
///
/// Header only: memory is made by the torch of the program and written by libvidloom, so on the CPU any torch will do. Tensors on a
/// CUDA device come from the component torch, loaded then; its version of torch has to be the program's. Thread-safe.

#include <vidloom/core/error.hpp>
#include <vidloom/frame.hpp>
#include <vidloom/imaging/image.hpp>
#include <vidloom/tensors.hpp>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <cstdint>
#include <string>
#include <vector>

namespace vidloom {
inline namespace v0 {

/// \return torch's name of the type of numbers.
inline at::ScalarType scalar_type(TensorSpec::DType dtype) noexcept {
  switch (dtype) {
    case TensorSpec::DType::u8: return at::kByte;
    case TensorSpec::DType::f16: return at::kHalf;
    case TensorSpec::DType::bf16: return at::kBFloat16;
    case TensorSpec::DType::f32: break;
  }
  return at::kFloat;
}

/// Model input of several frames: (N, 3, height, width), contiguous, on spec.device. On a CUDA device it is written on the calling
/// thread's current stream, without waiting for it; the frames may go at once.
/// \param display_from_tensor  if given, gets one map a frame: pixels of its tensor -> display pixels.
/// Throws what write_tensors() throws, and Error(not_built) where the program's torch has no CUDA.
inline at::Tensor to_tensor(std::span<const Frame> frames, const TensorSpec& spec, std::vector<Affine>* display_from_tensor = nullptr) {
  const int index = static_cast<int>(spec.device);
  if (index >= 0 && !c10::impl::hasDeviceGuardImpl(at::DeviceType::CUDA)) {
    throw Error(Code::not_built,
                "TensorSpec.device is cuda:" + std::to_string(index) + ", but this program's torch has no CUDA; use Device::cpu");
  }
  if (spec.size.empty()) write_tensors(frames, spec, {});  // says what is wrong with it
  const at::Device device = index < 0 ? at::Device(at::kCPU) : at::Device(at::kCUDA, static_cast<at::DeviceIndex>(index));
  const at::Tensor batch = at::empty({static_cast<std::int64_t>(frames.size()), 3, spec.size.height, spec.size.width},
                                     at::TensorOptions().dtype(scalar_type(spec.dtype)).device(device));
  std::vector<Affine> maps(frames.size());
  write_tensors(frames, spec, {static_cast<std::byte*>(batch.data_ptr()), batch.nbytes()}, maps);
  if (display_from_tensor) *display_from_tensor = std::move(maps);
  return batch;
}

/// Model input of one frame: (3, height, width).
inline at::Tensor to_tensor(const Frame& frame, const TensorSpec& spec, Affine* display_from_tensor = nullptr) {
  std::vector<Affine> maps;
  const at::Tensor batch = to_tensor({&frame, 1}, spec, &maps);
  if (display_from_tensor) *display_from_tensor = maps.front();
  return batch[0];
}

/// A packed picture's bytes: (height, width, channels) uint8, or (height, width) where it is grey. No copy; the tensor keeps the
/// picture. Read-only by agreement, as torch knows no such tensors: others share the picture, so clone() before writing.
inline at::Tensor borrow(const Image& image) {
  const auto height = static_cast<std::int64_t>(image.size().height), width = static_cast<std::int64_t>(image.size().width);
  std::vector<std::int64_t> shape{height, width};
  if (image.channels() > 1) shape.push_back(image.channels());
  return at::from_blob(const_cast<std::byte*>(image.bytes().data()), shape, [image](void*) {}, at::TensorOptions().dtype(at::kByte));
}

/// The decoder's own planes, uncropped, in coded orientation: (height, width), or (height, width, samples) where a plane holds several
/// side by side; uint8, or uint16 above 8 bits. No copy where rows run downwards in memory; the tensors keep the frame. Read-only by
/// agreement: the decoder refers to these planes, and writing to them damages the pictures that follow. clone() first.
/// Throws Error(config) where the pixel format has no such planes.
inline std::vector<at::Tensor> borrow_planes(const Frame& frame) {
  std::vector<at::Tensor> planes;
  for (std::size_t i = 0; i < frame.planes().size(); ++i) {
    const PlaneView& plane = frame.planes()[i];
    const SampleLayout layout = sample_layout(frame, i);
    const std::int64_t row = plane.stride / layout.bytes;
    const bool upwards = plane.stride < 0;  // torch has no negative strides: taken from its last row, then flipped into a copy
    const std::byte* first = upwards ? plane.data + plane.stride * (plane.size.height - 1) : plane.data;
    std::vector<std::int64_t> shape{plane.size.height, plane.size.width}, strides{upwards ? -row : row, layout.samples};
    if (layout.samples > 1) {
      shape.push_back(layout.samples);
      strides.push_back(1);
    }
    const at::Tensor view = at::from_blob(
        const_cast<std::byte*>(first), shape, strides, [frame](void*) {},
        at::TensorOptions().dtype(layout.bytes == 2 ? at::kUInt16 : at::kByte));
    planes.push_back(upwards ? view.flip(0) : view);
  }
  return planes;
}

}  // namespace v0
}  // namespace vidloom
