#include <sources/ffmpeg/packet_plan.hpp>

#include <sources/ffmpeg/transport.hpp>

#include <algorithm>
#include <utility>

namespace vidloom {
namespace {

using namespace std::chrono_literals;

// A group that is longer is no group: a camera that never repeats its keyframe. It is decoded as it comes.
constexpr std::size_t most_packets = 1500;
constexpr std::size_t most_bytes = std::size_t{48} << 20;
constexpr std::size_t most_times = 1'000'000;  // of pictures of which only these are kept
constexpr Nanos longest_step = 10s;  // of the timeline: what jumps further is another recording

}  // namespace

void PacketPlan::start(Demuxer& demuxer, Nanos usual_duration) {
  const AVStream& stream = demuxer.stream();
  pictures_.emplace(*stream.codecpar);
  time_base_ = av::rational(stream.time_base);
  wrap_bits_ = stream.pts_wrap_bits;
  usual_duration_ = usual_duration;
  skipped_ = 0;
  unplannable_ = false;
  sought();
  first_group_ = true;
  holds_ = false;
}

void PacketPlan::sought() {
  incoming_.clear();
  queue_.clear();
  expected_.clear();
  bytes_ = 0;
  planning_ = holds_ = continuous_ = in_head_ = in_rest_ = await_key_ = looked_ = at_end_ = ended_ = first_group_ = false;
  holds_ = true;
  sampler_.restart();
}

std::int64_t PacketPlan::distance(std::int64_t from, std::int64_t to) const noexcept {
  return wrap_bits_ == 33 ? transport::distance(from, to) : to - from;
}

Nanos PacketPlan::duration_of(const AVPacket& packet) const noexcept {
  return packet.duration > 0 ? std::min(from_pts(packet.duration, time_base_), Timeline::farthest) : usual_duration_;
}

AVPacket* PacketPlan::next() {
  for (;;) {
    if (!queue_.empty()) return queue_.front().get();
    if (ended_) return nullptr;
    if (!planning_) {
      AVPacket* packet = supply_.peek();
      if (!packet) {
        ended_ = true;
        return nullptr;
      }
      if (await_key_ && (packet->flags & AV_PKT_FLAG_KEY) == 0) {
        ++skipped_;
        supply_.pass();
        continue;
      }
      await_key_ = false;
      if (unplannable_ || !sampler_.skips() || !may_begin(*packet)) return packet;
      // The pictures in the decoder are shown first, and get their times first.
      if (holds_) {
        queue_.push_back(nullptr);
        continue;
      }
      planning_ = true;
      continue;
    }
    const bool planned = in_rest_                         ? plan_rest()
                         : !sampler_.skips()              ? false
                         : sampler_.keyframes_suffice() ? plan_head()
                                                          : plan_group();
    if (!planned) follow_from_here();
  }
}

void PacketPlan::taken() {
  holds_ = true;
  if (!queue_.empty()) {
    queue_.pop_front();
    return;
  }
  first_group_ = false;
  looked_ = false;
  supply_.pass();
}

void PacketPlan::drained() noexcept {
  if (!queue_.empty() && !queue_.front()) queue_.pop_front();
  holds_ = continuous_ = false;
}

/// \return whether a plan can begin with the packet that waits.
bool PacketPlan::may_begin(const AVPacket& packet) {
  if (std::exchange(looked_, true)) return true;  // it could, and the decoder has been drained since
  const auto picture = pictures_->look(packet);
  // To plan, the decoder is emptied; pictures that stand behind an open keyframe and are shown before it would be lost.
  if (picture && picture->entry && picture->shown && packet.pts != AV_NOPTS_VALUE && (picture->closed || !holds_)) return true;
  looked_ = false;
  return false;
}

/// Reads one more. \return false when it cannot be planned. At the end: at_end_.
bool PacketPlan::read_unit() {
  AVPacket* packet = supply_.peek();
  if (!packet) {
    at_end_ = true;
    return true;
  }
  auto picture = pictures_->look(*packet);
  bytes_ += static_cast<std::size_t>(packet->size);
  const bool bounded = in_rest_ ? incoming_.size() < most_times : incoming_.size() < most_packets && bytes_ < most_bytes;
  const bool known = (picture || in_rest_) && packet->pts != AV_NOPTS_VALUE && bounded;
  Unit unit{av::make_packet(), picture.value_or(CodedPicture{}), known ? distance(key_pts_, packet->pts) : 0};
  av_packet_move_ref(unit.packet.get(), packet);
  supply_.pass();
  looked_ = false;
  if (in_rest_ && !unit.picture.entry) {  // only its time is wanted
    bytes_ -= static_cast<std::size_t>(unit.packet->size);
    av_buffer_unref(&unit.packet->buf);
    unit.packet->data = nullptr;
    unit.packet->size = 0;
  }
  incoming_.push_back(std::move(unit));
  return known;
}

/// Reads the keyframe and what is shown before it; \return false when that cannot be planned.
bool PacketPlan::collect_head() {
  if (incoming_.empty() && !read_unit()) return false;
  if (incoming_.empty()) return true;
  key_pts_ = incoming_.front().packet->pts;
  for (Unit& unit : incoming_) unit.distance = distance(key_pts_, unit.packet->pts);
  if (incoming_.front().picture.closed) return true;
  for (std::size_t at = 1;; ++at) {
    if (at == incoming_.size() && (at_end_ || !read_unit())) return at_end_;
    if (at == incoming_.size() || incoming_[at].picture.entry || !incoming_[at].leading()) return true;
  }
}

/// Reads the group, the next keyframe and what is shown before that.
bool PacketPlan::collect_group() {
  const std::size_t begin = in_rest_ ? 0 : 1;
  std::size_t at = begin;
  for (;; ++at) {
    while (at >= incoming_.size() && !at_end_)
      if (!read_unit()) return false;
    if (at >= incoming_.size()) return true;
    if (incoming_[at].picture.entry) break;
  }
  if (incoming_[at].picture.closed) return true;
  const std::int64_t next_key = incoming_[at].distance;
  for (++at;; ++at) {
    while (at >= incoming_.size() && !at_end_)
      if (!read_unit()) return false;
    if (at >= incoming_.size() || incoming_[at].picture.entry || incoming_[at].distance >= next_key) return true;
  }
}

/// The keyframe, where no other picture of the group can be needed: it need not wait for the rest to be read.
bool PacketPlan::plan_head() {
  if (sampler_.finished()) {
    ended_ = true;
    return true;
  }
  if (!collect_head()) return false;
  if (incoming_.empty()) {
    ended_ = true;
    return true;
  }
  std::size_t count = 1;
  while (count < incoming_.size() && !incoming_[count].picture.entry && incoming_[count].leading()) ++count;
  in_head_ = true;
  const bool planned = plan(count, std::nullopt);
  in_head_ = false;
  in_rest_ = planned;
  return planned;
}

bool PacketPlan::plan_rest() {
  if (sampler_.finished()) {
    ended_ = true;
    return true;
  }
  if (!collect_group()) return false;
  const auto next = std::ranges::find_if(incoming_, [](const Unit& unit) { return unit.picture.entry; });
  const auto count = static_cast<std::size_t>(next - incoming_.begin());
  if (count > 0 && !plan(count, next != incoming_.end() ? std::optional(next->distance) : std::nullopt)) return false;
  in_rest_ = false;
  if (incoming_.empty()) ended_ = true;
  return true;
}

bool PacketPlan::plan_group() {
  if (sampler_.finished() || (incoming_.empty() && at_end_)) {
    ended_ = true;
    return true;
  }
  if (!collect_head()) return false;
  if (incoming_.empty()) {
    ended_ = true;
    return true;
  }
  if (!collect_group()) return false;
  const auto next = std::find_if(incoming_.begin() + 1, incoming_.end(), [](const Unit& unit) { return unit.picture.entry; });
  return plan(static_cast<std::size_t>(next - incoming_.begin()),
              next != incoming_.end() ? std::optional(next->distance) : std::nullopt);
}

/// Times the first `count` units, marks what is needed of them, and sends that on its way.
bool PacketPlan::plan(std::size_t count, std::optional<std::int64_t> next_key) {
  order_.clear();
  std::int64_t last_dts = AV_NOPTS_VALUE;
  bool reordered = false;
  for (std::size_t at = 0; at < count; ++at) {
    const Unit& unit = incoming_[at];
    if (unit.picture.shown) {
      reordered = reordered || (!order_.empty() && unit.distance < incoming_[order_.back()].distance);
      order_.push_back(at);
    }
    const std::int64_t dts = unit.packet->dts;
    if (dts != AV_NOPTS_VALUE && last_dts != AV_NOPTS_VALUE && distance(last_dts, dts) < 0) return false;
    last_dts = dts;
  }
  // Where the stream does not say how far to reorder, FFmpeg finds out as it goes, which depends on what it sees.
  if (reordered && !pictures_->says_delay()) return false;
  std::ranges::sort(order_, {}, [this](std::size_t at) { return incoming_[at].distance; });
  Timeline timeline = timeline_;
  marks_.clear();
  for (std::size_t place = 0; place < order_.size(); ++place) {
    const Unit& unit = incoming_[order_[place]];
    const Nanos duration = duration_of(*unit.packet);
    const Timeline::Stamp stamp = timeline.next(unit.packet->pts, duration);
    if (stamp.repaired || (stamp.new_epoch && place > 0)) return false;
    if (place > 0 && unit.distance == incoming_[order_[place - 1]].distance) return false;
    const bool keyframe = unit.picture.entry;
    if (keyframe) key_time_ = stamp.media_time;
    marks_.push_back({.time = stamp.media_time,
                      .duration = duration,
                      .keyframe = keyframe,
                      .new_epoch = stamp.new_epoch,
                      .lost = in_rest_ || (unit.leading() && !continuous_ && !first_group_)});
  }
  std::optional<Nanos> next_time;
  if (next_key && !order_.empty()) {
    const std::int64_t last = incoming_[order_.back()].distance;
    const bool follows = *next_key > last && from_pts(*next_key - last, time_base_) < longest_step;
    if (!follows) next_key.reset();  // another recording
  }
  if (next_key) {
    next_time = key_time_ + from_pts(*next_key, time_base_);
    for (std::size_t at = count + 1; at < incoming_.size() && !incoming_[at].picture.entry && incoming_[at].distance < *next_key; ++at)
      if (!order_.empty() && incoming_[at].distance <= incoming_[order_.back()].distance) return false;
  }
  timeline_ = timeline;
  const auto limit = sampler_.limit();
  const std::uint64_t countable = limit ? *limit - std::min(*limit, sampler_.seen()) : UINT64_MAX;
  sampler_.pick(marks_, next_time);
  choose(count, next_key && next_leading_needed(count, *next_key), countable);
  return true;
}

/// Whether pictures are needed that are shown before the next keyframe and stand behind it: they refer to this group.
bool PacketPlan::next_leading_needed(std::size_t count, std::int64_t next_key) const {
  std::vector<Sampler::Picture> pictures;
  for (std::size_t at = count; at < incoming_.size() && (at == count || !incoming_[at].picture.entry); ++at) {
    const Unit& unit = incoming_[at];
    if (!unit.picture.shown || unit.distance > next_key) continue;
    pictures.push_back({.time = key_time_ + from_pts(unit.distance, time_base_),
                        .duration = duration_of(*unit.packet),
                        .keyframe = at == count});
  }
  std::ranges::sort(pictures, {}, &Sampler::Picture::time);
  Sampler preview = sampler_;
  preview.pick(pictures, std::nullopt);
  return std::ranges::any_of(pictures, [](const Sampler::Picture& one) { return one.needed && !one.keyframe; });
}

/// Queues what the needed ones of the first `count` units take, and takes these units off.
void PacketPlan::choose(std::size_t count, bool for_next, std::uint64_t countable) {
  std::vector<bool> needed(count), send(count);
  for (std::size_t place = 0; place < order_.size(); ++place) needed[order_[place]] = marks_[place].needed;
  std::size_t last_leading = 0, last_trailing = 0;
  for (std::size_t at = 0; at < count; ++at)
    if (needed[at]) (incoming_[at].leading() ? last_leading : last_trailing) = at;
  const bool any = for_next || std::ranges::find(needed, true) != needed.end();
  const bool leads = std::any_of(incoming_.begin(), incoming_.begin() + static_cast<std::ptrdiff_t>(count),
                                 [](const Unit& unit) { return unit.leading(); });
  // At the beginning of a file it depends on the decoder which of the pictures that refer to lost ones it gives.
  const bool all = first_group_ && leads;
  bool complete = true;  // all that others may refer to goes to the decoder
  for (std::size_t at = 0; at < count; ++at) {
    const Unit& unit = incoming_[at];
    const bool referred = unit.picture.reference || !unit.picture.shown;
    const bool keyframe = at == 0 && !in_rest_;
    send[at] = all || needed[at] || (any && keyframe) || (referred && unit.leading() && at < last_leading) ||
               (referred && !unit.leading() && (for_next || at < last_trailing));
    if (referred && !unit.leading()) complete = complete && send[at];
  }
  for (std::size_t place = 0; place < order_.size(); ++place) {
    const Unit& unit = incoming_[order_[place]];
    const Sampler::Picture& mark = marks_[place];
    if (place >= countable && !send[order_[place]]) continue;
    expect({.pts = unit.packet->pts,
            .media_time = mark.time,
            .duration = mark.duration,
            .before = mark.time - mark.duration,
            .new_epoch = mark.new_epoch,
            .sent = send[order_[place]],
            .needed = mark.needed,
            .beyond = place >= countable});
  }
  const bool sends = std::ranges::find(send, true) != send.end();
  if (!sends && holds_) queue_.push_back(nullptr);
  for (std::size_t at = 0; at < count; ++at) {
    bytes_ -= static_cast<std::size_t>(incoming_.front().packet->size);
    if (send[at]) {
      queue_.push_back(std::move(incoming_.front().packet));
    } else {
      ++skipped_;
    }
    incoming_.pop_front();
  }
  continuous_ = sends && complete && !in_head_;
  if (sends && !continuous_) queue_.push_back(nullptr);
  first_group_ = false;
}

/// What was read goes to the decoder, and all that comes; but not what refers to pictures that were left out.
void PacketPlan::follow_from_here() {
  std::vector<Unit> left_out;
  bool gone = in_rest_;                           // the keyframe was decoded and forgotten
  bool lost = !continuous_ && !first_group_ && !gone;  // what the pictures before the keyframe refer to was left out
  for (std::size_t at = 0; !incoming_.empty(); ++at) {
    Unit unit = std::move(incoming_.front());
    incoming_.pop_front();
    if (unit.picture.entry && gone) {
      gone = false;
      lost = true;
    } else if (gone || (lost && at > 0 && unit.leading())) {
      left_out.push_back(std::move(unit));
      continue;
    }
    queue_.push_back(std::move(unit.packet));
  }
  std::ranges::stable_sort(left_out, {}, &Unit::distance);
  for (const Unit& unit : left_out) {
    ++skipped_;
    const Nanos duration = duration_of(*unit.packet);
    const Timeline::Stamp stamp = timeline_.next(av::timestamp(unit.packet->pts), duration);
    expect({.pts = unit.packet->pts,
            .media_time = stamp.media_time,
            .duration = duration,
            .before = stamp.media_time - duration,
            .new_epoch = stamp.new_epoch});
  }
  await_key_ = gone;
  bytes_ = 0;
  unplannable_ = unplannable_ || sampler_.skips();
  planning_ = in_rest_ = first_group_ = false;
}

void PacketPlan::expect(Expected picture) {
  if (!expected_.empty() && !picture.sent && !picture.new_epoch && !expected_.back().sent) {
    Expected& run = expected_.back();
    picture.before = run.before;
    picture.pictures += run.pictures;
    picture.new_epoch = run.new_epoch;
    run = picture;
  } else {
    expected_.push_back(picture);
  }
}

}  // namespace vidloom
