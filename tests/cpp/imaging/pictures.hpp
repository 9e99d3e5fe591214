#pragma once
/// Pictures for the tests of conversion, and how far a tensor of one is from the reference.

#include "reference.hpp"

#include <imaging/half.hpp>
#include <imaging/orientation.hpp>
#include <imaging/slot.hpp>
#include <support/clips.hpp>

#include <vidloom/source.hpp>

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace vidloom::test {

inline std::vector<Format> formats() {
  return {{"yuv420p", 2, 2},       {"yuv422p", 2, 1},           {"yuv444p", 1, 1},           {"yuv440p", 1, 2},
          {"yuv411p", 4, 1},       {"yuv420p10le", 2, 2, 10},   {"yuv422p10le", 2, 1, 10},   {"yuv444p10le", 1, 1, 10},
          {"yuv420p12le", 2, 2, 12}, {"yuv422p12le", 2, 1, 12}, {"yuv444p16le", 1, 1, 16},   {"nv12", 2, 2, 8, true},
          {"nv16", 2, 1, 8, true}, {"nv24", 1, 1, 8, true},     {"p010le", 2, 2, 10, true, 6}, {"p210le", 2, 1, 10, true, 6},
          {"p016le", 2, 2, 16, true}};
}

/// Planes whose every row ends where its memory ends: reading a byte too much shows under AddressSanitizer.
class TightPlanes {
 public:
  PlaneView add(int positions, int samples_each, int bytes, int height, const std::function<int(int, int)>& value) {
    const auto row = static_cast<std::size_t>(positions * samples_each * bytes);
    auto memory = std::make_unique<std::byte[]>(row * static_cast<std::size_t>(height));
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < positions * samples_each; ++x) {
        const int sample = value(x, y);
        std::byte* to = memory.get() + static_cast<std::size_t>(y) * row + static_cast<std::size_t>(x * bytes);
        to[0] = static_cast<std::byte>(sample & 255);
        if (bytes == 2) to[1] = static_cast<std::byte>(sample >> 8);
      }
    }
    memory_.push_back(std::move(memory));
    return {memory_.back().get(), static_cast<std::ptrdiff_t>(row), {positions, height}};
  }

 private:
  std::vector<std::unique_ptr<std::byte[]>> memory_;
};

/// Smooth shapes, some texture and a few hard edges: what a camera sees, in any format.
inline Frame picture(const Format& format, Size size, const FrameInfo& info, std::mt19937& random) {
  const auto memory = std::make_shared<TightPlanes>();
  const int bytes = format.bits > 8 ? 2 : 1;
  const double most = (1 << format.bits) - 1;
  const double phase = static_cast<double>(random() % 628) / 100;
  const auto shade = [&, phase](int component, double x, double y) {
    const double wave = std::sin(x * 0.11 + phase + component) * std::cos(y * 0.07 - phase), edge = x + y > 60 ? 0.15 : -0.15;
    const double noise = (static_cast<double>(random() % 1000) / 1000 - 0.5) * 0.06;
    const double level = component == 0 ? 0.5 + 0.3 * wave + edge + noise : 0.5 + 0.15 * wave + 0.3 * edge + noise;
    return static_cast<int>(std::clamp(level, 0.0, 1.0) * most) << format.unused;
  };
  std::vector<PlaneView> planes{memory->add(size.width, 1, bytes, size.height, [&](int x, int y) { return shade(0, x, y); })};
  const Size chroma{(size.width + format.across - 1) / format.across, (size.height + format.down - 1) / format.down};
  if (format.paired) {
    planes.push_back(memory->add(chroma.width, 2, bytes, chroma.height, [&](int x, int y) { return shade(1 + x % 2, x / 2 * format.across, y * format.down); }));
  } else {
    for (int component = 1; component <= 2; ++component)
      planes.push_back(memory->add(chroma.width, 1, bytes, chroma.height, [&](int x, int y) { return shade(component, x * format.across, y * format.down); }));
  }
  return Frame::adopt(planes, format.name, info, memory);
}

inline Frame first_frame(const std::string& uri) {
  const auto source = open_source(uri);
  SourceContext context{.cpu = CpuGate::process()};
  source->open(context);
  for (;;) {
    ReadResult read = source->read();
    if (std::holds_alternative<End>(read)) throw std::runtime_error("no picture in " + uri);
    if (Frame* frame = std::get_if<Frame>(&read)) {
      const Frame result = *frame;
      source->close();
      return result;
    }
  }
}

/// The first picture of vtest.avi (768x576 yuv420p); the test pattern where that clip is not here.
inline Frame street_frame() {
  const std::string clip = require_clip("vtest.avi");
  return first_frame(clip.empty() ? "test:size=768x576,frames=1" : clip);
}

inline double value_of(const std::byte* at, TensorSpec::DType dtype) {
  if (dtype == TensorSpec::DType::u8) return std::to_integer<int>(*at);
  if (dtype == TensorSpec::DType::f32) {
    float value;
    std::memcpy(&value, at, sizeof value);
    return static_cast<double>(value);
  }
  std::uint16_t bits;
  std::memcpy(&bits, at, sizeof bits);
  if (dtype == TensorSpec::DType::bf16) return static_cast<double>(std::bit_cast<float>(std::uint32_t{bits} << 16));
  const int exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

/// A tensor's numbers back in 0..255.
inline std::vector<double> levels_of(const std::vector<std::byte>& slot, const TensorSpec& spec) {
  const auto plane = static_cast<std::size_t>(spec.size.width) * static_cast<std::size_t>(spec.size.height);
  std::vector<double> levels(3 * plane);
  for (std::size_t i = 0; i < levels.size(); ++i) {
    const double value = value_of(slot.data() + i * bytes_of(spec.dtype), spec.dtype);
    const std::size_t c = i / plane;
    levels[i] = spec.dtype == TensorSpec::DType::u8 ? value : (value * static_cast<double>(spec.std[c]) + static_cast<double>(spec.mean[c])) * 255;
  }
  return levels;
}

inline std::vector<double> tensor_levels(const Frame& frame, const TensorSpec& spec) {
  std::vector<std::byte> slot(slot_bytes(spec));
  frame.write_tensor(spec, slot);
  return levels_of(slot, spec);
}

/// The tensor the reference gives, in 0..255.
inline std::vector<double> reference_levels(const Frame& frame, const Format& format, Matrix matrix, bool full, ChromaSite site,
                                            const TensorSpec& spec, bool clamp_first = false) {
  const Orientation orientation{frame.info().rotation_degrees, frame.info().mirrored};
  const SlotPlace place = place_in_slot(frame.size(), spec);
  const Size coded = orientation.turned(place.resized);
  const Rgb rgb = reference_rgb(frame, format, matrix, full, site, {coded, spec.filter == Filter::bilinear, clamp_first});
  const Orientation::Walk walk = orientation.walk(coded);
  std::vector<double> levels;
  for (const Plane& plane : rgb.planes) {
    for (int y = 0; y < spec.size.height; ++y) {
      for (int x = 0; x < spec.size.width; ++x) {
        const int px = x - place.x, py = y - place.y;
        const bool inside = px >= 0 && py >= 0 && px < place.resized.width && py < place.resized.height;
        levels.push_back(inside ? plane.at[static_cast<std::size_t>(walk.first + px * walk.right + py * walk.down)] : 114);
      }
    }
  }
  return levels;
}

inline Distance tensor_distance(const Frame& frame, const Format& format, Matrix matrix, bool full, ChromaSite site, const TensorSpec& spec,
                                bool clamp_first = false) {
  const std::vector<double> ours = tensor_levels(frame, spec), theirs = reference_levels(frame, format, matrix, full, site, spec, clamp_first);
  std::vector<double> differences(ours.size());
  for (std::size_t i = 0; i < ours.size(); ++i) differences[i] = ours[i] - theirs[i];
  return distance_of(std::move(differences));
}

}  // namespace vidloom::test
