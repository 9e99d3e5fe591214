#pragma once
/// Which pictures of a stream the demands need, decided on compressed pictures. No FFmpeg in here. The rule: demand.hpp.

#include <vidloom/demand.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace vidloom {

class Sampler {
 public:
  /// A picture, in showing order.
  struct Picture {
    Nanos time{}, duration{};
    bool keyframe = false;
    bool new_epoch = false;  ///< timelines and grids begin anew with it
    bool lost = false;       ///< cannot be decoded: what it refers to was left out
    bool needed = false;     ///< set by pick()
  };

  /// From the next pick() on. \param demands  none: every picture.
  void set_demands(std::span<const Demand> demands);
  /// Whether some pictures may be left out at all.
  bool skips() const noexcept { return skips_; }
  /// Whether no demand can need anything but keyframes.
  bool keyframes_suffice() const noexcept { return keyframes_suffice_; }
  /// Whether keyframes will do for most of what is demanded: threads would have little to share.
  bool mostly_keyframes() const noexcept { return mostly_keyframes_; }
  /// Whether no picture from here on is needed (Demand::first).
  bool finished() const noexcept { return last_needed_ && seen_ >= *last_needed_; }
  /// The stream begins anew (open, seek): pictures are counted from here, and the first one counts as preceded by one its own
  /// duration earlier.
  void restart() noexcept;

  /// So many pictures at most can be needed since restart(); nothing: no limit.
  std::optional<std::uint64_t> limit() const noexcept { return last_needed_; }
  std::uint64_t seen() const noexcept { return seen_; }
  /// A picture was given without having been asked for here: it serves all.
  void passed(Nanos time) noexcept;

  /// Marks the needed ones of the next pictures. \param next_keyframe  time of the first keyframe behind them, if it is known.
  void pick(std::span<Picture> pictures, std::optional<Nanos> next_keyframe);

 private:
  struct Grid {
    Demand demand;
    std::optional<Nanos> served{};  ///< ticks up to here have their picture
  };
  void pick(Grid& grid, std::span<Picture> pictures, std::optional<Nanos> next_keyframe) const;

  std::vector<Grid> grids_;
  bool skips_ = false, keyframes_suffice_ = false, mostly_keyframes_ = false;
  std::optional<std::uint64_t> last_needed_;  ///< of all demands: so many pictures at most
  std::uint64_t seen_ = 0;                    ///< pictures since restart()
  std::optional<Nanos> last_;                 ///< time of the last of them
};

}  // namespace vidloom
