#pragma once
/// Which packets the decoder gets, so that it decodes what the demands need and little else.
///
/// A group of pictures is read before its first packet goes to the decoder: times and kinds of its pictures, the time of the next
/// keyframe and the pictures of the next group that are shown before it. Then it is known which of them are needed and what these
/// refer to; the rest is never decoded. Sought or mended timelines, fields, unknown codecs and groups without end are not planned:
/// everything goes to the decoder then.
///
/// Pictures that stay undecoded are counted and timed all the same: see expected().

#include <sources/ffmpeg/coded_pictures.hpp>
#include <sources/ffmpeg/demuxer.hpp>
#include <sources/ffmpeg/sampler.hpp>
#include <sources/ffmpeg/timeline.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace vidloom {

class PacketPlan {
 public:
  /// A picture, or several undecoded ones in a row, in showing order.
  struct Expected {
    std::int64_t pts = 0;          ///< of the last one, as all that follows
    Nanos media_time{}, duration{};
    Nanos before{};                ///< media_time of the first one, less its duration
    std::uint64_t pictures = 1;
    bool new_epoch = false, sent = false, needed = false;
    bool beyond = false;           ///< of no use to anybody (Demand::first): not even counted
  };
  /// Where packets come from. The packet stays valid until `pass`.
  struct Supply {
    std::function<AVPacket*()> peek;
    std::function<void()> pass;
  };
  PacketPlan(Timeline& timeline, Supply supply) : timeline_(timeline), supply_(std::move(supply)) {}

  /// Stands at the first packet of a newly opened file, before a new decoder.
  void start(Demuxer& demuxer, Nanos usual_duration);
  /// Stands somewhere in it: all goes to the decoder up to the next keyframe.
  void sought();
  /// Holds from the next group on.
  void set_demands(std::span<const Demand> demands) { sampler_.set_demands(demands); }
  const Sampler& sampler() const noexcept { return sampler_; }
  /// A picture that was not planned was given.
  void passed(Nanos media_time) noexcept { sampler_.passed(media_time); }

  /// The packet for the decoder. nullptr: it shall give all it has; see ended().
  AVPacket* next();
  /// The decoder took the packet.
  void taken();
  /// The decoder gave all it had, and is empty.
  void drained() noexcept;
  /// Whether it holds packets that were read: then the supply is ahead of the decoder.
  bool active() const noexcept { return planning_ || !queue_.empty(); }
  bool ended() const noexcept { return ended_ && queue_.empty(); }

  /// The pictures of planned packets that the decoder has not given yet, and those it will never give. Whoever takes its
  /// frames takes them off. Frames that are not listed were not planned.
  std::deque<Expected>& expected() noexcept { return expected_; }
  std::uint64_t skipped() const noexcept { return skipped_; }  ///< packets, since start()

 private:
  struct Unit {
    av::PacketPtr packet;
    CodedPicture picture;
    std::int64_t distance = 0;  ///< pts after the keyframe's
    bool leading() const noexcept { return distance < 0; }
  };

  bool read_unit();
  bool may_begin(const AVPacket& packet);
  bool collect_head();
  bool collect_group();
  bool plan_head();
  bool plan_rest();
  bool plan_group();
  bool plan(std::size_t count, std::optional<std::int64_t> next_key);
  bool next_leading_needed(std::size_t count, std::int64_t next_key) const;
  void choose(std::size_t count, bool for_next, std::uint64_t countable);
  void follow_from_here();
  void expect(Expected picture);
  std::int64_t distance(std::int64_t from, std::int64_t to) const noexcept;
  Nanos duration_of(const AVPacket& packet) const noexcept;

  Timeline& timeline_;
  const Supply supply_;
  Sampler sampler_;
  std::optional<CodedPictures> pictures_;
  Rational time_base_{1, 1};
  int wrap_bits_ = 64;
  Nanos usual_duration_{};

  std::deque<Unit> incoming_;        ///< read, not yet planned
  std::deque<av::PacketPtr> queue_;  ///< for the decoder; null: it shall give all it has
  std::deque<Expected> expected_;
  std::vector<std::size_t> order_;   ///< shown units of incoming_, as they are shown
  std::vector<Sampler::Picture> marks_;  ///< by order_
  bool planning_ = false;
  bool unplannable_ = false;  ///< something was met that cannot be planned
  bool first_group_ = true;   ///< of a decoder that saw nothing yet, as ffmpeg's
  bool holds_ = false;        ///< the decoder may hold pictures
  bool continuous_ = false;   ///< the decoder has what pictures shown before the next keyframe refer to
  bool in_head_ = false;      ///< keyframe and what is shown before it are planned by themselves
  bool in_rest_ = false;      ///< of the group only what is shown after its keyframe is left in incoming_
  bool looked_ = false;       ///< at the packet that waits
  bool await_key_ = false;    ///< what comes next refers to a keyframe that is gone
  bool at_end_ = false, ended_ = false;
  std::int64_t key_pts_ = 0;
  Nanos key_time_{};
  std::size_t bytes_ = 0;     ///< in incoming_
  std::uint64_t skipped_ = 0;
};

}  // namespace vidloom
