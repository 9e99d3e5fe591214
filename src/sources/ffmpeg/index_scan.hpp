#pragma once
/// Builds the PacketIndex of one file by reading packets and decoding none, only as far as it is asked.

#include <sources/ffmpeg/entry_points.hpp>
#include <sources/ffmpeg/frame_reader.hpp>
#include <sources/ffmpeg/packet_index.hpp>

#include <optional>
#include <vector>

namespace vidloom {

/// One thread at a time. Throws what reading throws: Error(cancelled) once the reader's WakeUp is set, Error(source).
class IndexScan {
 public:
  /// \param usual_duration  of a picture whose packet does not say.
  /// \pre `reader` is open.
  IndexScan(FrameReader& reader, CpuGate& cpu, const Timeline::Options& timeline, Nanos usual_duration);

  const PacketIndex& index() const noexcept { return index_; }
  /// Whether pictures can be told from packets: there are timestamps and a place where decoding may begin.
  bool trusted() const noexcept { return trusted_ && !index_.broke_off(); }
  /// Whether the answer for `media_time` is known without reading on.
  bool knows(Nanos media_time) const { return trusted() && (index_.finished() || index_.at_or_after(media_time)); }

  /// Reads on until the index knows the first picture at or after `media_time`, or the end of the file.
  /// \return that picture, nothing when there is none. Leaves the reader anywhere when it had to read.
  std::optional<std::size_t> at_or_after(Nanos media_time);
  /// Reads on until the index knows picture number `picture`. \return whether there is one.
  bool reaches(std::size_t picture);
  /// Reads on to the end.
  void complete();

  /// Moves a reader of the same file to where decoding may begin: peek() is the packet of `entry`. \return false: the packet is not there any more.
  static bool go_to(FrameReader& reader, const PacketIndex::Entry& entry);

 private:
  void begin();
  void resume();
  PacketIndex::Packet described(const AVPacket& packet);
  std::vector<std::int64_t> decode_head(std::int64_t first_entry);
  template <class Done>
  void extend(const Done& done);

  FrameReader& reader_;
  CpuGate& cpu_;
  Timeline::Options timeline_options_;
  Nanos usual_duration_;
  EntryPoints points_;
  PacketIndex index_;
  bool begun_ = false, trusted_ = true;
};

}  // namespace vidloom
