#pragma once
/// A resized picture's way into a model's input: where it lies in the slot, and the numbers that go there.

#include <vidloom/core/export.hpp>
#include <vidloom/core/geometry.hpp>
#include <vidloom/imaging/tensor_spec.hpp>

#include <imaging/orientation.hpp>

#include <cstddef>
#include <span>

namespace vidloom {
inline namespace v0 {

/// The whole upright picture resized to `resized`, its corner at (x, y) of the slot: below zero where it is cropped.
struct SlotPlace {
  Size resized{};
  int x = 0, y = 0;
};

/// centre_crop of a slot that is not square: the smallest resized picture that covers the slot, the side that decides exactly,
/// the other floored. For a square slot this is Hugging Face's rule.
VIDLOOM_API SlotPlace place_in_slot(Size upright, const TensorSpec& spec) noexcept;

/// \return upright pixels of the picture from pixels of the slot.
VIDLOOM_API Affine upright_from_slot(Size upright, const SlotPlace& place) noexcept;

/// Turns, crops or pads, normalises and splits packed RGB (coded orientation, its upright size is place.resized) into `slot`,
/// which holds slot_bytes(spec) bytes at any alignment.
void fill_slot(std::span<const std::byte> rgb8, const Orientation& orientation, const SlotPlace& place, const TensorSpec& spec,
               std::span<std::byte> slot) noexcept;

/// Writes the grey around a picture placed there, nothing else.
void pad_slot(const SlotPlace& place, const TensorSpec& spec, std::span<std::byte> slot) noexcept;

}  // namespace v0
}  // namespace vidloom
