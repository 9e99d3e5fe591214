#pragma once
/// Packets into a container that can be read at any time, also after a kill: MPEG-TS, or MP4 in fragments. Note [Files that last]

#include <sinks/ffmpeg/output_file.hpp>
#include <support/ffmpeg/av.hpp>

#include <string>
#include <vector>

namespace vidloom {

/// Note [Files that last]
/// An MP4 file without its index is nothing, and the index is known only at the end. So what grows is a fragmented MP4, whose
/// pieces of half a second each bring their own index: what a kill or a full disk leaves can be read up to the last whole piece, and a
/// failed write is cut back to it. At the end the packets are copied, not encoded again, into an ordinary MP4 with its index in
/// front, under a hidden name beside it, which then takes the name. docs/decisions/0022.
class Muxer {
 public:
  enum class Container : std::uint8_t { mp4, mov, mpegts };
  /// By the name's ending: .mp4 .m4v .mov .ts .m2ts. Throws Error(config) naming them.
  static Container container_of(const std::string& path);

  Muxer(OutputFile& file, Container container);
  Muxer(const Muxer&) = delete;
  Muxer& operator=(const Muxer&) = delete;
  ~Muxer();

  bool takes(AVCodecID codec) const noexcept;
  /// Before begin(). The parameters are copied; codec tags of another container are not.
  AVStream& add_stream(const AVCodecParameters& parameters, AVRational time_base);
  bool wants_headers_apart() const noexcept;
  void begin();
  /// \param time_base  of the packet's times. Packets of one stream come with rising dts.
  void write(AVPacket& packet, const AVStream& stream, AVRational time_base);
  /// The file is whole. Throws Error(output).
  void end();

 private:
  void check(int code);
  [[noreturn]] void fail(int code);
  void index_in_front();

  struct FreeOutput {
    void operator()(AVFormatContext* context) const noexcept;
  };
  OutputFile& file_;
  const Container container_;
  bool begun_ = false, ended_ = false;
  std::int64_t packets_ = 0;  ///< written
  std::vector<Nanos> last_durations_;  ///< of the last packet of each stream: FFmpeg does not write it into a fragment
  std::unique_ptr<AVFormatContext, FreeOutput> context_;
};

}  // namespace vidloom
