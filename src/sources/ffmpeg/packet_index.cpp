#include <sources/ffmpeg/packet_index.hpp>

#include <algorithm>
#include <utility>

namespace vidloom {
namespace {

/// Pictures that a decoder may hold back to put them in order: max_dec_frame_buffering of H.264 and HEVC.
constexpr std::size_t deepest_reorder = 16;

}  // namespace

void PacketIndex::set_head(std::vector<std::int64_t> pts) { head_ = std::move(pts); }

void PacketIndex::add(const Packet& packet) {
  const std::size_t number = packets_++;
  if (broke_off_) return;
  if (!packet.pts || pictures_.size() >= most_pictures) {
    show_all();
    broke_off_ = true;
    return;
  }
  Waiting waiting{packet, *packet.pts, number};
  bool jumped = false;
  if (last_order_) {
    waiting.order = timeline_.unwrapped(*packet.pts, *last_order_);
    // Damaged files carry any number: the difference may wrap, it must not overflow.
    const auto ticks = static_cast<std::int64_t>(static_cast<std::uint64_t>(waiting.order) - static_cast<std::uint64_t>(*last_order_));
    const Nanos step = from_pts(ticks, timeline_.time_base());
    jumped = step > std::chrono::seconds(10) || step < std::chrono::seconds(-10);
  }
  last_order_ = waiting.order;
  // What was decoded before such a packet is shown before it, whatever the timestamps say.
  if ((packet.entry && packet.closed) || jumped) show_all();
  const auto place = std::upper_bound(waiting_.begin(), waiting_.end(), waiting.order,
                                      [](std::int64_t order, const Waiting& other) { return order < other.order; });
  waiting_.insert(place, waiting);
  while (waiting_.size() > deepest_reorder) {
    show(waiting_.front());
    waiting_.pop_front();
  }
}

void PacketIndex::finish() {
  show_all();
  finished_ = true;
}

void PacketIndex::show_all() {
  for (const Waiting& waiting : waiting_) show(waiting);
  waiting_.clear();
}

void PacketIndex::show(const Waiting& waiting) {
  const Packet& packet = waiting.packet;
  // Every entry reaches on to the next one, so leaving some out costs time, never a picture.
  if (packet.entry && entries_.size() < most_entries)
    entries_.push_back({*packet.pts, packet.dts, packet.position, packet.size, waiting.number, pictures_.size(), timeline_});
  if (!packet.shown) return;
  if (entries_.empty() && std::find(head_.begin(), head_.end(), *packet.pts) == head_.end()) return;
  const Timeline::Stamp stamp = timeline_.next(packet.pts, packet.duration);
  broke_off_ |= stamp.repaired;
  if (stamp.new_epoch) epochs_.push_back(pictures_.size());
  pictures_.push_back({*packet.pts, stamp.media_time});
}

std::optional<std::size_t> PacketIndex::at_or_after(Nanos media_time) const {
  for (std::size_t epoch = 0; epoch < epochs_.size(); ++epoch) {
    const auto begin = pictures_.begin() + static_cast<std::ptrdiff_t>(epochs_[epoch]);
    const auto end = epoch + 1 < epochs_.size() ? pictures_.begin() + static_cast<std::ptrdiff_t>(epochs_[epoch + 1]) : pictures_.end();
    const auto found = std::partition_point(begin, end, [&](const Picture& picture) { return picture.media_time < media_time; });
    if (found != end) return static_cast<std::size_t>(found - pictures_.begin());
  }
  return std::nullopt;
}

const PacketIndex::Entry* PacketIndex::entry_for(std::size_t picture) const {
  const auto after = std::partition_point(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.picture <= picture; });
  return after == entries_.begin() ? nullptr : &*std::prev(after);
}

PacketIndex::Place PacketIndex::place_of(std::size_t picture) const {
  const auto after = std::upper_bound(epochs_.begin(), epochs_.end(), picture);
  const auto epoch = std::prev(after);
  return {static_cast<std::uint32_t>(epoch - epochs_.begin()), picture - *epoch};
}

std::optional<std::size_t> PacketIndex::picture_at(const Place& place) const {
  if (place.epoch >= epochs_.size()) return std::nullopt;
  return epochs_[place.epoch] + place.sequence;
}

std::optional<std::size_t> PacketIndex::find(std::int64_t pts, std::size_t from) const {
  const std::size_t end = std::min(pictures_.size(), from + 4096);
  for (std::size_t picture = from; picture < end; ++picture)
    if (pictures_[picture].pts == pts) return picture;
  return std::nullopt;
}

}  // namespace vidloom
