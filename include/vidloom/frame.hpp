#pragma once
/// Frame: one immutable picture in the decoder's own planes, and when it happened.
///
/// Conversion is pulled by whoever needs it and shared by all: `image()` is memoised per spec, `luma()` costs nothing where
/// the decoder made a luma plane. All boxes everywhere are display pixels: crop and rotation applied; the sample aspect is
/// reported beside, never applied. Copies share one picture. Thread-safe.

#include <vidloom/core/export.hpp>
#include <vidloom/core/geometry.hpp>
#include <vidloom/core/time.hpp>
#include <vidloom/imaging/image.hpp>
#include <vidloom/imaging/image_spec.hpp>
#include <vidloom/imaging/tensor_spec.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

namespace vidloom {
inline namespace v0 {

enum class StreamId : std::uint32_t {};
/// How captured_at was obtained.
enum class Clock : std::uint8_t { none, device, rtcp, sei, playlist, arrival };
/// concealed: the decoder repaired damage in it. after_gap: pictures it refers to were lost.
enum class Health : std::uint8_t { ok, concealed, after_gap };

enum class Matrix : std::uint8_t { unknown, rgb, bt601, bt709, bt2020, smpte240m, fcc, ycgco, other };
enum class Range : std::uint8_t { unknown, limited, full };
enum class Transfer : std::uint8_t { unknown, bt709, gamma22, gamma28, linear, srgb, smpte240m, pq, hlg, other };
enum class ChromaSite : std::uint8_t { unknown, left, centre, top_left, top, bottom_left, bottom };

/// The frozen words of the result records, such as "after_gap", "rtcp", "bt601", "limited".
VIDLOOM_API std::string_view to_string(Clock) noexcept;
VIDLOOM_API std::string_view to_string(Health) noexcept;
VIDLOOM_API std::string_view to_string(Matrix) noexcept;
VIDLOOM_API std::string_view to_string(Range) noexcept;
VIDLOOM_API std::string_view to_string(Transfer) noexcept;
VIDLOOM_API std::string_view to_string(ChromaSite) noexcept;

/// As tagged in the stream, `unknown` where it is silent. What conversion then assumes: effective_colour().
struct ColourTags {
  Matrix matrix = Matrix::unknown;
  Range range = Range::unknown;
  Transfer transfer = Transfer::unknown;
  ChromaSite chroma_site = ChromaSite::unknown;
  /// The same as ITU-T H.273 numbers it, 2: not said. For whoever writes the picture again.
  struct Codes { std::uint8_t primaries = 2, transfer = 2, matrix = 2; } codes{};
};
/// \return `tags` with unknown matrix and range filled in: BT.709 from 720 coded lines up, else BT.601; limited range.
VIDLOOM_API ColourTags effective_colour(const ColourTags& tags, Size coded) noexcept;

struct FrameTime {
  std::int64_t pts = 0;       ///< best effort timestamp as the container carries it, wraps included
  Rational time_base{1, 1};   ///< seconds of one pts unit
  Nanos media_time{};         ///< our unwrapped, repaired timeline: never steps back within an epoch, not rebased to 0
  std::optional<WallTime> captured_at{};
  Clock clock = Clock::none;
  Nanos clock_error{};        ///< of captured_at, plus or minus
  SteadyTime received_at{};   ///< when the decoder gave it
};

struct Crop { int left = 0, top = 0, right = 0, bottom = 0; };  ///< coded pixels to leave out

struct FrameInfo {
  StreamId stream{};
  std::uint32_t epoch = 0;      ///< one open(), or one unbroken part of it: timelines and state start anew
  std::uint64_t sequence = 0;   ///< counts pictures of the epoch from 0: a gap is a drop, or what no demand needed
  FrameTime time{};
  Health health = Health::ok;
  bool keyframe = false;
  Rational sample_aspect{1, 1}; ///< shape of a coded pixel, width : height: turned by 90 or 270 degrees it is the other way round
  int rotation_degrees = 0;     ///< 0, 90, 180, 270: turn the coded picture clockwise by this to show it
  bool mirrored = false;        ///< then flip it left to right
  Nanos duration{};             ///< of showing; 0: not known
  Crop crop{};
  ColourTags colour{};
  std::uint64_t skipped = 0;    ///< pictures since the frame given before (or the epoch's beginning) that no demand needed
  Nanos skipped_from{};         ///< media_time of the picture before the first of these; of the very first: less its duration
};

/// Borrowed rows. `stride`: bytes, may be negative; `size` counts positions: samples side by side (rgb24, chroma of nv12) are one.
struct PlaneView {
  const std::byte* data = nullptr;
  std::ptrdiff_t stride = 0;
  Size size{};
};

class VIDLOOM_API Frame {
 public:
  /// Copies packed R, G, B bytes. Throws Error(config) on an empty size or a stride below 3 * width.
  static Frame copy_of(PlaneView rgb8, const FrameInfo& info);
  /// Takes planes without copying.
  /// \param pixel_format  FFmpeg's name of it: "yuv420p", "nv12", "gray", "rgb24", "yuv420p10le", ...
  /// \param owner  kept alive while any copy of the frame lives, then released on any thread.
  /// Throws Error(config) on no planes, an empty size, or a bad rotation.
  static Frame adopt(std::span<const PlaneView> planes, std::string_view pixel_format, const FrameInfo& info,
                     std::shared_ptr<const void> owner);

  const FrameInfo& info() const noexcept;
  Device device() const noexcept;
  /// Display pixels, cropped and upright: every box is in this space.
  Size size() const noexcept;
  /// Size of the decoder's first plane, before crop and rotation.
  Size coded_size() const noexcept;
  std::string_view pixel_format() const noexcept;
  /// The decoder's own planes, uncropped, read-only, valid while this Frame lives.
  std::span<const PlaneView> planes() const noexcept;

  /// The decoder's own 8-bit Y, cropped, coded orientation, read-only, in the stream's own range; made once and kept where
  /// the format has no such plane (RGB, more than 8 bits). Valid while this Frame lives.
  PlaneView luma() const;
  Affine display_from_luma() const noexcept;

  /// Converted once per spec, then shared by all adapters and sinks. Throws Error(not_built) when the format needs the
  /// ffmpeg component and that is missing, Error(config) on a negative size.
  Image image(const ImageSpec& spec = {}) const;
  /// Writes slot_bytes(spec) bytes, channels first, from the planes: no packed picture is made on the way.
  /// \return display_from_slot.
  /// Throws Error(config) when `slot` is too small or spec.size is empty, Error(not_built) where spec.device is not the CPU:
  /// write_tensors() in <vidloom/tensors.hpp> takes all devices.
  Affine write_tensor(const TensorSpec& spec, std::span<std::byte> slot) const;

  /// The same picture under other metadata (stream, epoch, sequence ... set by whoever runs it). Shares the pixels.
  Frame with_info(const FrameInfo& info) const;

 private:
  friend struct FrameAccess;
  struct Data;
  explicit Frame(std::shared_ptr<const Data> data) noexcept;
  std::shared_ptr<const Data> data_;
};

}  // namespace v0
}  // namespace vidloom
