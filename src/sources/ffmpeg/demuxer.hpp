#pragma once
/// Compressed pictures of one video stream of one file. Whatever the file says, no other file is opened.

#include <sources/ffmpeg/file_input.hpp>
#include <support/ffmpeg/av.hpp>

#include <memory>
#include <optional>
#include <string>

namespace vidloom {

/// One packet of a file, so that it can be found again.
struct PacketPlace {
  std::int64_t pts = AV_NOPTS_VALUE, dts = AV_NOPTS_VALUE;
  std::int64_t position = -1;  ///< bytes from the beginning of the file; -1: the container does not say
  int size = 0;
};

class Demuxer {
 public:
  /// Opens, recognises by content, probes and chooses the stream as the ffmpeg command does.
  /// Throws Error(source) saying what the file is instead of a video; Error(cancelled) once `stop` is set.
  ///
  /// \param quick  a plain MPEG-TS file (one program, one video, H.264, HEVC or MPEG-2, beginning with a keyframe that carries its
  ///   parameter sets) or MP4 (one video, H.264 or HEVC, complete parameter sets in its header or first picture) is not probed: probing
  ///   decodes pictures and throws them away. Then quick() is true and the stream's parameters hold what the container says, for
  ///   MPEG-TS the codec alone; what the decoder says of first() completes them. All other files are probed.
  /// \param like  a demuxer of the same file: its stream is taken without probing where this one shows the same streams.
  Demuxer(const std::string& path, const WakeUp& stop, std::int64_t max_pixels, bool quick = false,
          const Demuxer* like = nullptr);
  Demuxer(const Demuxer&) = delete;
  Demuxer& operator=(const Demuxer&) = delete;

  bool quick() const noexcept { return quick_; }
  /// Of the quick way: the packet that read() gives first, and the parameter sets in it.
  AVPacket& first() noexcept { return *first_; }
  const std::string& parameter_sets() const noexcept { return parameter_sets_; }
  /// Of MPEG-TS the quick way: from the first timestamp to the end of the picture with the last one, by a look at the file's tail.
  std::optional<std::int64_t> look_for_duration();

  AVFormatContext& container() noexcept { return *context_; }
  AVStream& stream() const noexcept { return *context_->streams[chosen_]; }
  bool seekable() const noexcept { return input_->seekable(); }
  std::int64_t bytes() const noexcept { return input_->size(); }
  /// \return whether `format` keeps an index that seeks land by ("mov", "matroska").
  bool indexed() const noexcept;
  bool is_mpegts() const noexcept;
  bool is_mov() const noexcept;  ///< MP4 and its relatives

  /// The next packet of the stream. \return false at the end.
  /// Throws Error(source) when the disk fails, Error(cancelled).
  bool read(AVPacket& packet);
  /// The container broke off: read() ended before the end.
  bool broke_off() const noexcept { return broke_off_; }
  /// The index names pictures behind the end of the file (mp4, mov).
  bool cut_off();
  /// Goes to a keyframe at or before `pts`; \return whether the container says so.
  bool seek(std::int64_t pts);
  /// Reads the packet at `place`, wherever the demuxer stands. \return false when the container does not lead there.
  bool go_to(const PacketPlace& place, AVPacket& packet);

 private:
  struct CloseInput {
    void operator()(AVFormatContext* context) const noexcept { avformat_close_input(&context); }
  };
  void open(bool all_programs);
  bool open_quick();
  void refuse_scrambled();
  bool next(AVPacket& packet);
  void look_ahead();
  void probe();
  void check_sizes() const;
  void choose();
  bool take_like(const Demuxer& other);
  void throw_if_stopped() const;
  bool keeps_byte_positions() const noexcept;
  static int refuse_to_open(AVFormatContext* context, AVIOContext** io, const char* url, int flags, AVDictionary** options) noexcept;

  std::string path_;
  const WakeUp& stop_;
  std::int64_t max_pixels_;
  bool wanted_others_ = false;  ///< the demuxer tried to open a second file
  bool broke_off_ = false;
  bool quick_ = false;
  unsigned chosen_ = 0;
  std::unique_ptr<FileInput> input_;  ///< before context_: FFmpeg reads through it until it is closed
  std::unique_ptr<AVFormatContext, CloseInput> context_;
  av::PacketPtr first_;  ///< read already, not yet given
  std::string parameter_sets_;
};

}  // namespace vidloom
