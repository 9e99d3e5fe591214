#include <adapters/torch/clip_aten.hpp>
#include <core/component.hpp>
#include <imaging/torch/tensor_writer.hpp>

#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/headeronly/version.h>

#include <string>

VIDLOOM_COMPONENT(registry) {
  using namespace vidloom;
  set_aten_towers({cuda_devices, [](const ClipFiles& files, const ClipWeights& weights, Device device, Precision precision) {
                     return make_aten_image_tower(files, weights, device, precision);
                   }});
  registry.set_tensor_writer(make_tensor_writer());
  // Whether torch was built with CUDA. Whether there is a GPU is not asked: the question alone would start CUDA, and after that no
  // forked child could use it.
  const bool cuda = c10::impl::hasDeviceGuardImpl(c10::DeviceType::CUDA);
  registry.describe(std::string("torch ") + TORCH_VERSION + (cuda ? ", with CUDA" : ", without CUDA"));
}
