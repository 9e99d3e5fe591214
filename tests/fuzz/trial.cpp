#include <fuzz/trial.hpp>

#include <imaging/plane_md5.hpp>
#include <vidloom/analyzer.hpp>
#include <vidloom/core/error.hpp>
#include <vidloom/source.hpp>
#include <vidloom/sources/file.hpp>
#include <vidloom/sources/images.hpp>
#include <vidloom/sources/segment.hpp>

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

namespace vidloom::fuzz {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t usual_limit = std::int64_t{1} << 20;  // pixels: damage likes to make a size huge
constexpr std::uint64_t most_frames = 300;                   // damage can also make a table of samples long

struct Opening {
  std::unique_ptr<Source> source;
  std::int64_t max_pixels = 0;
};

std::int64_t limit_of(std::int64_t max_pixels, Trust trust) {
  const std::int64_t most = trust == Trust::untrusted ? std::int64_t{1} << 25 : std::int64_t{1} << 27;
  return max_pixels > 0 ? std::min(max_pixels, most) : most;
}

Opening made(const std::string& path, bool picture, Dice& dice) {
  Opening opening;
  const std::size_t limit = dice.below(20);
  opening.max_pixels = limit == 0 ? 3000 : limit == 1 ? 0 : usual_limit;
  const Trust trust = dice.chance(10) ? Trust::untrusted : Trust::automatic;
  static constexpr std::array<int, 4> threads{1, 1, 2, 0};
  if (dice.chance(picture ? 40 : 2)) {
    opening.source = images_source(path, {.trust = trust, .max_pixels = opening.max_pixels});
    opening.max_pixels = limit_of(opening.max_pixels, trust);
    return opening;
  }
  switch (dice.below(8)) {
    case 0: opening.source = file_source(path, {.trust = trust, .max_pixels = opening.max_pixels, .threads = dice.one_of(threads)}); break;
    case 1:
      opening.source = segment_source(path, {.trust = trust, .max_pixels = opening.max_pixels, .threads = dice.one_of(threads)});
      break;
    default: {
      Value options = Value::object();
      if (opening.max_pixels > 0) options.set("max_pixels", opening.max_pixels);
      if (trust == Trust::untrusted) options.set("trust", "untrusted");
      opening.source = open_source(path, options);
    }
  }
  opening.max_pixels = limit_of(opening.max_pixels, trust);
  return opening;
}

/// What holds for every frame of every file.
class Watch {
 public:
  explicit Watch(std::int64_t max_pixels) : max_pixels_(max_pixels) {}

  void see(const Frame& frame) {
    const FrameInfo& info = frame.info();
    const Size coded = frame.coded_size(), shown = frame.size();
    if (coded.empty() || shown.empty()) throw Broken("a frame without pixels");
    if (std::int64_t{coded.width} * coded.height > max_pixels_)
      throw Broken("a frame of " + std::to_string(coded.width) + "x" + std::to_string(coded.height) + " pixels passed the limit " +
                   std::to_string(max_pixels_));
    if (last_ && info.epoch < last_->epoch) throw Broken("the epoch went back");
    if (last_ && info.epoch == last_->epoch) {
      if (info.sequence != last_->sequence + 1 + info.skipped)
        throw Broken("the sequence went from " + std::to_string(last_->sequence) + " to " + std::to_string(info.sequence));
      if (info.time.media_time < last_->time.media_time) throw Broken("media_time stepped back within an epoch");
    }
    if (info.duration < 0ns) throw Broken("a negative duration");
    if (info.sample_aspect.num <= 0 || info.sample_aspect.den <= 0) throw Broken("a sample aspect of zero");
    last_ = info;
  }
  /// A seek may land anywhere in the numbering.
  void forget() { last_.reset(); }

 private:
  const std::int64_t max_pixels_;
  std::optional<FrameInfo> last_;
};

bool expected(const Error& error) { return error.code == Code::source || error.code == Code::decode; }

/// Asks for a conversion; a picture that cannot be converted says so.
template <class Work>
void convert(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    // Config: a picture of one row, fitted by its short side, is too large to make.
    if (!expected(error) && error.code != Code::config) throw;
  }
}

void look_at(const Frame& frame, Dice& dice) {
  const std::int64_t pixels = std::int64_t{frame.coded_size().width} * frame.coded_size().height;
  convert([&] { (void)plane_md5(frame); });  // every byte of every plane, read by instrumented code
  if (dice.chance(30)) convert([&] { (void)frame.luma(); });
  if (dice.chance(30)) {
    static constexpr std::array formats{ImageSpec::Format::rgb8, ImageSpec::Format::bgr8, ImageSpec::Format::gray8};
    ImageSpec spec{.size = {static_cast<int>(1 + dice.below(80)), static_cast<int>(1 + dice.below(60))}, .format = dice.one_of(formats)};
    if (pixels <= usual_limit && dice.chance(50)) spec.size = {};
    convert([&] { (void)frame.image(spec); });
  }
  if (dice.chance(30)) {
    static constexpr std::array fits{TensorSpec::Fit::stretch, TensorSpec::Fit::letterbox, TensorSpec::Fit::centre_crop};
    static constexpr std::array types{TensorSpec::DType::u8, TensorSpec::DType::f16, TensorSpec::DType::bf16, TensorSpec::DType::f32};
    TensorSpec spec{.size = {static_cast<int>(1 + dice.below(48)), static_cast<int>(1 + dice.below(48))},
                    .fit = dice.one_of(fits),
                    .dtype = dice.one_of(types)};
    // A slot of exactly its size, so that a byte too far is seen.
    std::vector<std::byte> slot(slot_bytes(spec));
    convert([&] { (void)frame.write_tensor(spec, slot); });
  }
}

Nanos some_time(Dice& dice, const SourceInfo& info, Nanos seen) {
  switch (dice.below(7)) {
    case 0: return 0ns;
    case 1: return seen;
    case 2: return seen - 1ms;
    case 3: return Nanos::max();
    case 4: return Nanos::min();
    case 5: return std::chrono::seconds(static_cast<std::int64_t>(dice.below(200'000)) - 100'000);
    default:
      return info.duration && *info.duration > 0ns
                 ? Nanos(static_cast<std::int64_t>(dice.next() % static_cast<std::uint64_t>(info.duration->count())))
                 : 100ms;
  }
}

Demand some_demand(Dice& dice) {
  static constexpr std::array<Nanos, 6> times{0ns, 1ns, 40ms, 200ms, 6s, Nanos::max()};
  static constexpr std::array pixels{Demand::Pixels::none, Demand::Pixels::luma, Demand::Pixels::colour};
  return {.every = dice.one_of(times),
          .tolerance = dice.one_of(times),
          .pixels = dice.one_of(pixels),
          .largest_useful = {},
          .healthy_only = dice.chance(50)};
}

/// Reads until `most` frames came. \return whether the source ended with neither a frame nor pictures that no demand needed.
bool read_some(Source& source, Watch& watch, std::uint64_t most, Dice& dice, Outcome& outcome, Nanos& seen, std::vector<FrameInfo>& plain) {
  for (std::uint64_t count = 0; count < most;) {
    const ReadResult next = source.read();
    if (const auto* end = std::get_if<End>(&next)) return outcome.frames == 0 && !end->last;
    if (const auto* frame = std::get_if<Frame>(&next)) {
      watch.see(*frame);
      ++outcome.frames;
      ++count;
      outcome.flagged |= frame->info().health != Health::ok;
      seen = frame->info().time.media_time;
      plain.push_back(frame->info());
      if (outcome.frames <= 3 || dice.chance(10)) look_at(*frame, dice);
    }
  }
  return false;
}

/// Pictures at times and of numbers that a plain reading gave: the same ones, unless the file is damaged.
void fetch(Source& source, const std::vector<FrameInfo>& plain, bool undamaged, Dice& dice, Outcome& outcome) {
  std::vector<Nanos> times;
  std::vector<std::size_t> numbers;
  for (std::size_t left = 1 + dice.below(4); left > 0; --left) {
    numbers.push_back(dice.below(plain.size()));
    times.push_back(dice.one_of(plain).time.media_time);
  }
  const bool by_time = dice.chance(50);
  if (dice.chance(10)) (by_time ? static_cast<void>(times.push_back(Nanos::max())) : numbers.push_back(1'000'000));
  try {
    const std::vector<Frame> frames = by_time ? source.frames_at(times) : source.frames_by_index(numbers);
    outcome.frames += frames.size();
    if (frames.size() != times.size() && frames.size() != numbers.size()) throw Broken("not as many frames as were asked for");
    for (std::size_t at = 0; at < frames.size(); ++at) {
      const Nanos time = frames[at].info().time.media_time;
      if (undamaged && time != (by_time ? times[at] : plain[numbers[at]].time.media_time))
        throw Broken("a frame asked for alone is another than that of a plain reading");
      look_at(frames[at], dice);
    }
  } catch (const Error& error) {
    // Outside the film, or what is left of it.
    if (error.code != Code::config) throw;
  }
}

void read_in_some_way(Source& source, const SourceInfo& info, std::int64_t max_pixels, Dice& dice, Outcome& outcome) {
  Watch watch(max_pixels);
  Nanos seen{};
  std::vector<FrameInfo> plain;
  const std::size_t way = dice.below(10);
  const std::uint64_t most = way < 6 ? most_frames : 1 + dice.below(12);
  const bool nothing = read_some(source, watch, most, dice, outcome, seen, plain);
  if (nothing) throw Broken("a source that opened ended without a frame and without an error");
  if (way < 6 || !info.seekable || plain.empty()) return;
  for (std::size_t left = 1 + dice.below(3); left > 0; --left) {
    if (way == 9) {
      const SourceStats stats = source.stats();
      // Without a step of the times from the first to the last, a time means one picture; with all read, a place in `plain` a number.
      const bool steady = stats.skipped == 0 && plain.front().epoch == plain.back().epoch && stats.repairs == 0 && stats.errors == 0 && stats.concealed == 0;
      fetch(source, plain, steady && info.codec == "h264", dice, outcome);
      continue;
    }
    const Nanos time = some_time(dice, info, seen);
    source.seek(time);
    watch.forget();
    const ReadResult next = source.read();
    if (const auto* frame = std::get_if<Frame>(&next)) {
      watch.see(*frame);
      ++outcome.frames;
      if (frame->info().time.media_time < time) throw Broken("a seek gave a frame before the time");
      seen = frame->info().time.media_time;
      look_at(*frame, dice);
    }
    read_some(source, watch, dice.below(6), dice, outcome, seen, plain);
  }
}

/// All frames from the first on, with what tells two readings of one file apart.
void read_to_compare(Source& source, std::int64_t max_pixels, Outcome& outcome) {
  Watch watch(max_pixels);
  while (outcome.frames < most_frames) {
    const ReadResult next = source.read();
    if (std::holds_alternative<End>(next)) break;
    if (const auto* event = std::get_if<StreamEvent>(&next)) outcome.times += event->detail + '\n';
    if (const auto* frame = std::get_if<Frame>(&next)) {
      watch.see(*frame);
      ++outcome.frames;
      const FrameInfo& info = frame->info();
      outcome.flagged |= info.health != Health::ok;
      outcome.times += std::to_string(info.time.pts) + ' ' + std::to_string(info.time.media_time.count()) + ' ' +
                       std::string(to_string(info.health)) + '\n';
      convert([&] { outcome.pictures += plane_md5(*frame) + '\n'; });
    }
  }
}

void open_and_read(Source& source, std::int64_t max_pixels, bool compare, Dice& dice, Outcome& outcome) {
  SourceContext context{.stream = StreamId{7}, .cpu = CpuGate::process()};
  const SourceInfo info = source.open(context);
  outcome.opened = true;
  if (info.codec.empty() || info.time_base.den <= 0 || info.time_base.num <= 0) throw Broken("a source without codec or time base");
  if (info.duration && *info.duration < 0ns) throw Broken("a negative duration of the file");
  (void)Value::parse(info.details.dump());
  // Not VP8: of a packet cut off by a Matroska file's end, which FFmpeg flags nowhere, its decoder makes another picture each time.
  static constexpr std::array telling{"h264", "hevc", "mpeg1video", "mpeg2video", "vp9", "av1"};
  outcome.tells = std::ranges::find(telling, info.codec) != telling.end();
  if (compare)
    read_to_compare(source, max_pixels, outcome);
  else
    read_in_some_way(source, info, max_pixels, dice, outcome);
}

std::string on_one_line(std::string text) {
  std::ranges::replace(text, '\n', ',');
  return text;
}

/// One thread decodes: what several make of damage is a matter of who comes first.
void compare(const Outcome& first, const Outcome& second) {
  if (first.opened != second.opened || first.error != second.error)
    throw Broken("opened again it answers otherwise: \"" + first.error + "\", then \"" + second.error + '"');
  if (first.times != second.times)
    throw Broken("read again it has other times or health: " + on_one_line(first.times) + "then " + on_one_line(second.times));
  // What a decoder puts where nothing is known is what lay in memory; some of FFmpeg's (MJPEG, FLV1, FFV1) do so without a word.
  if (!first.flagged && first.tells && first.pictures != second.pictures) throw Broken("read again it has other pictures");
}

/// The whole way, as `vidloom analyze` goes it: due frames on a grid of media_time, answers beside each other.
void analyze(Source& source, Dice& dice, Outcome& outcome) {
  static Analyzer analyzer([] {
    std::vector<AnalysisSpec> specs(2);
    specs[0] = {.name = "visual", .adapter = {.adapter = "visual", .options = {}}, .every = 100ms, .tolerance = 50ms};
    specs[1] = {.name = "motion", .adapter = {.adapter = "motion", .options = {}}};
    return specs;
  }());
  AnalyzeOptions options;
  if (dice.chance(30)) options.start = Nanos(static_cast<std::int64_t>(dice.below(400'000'000)));
  Report report;
  try {
    report = analyzer.analyze(source, options, [&](const FrameResult& result) {
      outcome.opened = true;
      outcome.flagged |= result.info.health != Health::ok;
      return ++outcome.frames < most_frames;
    });
  } catch (const Error& error) {
    if (error.code != Code::config || !options.start) throw;  // the start lies behind the end of what is left
  }
  outcome.opened = true;
  if (report.failed > 0) throw Broken("an analysis failed on a frame that was read");
  if (report.answered > report.due) throw Broken("more answers than were due");
}

}  // namespace

Outcome try_file(const std::string& path, bool picture, Dice& dice) {
  const bool twice = dice.chance(8), analyzed = !twice && dice.chance(5);
  Opening opening = made(path, picture, dice);
  if (twice && !picture) opening.source = segment_source(path, {.max_pixels = opening.max_pixels});
  Source& source = *opening.source;
  if (!twice && dice.chance(20)) {
    const std::array demands{some_demand(dice), some_demand(dice)};
    source.set_demand(std::span(demands).first(1 + dice.below(2)));
  }
  Outcome outcome;
  for (int round = 0; round < (twice ? 2 : 1); ++round) {
    Outcome one;
    try {
      if (analyzed)
        analyze(source, dice, one);
      else
        open_and_read(source, opening.max_pixels, twice, dice, one);
    } catch (const Error& error) {
      if (!expected(error)) throw Broken(std::string("an error of code ") + std::string(to_string(error.code)) + ": " + error.what());
      if (std::string_view(error.what()).empty()) throw Broken("an error without a message");
      one.error = std::string(to_string(error.code)) + ": " + error.what();
    }
    const SourceStats stats = source.stats();
    one.flagged |= stats.errors > 0 || stats.concealed > 0 || (one.opened && !one.error.empty());
    source.close();
    if (round == 1 && !picture) compare(outcome, one);
    outcome = std::move(one);
  }
  return outcome;
}

Outcome read_plainly(const std::string& path) {
  Outcome outcome;
  const auto source = open_source(path);
  SourceContext context{.stream = StreamId{7}, .cpu = CpuGate::process()};
  source->open(context);
  outcome.opened = true;
  for (ReadResult next = source->read(); !std::holds_alternative<End>(next); next = source->read()) {
    if (const auto* frame = std::get_if<Frame>(&next)) {
      ++outcome.frames;
      outcome.flagged |= frame->info().health != Health::ok;
    }
  }
  source->close();
  return outcome;
}

}  // namespace vidloom::fuzz
