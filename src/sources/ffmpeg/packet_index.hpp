#pragma once
/// Which pictures a film has, when each is shown and where decoding may begin for it: from packets alone. No FFmpeg in here.

#include <sources/ffmpeg/timeline.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace vidloom {

/// Note [Random access]
/// Packets come in decoding order; each shown one is a picture. Sorted by timestamp and put through the same Timeline as decoded
/// pictures, they give the media_time, epoch and sequence of every picture as reading from the start would. What decodes later
/// is compared with this picture by picture; where it differs (damage, timestamps that no order explains) whoever reads falls
/// back to reading from the start. So an index may be wrong; a picture is not.
class PacketIndex {
 public:
  /// At most this many pictures (3 days at 30 a second) and entries: what lies behind is reached by decoding on.
  static constexpr std::size_t most_pictures = std::size_t{1} << 23;
  static constexpr std::size_t most_entries = std::size_t{1} << 19;

  struct Packet {
    std::optional<std::int64_t> pts{};
    std::optional<std::int64_t> dts{};
    std::int64_t position = -1;
    int size = 0;
    Nanos duration{};      ///< zero: not known
    bool shown = true;     ///< gives a picture
    bool entry = false;    ///< decoding may begin here: all that is shown after it comes out whole
    bool closed = false;   ///< of an entry: all that was decoded before it is shown before it
  };
  struct Entry {
    std::int64_t pts = 0;
    std::optional<std::int64_t> dts{};
    std::int64_t position = -1;
    int size = 0;
    std::size_t packet = 0;   ///< its number in decoding order
    std::size_t picture = 0;  ///< the first one that comes out whole
    Timeline before{};        ///< as it stands when that picture comes
  };
  struct Picture {
    std::int64_t pts = 0;  ///< as the container carries it
    Nanos media_time{};
  };
  struct Place {
    std::uint32_t epoch = 0;
    std::uint64_t sequence = 0;
  };

  PacketIndex() = default;
  explicit PacketIndex(const Timeline::Options& timeline) : timeline_(timeline) {}

  /// Pictures shown before the first entry: packets alone do not tell whether a decoder gives them. `pts` are those it gave.
  void set_head(std::vector<std::int64_t> pts);
  /// The next packet in decoding order.
  void add(const Packet& packet);
  /// No packet follows.
  void finish();

  bool finished() const noexcept { return finished_; }
  /// A packet had no timestamp or that of another, or there are more pictures than an index holds: pictures cannot be told apart.
  bool broke_off() const noexcept { return broke_off_; }
  std::size_t packets() const noexcept { return packets_; }
  const std::vector<Picture>& pictures() const noexcept { return pictures_; }
  const std::vector<Entry>& entries() const noexcept { return entries_; }

  /// The first picture, in the order of showing, at or after `media_time`. \return nothing when none is known yet.
  std::optional<std::size_t> at_or_after(Nanos media_time) const;
  /// The last entry from which `picture` can be decoded. \return nullptr: from the beginning of the file.
  const Entry* entry_for(std::size_t picture) const;
  Place place_of(std::size_t picture) const;
  /// The picture with sequence number `sequence` of `epoch`. \return nothing when there is no such epoch.
  std::optional<std::size_t> picture_at(const Place& place) const;
  /// The picture that carries `pts` among the 4096 from `from` on.
  std::optional<std::size_t> find(std::int64_t pts, std::size_t from) const;

 private:
  struct Waiting {
    Packet packet;
    std::int64_t order = 0;  ///< pts, unwrapped
    std::size_t number = 0;
  };
  void show(const Waiting& waiting);
  void show_all();

  Timeline timeline_{};
  std::vector<Picture> pictures_;
  std::vector<Entry> entries_;
  std::vector<std::size_t> epochs_{0};  ///< first picture of each
  std::vector<std::int64_t> head_;
  std::deque<Waiting> waiting_;         ///< sorted by order
  std::optional<std::int64_t> last_order_;
  std::size_t packets_ = 0;
  bool finished_ = false, broke_off_ = false;
};

}  // namespace vidloom
