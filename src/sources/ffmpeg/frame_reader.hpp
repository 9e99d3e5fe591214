#pragma once
/// Demuxer and decoder of one file behind each other: decoded frames in the order the decoder gives them.

#include <sources/ffmpeg/demuxer.hpp>
#include <sources/ffmpeg/packet_plan.hpp>
#include <support/ffmpeg/decoder.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace vidloom {

/// One thread at a time; the WakeUp ends a next() under way.
class FrameReader {
 public:
  struct Options {
    std::int64_t max_pixels = 0;
    int threads = 1;  ///< 0: enough to keep all cores busy
  };
  /// Opens nothing yet.
  FrameReader(std::string path, const WakeUp& stop, const Options& options);
  ~FrameReader() { close(); }

  /// Whether start() lets FFmpeg examine the whole beginning of the file even where that costs more than it finds.
  void probe_always(bool on) noexcept { quick_ = !on; }
  /// Opens the file anew and stands at its first packet. Throws as Demuxer and av::Decoder do.
  /// \param like  a reader that has the same file open: nothing is probed again.
  void start(FrameReader* like = nullptr);
  /// Stands at the first packet again, by a seek where the container leads there.
  void rewind();
  void close() noexcept;
  bool is_open() const noexcept { return demuxer_ != nullptr; }

  /// The packet the decoder gets next. \return nullptr at the end of the file.
  AVPacket* peek();
  /// Takes it away undecoded.
  void pass() noexcept;
  /// Drops the packet and all that the decoder holds, after the demuxer was moved.
  void forget() noexcept;
  /// The next frame. \return nullptr at the end. Throws Error(source, decode, cancelled).
  /// \param plan  says which packets the decoder gets; nullptr: all.
  av::FramePtr next(CpuGate& cpu, PacketPlan* plan = nullptr);
  /// The decoder's threads from the next time on that it is empty. 0: as the options say.
  void prefer_threads(int threads) noexcept { preferred_threads_ = threads; }
  /// Nothing more goes to the decoder: next() gives what it holds back, then nothing, until go_to() or start().
  void finish();
  /// Goes to the packet at `place`: peek() is that one, and the decoder begins with it. Pictures before it that refer to what was
  /// not decoded may come first, flagged corrupt.
  /// \return false when the container did not lead there; then only start() or another go_to() is legal.
  bool go_to(const PacketPlace& place);

  enum class Need : std::uint8_t {
    picture,  ///< what it holds is wanted
    others,   ///< only what refers to it is wanted: a picture that none refers to is not decoded
    last,     ///< wanted, and nothing behind it: the decoder gives at once what it holds back
  };
  /// Asked for each packet that goes to the decoder. Empty: every picture is wanted.
  std::function<Need(const AVPacket&)> need;

  Demuxer& demuxer() noexcept { return *demuxer_; }
  av::Decoder& decoder() {
    if (!decoder_) take_decoder(threads());
    return *decoder_;
  }
  const std::string& path() const noexcept { return path_; }
  const SourceStats& stats() const noexcept { return stats_; }
  SourceStats& stats() noexcept { return stats_; }

 private:
  bool complete_parameters();
  int threads() const noexcept { return preferred_threads_ > 0 ? preferred_threads_ : options_.threads; }
  void take_decoder(int threads);
  void give_decoder_back() noexcept;
  void empty_decoder();
  av::Decoder::Options decoder_options(int threads);

  const std::string path_;
  const WakeUp& stop_;
  const Options options_;
  std::unique_ptr<Demuxer> demuxer_;
  std::unique_ptr<av::Decoder> decoder_;
  int decoder_threads_ = 0, preferred_threads_ = 0;
  std::string pool_key_;       ///< of decoder_; empty: it is not one for others
  bool fresh_ = true;          ///< decoder_ got no packet yet
  bool blameless_ = true;      ///< decoder_ refused no packet and gave no damaged picture
  av::PacketPtr packet_;
  bool packet_waits_ = false;  ///< packet_ was read but not yet taken by the decoder
  bool draining_ = false;
  bool quick_ = true;
  int failures_in_a_row_ = 0;
  std::optional<PacketPlace> first_;  ///< the first packet of the file
  SourceStats stats_;
};

}  // namespace vidloom
