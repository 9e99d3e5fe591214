// The component torch: tensors by torch's operators, on the CPU here, and what programs with at::Tensor see. On a machine with a GPU the
// same comparisons run there too, by the kernel.
#include <vidloom/interop/torch.hpp>
#include <vidloom/source.hpp>

#include <imaging/torch/tensor_writer.hpp>

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <support/planes.hpp>

#include <doctest/doctest.h>  // after torch: c10 has a CHECK of its own, doctest's wins

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

using namespace vidloom;
using test::FormatShape;
using Fit = TensorSpec::Fit;
using DType = TensorSpec::DType;

namespace {

/// -1, and the first GPU where there is one.
std::vector<int> devices() {
  std::vector<int> all{-1};
  if (c10::impl::hasDeviceGuardImpl(at::DeviceType::CUDA) && c10::impl::getDeviceGuardImpl(at::DeviceType::CUDA)->deviceCount() > 0)
    all.push_back(0);
  return all;
}

at::Tensor made(TensorRoute route, int device, std::span<const Frame> frames, const TensorSpec& spec, std::span<Affine> maps = {}) {
  const at::Device where = device < 0 ? at::Device(at::kCPU) : at::Device(at::kCUDA, 0);
  const at::Tensor batch = at::zeros({static_cast<std::int64_t>(frames.size()), 3, spec.size.height, spec.size.width},
                                     at::TensorOptions().dtype(scalar_type(spec.dtype)).device(where));
  write_tensors_by(route, device, frames, spec, {static_cast<std::byte*>(batch.data_ptr()), batch.nbytes()}, maps);
  return batch.to(at::kCPU);
}

double furthest(const at::Tensor& a, const at::Tensor& b) { return (a.to(at::kFloat) - b.to(at::kFloat)).abs().max().item<double>(); }

std::string complaint(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return std::string(to_string(error.code)) + ": " + error.what();
  }
  return "fine";
}

std::vector<Frame> some_frames() {
  std::vector<Frame> frames;
  for (const FormatShape& format : test::device_formats()) frames.push_back(test::detailed_frame(format, {161, 91}));
  FrameInfo turned;
  turned.rotation_degrees = 90;
  turned.crop = {3, 2, 5, 4};
  frames.push_back(test::detailed_frame(test::device_formats().front(), {120, 90}, turned));
  turned.mirrored = true;
  turned.rotation_degrees = 270;
  frames.push_back(test::detailed_frame(test::device_formats()[7], {120, 90}, turned));
  turned.rotation_degrees = 180;
  frames.push_back(test::detailed_frame(test::device_formats()[5], {91, 120}, turned));
  return frames;
}

}  // namespace

TEST_CASE("tensors by torch's operators are those of the CPU path: every format, fit and type") {
  const std::vector<Frame> frames = some_frames();
  for (const int device : devices()) {
    for (const TensorRoute route : {TensorRoute::operators, TensorRoute::kernel}) {
      if (device < 0 && route == TensorRoute::kernel) continue;
      for (const Fit fit : {Fit::stretch, Fit::letterbox, Fit::centre_crop}) {
        for (const DType dtype : {DType::u8, DType::f16, DType::bf16, DType::f32}) {
          CAPTURE(device);
          CAPTURE(static_cast<int>(route));
          CAPTURE(static_cast<int>(fit));
          CAPTURE(static_cast<int>(dtype));
          const TensorSpec spec{.size = {56, 48}, .fit = fit, .mean = {0.48F, 0.46F, 0.41F}, .std = {0.27F, 0.26F, 0.28F}, .dtype = dtype};
          std::vector<Affine> maps(frames.size()), expected_maps;
          const at::Tensor batch = made(route, device, frames, spec, maps), expected = to_tensor(frames, spec, &expected_maps);
          CHECK((batch.sizes() == expected.sizes()));
          // One level of 255, over the deviation, and the halves' own step.
          const double allowed = dtype == DType::u8 ? 1
                                                    : 1.0 / 255 / 0.26 + (dtype == DType::bf16  ? 0.016
                                                                          : dtype == DType::f16 ? 0.002
                                                                                                : 0);
          CHECK(furthest(batch, expected) <= allowed);
          CHECK(expected.to(at::kFloat).std().item<double>() > (dtype == DType::u8 ? 20 : 0.3));
          for (std::size_t i = 0; i < maps.size(); ++i) CHECK(std::ranges::equal(maps[i].m, expected_maps[i].m));
        }
      }
    }
  }
}

TEST_CASE("a format that only the CPU reads is made there and put in its place") {
  const std::vector<Frame> good = some_frames();
  const PlaneView packed{good[0].planes()[0].data, good[0].planes()[0].stride, {60, 90}};
  const Frame odd = Frame::adopt({&packed, 1}, "yuyv422", {}, nullptr);
  const std::vector<Frame> frames{good[0], odd, good[7]};
  const TensorSpec spec{.size = {32, 32}, .fit = Fit::letterbox};
  if (const std::string missing = complaint([&] { (void)to_tensor(odd, spec); }); missing != "fine") {
    MESSAGE("skipped: " << missing);  // a build without the ffmpeg component
    return;
  }
  for (const int device : devices()) {
    const at::Tensor batch = made(TensorRoute::kernel, device, frames, spec);
    CHECK(batch[1].equal(to_tensor(odd, spec)));
    CHECK(furthest(batch[2], to_tensor(frames[2], spec)) <= 1.0 / 255);
  }
}

TEST_CASE("the kernel of Vidloom runs where there is a GPU") {
  if (devices().size() == 1) {
    MESSAGE("skipped: no CUDA device here");
    return;
  }
  CHECK(tensor_kernel_trouble(0) == "");
}

TEST_CASE("writing waits for nothing, and what is on its way stays whole") {
  if (devices().size() == 1) {
    MESSAGE("skipped: no CUDA device here");
    return;
  }
  const at::Device gpu(at::kCUDA, 0);
  const c10::impl::VirtualGuardImpl device(at::DeviceType::CUDA);
  const FormatShape& format = test::device_formats().front();
  std::vector<std::vector<Frame>> batches;
  for (unsigned i = 0; i < 24; ++i)
    batches.push_back({test::detailed_frame(format, {640, 360}, {}, 2 * i + 1), test::detailed_frame(format, {640, 360}, {}, 2 * i + 2)});
  const at::Tensor large = at::zeros({8192, 8192}, at::TensorOptions().device(gpu)) + 1e-6;
  for (const TensorRoute route : {TensorRoute::kernel, TensorRoute::operators}) {
    CAPTURE(static_cast<int>(route));
    const TensorSpec spec{.size = {224, 224}};
    // The driver takes about 1,000 launches ahead; a batch of 2 by operators is some 100 of them.
    batches.resize(route == TensorRoute::kernel ? batches.size() : 6);
    std::vector<at::Tensor> out;
    for (std::size_t i = 0; i < batches.size(); ++i) out.push_back(at::zeros({2, 3, 224, 224}, at::TensorOptions().device(gpu)));
    const auto write = [&](std::size_t i) {
      write_tensors_by(route, 0, batches[i], spec, {static_cast<std::byte*>(out[i].data_ptr()), out[i].nbytes()}, {});
    };
    std::vector<at::Tensor> busy;
    for (int round = 0; round < 2; ++round) {  // the first one fills the stocks of memory and compiles
      device.synchronizeDevice(0);
      for (int i = 0; i < 10; ++i) busy.push_back(large.mm(large));  // some 200 ms
      for (std::size_t i = 0; i < batches.size(); ++i) write(i);
      if (round == 1) CHECK_FALSE(device.queryStream(device.getStream(gpu)));
      device.synchronizeDevice(0);
      busy.clear();
    }
    for (std::size_t i = 0; i < batches.size(); ++i) CHECK(furthest(out[i].cpu(), to_tensor(batches[i], spec)) <= 1.0 / 255);
  }
}

TEST_CASE("a child of a process that used the writer is refused, not left hanging") {
  const Frame frame = some_frames().front();
  const TensorSpec spec{.size = {32, 32}};
  (void)made(TensorRoute::operators, -1, {&frame, 1}, spec);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    alarm(20);  // a hang ends with a signal, not with code 0
    const std::string refused = complaint([&] { (void)made(TensorRoute::operators, -1, {&frame, 1}, spec); });
    std::array<std::byte, 3 * 32 * 32 * 4> slot;
    const Affine map = frame.write_tensor(spec, slot);  // the CPU path works in children as ever
    _exit(refused.find("forked: this writer of tensors") == 0 && map.m[0] > 0 ? 0 : 1);
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("to_tensor makes (3, H, W) of a frame and (N, 3, H, W) of several") {
  const std::vector<Frame> frames = some_frames();
  const TensorSpec spec{.size = {40, 24}, .dtype = DType::u8};
  Affine map;
  const at::Tensor one = to_tensor(frames[0], spec, &map);
  CHECK((one.sizes() == at::IntArrayRef({3, 24, 40})));
  CHECK((one.scalar_type() == at::kByte));
  std::vector<std::uint8_t> slot(slot_bytes(spec));
  const Affine expected = frames[0].write_tensor(spec, std::as_writable_bytes(std::span(slot)));
  CHECK(std::ranges::equal(map.m, expected.m));
  CHECK(std::equal(slot.begin(), slot.end(), one.const_data_ptr<std::uint8_t>()));
  CHECK((to_tensor(std::span<const Frame>{}, spec).sizes() == at::IntArrayRef({0, 3, 24, 40})));
}

TEST_CASE("what does not fit is said in one sentence") {
  const std::vector<Frame> frames = some_frames();
  CHECK(complaint([&] { (void)to_tensor(frames, {.size = {0, 24}}); }) == "config: TensorSpec.size is 0x24; use 1x1 or more");
  std::array<std::byte, 100> small;
  CHECK(complaint([&] { write_tensors(frames, {.size = {8, 8}}, small); }).find("config: the memory holds 100 bytes; ") == 0);
  std::array<Affine, 2> maps;
  std::vector<std::byte> room(frames.size() * 3 * 64 * 4);
  CHECK(complaint([&] { write_tensors(frames, {.size = {8, 8}}, room, maps); }).find("config: display_from_tensor holds 2 places for ") ==
        0);
  const TensorSpec on_gpu{.size = {8, 8}, .device = static_cast<Device>(0)};
  CHECK(complaint([&] { (void)frames[0].write_tensor(on_gpu, room); }).find("not_built: TensorSpec.device is cuda:0, but write_tensor()") ==
        0);
  if (devices().size() == 1) {
    CHECK(complaint([&] { (void)to_tensor(frames, on_gpu); }).find("not_built: TensorSpec.device is cuda:0, but this program's torch") ==
          0);
    CHECK(complaint([&] { write_tensors(frames, on_gpu, room); }).find("not_built: a tensor on cuda:0 needs a torch with CUDA") == 0);
  }
}

TEST_CASE("borrowed planes and pictures are the memory itself, and keep it") {
  std::vector<at::Tensor> planes;
  const std::byte* luma = nullptr;
  {
    const Frame frame = test::detailed_frame(test::device_formats()[7], {61, 40});  // nv12
    luma = frame.planes()[0].data;
    planes = borrow_planes(frame);
  }
  REQUIRE(planes.size() == 2);
  CHECK(planes[0].data_ptr() == luma);
  CHECK((planes[0].sizes() == at::IntArrayRef({40, 61})));
  CHECK((planes[1].sizes() == at::IntArrayRef({20, 31, 2})));
  const Frame again = test::detailed_frame(test::device_formats()[7], {61, 40});
  CHECK(planes[1][7][11][1].item<int>() == std::to_integer<int>(again.planes()[1].data[7 * again.planes()[1].stride + 11 * 2 + 1]));

  const Frame deep = test::detailed_frame(test::device_formats()[5], {32, 18});  // yuv420p10le
  CHECK((borrow_planes(deep)[0].scalar_type() == at::kUInt16));
  const std::byte* row = deep.planes()[0].data + 3 * deep.planes()[0].stride;
  CHECK(borrow_planes(deep)[0].to(at::kInt)[3][5].item<int>() == std::to_integer<int>(row[10]) + 256 * std::to_integer<int>(row[11]));

  const PlaneView up{again.planes()[0].data + 39 * again.planes()[0].stride, -again.planes()[0].stride, {61, 40}};
  const at::Tensor flipped = borrow_planes(Frame::adopt({&up, 1}, "gray", {}, nullptr))[0];
  CHECK(flipped.flip(0).equal(borrow_planes(again)[0]));

  at::Tensor picture;
  {
    const Image image = again.image({.format = ImageSpec::Format::gray8});
    picture = borrow(image);
    CHECK(picture.data_ptr() == image.bytes().data());
  }
  CHECK((picture.sizes() == at::IntArrayRef({40, 61})));
  CHECK(picture.to(at::kFloat).std().item<double>() > 20);
}
