#pragma once
/// The audio packets of a file, read beside its pictures, in the order of their times.

#include <support/ffmpeg/av.hpp>
#include <vidloom/core/time.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace vidloom {

/// One thread at a time. Only a regular local file is ever opened, and nothing that it names.
class AudioCopy {
 public:
  /// \return nullptr where the file has no audio, or is none that can be opened a second time.
  static std::unique_ptr<AudioCopy> of(const std::string& path);

  struct Track {
    unsigned index = 0;  ///< in the file
    const AVStream* stream = nullptr;
  };
  /// All of its audio streams.
  const std::vector<Track>& tracks() const noexcept { return tracks_; }
  /// Leaves a track out. \pre nothing was read yet.
  void drop(unsigned index) noexcept;
  /// Time of the file's first picture, as far as its container tells.
  std::optional<Nanos> first_picture() const noexcept { return first_picture_; }
  /// Goes to packets at or before `time`, or stays.
  void seek(Nanos time) noexcept;

  struct Packet {
    unsigned index = 0;        ///< of its stream
    Nanos time{}, duration{};  ///< on the container's timeline, unwrapped; `time` is that of decoding
    Nanos reordered{};         ///< how much later it is heard
    std::size_t epoch = 0;     ///< how often the timestamps have jumped: MPEG-TS only
    AVPacket* packet = nullptr;  ///< until the next call of pop()
  };
  /// The next one, the same until pop(). \return nullptr at the end, or where the file cannot be read on.
  const Packet* peek();
  void pop() noexcept;

 private:
  AudioCopy() = default;
  struct CloseInput {
    void operator()(AVFormatContext* context) const noexcept { avformat_close_input(&context); }
  };
  struct Clock {
    std::optional<std::int64_t> last{};  ///< unwrapped ticks
    std::size_t epoch = 0;
  };
  Nanos unwrapped(Clock& clock, const AVStream& stream, std::int64_t ticks);

  std::vector<Track> tracks_;
  std::vector<Clock> clocks_;  ///< by stream index
  std::optional<Nanos> first_picture_;
  std::optional<std::int64_t> first_ticks_;  ///< of the picture, in 1/90000 s, where timestamps wrap
  bool wraps_ = false, ended_ = false;
  std::optional<Packet> next_;
  av::PacketPtr packet_ = av::make_packet();
  std::unique_ptr<AVFormatContext, CloseInput> context_;
};

}  // namespace vidloom
