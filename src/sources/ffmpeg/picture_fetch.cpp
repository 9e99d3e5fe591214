#include <sources/ffmpeg/picture_fetch.hpp>

#include <sources/ffmpeg/index_scan.hpp>
#include <support/ffmpeg/pictures.hpp>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include <pthread.h>

namespace vidloom {
namespace {

/// Frames before the first whole picture: leading ones of an open group, held-back ones of a decoder.
constexpr int most_leading = 64;
constexpr std::size_t most_attempts = 3;

/// Wanted pictures that are decoded from one entry on.
struct Group {
  std::size_t begin = 0, end = 0;  ///< positions in `wanted`
  std::size_t cost = 0;            ///< pictures to decode
};

std::vector<Group> grouped(const PacketIndex& index, std::span<const std::size_t> wanted) {
  std::vector<Group> groups;
  const PacketIndex::Entry* last = nullptr;
  for (std::size_t at = 0; at < wanted.size(); ++at) {
    const PacketIndex::Entry* entry = index.entry_for(wanted[at]);
    if (groups.empty() || entry != last) groups.push_back({at, at, 0});
    last = entry;
    groups.back().end = at + 1;
    groups.back().cost = wanted[at] - (entry ? entry->picture : 0) + 1;
  }
  return groups;
}

/// While it lives, the reader passes over pictures that are neither wanted nor referred to, and stops behind the last.
class OnlyWanted {
 public:
  OnlyWanted(FrameReader& reader, const PacketIndex& index, const PacketIndex::Entry& entry, std::span<const std::size_t> wanted)
      : reader_(reader) {
    // By its first picture a run knows that it is on its way; behind an entry that is not shown that may be one none refers to.
    if (entry.picture < wanted.front()) left_.push_back(index.pictures()[entry.picture].pts);
    for (const std::size_t picture : wanted) left_.push_back(index.pictures()[picture].pts);
    reader_.need = [this](const AVPacket& packet) {
      const auto found = std::find(left_.begin(), left_.end(), packet.pts);
      if (found == left_.end()) return FrameReader::Need::others;
      left_.erase(found);
      return left_.empty() && may_stop_ ? FrameReader::Need::last : FrameReader::Need::picture;
    };
  }
  void may_stop() {
    may_stop_ = true;
    if (left_.empty()) reader_.finish();
  }
  OnlyWanted(const OnlyWanted&) = delete;
  OnlyWanted& operator=(const OnlyWanted&) = delete;
  ~OnlyWanted() { reader_.need = nullptr; }

 private:
  FrameReader& reader_;
  std::vector<std::int64_t> left_;
  bool may_stop_ = false;
};

}  // namespace

PictureRun::PictureRun(FrameReader& reader, const PacketIndex& index, CpuGate& cpu) : reader_(reader), index_(index), cpu_(cpu) {}

bool PictureRun::begin(const PacketIndex::Entry& entry) {
  fits_ = false;
  first_.reset();
  if (entry.picture >= index_.pictures().size() || !IndexScan::go_to(reader_, entry)) return false;
  for (int leading = 0; leading < most_leading; ++leading) {
    av::FramePtr frame = reader_.next(cpu_);
    if (!frame) return false;
    if (frame->best_effort_timestamp != index_.pictures()[entry.picture].pts) continue;
    if (av::health_of(*frame, av::Decoder::packet_corrupt(*frame)) != Health::ok) return false;
    cursor_ = entry.picture;
    first_ = std::move(frame);
    interlaced_ = av::is_interlaced(*first_);
    return fits_ = true;
  }
  return false;
}

std::optional<NumberedFrame> PictureRun::next() {
  if (!fits_) return std::nullopt;
  av::FramePtr frame = first_ ? std::move(first_) : reader_.next(cpu_);
  if (!frame) return std::nullopt;
  const auto picture = index_.find(frame->best_effort_timestamp, cursor_);
  fits_ = picture && (*picture == cursor_ || !interlaced_);
  if (!fits_) return std::nullopt;
  cursor_ = *picture + 1;
  return NumberedFrame{*picture, std::move(frame)};
}

std::vector<const PacketIndex::Entry*> entries_for(const PacketIndex& index, std::size_t picture) {
  std::vector<const PacketIndex::Entry*> best_first;
  if (const PacketIndex::Entry* entry = index.entry_for(picture)) {
    for (; best_first.size() < most_attempts; --entry) {
      best_first.push_back(entry);
      if (entry == index.entries().data()) break;
    }
  }
  return best_first;
}

std::vector<std::size_t> fetch_pictures(std::span<FrameReader* const> readers, const PacketIndex& index, CpuGate& cpu,
                                        std::span<const std::size_t> wanted,
                                        const std::function<void(std::size_t, NumberedFrame)>& give) {
  std::vector<Group> groups = grouped(index, wanted);
  // The longest first, so that no reader is left alone with one at the end.
  std::stable_sort(groups.begin(), groups.end(), [](const Group& a, const Group& b) { return a.cost > b.cost; });
  std::mutex mutex;  // of give, failed, trouble
  std::vector<std::size_t> failed;
  std::exception_ptr trouble;
  std::atomic<std::size_t> next_group{0};

  /// \return the position of the first one that did not come.
  const auto decode = [&](FrameReader& reader, const PacketIndex::Entry& entry, std::size_t at, std::size_t end) {
    PictureRun run(reader, index, cpu);
    if (!run.begin(entry)) return at;
    while (at < end) {
      const std::optional<NumberedFrame> next = run.next();
      if (!next) break;
      for (; at < end && wanted[at] <= next->picture; ++at) {
        const std::lock_guard lock(mutex);
        give(at, {next->picture, av::FramePtr(av::allocated(av_frame_clone(next->frame.get())))});
      }
    }
    return at;
  };
  const auto decode_group = [&](FrameReader& reader, const Group& group) {
    std::size_t at = group.begin;
    for (const PacketIndex::Entry* entry : entries_for(index, wanted[at])) {
      {
        OnlyWanted only(reader, index, *entry, wanted.subspan(at, group.end - at));
        PictureRun run(reader, index, cpu);
        if (!run.begin(*entry)) continue;
        if (!run.interlaced()) only.may_stop();
        while (at < group.end && !run.interlaced()) {
          std::optional<NumberedFrame> next = run.next();
          if (!next || next->picture > wanted[at]) break;
          if (next->picture < wanted[at]) continue;
          const std::lock_guard lock(mutex);
          give(at++, std::move(*next));
        }
      }
      // Whatever did not come so is looked for among all pictures.
      if (at < group.end) at = decode(reader, *entry, at, group.end);
      if (at == group.end) return;
    }
    const std::lock_guard lock(mutex);
    for (; at < group.end; ++at) failed.push_back(at);
  };
  const auto work = [&](FrameReader& reader) {
    try {
      for (std::size_t mine = next_group++; mine < groups.size(); mine = next_group++) decode_group(reader, groups[mine]);
    } catch (...) {
      const std::lock_guard lock(mutex);
      next_group = groups.size();
      if (!trouble) trouble = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> helpers;
    for (std::size_t each = 1; each < readers.size(); ++each) {
      helpers.emplace_back([&work, reader = readers[each]] {
        pthread_setname_np(pthread_self(), "vl:fetch");
        work(*reader);
      });
    }
    work(*readers.front());
  }
  if (trouble) std::rethrow_exception(trouble);
  std::sort(failed.begin(), failed.end());
  return failed;
}

}  // namespace vidloom
