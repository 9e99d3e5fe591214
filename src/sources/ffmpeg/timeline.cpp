#include <sources/ffmpeg/timeline.hpp>

#include <algorithm>

namespace vidloom {
namespace {

using namespace std::chrono_literals;
constexpr Nanos longest_pause = 10s;
constexpr Nanos longest_step_back = 1s;

/// See Note [Times without bound].
constexpr Nanos bounded(Nanos time) noexcept { return std::clamp(time, -Timeline::farthest, Timeline::farthest); }

}  // namespace

std::int64_t Timeline::unwrapped(std::int64_t pts, std::int64_t reference) const noexcept {
  if (options_.wrap_bits >= 63 || options_.wrap_bits <= 0) return pts;
  // The step modulo 2^bits, read as signed: half the circle forwards, half backwards. Any number of wraps.
  const std::uint64_t mask = (std::uint64_t{1} << options_.wrap_bits) - 1;
  const std::uint64_t step = (static_cast<std::uint64_t>(pts) - static_cast<std::uint64_t>(reference)) & mask;
  const bool backwards = (step >> (options_.wrap_bits - 1)) != 0;
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(reference) + (backwards ? step - mask - 1 : step));
}

Timeline::Stamp Timeline::next(std::optional<std::int64_t> pts, Nanos duration) {
  const Nanos usual = bounded(duration > 0ns ? duration : step_ > 0ns ? step_ : Nanos(40ms));
  Stamp stamp;
  if (!pts) {
    stamp.media_time = started_ ? bounded(last_ + usual) : Nanos{};
    stamp.repaired = true;
  } else {
    const std::int64_t here = stamped_ ? unwrapped(*pts, last_pts_) : *pts;
    stamp.media_time = bounded(bounded(from_pts(here, options_.time_base)) + offset_);
    last_pts_ = here;
    stamped_ = true;
    if (started_) {
      const Nanos step = stamp.media_time - last_;
      if (options_.jumps_begin_epochs && (step < -longest_step_back || step > std::max(longest_pause, 3 * usual))) {
        stamp.new_epoch = true;
        last_pts_ = *pts;
        offset_ = {};
        stamp.media_time = bounded(from_pts(*pts, options_.time_base));
        step_ = {};
      } else if (step < -longest_step_back) {
        const Nanos next = bounded(last_ + usual);
        offset_ = bounded(offset_ + (next - stamp.media_time));
        stamp.media_time = next;
        stamp.repaired = true;
      } else if (step <= 0ns) {
        // As little as makes it a step, so that the pictures after it keep the times they carry.
        stamp.media_time = bounded(last_ + std::clamp<Nanos>(usual / 2, 1ns, 1ms));
        stamp.repaired = true;
      } else {
        step_ = step;
      }
    }
  }
  started_ = true;
  last_ = stamp.media_time;
  return stamp;
}

}  // namespace vidloom
