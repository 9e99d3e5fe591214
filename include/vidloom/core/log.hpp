#pragma once
/// Messages of the library. It writes nowhere itself: records wait in a bounded queue (oldest dropped and counted) until the
/// program takes them; the command line prints them, Python hands them to `logging`.
///
/// Thread-safe. log() never blocks on whoever reads.

#include <vidloom/core/export.hpp>
#include <vidloom/core/time.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace vidloom {
inline namespace v0 {

enum class LogLevel : std::uint8_t { debug, info, warning, error, off };

struct LogRecord {
  LogLevel level;
  std::string area;  ///< "source", "analyzer", "execution", "ffmpeg", ...
  std::string message;
  WallTime time;
};

/// \return "debug" ... "off".
VIDLOOM_API std::string_view to_string(LogLevel level) noexcept;
/// Reads "debug", "info", "warning", "error" or "off", in any letter case; throws Error(config) otherwise.
VIDLOOM_API LogLevel parse_log_level(std::string_view text);

/// Records below `level` are not kept. The default is VIDLOOM_LOG_LEVEL as it was at first use, else warning.
VIDLOOM_API void set_log_level(LogLevel level) noexcept;
VIDLOOM_API LogLevel log_level() noexcept;

/// Queues a record, at most 1024 of them and 4096 bytes of each message; what is no UTF-8 is replaced. Never throws.
VIDLOOM_API void log(LogLevel level, std::string_view area, std::string_view message) noexcept;

/// Takes all waiting records, oldest first; `dropped` (may be null) receives how many were lost since the last call.
VIDLOOM_API std::vector<LogRecord> take_log(std::uint64_t* dropped = nullptr);

/// Sends FFmpeg's own messages (a process-wide callback of FFmpeg's) into this log, area "ffmpeg". For programs that own the
/// process: the command line and the Python package call it. To be called before the first source is opened.
VIDLOOM_API void route_ffmpeg_log() noexcept;
/// \return whether route_ffmpeg_log() was called.
VIDLOOM_API bool ffmpeg_log_routed() noexcept;

}  // namespace v0
}  // namespace vidloom
