#include <vidloom/core/time.hpp>

#include <vidloom/core/error.hpp>

#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>
#include <optional>

namespace vidloom {
inline namespace v0 {

namespace {

__extension__ typedef __int128 Int128;

constexpr double nanos_per_second = 1e9;

/// `value` times a whole number of nanoseconds, rounded; whole and fraction apart, so that large values keep their nanoseconds.
std::optional<Nanos> scaled(double value, double unit) noexcept {
  constexpr double limit = 9.2e18;  // just inside int64
  if (!(std::abs(value * unit) < limit)) return std::nullopt;
  double whole = 0;
  const double fraction = std::modf(value, &whole);
  return Nanos(static_cast<std::int64_t>(whole) * static_cast<std::int64_t>(unit) + std::llround(fraction * unit));
}

std::int64_t saturated(Int128 value) noexcept {
  using Limits = std::numeric_limits<std::int64_t>;
  if (value > Limits::max()) return Limits::max();
  if (value < Limits::min()) return Limits::min();
  return static_cast<std::int64_t>(value);
}

struct Unit {
  std::string_view name;
  double nanos;
};
constexpr Unit units[] = {{"", 1e9}, {"s", 1e9}, {"ms", 1e6}, {"us", 1e3}, {"ns", 1}, {"min", 60e9}, {"m", 60e9}, {"h", 3600e9}};

}  // namespace

Nanos from_seconds(double value) {
  const auto result = scaled(value, nanos_per_second);
  if (!result) throw Error(Code::config, std::to_string(value) + " seconds is no time; use a finite number below 9.2e9 in size");
  return *result;
}

Nanos from_pts(std::int64_t pts, Rational time_base) noexcept {
  if (time_base.den == 0) return Nanos(0);
  Int128 numerator = static_cast<Int128>(pts) * time_base.num;
  Int128 denominator = time_base.den;
  if (denominator < 0) {
    numerator = -numerator;
    denominator = -denominator;
  }
  const Int128 whole = numerator / denominator, rest = numerator % denominator;  // the rest has the numerator's sign
  constexpr Int128 nanos = 1'000'000'000;
  const Int128 rounding = rest < 0 ? -(denominator / 2) : denominator / 2;
  const Int128 fraction = (rest * nanos + rounding) / denominator;
  constexpr std::int64_t longest = std::numeric_limits<std::int64_t>::max() / 1'000'000'000 + 1;
  if (whole > longest || whole < -longest) return Nanos(saturated(whole < 0 ? -(Int128{1} << 100) : Int128{1} << 100));
  return Nanos(saturated(whole * nanos + fraction));
}

Nanos parse_duration(std::string_view text, std::string_view field) {
  const auto refuse = [&](std::string_view problem) {
    return Error(Code::config, std::string(field) + " is \"" + std::string(text) + "\"" + std::string(problem) +
                                   "; use a duration such as 0.5, 500ms, 2s or 1.5min");
  };
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, problem] = std::from_chars(text.data(), end, value);
  if (problem != std::errc() || !std::isfinite(value)) throw refuse("");
  if (std::signbit(value)) throw refuse(", which is negative");
  std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  if (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  for (const Unit& known : units) {
    if (unit != known.name) continue;
    if (const auto result = scaled(value, known.nanos)) return *result;
    throw refuse(", which is too long");
  }
  throw refuse("");
}

std::string format_utc(WallTime time) {
  using namespace std::chrono;
  const auto micros = floor<microseconds>(time);
  const auto day = floor<days>(micros);
  const year_month_day date(day);
  const hh_mm_ss clock(micros - day);
  char text[64];
  const int length = std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%06dZ", static_cast<int>(date.year()),
                                   static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                                   static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                                   static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
  return std::string(text, static_cast<std::size_t>(length));
}

}  // namespace v0
}  // namespace vidloom
