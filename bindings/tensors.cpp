// Model input written into memory that somebody else made: python/vidloom/torch.py hands over the memory of a torch.Tensor.
#include <python.hpp>

namespace vidloom::bindings {

void bind_tensors(py::module_& module) {
  module.def(
      "write_tensors",
      [](const std::vector<Frame>& frames, std::uintptr_t address, std::size_t bytes, const py::object& size, const std::string& fit,
         const std::array<float, 3>& mean, const std::array<float, 3>& std, const std::string& dtype, const std::string& mode,
         const std::string& filter, int device) {
        TensorSpec spec = tensor_spec(size, fit, mean, std, dtype, mode, filter);
        spec.device = static_cast<Device>(device);
        std::vector<Affine> maps(frames.size());
        {
          const NoGil released;
          write_tensors(frames, spec, {reinterpret_cast<std::byte*>(address), bytes}, maps);
        }
        std::vector<std::vector<float>> rows;
        for (const Affine& map : maps) rows.emplace_back(std::begin(map.m), std::end(map.m));
        return rows;
      },
      py::arg("frames"), py::arg("address"), py::arg("bytes"), py::arg("size"), py::arg("fit"), py::arg("mean"), py::arg("std"),
      py::arg("dtype"), py::arg("mode"), py::arg("filter"), py::arg("device"),
      "Writes one tensor a frame to `address`; device: -1 the CPU, else a CUDA ordinal. Returns display_from_tensor of each, 6 numbers.");
}

}  // namespace vidloom::bindings
