#include <sources/ffmpeg/index_scan.hpp>

#include <utility>

namespace vidloom {
namespace {

/// Packets before the first place where decoding may begin; a film without one in so many is read from its beginning.
constexpr std::size_t longest_head = 4096;
/// Packets behind an entry among which pictures shown before it may be: what a decoder reorders at most.
constexpr std::size_t deepest_reorder = 16;

}  // namespace

IndexScan::IndexScan(FrameReader& reader, CpuGate& cpu, const Timeline::Options& timeline, Nanos usual_duration)
    : reader_(reader),
      cpu_(cpu),
      timeline_options_(timeline),
      usual_duration_(usual_duration),
      points_(*reader.demuxer().stream().codecpar),
      index_(timeline) {}

PacketIndex::Packet IndexScan::described(const AVPacket& packet) {
  const EntryPoints::Verdict verdict = points_.look_at(packet);
  return {.pts = av::timestamp(packet.pts),
          .dts = av::timestamp(packet.dts),
          .position = packet.pos,
          .size = packet.size,
          .duration = packet.duration > 0 ? from_pts(packet.duration, timeline_options_.time_base) : usual_duration_,
          .shown = verdict.shown,
          .entry = verdict.entry,
          .closed = verdict.closed};
}

void IndexScan::begin() {
  begun_ = true;
  reader_.rewind();
  std::vector<PacketIndex::Packet> head;
  std::optional<std::size_t> entry;
  const AVPacket* packet = nullptr;
  while ((packet = reader_.peek()) && head.size() < longest_head && (!entry || head.size() <= *entry + deepest_reorder)) {
    head.push_back(described(*packet));
    reader_.pass();
    if (!head.back().pts) break;
    if (!entry && head.back().entry) entry = head.size() - 1;
  }
  if (!entry || !head.back().pts) {
    trusted_ = false;
    return;
  }
  // A decoder may give pictures shown before the first entry, or not: only decoding tells. Most films have none.
  const Timeline clock(timeline_options_);
  const std::int64_t first = *head[*entry].pts;
  bool shown_before = false;
  for (const PacketIndex::Packet& each : head) shown_before |= each.shown && clock.unwrapped(*each.pts, first) < first;
  if (shown_before) {
    index_.set_head(decode_head(first));
    if (!trusted_) return;
    reader_.rewind();
    points_ = EntryPoints(*reader_.demuxer().stream().codecpar);
  } else {
    for (const PacketIndex::Packet& each : head) index_.add(each);
  }
}

std::vector<std::int64_t> IndexScan::decode_head(std::int64_t first_entry) {
  const Timeline clock(timeline_options_);
  std::vector<std::int64_t> given;
  reader_.start();
  while (const av::FramePtr frame = reader_.next(cpu_)) {
    const auto pts = av::timestamp(frame->best_effort_timestamp);
    if (pts && clock.unwrapped(*pts, first_entry) >= first_entry) return given;
    if (!pts || given.size() > longest_head + deepest_reorder) break;
    given.push_back(*pts);
  }
  trusted_ = false;
  return {};
}

void IndexScan::resume() {
  const std::size_t done = index_.packets();
  std::size_t at = 0;
  if (!index_.entries().empty() && go_to(reader_, index_.entries().back())) {
    at = index_.entries().back().packet;
  } else {
    reader_.rewind();
  }
  for (; at < done && reader_.peek(); ++at) reader_.pass();
}

template <class Done>
void IndexScan::extend(const Done& done) {
  if (done()) return;
  if (!begun_) {
    begin();
  } else if (trusted() && !index_.finished()) {
    resume();
  }
  std::size_t pictures = 0;
  while (trusted() && !index_.finished()) {
    if (index_.pictures().size() != pictures && done()) return;
    pictures = index_.pictures().size();
    if (const AVPacket* packet = reader_.peek()) {
      index_.add(described(*packet));
      reader_.pass();
    } else {
      index_.finish();
    }
  }
}

std::optional<std::size_t> IndexScan::at_or_after(Nanos media_time) {
  if (const auto known = index_.at_or_after(media_time)) return known;
  extend([&] {
    // Only the last picture is new; those before it were asked above.
    return !index_.pictures().empty() && index_.pictures().back().media_time >= media_time;
  });
  return trusted() ? index_.at_or_after(media_time) : std::nullopt;
}

bool IndexScan::reaches(std::size_t picture) {
  extend([&] { return index_.pictures().size() > picture; });
  return trusted() && index_.pictures().size() > picture;
}

void IndexScan::complete() {
  extend([&] { return index_.finished(); });
}

bool IndexScan::go_to(FrameReader& reader, const PacketIndex::Entry& entry) {
  const PacketPlace place{entry.pts, entry.dts.value_or(AV_NOPTS_VALUE), entry.position, entry.size};
  if (reader.go_to(place)) return true;
  // The container does not lead there; reading on from the beginning does.
  reader.rewind();
  for (std::size_t passed = 0; passed < entry.packet && reader.peek(); ++passed) reader.pass();
  const AVPacket* packet = reader.peek();
  return packet && packet->pts == entry.pts && packet->size == entry.size;
}

}  // namespace vidloom
