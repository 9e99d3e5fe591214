#include <vidloom/core/error.hpp>
#include <vidloom/core/time.hpp>

#include <doctest/doctest.h>

#include <limits>

using namespace vidloom;
using namespace std::chrono_literals;

TEST_CASE("seconds are the doubles a person would write") {
  CHECK(seconds(300ms) == 0.3);
  CHECK(seconds(4500ms) == 4.5);
  CHECK(seconds(Nanos(70'213'121)) == 0.070213121);
  CHECK(from_seconds(0.1) == 100ms);
  CHECK(from_seconds(-1.5) == -1500ms);
  CHECK(from_seconds(1e-9) == 1ns);
}

TEST_CASE("seconds come back as the nanoseconds they were") {
  const Nanos longest = std::chrono::hours(24 * 50);
  for (Nanos time{1}; time < longest; time = Nanos(time.count() * 3 + 7)) {
    CHECK(from_seconds(seconds(time)) == time);
    CHECK(from_seconds(seconds(-time)) == -time);
  }
}

TEST_CASE("seconds that are no time are refused") {
  for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(), 1e300, -9.3e9})
    CHECK_THROWS_AS(from_seconds(bad), Error);
}

TEST_CASE("pts become nanoseconds, rounded to the nearest") {
  CHECK(from_pts(45, {1, 10}) == 4500ms);
  CHECK(from_pts(1, {1, 3}) == Nanos(333'333'333));
  CHECK(from_pts(2, {1, 3}) == Nanos(666'666'667));
  CHECK(from_pts(-2, {1, 3}) == Nanos(-666'666'667));
  CHECK(from_pts(3003, {1, 90000}) == Nanos(33'366'667));
  CHECK(from_pts((std::int64_t{1} << 33) - 1, {1, 90000}) == Nanos(95'443'717'677'778));
  CHECK(from_pts((std::int64_t{1} << 62), {1, 1'000'000'000}) == Nanos(std::int64_t{1} << 62));
  CHECK(from_pts(10, {-1, -10}) == 1s);
  CHECK(from_pts(10, {1, -10}) == -1s);
}

TEST_CASE("pts out of any range saturate instead of wrapping round") {
  using Limits = std::numeric_limits<std::int64_t>;
  CHECK(from_pts(Limits::max(), {Limits::max(), 1}) == Nanos::max());
  CHECK(from_pts(Limits::min(), {Limits::max(), 1}) == Nanos::min());
  CHECK(from_pts(Limits::max(), {1, 1}) == Nanos::max());
  CHECK(from_pts(Limits::max(), {1, Limits::max()}) == 1s);
  CHECK(from_pts(5, {1, 0}) == 0s);
}

TEST_CASE("durations read as people type them") {
  CHECK(parse_duration("0.5", "every") == 500ms);
  CHECK(parse_duration("500ms", "every") == 500ms);
  CHECK(parse_duration("500 ms", "every") == 500ms);
  CHECK(parse_duration("2s", "every") == 2s);
  CHECK(parse_duration("1.5min", "every") == 90s);
  CHECK(parse_duration("1m", "every") == 60s);
  CHECK(parse_duration("250us", "every") == 250us);
  CHECK(parse_duration("40ns", "every") == 40ns);
  CHECK(parse_duration("2h", "every") == 2h);
  CHECK(parse_duration("0", "every") == 0s);
  CHECK(parse_duration("1e-3", "every") == 1ms);
  CHECK(parse_duration(".5", "every") == 500ms);
}

TEST_CASE("what is no duration is refused with field, value and fix") {
  for (const char* bad :
       {"", " ", "abc", "5 parsecs", "nan", "inf", "-1", "-0", "0x10", "1e999", "1e12", "1s2", "1,5", "s", "+1", "5  s"}) {
    CAPTURE(bad);
    try {
      parse_duration(bad, "every");
      FAIL("accepted");
    } catch (const Error& error) {
      CHECK(error.code == Code::config);
      const std::string message = error.what();
      CHECK(message.find("every is \"" + std::string(bad) + "\"") == 0);
      CHECK(message.find("500ms") != std::string::npos);
    }
  }
}

TEST_CASE("wall time is RFC 3339 in UTC with microseconds") {
  const WallTime start{};
  CHECK(format_utc(start) == "1970-01-01T00:00:00.000000Z");
  CHECK(format_utc(start + 1795221989s + 120411us + 999ns) == "2026-11-21T00:46:29.120411Z");
  CHECK(format_utc(start + 951782400s) == "2000-02-29T00:00:00.000000Z");
  CHECK(format_utc(start - 1us) == "1969-12-31T23:59:59.999999Z");
  CHECK(format_utc(start - 1ns) == "1969-12-31T23:59:59.999999Z");
  CHECK(format_utc(WallTime::max()).substr(0, 5) == "2262-");
  CHECK(format_utc(WallTime::min() + 24h).substr(0, 5) == "1677-");
}
