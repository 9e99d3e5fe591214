// Vidloom beside bare libavcodec, in one process, in turns: ABBA. A ratio of 1 is the limit.
//
//     vidloom_beside_libav FILE [ROUNDS]
//
// Gate of every row: the same pictures, by pts and by each byte of luma, else the row says WRONG and the exit status is 1.
#include "bare.hpp"

#include <vidloom/vidloom.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <string>
#include <variant>
#include <vector>

namespace {

using namespace vidloom;

struct Seen {
  std::vector<std::int64_t> pts;
  std::vector<std::uint64_t> luma;
  bool operator==(const Seen&) const = default;
};

std::uint64_t hash_of(const unsigned char* rows, std::ptrdiff_t stride, int width, int height) {
  std::uint64_t hash = 1469598103934665603U;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; x += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, rows + y * stride + x, static_cast<std::size_t>(std::min(8, width - x)));
      hash = (hash ^ word) * 1099511628211U;
    }
  }
  return hash;
}

/// Timed rounds only touch a pixel; the gate's rounds look at all.
struct Look {
  bool whole = false;
  Seen seen{};
  std::uint64_t touched = 0;
  void operator()(const AVFrame& frame) {
    touched += frame.data[0][0];
    seen.pts.push_back(frame.best_effort_timestamp);
    if (whole) seen.luma.push_back(hash_of(frame.data[0], frame.linesize[0], frame.width, frame.height));
  }
  void operator()(const Frame& frame) {
    const PlaneView luma = frame.luma();
    const auto* rows = reinterpret_cast<const unsigned char*>(luma.data);
    touched += rows[0];
    seen.pts.push_back(frame.info().time.pts);
    if (whole) seen.luma.push_back(hash_of(rows, luma.stride, luma.size.width, luma.size.height));
  }
};

void read(Source& source, std::vector<Demand> demands, std::size_t most, Look& look) {
  SourceContext context{.stream = StreamId{}, .cpu = CpuGate::process()};
  source.open(context);
  source.set_demand(demands);
  for (std::size_t count = 0; count < most;) {
    const ReadResult next = source.read();
    if (std::holds_alternative<End>(next)) break;
    if (const auto* frame = std::get_if<Frame>(&next)) {
      look(*frame);
      ++count;
    }
  }
  source.close();
}

double seconds_of(const std::function<void(Look&)>& work, Look& look) {
  const auto start = std::chrono::steady_clock::now();
  work(look);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

bool row(const char* name, int rounds, const std::function<void(Look&)>& ours, const std::function<void(Look&)>& limit) {
  Look mine{.whole = true}, theirs{.whole = true};
  ours(mine);
  limit(theirs);
  if (mine.seen != theirs.seen || mine.seen.pts.empty()) {
    std::printf("%-28s WRONG: %zu pictures, the limit has %zu\n", name, mine.seen.pts.size(), theirs.seen.pts.size());
    return false;
  }
  std::vector<double> a, b, ratios;
  for (int round = 0; round < rounds; ++round) {
    Look look;
    const double a1 = seconds_of(ours, look), b1 = seconds_of(limit, look), b2 = seconds_of(limit, look), a2 = seconds_of(ours, look);
    a.insert(a.end(), {a1, a2});
    b.insert(b.end(), {b1, b2});
    ratios.push_back((a1 + a2) / (b1 + b2));
  }
  std::ranges::sort(ratios);
  std::printf("%-28s %4zu pictures  ours %8.2f ms  limit %8.2f ms  ratio %.3f (%.3f to %.3f)\n", name, mine.seen.pts.size(),
              median(a) * 1e3, median(b) * 1e3, median(ratios), ratios[ratios.size() / 4], ratios[ratios.size() * 3 / 4]);
  return true;
}

}  // namespace

int main(int count, char** arguments) try {
  if (count < 2) {
    std::fprintf(stderr, "usage: vidloom_beside_libav FILE [ROUNDS]\n");
    return 2;
  }
  const std::string path = arguments[1];
  const int rounds = count > 2 ? std::max(1, std::atoi(arguments[2])) : 9;
  constexpr std::size_t no_limit = SIZE_MAX;
  const std::vector<Demand> every_picture{Demand{}}, first{Demand{.first = 1}}, keyframes{Demand{.keyframes_only = true}};
  bool right = true;
  right &= row(
      "D1 first picture", rounds, [&](Look& look) { read(*segment_source(path), first, 1, look); },
      [&](Look& look) { bare::first_picture(path, [&](const AVFrame& frame) { look(frame); }); });
  right &= row(
      "D1 against probing", rounds, [&](Look& look) { read(*segment_source(path), first, 1, look); },
      [&](Look& look) { bare::first_picture_probed(path, [&](const AVFrame& frame) { look(frame); }); });
  right &= row(
      "D2 keyframes", rounds, [&](Look& look) { read(*segment_source(path), keyframes, no_limit, look); },
      [&](Look& look) { bare::keyframes(path, [&](const AVFrame& frame) { look(frame); }); });
  for (const int threads : {1, 2})
    right &= row(
        threads == 1 ? "D3 all, 1 thread" : "D3 all, 2 threads", std::max(1, rounds / 3),
        [&](Look& look) { read(*file_source(path, {.threads = threads}), every_picture, no_limit, look); },
        [&](Look& look) { bare::all_pictures(path, threads, [&](const AVFrame& frame) { look(frame); }); });
  return right ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
