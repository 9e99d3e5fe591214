// Tensors of 1080p frames on a CUDA device: by Vidloom's kernel, by torch's operators, and made by the CPU and then copied. Each row is
// checked against the CPU's tensors before it is timed. Prints a table for docs/performance.md.
#include <imaging/device_plan.hpp>
#include <imaging/torch/tensor_writer.hpp>
#include <support/planes.hpp>
#include <vidloom/interop/torch.hpp>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty_like.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

using namespace vidloom;

namespace {

using Clock = std::chrono::steady_clock;
const at::Device gpu(at::kCUDA, 0);

void wait() { c10::impl::VirtualGuardImpl(at::DeviceType::CUDA).synchronizeDevice(0); }

struct Times {
  double whole = 0, call = 0;  // milliseconds: one after the other until the device is done; until the call returns
};
/// Means over a third of a second, after a few to warm up.
Times time_of(const std::function<void()>& work) {
  const auto milliseconds = [](Clock::duration time) { return std::chrono::duration<double, std::milli>(time).count(); };
  for (int i = 0; i < 5; ++i) work();
  wait();
  int count = 0;
  Clock::duration inside{};
  const Clock::time_point begin = Clock::now();
  do {
    const Clock::time_point called = Clock::now();
    work();
    inside += Clock::now() - called;
    if (++count % 8 == 0) wait();  // no deeper queue than a program would have
  } while (Clock::now() - begin < std::chrono::milliseconds(330));
  wait();
  return {milliseconds(Clock::now() - begin) / count, milliseconds(inside) / count};
}

void row(const char* what, std::size_t batch, const Times& times, std::size_t bytes) {
  std::printf("| %-44s | %5zu | %9.3f | %9.3f | %9.1f | %7.2f |\n", what, batch, times.whole, times.call,
              times.whole * 1000 / static_cast<double>(batch), static_cast<double>(bytes) / times.whole / 1e6);
}

void measure(const char* format, Size size, const TensorSpec& spec, std::size_t count) {
  const test::FormatShape& shape = *std::ranges::find(test::device_formats(), std::string_view(format), &test::FormatShape::name);
  std::vector<Frame> frames;
  for (std::size_t i = 0; i < count; ++i) frames.push_back(test::detailed_frame(shape, size, {}, static_cast<unsigned>(i + 1)));
  DevicePlans plans;
  std::vector<std::size_t> others;
  const DeviceBatch plan(frames, spec, plans, others);
  TensorSpec on_cpu = spec;
  on_cpu.device = Device::cpu;
  const at::Tensor expected = to_tensor(frames, on_cpu), out = at::empty_like(expected, at::TensorOptions().device(gpu));
  const std::span<std::byte> memory(static_cast<std::byte*>(out.data_ptr()), out.nbytes());
  for (const auto& [route, name] : {std::pair{TensorRoute::kernel, "kernel"}, {TensorRoute::operators, "torch's operators"}}) {
    const auto work = [&] { write_tensors_by(route, 0, frames, spec, memory, {}); };
    work();
    const double furthest = (out.cpu().to(at::kFloat) - expected.to(at::kFloat)).abs().max().item<double>();
    if (furthest > 1.0 / 255) {
      std::printf("%s: %g from the CPU's tensors\n", name, furthest);
      std::exit(1);
    }
    row(name, count, time_of(work), plan.block_bytes());
  }
  row("made by the CPU, then copied", count, time_of([&] { out.copy_(to_tensor(frames, on_cpu)); }), expected.nbytes());

  // The parts: what it takes to lay the planes out for the copy, and the copy alone.
  const auto bytes = static_cast<std::int64_t>(plan.block_bytes());
  const at::Tensor pinned = at::empty({bytes}, at::TensorOptions().dtype(at::kByte).pinned_memory(true));
  const at::Tensor pageable = at::empty({bytes}, at::TensorOptions().dtype(at::kByte));
  const at::Tensor target = at::empty({bytes}, at::TensorOptions().dtype(at::kByte).device(gpu));
  row("part: planes into pinned memory", count,
      time_of([&] { plan.fill({static_cast<std::byte*>(pinned.data_ptr()), plan.block_bytes()}); }), plan.block_bytes());
  row("part: copy from pinned memory", count, time_of([&] { target.copy_(pinned, true); }), plan.block_bytes());
  row("part: copy from pageable memory", count, time_of([&] { target.copy_(pageable, true); }), plan.block_bytes());
}

}  // namespace

int main() try {
  if (!c10::impl::hasDeviceGuardImpl(at::DeviceType::CUDA)) {
    std::puts("this torch has no CUDA");
    return 0;
  }
  if (const std::string trouble = tensor_kernel_trouble(0); !trouble.empty()) std::printf("no kernel: %s\n", trouble.c_str());
  const TensorSpec clip{.size = {224, 224}, .mean = {0.48F, 0.46F, 0.41F}, .std = {1, 1, 1}};
  TensorSpec letterbox = clip;
  letterbox.size = {640, 640};
  letterbox.fit = TensorSpec::Fit::letterbox;
  for (const auto& [title, format, spec] : {std::tuple{"1920x1080 yuv420p, centre crop to 224x224 float32", "yuv420p", clip},
                                            std::tuple{"1920x1080 nv12, letterbox to 640x640 float32", "nv12", letterbox}}) {
    std::printf(
        "\n%s\n\n| way                                          | batch |  ms/batch | ms/call   | us/frame  | GB/s    |\n"
        "|---|---|---|---|---|---|\n",
        title);
    for (const std::size_t count : {1, 8, 32}) measure(format, {1920, 1080}, spec, count);
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
