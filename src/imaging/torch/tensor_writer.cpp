#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/InferenceMode.h>

#include <core/fork_guard.hpp>
#include <imaging/device_plan.hpp>
#include <imaging/slot.hpp>
#include <imaging/torch/tensor_writer.hpp>
#include <support/torch/cuda.hpp>
#include <vidloom/core/error.hpp>
#include <vidloom/core/log.hpp>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace vidloom {
namespace {

namespace device = vidloom_device;

constexpr const char* kernel_source =
#include <device_tensor_text.inc>
    ;

at::ScalarType scalar_type(int type) noexcept {
  switch (type) {
    case device::type_u8: return at::kByte;
    case device::type_f16: return at::kHalf;
    case device::type_bf16: return at::kBFloat16;
    default: return at::kFloat;
  }
}

at::Tensor bytes_on(at::Device where, std::size_t count) {
  return at::empty({static_cast<std::int64_t>(count)}, at::TensorOptions().dtype(at::kByte).device(where));
}

/// Memory to fill in and to copy from. Where it goes to a GPU it is pinned and comes from torch's own stock, which gives a piece out again
/// once the copies that were made of it are done: nobody waits.
at::Tensor staging(at::Device where, std::size_t count) {
  return at::empty({static_cast<std::int64_t>(count)}, at::TensorOptions().dtype(at::kByte).pinned_memory(where.is_cuda()));
}

/// Memory of somebody else's as a tensor.
at::Tensor view_of(std::byte* memory, at::IntArrayRef sizes, at::ScalarType type, at::Device where) {
  return at::for_blob(memory, sizes).options(at::TensorOptions().dtype(type).device(where)).target_device(where).make_tensor();
}

std::span<std::byte> bytes_of(const at::Tensor& tensor) {
  return {static_cast<std::byte*>(tensor.data_ptr()), static_cast<std::size_t>(tensor.nbytes())};
}

/// The two functions of device_tensor.cuh on one GPU.
class Kernel {
 public:
  explicit Kernel(int index) : index_(index), module_(kernel_source, "vidloom/device_tensor.cu", index) {
    across_ = module_.function("vidloom_across");
    down_ = module_.function("vidloom_down");
  }

  static bool fits(const DeviceBatch& batch) noexcept {
    const Extent extent = extent_of(batch);
    return extent.pictures <= most_blocks && (extent.rows + 7) / 8 <= most_blocks && (extent.height + 7) / 8 <= most_blocks;
  }
  void run(const DeviceBatch& batch, const at::Tensor& block, std::byte* memory) const {
    const at::Tensor narrowed = bytes_on(block.device(), batch.narrowed_floats() * sizeof(float));
    const void* from = block.data_ptr();
    void* between = narrowed.data_ptr();
    void* arguments[] = {&from, &between, &memory};
    const Extent extent = extent_of(batch);
    launch(across_, {(extent.columns + 31) / 32, (extent.rows + 7) / 8, extent.pictures}, {32, 8, 1}, index_, arguments);
    launch(down_, {(extent.width + 31) / 32, (extent.height + 7) / 8, extent.pictures}, {32, 8, 1}, index_, arguments);
  }

 private:
  static constexpr unsigned most_blocks = 65535;
  struct Extent {
    unsigned columns = 0, rows = 0, width = 0, height = 0, pictures = 0;
  };
  static Extent extent_of(const DeviceBatch& batch) noexcept {
    Extent extent{.pictures = static_cast<unsigned>(batch.pictures().size())};
    const auto most = [](unsigned& value, int other) { value = std::max(value, static_cast<unsigned>(other)); };
    for (const device::Picture& picture : batch.pictures()) {
      int rows = 0;
      for (int c = 0; c < picture.components; ++c) rows += picture.component[c].rows;
      most(extent.columns, picture.columns);
      most(extent.rows, rows);
      most(extent.width, picture.width);
      most(extent.height, picture.height);
    }
    return extent;
  }
  int index_;
  CudaModule module_;
  void* across_ = nullptr;
  void* down_ = nullptr;
};

/// The kernel of each GPU, compiled when it is first needed; an attempt that failed is not repeated.
class Kernels {
 public:
  const Kernel* of(int index) {
    const std::lock_guard lock(mutex_);
    return entry(index).kernel.get();
  }
  std::string trouble(int index) {
    const std::lock_guard lock(mutex_);
    return entry(index).trouble;
  }

 private:
  struct Entry {
    std::unique_ptr<const Kernel> kernel{};
    std::string trouble{};
  };
  const Entry& entry(int index) {
    if (const auto known = entries_.find(index); known != entries_.end()) return known->second;
    Entry made;
    try {
      made.kernel = std::make_unique<const Kernel>(index);
    } catch (const std::exception& error) {
      made.trouble = error.what();
      log(LogLevel::warning, "torch", "cuda:" + std::to_string(index) + " does without the kernel of Vidloom, slower: " + made.trouble);
    }
    return entries_.emplace(index, std::move(made)).first->second;
  }
  std::mutex mutex_;
  std::map<int, Entry> entries_;
};

/// The same with torch's own operators: resizing is a product with a matrix of taps from either side.
class Operators {
 public:
  Operators(const DeviceBatch& batch, const at::Tensor& block, std::byte* memory) : block_(block), memory_(memory) {
    for (std::size_t i = 0; i < batch.pictures().size(); ++i)
      run(batch.pictures()[i], static_cast<std::int64_t>(i * sizeof(device::Picture)));
  }

 private:
  at::Tensor part(std::int64_t at, std::int64_t count, at::ScalarType type) const {
    return block_.narrow(0, at, count * static_cast<std::int64_t>(c10::elementSize(type))).view(type);
  }
  /// (inputs, count)
  at::Tensor taps(const device::Axis& axis) const {
    const at::Tensor first = part(axis.first, axis.count, at::kInt).to(at::kLong);
    const at::Tensor weights = part(axis.weights, std::int64_t{axis.count} * axis.width, at::kFloat).view({axis.width, axis.count});
    const at::Tensor index = at::arange(axis.width, at::TensorOptions().dtype(at::kLong).device(block_.device())).unsqueeze(1) + first;
    return at::zeros({axis.inputs, axis.count}, weights.options()).scatter_add_(0, index, weights);
  }
  at::Tensor samples(const device::Picture& picture, const device::Component& component) const {
    const std::int64_t columns = picture.across[component.chroma].inputs;
    if (picture.bytes == 1)
      return block_.as_strided({component.rows, columns}, {component.row, component.step}, component.samples).to(at::kFloat);
    return block_.view(at::kShort)
        .as_strided({component.rows, columns}, {component.row / 2, component.step / 2}, component.samples / 2)
        .to(at::kInt)
        .bitwise_and(0xFFFF)
        .to(at::kFloat);
  }
  void run(const device::Picture& picture, std::int64_t at) const {
    std::vector<at::Tensor> resized;
    at::Tensor across[2], down[2];
    for (int c = 0; c < picture.components; ++c) {
      const int set = picture.component[c].chroma;
      if (!across[set].defined()) {
        across[set] = taps(picture.across[set]);
        down[set] = taps(picture.down[set]).t();
      }
      resized.push_back(at::matmul(down[set], at::matmul(samples(picture, picture.component[c]), across[set])));
    }
    const at::Tensor components = at::stack(resized);
    const auto constants = [&](const float* field, std::int64_t count) {
      return part(at + (reinterpret_cast<const char*>(field) - reinterpret_cast<const char*>(&picture)), count, at::kFloat);
    };
    const at::Tensor matrix = constants(picture.matrix, 9).view({3, 3}).narrow(1, 0, picture.components);
    at::Tensor rgb = (at::matmul(matrix, components.flatten(1)) + constants(picture.offset, 3).unsqueeze(1)).clamp_(0, 1);
    rgb = rgb.view({3, components.size(1), components.size(2)});
    if (picture.column_x == 0) rgb = rgb.transpose(1, 2);
    if (picture.column_x + picture.row_x < 0) rgb = rgb.flip(2);
    if (picture.column_y + picture.row_y < 0) rgb = rgb.flip(1);

    const at::ScalarType type = scalar_type(picture.type);
    const at::Tensor mean = constants(picture.mean, 3).view({3, 1, 1}), deviation = constants(picture.deviation, 3).view({3, 1, 1});
    const auto finished = [&](const at::Tensor& value) {
      return type == at::kByte ? (value * 255 + 0.5).to(type) : ((value - mean) / deviation).to(type);
    };
    const at::Tensor out = view_of(memory_ + picture.out, {3, picture.height, picture.width}, type, block_.device());
    const bool covered = picture.left == 0 && picture.top == 0 && picture.right == picture.width && picture.bottom == picture.height;
    if (!covered) out.copy_(finished(at::full({3, 1, 1}, 114.0 / 255.0, mean.options())).expand_as(out));
    out.narrow(1, picture.top, picture.bottom - picture.top).narrow(2, picture.left, picture.right - picture.left).copy_(finished(rgb));
  }

  const at::Tensor& block_;
  std::byte* memory_;
};

struct State {
  ForkGuard guard;
  DevicePlans plans;
  Kernels kernels;
};
State& state() {
  static State* const instance = new State;  // never destroyed: threads may write while the process ends
  return *instance;
}

void write(TensorRoute route, at::Device where, std::span<const Frame> frames, const TensorSpec& spec, std::span<std::byte> memory,
           std::span<Affine> display_from_tensor) {
  state().guard.use("writer of tensors on CUDA devices");
  const c10::InferenceMode no_gradients;
  std::optional<c10::DeviceGuard> current;
  if (where.is_cuda()) current.emplace(where);

  std::vector<std::size_t> others;
  const DeviceBatch batch(frames, spec, state().plans, others);
  if (!batch.empty()) {
    const at::Tensor filled = staging(where, batch.block_bytes());
    batch.fill(bytes_of(filled));
    at::Tensor block = filled;
    if (where.is_cuda()) block = bytes_on(where, batch.block_bytes()).copy_(filled, true);
    const Kernel* kernel = nullptr;
    if (where.is_cuda() && route == TensorRoute::kernel && Kernel::fits(batch)) kernel = state().kernels.of(where.index());
    if (kernel) {
      kernel->run(batch, block, memory.data());
    } else {
      Operators(batch, block, memory.data());
    }
  }
  // Formats that are left to the CPU: made there, sent up as they are.
  TensorSpec on_cpu = spec;
  on_cpu.device = Device::cpu;
  const std::size_t slot = slot_bytes(spec);
  for (const std::size_t index : others) {
    const at::Tensor made = staging(where, slot);
    (void)frames[index].write_tensor(on_cpu, bytes_of(made));
    view_of(memory.data() + index * slot, made.sizes(), at::kByte, where).copy_(made, true);
  }
  for (std::size_t i = 0; i < display_from_tensor.size(); ++i)
    display_from_tensor[i] = upright_from_slot(frames[i].size(), place_in_slot(frames[i].size(), spec));
}

/// Errors of torch become ours.
template <class Work>
void translated(const Work& work) {
  try {
    work();
  } catch (const c10::OutOfMemoryError& error) {
    throw Error(Code::overload, std::string("no memory left for a tensor: ") + error.what_without_backtrace(), true);
  } catch (const c10::Error& error) {
    throw Error(Code::internal, std::string("torch: ") + error.what_without_backtrace());
  } catch (const Error&) {
    throw;
  } catch (const std::runtime_error& error) {  // of the driver
    throw Error(Code::internal, std::string("CUDA: ") + error.what());
  }
}

class Writer final : public TensorWriter {
 public:
  void write(std::span<const Frame> frames, const TensorSpec& spec, std::span<std::byte> memory,
             std::span<Affine> display_from_tensor) const override {
    write_tensors_by(TensorRoute::kernel, static_cast<int>(spec.device), frames, spec, memory, display_from_tensor);
  }
};

}  // namespace

void write_tensors_by(TensorRoute route, int cuda_device, std::span<const Frame> frames, const TensorSpec& spec,
                      std::span<std::byte> memory, std::span<Affine> display_from_tensor) {
  if (cuda_device >= 0 && !c10::impl::hasDeviceGuardImpl(c10::DeviceType::CUDA)) {
    throw Error(Code::not_built,
                "a tensor on cuda:" + std::to_string(cuda_device) +
                    " needs a torch with CUDA, and this one has none. Install one: https://pytorch.org/get-started/locally");
  }
  const at::Device where = cuda_device < 0 ? at::Device(at::kCPU) : at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(cuda_device));
  translated([&] { write(route, where, frames, spec, memory, display_from_tensor); });
}

std::string tensor_kernel_trouble(int cuda_device) {
  if (!c10::impl::hasDeviceGuardImpl(c10::DeviceType::CUDA)) return "this torch has no CUDA";
  std::string trouble;
  translated([&] {
    const at::Device where(at::kCUDA, static_cast<c10::DeviceIndex>(cuda_device));
    const c10::DeviceGuard current(where);
    (void)bytes_on(where, 1);  // makes the device's context, which a module is loaded into
    trouble = state().kernels.trouble(cuda_device);
  });
  return trouble;
}

std::shared_ptr<const TensorWriter> make_tensor_writer() { return std::make_shared<Writer>(); }

}  // namespace vidloom
