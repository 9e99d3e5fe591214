#include <core/component.hpp>
#include <imaging/ffmpeg/converter.hpp>
#include <sinks/ffmpeg/picture_encoder.hpp>
#include <sinks/ffmpeg/sinks.hpp>
#include <sources/ffmpeg/file_input.hpp>
#include <sources/ffmpeg/reading_crew.hpp>
#include <sources/ffmpeg/sources.hpp>
#include <support/ffmpeg/av.hpp>
#include <vidloom/core/log.hpp>
#include <vidloom/core/version.hpp>

#include <cstdarg>
#include <cstdio>
#include <string>
#include <string_view>

namespace vidloom {
namespace {

/// FFmpeg's messages, line by line, into our log. Called on any thread of FFmpeg's.
void log_ffmpeg(void* context, int level, const char* format, std::va_list arguments) noexcept {
  const int offset = level & 0xff;
  // FFmpeg calls every broken byte an error. What of it matters to a program is told by our own errors, health and counts.
  const LogLevel ours = offset <= AV_LOG_FATAL ? LogLevel::warning : offset <= AV_LOG_WARNING ? LogLevel::info : LogLevel::debug;
  if (level < 0 || offset > AV_LOG_VERBOSE || ours < log_level()) return;
  thread_local int prefix = 1;
  char line[1024];
  av_log_format_line2(context, level, format, arguments, line, sizeof line, &prefix);
  std::string_view text = line;
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  if (!text.empty()) log(ours, "ffmpeg", text);
}

std::string versions() {
  const unsigned codec = avcodec_version();
  return std::string("FFmpeg ") + av_version_info() + " (avcodec " + std::to_string(codec >> 16) + "." + std::to_string(codec >> 8 & 0xff) + ")";
}

}  // namespace
}  // namespace vidloom

VIDLOOM_COMPONENT(registry) {
  using namespace vidloom;
  registry.add_source("file", [](const Value& options) { return make_file_source(options, 0); });
  registry.add_source("segment", [](const Value& options) {
    return read_by_crew(make_file_source(options, 1), path_of(options["uri"].as_string()));
  });
  registry.add_source("images", [](const Value& options) { return make_images_source(options); });
  registry.add_source("lavfi", [](const Value& options) { return make_lavfi_source(options); });
  registry.add_sink("video", [](const Value& options) { return make_film_sink(options); });
  registry.set_converter(make_converter());
  registry.set_picture_encoder(make_picture_encoder());
  registry.describe(versions());
  if (ffmpeg_log_routed()) av_log_set_callback(&log_ffmpeg);
}
