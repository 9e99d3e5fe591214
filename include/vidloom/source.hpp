#pragma once
/// Source: whatever makes frames. Blocking, pulled from one thread.
///
///     SourceContext context{.stream = StreamId{0}, .cpu = CpuGate::process()};
///     source->open(context);
///     for (;;) {
///       ReadResult next = source->read();
///       if (std::holds_alternative<End>(next)) break;
///       if (auto* frame = std::get_if<Frame>(&next)) use(*frame);
///     }
///     source->close();

#include <vidloom/core/export.hpp>
#include <vidloom/core/time.hpp>
#include <vidloom/core/value.hpp>
#include <vidloom/demand.hpp>
#include <vidloom/frame.hpp>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace vidloom {
inline namespace v0 {

/// Where bytes come from, hence how far they are trusted: which protocols may be followed and how many pixels a picture may
/// have (134, 67 and 34 million). `automatic` goes by the scheme: files are local.
enum class Trust : std::uint8_t { automatic, local, lan, untrusted };

struct SourceInfo {
  bool live = false;      ///< pictures come when they happen; cannot be asked again
  bool seekable = false;
  std::optional<Nanos> duration{};
  Size size{};            ///< display pixels of the first picture as announced; each Frame's own size is the truth
  std::string codec{};    ///< "h264", "mjpeg", ...; "raw" where nothing is decoded
  Rational time_base{1, 1};
  ColourTags colour{};
  Size coded_size{};
  std::string uri{};      ///< redacted
  std::string stream{};   ///< the stream's name in records; filled in by whoever runs the source when empty
  Value details{};        ///< an object of further facts, as `vidloom probe` prints them
  Value analyses{};       ///< filled in for sinks: the analyses that will run, as the `start` record shows them
};

struct StreamEvent {
  enum class Kind : std::uint8_t { new_epoch, gap, format_change, ended } kind = Kind::gap;
  std::string detail{};
  Value data{};  ///< `ended`: reason, frames, drops, duration, elapsed, as in the `end` record
};
struct End {
  std::optional<FrameInfo> last{};  ///< the last picture of the stream, where no demand needed it: number, times and how many were skipped
};
using ReadResult = std::variant<Frame, StreamEvent, End>;

/// What a source did since it was opened. All counts only grow.
struct SourceStats {
  std::uint64_t packets = 0;    ///< sent to the decoder
  std::uint64_t decoded = 0;    ///< frames it gave
  std::uint64_t concealed = 0;  ///< of those, with health other than ok
  std::uint64_t repairs = 0;    ///< timestamps missing or stepping back that media_time had to mend
  std::uint64_t errors = 0;     ///< packets the decoder refused
  std::uint64_t skipped = 0;    ///< packets that were not sent to it, since no demand needs their pictures
  std::uint64_t decoders = 0;   ///< opened; 0: taken over from an earlier stream with the same parameters
  std::uint64_t converted = 0;      ///< pictures and tensors made of its frames; counted by who runs the source
  std::uint64_t rgb_full_size = 0;  ///< of those, RGB or BGR of a frame's own size
};

class PacketTap;  ///< compressed video and audio before decoding: remux, record

/// At most `width` sources decode at once; waiting for bytes is free. Thread-safe.
class VIDLOOM_API CpuGate {
 public:
  explicit CpuGate(unsigned width);
  /// The gate shared by all Analyzers of this process: as wide as it has cores and one more, or VIDLOOM_THREADS.
  static CpuGate& process();
  /// Held while decoding.
  class VIDLOOM_API Pass {
   public:
    explicit Pass(CpuGate& gate);
    ~Pass();
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;

   private:
    CpuGate& gate_;
  };

 private:
  std::mutex mutex_;
  std::condition_variable free_;
  unsigned left_;
};

struct SourceContext {
  StreamId stream{};
  CpuGate& cpu;
  PacketTap* packets = nullptr;
  bool details = false;  ///< SourceInfo::details shall be complete at any cost, as `vidloom probe` wants them
};

/// Frames of one stream. One thread calls it; interrupt() and set_demand() may come from any.
/// A source that needs threads owns and joins them in close().
class VIDLOOM_API Source {
 public:
  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  virtual ~Source();
  /// Blocks. Throws Error(source, decode, config, not_built).
  virtual SourceInfo open(SourceContext& context) = 0;
  /// Blocks. After a throw, an interrupt or End only close() is legal. There is no read timeout: a watchdog interrupts.
  virtual ReadResult read() = 0;
  /// Ends this open(): a read() under way throws Error(cancelled) soon. Any thread, any time, also before open().
  virtual void interrupt() noexcept = 0;
  /// Idempotent; open() may follow.
  virtual void close() noexcept = 0;
  /// A hint; delivering more is legal. Any thread.
  virtual void set_demand(std::span<const Demand> demands) noexcept;
  /// The next read() gives the first frame at or after `media_time`. The default throws Error(config): not seekable.
  virtual void seek(Nanos media_time);
  /// The pictures of an open source at the given times, in the order asked, duplicates allowed: for each the first picture at or
  /// after the time, and the last one up to the end of its duration. Throws Error(config) naming a time outside the film.
  /// The default reads on from where the source stands. A file decodes each needed part once, beside each other where cores are
  /// free, and goes on reading afterwards from where it stood. All frames are held at once: ask in parts where they are many.
  virtual std::vector<Frame> frames_at(std::span<const Nanos> media_times);
  /// The same by number: 0 is the first picture shown, or the next one where the default reads on.
  virtual std::vector<Frame> frames_by_index(std::span<const std::size_t> indices);
  /// Counts since open(); called from the reading thread.
  virtual SourceStats stats() const noexcept;
};

/// Makes the source for what a user typed: a path (file, segment, picture or folder of pictures, told apart by content), or
/// `scheme:...` of a registered scheme (`test:`, `lavfi:`, `file:`). Opens nothing.
/// \param options  an object; unknown options are an error that names the nearest known one.
/// Throws Error(config) on an unknown scheme or option, Error(not_built) naming what is missing.
VIDLOOM_API std::unique_ptr<Source> open_source(const std::string& uri, const Value& options = {});

}  // namespace v0
}  // namespace vidloom
