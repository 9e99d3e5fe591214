#pragma once
/// What a compressed picture says of itself before it is decoded: whether decoding can begin there, whether others need it.
///
/// Only what is certain is said. Codecs whose packets do not tell (MPEG-4 part 2, ...), field-coded pictures and whatever else
/// makes a packet something other than one picture are "not known", and are then decoded like any packet.

#include <support/ffmpeg/av.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vidloom {

struct CodedPicture {
  bool entry = false;     ///< decoding may begin here: this picture and all that are shown after it come out whole
  bool closed = false;    ///< and none that is shown before it stands behind it
  bool reference = true;  ///< others may be predicted from it
  bool shown = true;
};

class CodedPictures {
 public:
  explicit CodedPictures(const AVCodecParameters& parameters);

  /// The picture in the next packet of the stream, in decoding order. nullopt: not known.
  std::optional<CodedPicture> look(const AVPacket& packet);
  /// Parameter sets that look() found in packets so far, byte for byte; a sequence header in MPEG-2. Changes when they change.
  const std::string& parameter_sets() const noexcept { return parameter_sets_; }
  /// Whether these are all that a decoder needs, say how far it has to reorder, and allow no fields: then it gives the same pictures,
  /// and the same is known of them, whether or not somebody looked through the beginning of the file first.
  bool self_contained() const noexcept;
  /// Whether the stream says how far pictures are reordered. If not, FFmpeg guesses, and may leave some out.
  bool says_delay() const noexcept { return says_delay_; }

 private:
  enum class Kind : std::uint8_t { unknown, intra, h264, hevc, mpeg2, vp8, vp9, av1 };
  std::optional<CodedPicture> look_h264(std::string_view bytes);
  std::optional<CodedPicture> look_hevc(std::string_view bytes);
  std::optional<CodedPicture> look_mpeg2(std::string_view bytes);
  bool read_h264_parameters(std::string_view unit);
  void see_hevc_parameters(unsigned type) noexcept;
  void read_extradata(std::string_view extradata);

  Kind kind_ = Kind::unknown;
  std::size_t length_bytes_ = 0;  ///< before each NAL unit; 0: start codes
  std::string parameter_sets_;
  bool sequence_ = false, picture_ = false, video_ = false;  ///< which kinds of parameter set were seen
  bool says_delay_ = false;
  bool frames_only_ = true;       ///< no fields
  bool separate_planes_ = false;  ///< H.264: slices begin with the number of their colour plane
  int frame_num_bits_ = 0;        ///< H.264
  int layers_ = 0;                ///< HEVC: temporal layers; 0: not known
};

}  // namespace vidloom
