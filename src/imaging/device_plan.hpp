#pragma once
/// What a device needs to make tensors of frames: which part of which plane, the taps, the matrix. Computed on the CPU, without any
/// library of a device; <imaging/device_tensor.cuh> says what is done with it there.
///
///     DevicePlans plans;
///     const DeviceBatch batch(frames, indices, spec, plans);
///     batch.fill({pinned, batch.block_bytes()});       // then one copy to the device

#include <vidloom/core/export.hpp>
#include <vidloom/frame.hpp>

#include <imaging/device_tensor.cuh>

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace vidloom {
inline namespace v0 {

struct DevicePlan;  // of all frames of one size, format, crop, rotation and colour, and one spec

/// The last plans used: frames of a stream share one. Thread-safe.
class VIDLOOM_API DevicePlans {
 public:
  DevicePlans();
  ~DevicePlans();
  /// \return nothing where the frame's pixel format or matrix, or the spec's mode, is left to the CPU.
  std::shared_ptr<const DevicePlan> plan(const Frame& frame, const TensorSpec& spec);

 private:
  static constexpr std::size_t capacity = 16;
  std::mutex mutex_;
  std::list<std::shared_ptr<const DevicePlan>> recent_;  ///< last used first
};

/// Some of the frames of a batch, ready to go. Borrows the frames.
class VIDLOOM_API DeviceBatch {
 public:
  /// Takes the frames that a device can read; `others` gets the indices of the rest.
  DeviceBatch(std::span<const Frame> frames, const TensorSpec& spec, DevicePlans& plans, std::vector<std::size_t>& others);
  ~DeviceBatch();

  bool empty() const noexcept { return pictures_.empty(); }
  /// Bytes to be copied to the device, and floats that it needs between its two steps.
  std::size_t block_bytes() const noexcept { return block_bytes_; }
  std::size_t narrowed_floats() const noexcept { return narrowed_floats_; }
  /// Writes block_bytes() bytes; `block` is aligned to 64 bytes.
  void fill(std::span<std::byte> block) const noexcept;
  std::span<const vidloom_device::Picture> pictures() const noexcept { return pictures_; }
  /// Index of a picture's frame among those given.
  std::size_t frame_of(std::size_t picture) const noexcept { return frames_[picture].first; }

 private:
  struct Tables {
    std::shared_ptr<const DevicePlan> plan;
    std::size_t at;
  };
  std::vector<vidloom_device::Picture> pictures_;
  std::vector<std::pair<std::size_t, const Frame*>> frames_;
  std::vector<std::size_t> tables_of_;  ///< a picture's
  std::vector<Tables> tables_;
  std::size_t block_bytes_ = 0, narrowed_floats_ = 0;
};

}  // namespace v0
}  // namespace vidloom
