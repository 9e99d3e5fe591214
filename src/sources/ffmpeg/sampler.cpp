#include <sources/ffmpeg/sampler.hpp>
#include <sources/ffmpeg/timeline.hpp>

#include <algorithm>

namespace vidloom {
namespace {

std::int64_t tick_of(Nanos time, Nanos every) {
  const std::int64_t quotient = time / every;
  return time % every < Nanos{0} ? quotient - 1 : quotient;
}

}  // namespace

void Sampler::set_demands(std::span<const Demand> demands) {
  grids_.clear();
  skips_ = !demands.empty();
  keyframes_suffice_ = mostly_keyframes_ = !demands.empty();
  last_needed_ = demands.empty() ? std::nullopt : std::optional<std::uint64_t>(0);
  for (Demand demand : demands) {
    // As long as all of media_time, which is as good as endless and leaves room to add to.
    demand.every = std::min(demand.every, Timeline::farthest);
    demand.tolerance = std::min(demand.tolerance, Timeline::farthest);
    grids_.push_back({demand, last_});
    const bool each = demand.every <= Nanos{0} && !demand.keyframes_only;
    skips_ = skips_ && (!each || demand.first > 0);
    const bool keyframes = demand.keyframes_only || demand.first == 1;
    keyframes_suffice_ = keyframes_suffice_ && keyframes;
    mostly_keyframes_ = mostly_keyframes_ && (keyframes || (!each && demand.tolerance > Nanos{0}));
    if (demand.first == 0) last_needed_.reset();
    if (last_needed_) last_needed_ = std::max(*last_needed_, demand.first);
  }
  // The strict ones first: what they need may serve the tolerant ones.
  std::ranges::stable_sort(grids_, {}, [](const Grid& grid) { return grid.demand.tolerance; });
}

void Sampler::restart() noexcept {
  seen_ = 0;
  last_.reset();
  for (Grid& grid : grids_) grid.served.reset();
}

void Sampler::passed(Nanos time) noexcept {
  ++seen_;
  last_ = time;
  for (Grid& grid : grids_) grid.served = time;
}

void Sampler::pick(std::span<Picture> pictures, std::optional<Nanos> next_keyframe) {
  for (Grid& grid : grids_) pick(grid, pictures, next_keyframe);
  seen_ += pictures.size();
  if (!pictures.empty()) last_ = pictures.back().time;
}

void Sampler::pick(Grid& grid, std::span<Picture> pictures, std::optional<Nanos> next_keyframe) const {
  const Demand& demand = grid.demand;
  for (std::size_t index = 0; index < pictures.size(); ++index) {
    Picture& picture = pictures[index];
    if (demand.first > 0 && seen_ + index >= demand.first) return;
    if (picture.lost || (demand.keyframes_only && !picture.keyframe)) {
      if (!grid.served || picture.new_epoch) grid.served = picture.time - picture.duration;
      continue;
    }
    if (demand.every <= Nanos{0}) {
      picture.needed = true;
      continue;
    }
    if (!grid.served || picture.new_epoch) {
      grid.served = picture.duration > Nanos{0} ? picture.time - picture.duration : picture.time - demand.every;
    }
    const std::int64_t tick = tick_of(picture.time, demand.every);
    if (tick <= tick_of(*grid.served, demand.every)) continue;
    if (demand.tolerance > Nanos{0} && !picture.keyframe && !picture.needed) {
      const Nanos began = tick * demand.every;
      const auto in_time = [&](Nanos time) { return time <= began + demand.tolerance && time < began + demand.every; };
      const auto later = pictures.subspan(index + 1);
      const auto needed = std::ranges::find_if(later, [&](const Picture& one) { return one.needed && in_time(one.time); });
      const auto keyframe = std::ranges::find_if(later, [&](const Picture& one) { return one.keyframe; });
      if (needed != later.end()) {
        grid.served = needed->time;
        continue;
      }
      if (keyframe != later.end() ? in_time(keyframe->time) : next_keyframe && in_time(*next_keyframe)) continue;
    }
    picture.needed = true;
    grid.served = picture.time;
  }
}

}  // namespace vidloom
