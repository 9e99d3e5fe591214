#pragma once
/// Frames of any pixel format whose planes hold detail: waves of several lengths, and noise.

#include <vidloom/frame.hpp>
#include <vidloom/tensors.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace vidloom::test {

/// Planes with room behind their rows.
struct OwnedPlanes {
  std::vector<std::vector<std::byte>> memory;
  std::vector<PlaneView> views;
};

struct PlaneShape {
  int divide_x = 1, divide_y = 1, samples = 1;
};
/// The planes of a format of `bytes` bytes a sample, of which `bits` from `shift` up hold the value.
struct FormatShape {
  std::string_view name;
  std::vector<PlaneShape> planes;
  int bits = 8, shift = 0;
};

inline const std::vector<FormatShape>& device_formats() {
  static const std::vector<FormatShape> formats{
      {"yuv420p", {{}, {2, 2}, {2, 2}}},
      {"yuvj420p", {{}, {2, 2}, {2, 2}}},
      {"yuv422p", {{}, {2, 1}, {2, 1}}},
      {"yuv444p", {{}, {}, {}}},
      {"yuv440p", {{}, {1, 2}, {1, 2}}},
      {"yuv420p10le", {{}, {2, 2}, {2, 2}}, 10},
      {"yuv422p12le", {{}, {2, 1}, {2, 1}}, 12},
      {"nv12", {{}, {2, 2, 2}}},
      {"nv21", {{}, {2, 2, 2}}},
      {"p010le", {{}, {2, 2, 2}}, 10, 6},
      {"gray", {{}}},
      {"gray10le", {{}}, 10},
      {"rgb24", {{1, 1, 3}}},
      {"bgra", {{1, 1, 4}}},
      {"gbrp", {{}, {}, {}}},
  };
  return formats;
}

inline Frame detailed_frame(const FormatShape& format, Size size, const FrameInfo& info = {}, unsigned seed = 1) {
  const auto owner = std::make_shared<OwnedPlanes>();
  const int bytes = format.bits > 8 ? 2 : 1;
  std::uint32_t noise = seed * 2654435761U;
  for (std::size_t p = 0; p < format.planes.size(); ++p) {
    const PlaneShape& shape = format.planes[p];
    const Size plane{(size.width + shape.divide_x - 1) / shape.divide_x, (size.height + shape.divide_y - 1) / shape.divide_y};
    const int stride = (plane.width * shape.samples * bytes + 47) / 32 * 32;
    owner->memory.emplace_back(static_cast<std::size_t>(stride * plane.height));
    for (int y = 0; y < plane.height; ++y) {
      for (int x = 0; x < plane.width * shape.samples; ++x) {
        noise = noise * 1664525U + 1013904223U;
        const double sample = x % shape.samples, at = x / shape.samples;
        const double wave = std::sin(at * shape.divide_x / 9.0 + static_cast<double>(p) + sample) +
                            std::cos(y * shape.divide_y / 13.0 + sample * 2) + 0.3 * std::sin((at + y) / 2.0);
        const double value = std::clamp(0.5 + wave / 5 + (static_cast<double>(noise >> 24) / 255 - 0.5) / 6, 0.07, 0.93);
        const auto whole = static_cast<unsigned>(std::lround(value * ((1 << format.bits) - 1))) << format.shift;
        std::byte* to = owner->memory.back().data() + y * stride + x * bytes;
        to[0] = static_cast<std::byte>(whole & 255);
        if (bytes == 2) to[1] = static_cast<std::byte>(whole >> 8);
      }
    }
    owner->views.push_back({owner->memory.back().data(), stride, plane});
  }
  return Frame::adopt(owner->views, format.name, info, owner);
}

}  // namespace vidloom::test
