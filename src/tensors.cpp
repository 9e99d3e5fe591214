#include <vidloom/core/error.hpp>
#include <vidloom/tensors.hpp>

#include <core/component.hpp>
#include <imaging/pixel_layout.hpp>
#include <imaging/slot.hpp>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>

namespace vidloom {
inline namespace v0 {
namespace {

std::string to_text(Size size) { return std::to_string(size.width) + "x" + std::to_string(size.height); }

/// As Frame::write_tensor() checks it.
void check(const TensorSpec& spec) {
  if (spec.size.empty()) throw Error(Code::config, "TensorSpec.size is " + to_text(spec.size) + "; use 1x1 or more");
  constexpr std::int64_t most_pixels = std::int64_t{1} << 28;
  if (static_cast<std::int64_t>(spec.size.width) * spec.size.height > most_pixels) {
    throw Error(Code::config, "TensorSpec.size is " + to_text(spec.size) + "; use at most " + std::to_string(most_pixels) + " pixels");
  }
  for (const float deviation : spec.std) {
    if (deviation == 0 || !std::isfinite(deviation)) {
      throw Error(Code::config, "TensorSpec.std holds " + std::to_string(deviation) + "; use finite numbers other than 0");
    }
  }
}

}  // namespace

void write_tensors(std::span<const Frame> frames, const TensorSpec& spec, std::span<std::byte> memory,
                   std::span<Affine> display_from_tensor) {
  check(spec);
  const std::size_t slot = slot_bytes(spec);
  if (memory.size() / slot < frames.size()) {
    throw Error(Code::config, "the memory holds " + std::to_string(memory.size()) + " bytes; " + std::to_string(frames.size()) +
                                  " tensors of 3x" + std::to_string(spec.size.height) + "x" + std::to_string(spec.size.width) + " need " +
                                  std::to_string(frames.size() * slot));
  }
  if (!display_from_tensor.empty() && display_from_tensor.size() != frames.size()) {
    throw Error(Code::config, "display_from_tensor holds " + std::to_string(display_from_tensor.size()) + " places for " +
                                  std::to_string(frames.size()) + " frames; use as many, or none");
  }
  if (frames.empty()) return;
  if (spec.device != Device::cpu) {
    tensor_writer("cuda:" + std::to_string(static_cast<int>(spec.device))).write(frames, spec, memory, display_from_tensor);
    return;
  }
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const Affine map = frames[i].write_tensor(spec, memory.subspan(i * slot, slot));
    if (!display_from_tensor.empty()) display_from_tensor[i] = map;
  }
}

SampleLayout sample_layout(const Frame& frame, std::size_t plane) {
  const std::optional<PixelLayout> layout = pixel_layout(frame.pixel_format());
  if (!layout) {
    throw Error(Code::config,
                "the samples of " + std::string(frame.pixel_format()) + " are not whole numbers side by side; use Frame::image()");
  }
  SampleLayout result{.samples = 0, .bytes = layout->bytes};
  int planes = 0;
  for (std::size_t c = 0; c < static_cast<std::size_t>(layout->count); ++c) {
    const PixelLayout::Component& component = layout->components[c];
    planes = std::max(planes, component.plane + 1);
    if (static_cast<std::size_t>(component.plane) == plane) result.samples = component.step;
  }
  if (result.samples == 0 || plane >= frame.planes().size()) {
    throw Error(Code::config, "plane is " + std::to_string(plane) + "; the colours of " + std::string(frame.pixel_format()) +
                                  " are in planes 0 to " + std::to_string(planes - 1));
  }
  return result;
}

}  // namespace v0
}  // namespace vidloom
