#pragma once
/// Components: shared libraries beside libvidloom, loaded at the first use of a name that the table maps to them.
/// Private: a component and libvidloom are of the same build, which the version check at load makes sure of.

#include <vidloom/core/version.hpp>
#include <vidloom/frame.hpp>
#include <vidloom/registry.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace vidloom {
inline namespace v0 {

/// Turns a decoder's planes into packed pictures. One implementation, brought by the ffmpeg component. Thread-safe.
class VIDLOOM_API PixelConverter {
 public:
  virtual ~PixelConverter();
  struct Request {
    const Frame& frame;
    Box coded_part;  ///< part of the coded picture to read, in coded pixels; fractions allowed where scaled
    Size size;       ///< of the result, still in coded orientation
    ImageSpec::Format format;
    Filter filter = Filter::bicubic;
    ColourMode mode = ColourMode::exact;
  };
  /// Writes size.height * size.width * channels bytes, rows without padding, coded orientation (core turns it upright).
  /// Honours matrix and range of effective_colour(). Throws Error(decode) on an unknown pixel format.
  virtual void convert(const Request& request, std::span<std::byte> out) const = 0;
};

/// Writes model input into a device's memory. One implementation, brought by the torch component. Thread-safe.
class VIDLOOM_API TensorWriter {
 public:
  virtual ~TensorWriter();
  /// As write_tensors() in <vidloom/tensors.hpp>, which has checked the arguments: spec.device is a CUDA device, `memory` is on it and
  /// large enough, `display_from_tensor` is empty or one a frame.
  virtual void write(std::span<const Frame> frames, const TensorSpec& spec, std::span<std::byte> memory,
                     std::span<Affine> display_from_tensor) const = 0;
};

/// Writes picture files. One implementation, brought by the ffmpeg component. Thread-safe.
class VIDLOOM_API PictureEncoder {
 public:
  virtual ~PictureEncoder();
  /// \return a whole PNG file. Throws Error(output).
  virtual std::vector<std::byte> png(const PlaneView& rgb8) const = 0;
  /// \return a whole JPEG file without subsampled chroma. \param coarseness  FFmpeg's scale: 2 (best) to 31. Throws Error(output).
  virtual std::vector<std::byte> jpeg(const PlaneView& rgb8, int coarseness) const = 0;
};

/// Writes words. One implementation, brought by the pango component. Thread-safe.
class VIDLOOM_API TextRenderer {
 public:
  virtual ~TextRenderer();
  /// \param text  UTF-8, any script, one line. \param height  of the line in pixels, about. \param family  as fontconfig knows it.
  /// \param coverage  of each pixel, 0 to 255, rows without padding.
  virtual void draw(std::string_view text, int height, const std::string& family, Size& size, std::vector<std::uint8_t>& coverage) const = 0;
};

/// What a component hands over. Passed to its one entry point, which throws Error.
class VIDLOOM_API Registry {
 public:
  virtual ~Registry();
  virtual void add_adapter(std::string_view name, AdapterFactory factory) = 0;
  /// `name` is one the table in src/core/catalogue.cpp knows: "file", "segment", "images", "lavfi".
  virtual void add_source(std::string_view name, SourceFactory factory) = 0;
  /// "video". Called by the function of that name, which has checked the options.
  virtual void add_sink(std::string_view name, SinkFactory factory) = 0;
  virtual void set_converter(std::shared_ptr<const PixelConverter> converter) = 0;
  virtual void set_picture_encoder(std::shared_ptr<const PictureEncoder> encoder) = 0;
  virtual void set_text_renderer(std::shared_ptr<const TextRenderer> renderer) = 0;
  virtual void set_tensor_writer(std::shared_ptr<const TensorWriter> writer) = 0;
  /// What `vidloom doctor` prints: "FFmpeg 5.1.9 (avcodec 59.37)".
  virtual void describe(std::string_view text) = 0;
};

/// The one symbol of a component. \return 0; 1 when `core_version` is not its own.
using ComponentEntry = int (*)(Registry*, const char* core_version);
inline constexpr const char* component_entry_name = "vidloom_component_v0";

/// Defines that symbol, with the version check. Once per component, where VIDLOOM_COMPONENT_NAME is its name:
///
///     VIDLOOM_COMPONENT(registry) { registry.add_adapter("people", make_people); }
///
/// In a static build the name is appended, because the symbols of all components meet in one program.
#if defined(VIDLOOM_STATIC)
#define VIDLOOM_DETAIL_JOIN(a, b) a##b
#define VIDLOOM_DETAIL_ENTRY(name) VIDLOOM_DETAIL_JOIN(vidloom_component_v0_, name)
#define VIDLOOM_COMPONENT_ENTRY VIDLOOM_DETAIL_ENTRY(VIDLOOM_COMPONENT_NAME)
#else
#define VIDLOOM_COMPONENT_ENTRY vidloom_component_v0
#endif
#define VIDLOOM_COMPONENT(registry)                                                                        \
  static void vidloom_fill_registry([[maybe_unused]] ::vidloom::Registry& registry);                       \
  extern "C" VIDLOOM_API int VIDLOOM_COMPONENT_ENTRY(::vidloom::Registry* all, const char* core_version);  \
  extern "C" VIDLOOM_API int VIDLOOM_COMPONENT_ENTRY(::vidloom::Registry* all, const char* core_version) { \
    if (::std::string_view(core_version) != VIDLOOM_VERSION) return 1;                                     \
    vidloom_fill_registry(*all);                                                                           \
    return 0;                                                                                              \
  }                                                                                                        \
  static void vidloom_fill_registry([[maybe_unused]] ::vidloom::Registry& registry)

/// Loads (or, in a static build, finds) the component. Single-flight, thread-safe, never unloaded.
/// \param needed_for  "adapter 'people'": begins the message of the Error(not_built).
VIDLOOM_API void require_component(std::string_view name, std::string_view needed_for);
/// Throws the same Error(not_built) when the component's file is not there, without loading it.
VIDLOOM_API void expect_component(std::string_view name, std::string_view needed_for);

/// \return whether `library` lies beside the one that the component stands on (Needs), so that loading the component would bring both:
/// "libtorch_cuda.so" beside "libtorch_cpu.so". False where the component cannot be loaded. Loads nothing, never throws.
VIDLOOM_API bool component_brings(std::string_view name, std::string_view library);

/// Static builds: makes a linked component known under its table name. Thread-safe, idempotent.
VIDLOOM_API void link_component(std::string_view name, ComponentEntry entry);

/// The converter, loading the ffmpeg component first.
VIDLOOM_API const PixelConverter& pixel_converter(std::string_view pixel_format);

/// The writer, loading the torch component first. \param device  "cuda:0": for the message of the Error(not_built).
VIDLOOM_API const TensorWriter& tensor_writer(std::string_view device);

/// The encoder, loading the ffmpeg component first.
const PictureEncoder& picture_encoder(std::string_view needed_for);

/// The renderer, loading the pango component first. \param needed_for  "the labels": begins the message of the Error(not_built).
const TextRenderer& text_renderer(std::string_view needed_for);

/// A source by its table name ("file", "segment", "images", "lavfi"), loading its component first.
/// \param options  holds "uri": the path, for "lavfi" the whole text with its scheme; beside it only what was given of
/// "trust" ("automatic", "local", "lan", "untrusted"), "max_pixels", "threads" and, for images, "rate" and "svg_side": the longest side
/// in pixels at which an SVG is drawn. Without it an SVG is no picture.
VIDLOOM_API std::unique_ptr<Source> make_source(std::string_view name, const Value& options);

/// A sink by its table name ("video"), loading its component first. \param options  as that component's factory takes them.
std::unique_ptr<Sink> make_component_sink(std::string_view name, const Value& options);

}  // namespace v0
}  // namespace vidloom
