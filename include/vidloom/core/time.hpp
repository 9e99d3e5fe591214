#pragma once
/// Time as Vidloom counts it: integer nanoseconds inside, seconds (double) where people read or type them.

#include <vidloom/core/export.hpp>

#include <chrono>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace vidloom {
inline namespace v0 {

using Nanos = std::chrono::nanoseconds;
using WallTime = std::chrono::sys_time<Nanos>;
using SteadyTime = std::chrono::steady_clock::time_point;

/// A fraction, not reduced. `den` 0 means "not known".
struct Rational {
  std::int64_t num = 0, den = 1;
  friend bool operator==(const Rational&, const Rational&) = default;
};

/// \return `time` in seconds: the double nearest to it, so that 300 ms is 0.3. Comes back whole through from_seconds() below
/// about 50 days.
constexpr double seconds(Nanos time) noexcept { return static_cast<double>(time.count()) / 1e9; }

/// \return `value` seconds, rounded to the nearest nanosecond. Throws Error(config) when it is not finite or out of range.
VIDLOOM_API Nanos from_seconds(double value);

/// \return `pts * time_base`, rounded to the nearest nanosecond; 128-bit inside, saturates; 0 when `time_base.den` is 0.
VIDLOOM_API Nanos from_pts(std::int64_t pts, Rational time_base) noexcept;

/// Reads what a person types: "0.5" (seconds) or a number with ns, us, ms, s, min (or m) or h, such as "500ms" or "1.5min".
/// \param field  named in the message of the Error(config) that a bad or negative text throws.
VIDLOOM_API Nanos parse_duration(std::string_view text, std::string_view field);

/// \return RFC 3339 in UTC with microseconds: "2026-11-21T00:46:29.120411Z".
VIDLOOM_API std::string format_utc(WallTime time);

/// \return now on the wall clock.
inline WallTime wall_now() { return std::chrono::time_point_cast<Nanos>(std::chrono::system_clock::now()); }

}  // namespace v0
}  // namespace vidloom
