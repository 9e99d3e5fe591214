// Compiled in: the class is hidden in the component, and has no FFmpeg in it.
#include <sources/ffmpeg/timeline.cpp>

#include <doctest/doctest.h>

#include <limits>

using namespace vidloom;
using namespace std::chrono_literals;

namespace {

constexpr std::int64_t wrap = std::int64_t{1} << 33;
Timeline transport() { return Timeline({.time_base = {1, 90000}, .wrap_bits = 33, .jumps_begin_epochs = true}); }

}  // namespace

TEST_CASE("times are the container's own, not rebased to zero") {
  Timeline timeline({.time_base = {1, 90000}, .wrap_bits = 33});
  CHECK(timeline.next(900000, 40ms).media_time == 10s);
  const Timeline::Stamp second = timeline.next(903600, 40ms);
  CHECK(second.media_time == 10s + 40ms);
  CHECK_FALSE(second.repaired);
}

TEST_CASE("sixty hours of MPEG-TS go through two wraps without a step back") {
  Timeline timeline = transport();
  const std::int64_t step = 90000 * 9;
  std::int64_t pts = wrap - 8 * 90000;
  Nanos last = -1ns;
  for (std::int64_t index = 0; index < 60 * 3600 / 9; ++index, pts += step) {
    const Timeline::Stamp stamp = timeline.next(pts % wrap, 9s);
    REQUIRE(stamp.media_time > last);
    REQUIRE_FALSE(stamp.new_epoch);
    REQUIRE(stamp.media_time == from_pts(pts, {1, 90000}));
    last = stamp.media_time;
  }
  CHECK(last > 60h);
}

TEST_CASE("a picture just before the wrap may come after one just behind it") {
  Timeline timeline = transport();
  timeline.next(wrap - 3600, 40ms);
  const Nanos after = timeline.next(0, 40ms).media_time;
  const Timeline::Stamp late = timeline.next(wrap - 1800, 40ms);
  CHECK(late.repaired);
  CHECK(late.media_time > after);
}

TEST_CASE("a jump of more than ten seconds begins an epoch in MPEG-TS only") {
  Timeline timeline = transport();
  timeline.next(0, 40ms);
  const Timeline::Stamp jumped = timeline.next(90000 * 11, 40ms);
  CHECK(jumped.new_epoch);
  CHECK(jumped.media_time == 11s);
  Timeline file({.time_base = {1, 1000}});
  file.next(0, 40ms);
  const Timeline::Stamp paused = file.next(11000, 40ms);
  CHECK_FALSE(paused.new_epoch);
  CHECK(paused.media_time == 11s);
}

TEST_CASE("a step back of more than a second begins an epoch in MPEG-TS, and goes on elsewhere") {
  Timeline timeline = transport();
  timeline.next(90000 * 5, 40ms);
  const Timeline::Stamp back = timeline.next(90000, 40ms);
  CHECK(back.new_epoch);
  CHECK(back.media_time == 1s);
  Timeline file({.time_base = {1, 1000}});
  file.next(5000, 40ms);
  CHECK(file.next(1000, 40ms).media_time == 5s + 40ms);
  CHECK(file.next(1040, 40ms).media_time == 5s + 80ms);
}

TEST_CASE("a missing timestamp goes on by the duration and is counted") {
  Timeline timeline({.time_base = {1, 1000}});
  timeline.next(100, 40ms);
  const Timeline::Stamp mended = timeline.next(std::nullopt, 40ms);
  CHECK(mended.repaired);
  CHECK(mended.media_time == 140ms);
  CHECK_FALSE(timeline.next(180, 40ms).repaired);
}

TEST_CASE("a repeated timestamp moves on by so little that the next one keeps its own time") {
  Timeline timeline({.time_base = {1, 1000}});
  timeline.next(100, 40ms);
  const Timeline::Stamp repeated = timeline.next(100, 40ms);
  CHECK(repeated.repaired);
  CHECK(repeated.media_time > 100ms);
  CHECK(timeline.next(140, 40ms).media_time == 140ms);
}

TEST_CASE("slides in MPEG-TS are no jumps when that is how long a picture lasts") {
  Timeline timeline = transport();
  timeline.next(0, 15s);
  CHECK_FALSE(timeline.next(90000 * 15, 15s).new_epoch);
}

TEST_CASE("timestamps that no film has stay within 73 years of zero, and never step back") {
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max(), least = std::numeric_limits<std::int64_t>::min();
  const std::optional<std::int64_t> all[] = {0,         most,         least,    most / 2, std::nullopt, least / 2, 1,
                                             least + 1, std::nullopt, most - 1, -1,       most,         most,      least};
  for (const Rational base : {Rational{1, 90000}, Rational{1, 1}, Rational{most, 1}, Rational{1, most}, Rational{most, most}}) {
    for (const int bits : {64, 63, 33, 8}) {
      for (const Nanos duration : {Nanos{}, Nanos(40ms), Nanos::max(), Nanos::min()}) {
        for (const bool transport_stream : {false, true}) {
          Timeline timeline({.time_base = base, .wrap_bits = bits, .jumps_begin_epochs = transport_stream});
          Nanos last = -Timeline::farthest;
          for (const auto& pts : all) {
            const Timeline::Stamp stamp = timeline.next(pts, duration);
            if (stamp.new_epoch) last = -Timeline::farthest;
            REQUIRE(stamp.media_time >= last);
            REQUIRE(stamp.media_time <= Timeline::farthest);
            last = stamp.media_time;
          }
        }
      }
    }
  }
}
