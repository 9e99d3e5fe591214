#pragma once
/// Decodes pictures by their number in a PacketIndex: each group of pictures once, groups side by side where cores are free.

#include <sources/ffmpeg/frame_reader.hpp>
#include <sources/ffmpeg/packet_index.hpp>

#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace vidloom {

struct NumberedFrame {
  std::size_t picture = 0;
  av::FramePtr frame;
};

/// Frames from one entry of the index on, with their numbers.
class PictureRun {
 public:
  /// \pre `reader` has the indexed file open.
  PictureRun(FrameReader& reader, const PacketIndex& index, CpuGate& cpu);
  /// Goes to `entry` and decodes its picture, which next() gives first. \return false: it did not come out, or damaged.
  bool begin(const PacketIndex::Entry& entry);
  /// \return nothing at the end, and where decoded frames are not those of the index (see fits()).
  std::optional<NumberedFrame> next();
  bool fits() const noexcept { return fits_; }
  /// A picture may be two packets, so the packets of one do not tell when it is whole.
  bool interlaced() const noexcept { return interlaced_; }

 private:
  FrameReader& reader_;
  const PacketIndex& index_;
  CpuGate& cpu_;
  bool interlaced_ = false;
  bool fits_ = true;
  std::size_t cursor_ = 0;    ///< picture expected next
  av::FramePtr first_;
};

/// The entries to begin at for `picture`, best first: a damaged one is passed over for the one before it.
std::vector<const PacketIndex::Entry*> entries_for(const PacketIndex& index, std::size_t picture);

/// Decodes `wanted` (sorted, no duplicates) and calls `give(position in wanted, frame)`, from several threads but never at once.
/// Where damage leaves out a picture the next one stands for it.
/// \param readers  one or more readers of the indexed file; each works on one group of pictures at a time.
/// \return positions in `wanted` that could not be decoded so: the index does not fit the film there.
std::vector<std::size_t> fetch_pictures(std::span<FrameReader* const> readers, const PacketIndex& index, CpuGate& cpu,
                                        std::span<const std::size_t> wanted,
                                        const std::function<void(std::size_t, NumberedFrame)>& give);

}  // namespace vidloom
