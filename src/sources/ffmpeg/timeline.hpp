#pragma once
/// From container timestamps to media_time: unwrapped, mended, never backwards. No FFmpeg in here.

#include <vidloom/core/time.hpp>

#include <cstdint>
#include <optional>

namespace vidloom {

/// Note [Times without bound]
/// A damaged file may carry any 64-bit timestamp. Times end 73 years before and after zero (wall clocks since 1970 fit), so that
/// the sum or difference of a few of them always fits into 64 bits, here and wherever a program adds a duration.
class Timeline {
 public:
  static constexpr Nanos farthest = Nanos::max() / 4;

  struct Options {
    Rational time_base{1, 1};
    int wrap_bits = 64;               ///< width of a timestamp; 63 and more: it never wraps
    bool jumps_begin_epochs = false;  ///< MPEG-TS: a jump is another recording, not a pause
  };
  struct Stamp {
    Nanos media_time{};      ///< from -farthest to farthest
    bool repaired = false;   ///< the timestamp was missing or stepped back
    bool new_epoch = false;  ///< this picture begins a new timeline
  };

  Timeline() = default;
  explicit Timeline(const Options& options) : options_(options) {}

  /// The next picture in showing order. \param duration  of a picture; zero: not known.
  Stamp next(std::optional<std::int64_t> pts, Nanos duration);
  /// \return `pts` plus as many wraps as bring it nearest to `reference`.
  std::int64_t unwrapped(std::int64_t pts, std::int64_t reference) const noexcept;
  Rational time_base() const noexcept { return options_.time_base; }

 private:

  Options options_{};
  bool started_ = false;
  bool stamped_ = false;       ///< a timestamp was seen
  std::int64_t last_pts_ = 0;  ///< unwrapped
  Nanos offset_{};             ///< added after a step back that was no new epoch
  Nanos last_{};               ///< media_time given last
  Nanos step_{};               ///< between the last two
};

}  // namespace vidloom
