#include <imaging/half.hpp>
#include <imaging/slot.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace vidloom {
inline namespace v0 {
namespace {

constexpr std::size_t padding = 114;  // the grey that YOLO's letterbox was trained with

/// What each of the 256 byte values becomes, by channel.
template <class T>
using Table = std::array<std::array<T, 256>, 3>;

template <class T, class Encode>
Table<T> table_of(const TensorSpec& spec, const Encode& encode) noexcept {
  Table<T> table;
  for (std::size_t channel = 0; channel < 3; ++channel) {
    for (std::size_t value = 0; value < 256; ++value) {
      table[channel][value] = encode((static_cast<float>(value) / 255.0F - spec.mean[channel]) / spec.std[channel]);
    }
  }
  return table;
}

/// Slot columns or rows that the picture covers.
struct Covered {
  int begin, end;
};
Covered covered(int offset, int resized, int slot) noexcept { return {std::clamp(offset, 0, slot), std::clamp(offset + resized, 0, slot)}; }

template <class T>
void fill(std::span<const std::byte> rgb8, const Orientation& orientation, const SlotPlace& place, Size size, const Table<T>& table,
          std::byte* out) noexcept {
  const auto put = [&out](T value) {
    std::memcpy(out, &value, sizeof value);
    out += sizeof value;
  };
  const Orientation::Walk step = orientation.walk(orientation.turned(place.resized));
  const Covered rows = covered(place.y, place.resized.height, size.height);
  const Covered columns = covered(place.x, place.resized.width, size.width);
  for (std::size_t channel = 0; channel < 3; ++channel) {
    const std::array<T, 256>& values = table[channel];
    for (int y = 0; y < size.height; ++y) {
      const bool inside = y >= rows.begin && y < rows.end;
      const int begin = inside ? columns.begin : size.width;
      const int end = inside ? columns.end : size.width;
      for (int x = 0; x < begin; ++x) put(values[padding]);
      std::ptrdiff_t at = step.first + (begin - place.x) * step.right + (y - place.y) * step.down;
      for (int x = begin; x < end; ++x, at += step.right) {
        put(values[std::to_integer<std::size_t>(rgb8[static_cast<std::size_t>(at) * 3 + channel])]);
      }
      for (int x = end; x < size.width; ++x) put(values[padding]);
    }
  }
}

template <class T>
void pad(const SlotPlace& place, Size size, const std::array<T, 3>& grey, std::byte* slot) noexcept {
  const Covered rows = covered(place.y, place.resized.height, size.height);
  const Covered columns = covered(place.x, place.resized.width, size.width);
  const auto put = [&](std::size_t channel, int y, int from, int to) {
    std::byte* out = slot + ((static_cast<std::ptrdiff_t>(channel) * size.height + y) * size.width + from) * static_cast<std::ptrdiff_t>(sizeof(T));
    for (int x = from; x < to; ++x, out += sizeof(T)) std::memcpy(out, &grey[channel], sizeof(T));
  };
  for (std::size_t channel = 0; channel < 3; ++channel) {
    for (int y = 0; y < size.height; ++y) {
      if (y < rows.begin || y >= rows.end) {
        put(channel, y, 0, size.width);
      } else {
        put(channel, y, 0, columns.begin);
        put(channel, y, columns.end, size.width);
      }
    }
  }
}

}  // namespace

void pad_slot(const SlotPlace& place, const TensorSpec& spec, std::span<std::byte> slot) noexcept {
  const auto grey = [&](const auto& encode) {
    std::array<decltype(encode(0.0F)), 3> values;
    for (std::size_t c = 0; c < 3; ++c) values[c] = encode((static_cast<float>(padding) / 255.0F - spec.mean[c]) / spec.std[c]);
    pad(place, spec.size, values, slot.data());
  };
  switch (spec.dtype) {
    case TensorSpec::DType::u8: pad(place, spec.size, std::array<std::uint8_t, 3>{padding, padding, padding}, slot.data()); break;
    case TensorSpec::DType::f16: grey(to_half); break;
    case TensorSpec::DType::bf16: grey(to_bfloat16); break;
    case TensorSpec::DType::f32: grey([](float value) { return value; }); break;
  }
}

SlotPlace place_in_slot(Size upright, const TensorSpec& spec) noexcept {
  const std::int64_t width = upright.width, height = upright.height;
  const std::int64_t slot_width = spec.size.width, slot_height = spec.size.height;
  // Whether the picture is at least as wide, by aspect, as the slot.
  const bool wide = width * slot_height >= height * slot_width;
  SlotPlace place{.resized = spec.size};
  if (spec.fit == TensorSpec::Fit::centre_crop) {
    if (wide) {
      place.resized.width = static_cast<int>(slot_height * width / height);
    } else {
      place.resized.height = static_cast<int>(slot_width * height / width);
    }
    place.x = -((place.resized.width - spec.size.width) / 2);
    place.y = -((place.resized.height - spec.size.height) / 2);
  } else if (spec.fit == TensorSpec::Fit::letterbox) {
    const auto nearest_of = [](std::int64_t numerator, std::int64_t denominator) {
      return std::max(1, static_cast<int>((2 * numerator + denominator) / (2 * denominator)));
    };
    if (wide) {
      place.resized.height = nearest_of(slot_width * height, width);
    } else {
      place.resized.width = nearest_of(slot_height * width, height);
    }
    place.x = (spec.size.width - place.resized.width) / 2;
    place.y = (spec.size.height - place.resized.height) / 2;
  }
  return place;
}

Affine upright_from_slot(Size upright, const SlotPlace& place) noexcept {
  const float across = static_cast<float>(upright.width) / static_cast<float>(place.resized.width);
  const float down = static_cast<float>(upright.height) / static_cast<float>(place.resized.height);
  return {{across, 0, -across * static_cast<float>(place.x), 0, down, -down * static_cast<float>(place.y)}};
}

void fill_slot(std::span<const std::byte> rgb8, const Orientation& orientation, const SlotPlace& place, const TensorSpec& spec,
               std::span<std::byte> slot) noexcept {
  const auto write = [&](const auto& table) { fill(rgb8, orientation, place, spec.size, table, slot.data()); };
  switch (spec.dtype) {
    case TensorSpec::DType::u8: {
      Table<std::uint8_t> table;
      for (auto& values : table) {
        for (std::size_t value = 0; value < 256; ++value) values[value] = static_cast<std::uint8_t>(value);
      }
      write(table);
      break;
    }
    case TensorSpec::DType::f16: write(table_of<std::uint16_t>(spec, to_half)); break;
    case TensorSpec::DType::bf16: write(table_of<std::uint16_t>(spec, to_bfloat16)); break;
    case TensorSpec::DType::f32: write(table_of<float>(spec, [](float value) { return value; })); break;
  }
}

}  // namespace v0
}  // namespace vidloom
