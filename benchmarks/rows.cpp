// What Vidloom itself costs beside decoding and detecting. Each row checks that its work was really done.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <vidloom/vidloom.hpp>

namespace {

using namespace vidloom;

/// One decoded picture of a yuv420p stream, planes filled with a gradient.
Frame frame_of(Size size) {
  const Size half{size.width / 2, size.height / 2};
  const auto luma = static_cast<std::size_t>(size.width) * static_cast<std::size_t>(size.height);
  const auto bytes = std::make_shared<std::vector<std::byte>>(luma * 3 / 2);
  for (std::size_t i = 0; i < bytes->size(); ++i) (*bytes)[i] = static_cast<std::byte>(16 + i % 200);
  const std::byte* const y = bytes->data();
  const std::byte* const u = y + luma;
  const std::vector<PlaneView> planes{{y, size.width, size}, {u, half.width, half}, {u + luma / 4, half.width, half}};
  return Frame::adopt(planes, "yuv420p", {}, bytes);
}

/// A record as `--detect people,motion` makes it: `boxes` boxes.
FrameResult record_of(std::int64_t boxes) {
  Detections found;
  found.vocabulary = Vocabulary::of({"person"});
  for (std::int64_t i = 0; i < boxes; ++i) {
    const auto x = static_cast<float>(i % 40) * 15.5F;
    found.xyxy.push_back({x, 20.25F, x + 60.5F, 200.75F});
    found.confidence.push_back(0.75F);
    found.raw_score.push_back(1.5F);
    found.class_id.push_back(0);
  }
  FrameResult result;
  result.frame_size = {768, 576};
  result.stream = "street";
  result.outcomes.emplace_back("people", Outcome(std::move(found), {.where = "local", .attempts = 1}, "object"));
  return result;
}

void record_to_json_line(benchmark::State& state) {
  const FrameResult result = record_of(state.range(0));
  std::size_t bytes = 0;
  for (auto _ : state) {
    const std::string line = to_value(result).dump();
    bytes = line.size();
    benchmark::DoNotOptimize(line.data());
  }
  if (bytes < 200) state.SkipWithError("no record");
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes) * state.iterations());
}
BENCHMARK(record_to_json_line)->Arg(0)->Arg(5)->Arg(50)->Unit(benchmark::kMicrosecond);

void json_line_to_value(benchmark::State& state) {
  const std::string line = to_value(record_of(state.range(0))).dump();
  for (auto _ : state) benchmark::DoNotOptimize(Value::parse(line).size());
  state.SetBytesProcessed(static_cast<std::int64_t>(line.size()) * state.iterations());
}
BENCHMARK(json_line_to_value)->Arg(5)->Unit(benchmark::kMicrosecond);

/// A frame of its own each time: image() is memoised per frame.
void frame_to_image(benchmark::State& state) {
  const Frame frame = frame_of({1280, 720});
  const ImageSpec spec{.size = {static_cast<int>(state.range(0)), static_cast<int>(state.range(1))}, .format = ImageSpec::Format::rgb8};
  for (auto _ : state) {
    state.PauseTiming();
    const Frame fresh = Frame::adopt(frame.planes(), "yuv420p", frame.info(), std::make_shared<Frame>(frame));
    state.ResumeTiming();
    benchmark::DoNotOptimize(fresh.image(spec).bytes().data());
  }
}
BENCHMARK(frame_to_image)->Args({1280, 720})->Args({640, 360})->Args({320, 180})->Unit(benchmark::kMicrosecond);

/// Answers at once: what is left is what the Analyzer itself costs a frame.
class Nothing final : public DetectionAdapter {
 public:
  AdapterInfo info() const override { return {.demand = {.pixels = Demand::Pixels::none}, .max_batch = 8}; }
  void detect(std::span<const Item>, std::span<Result<Detections>> out, const BatchContext&) override {
    for (Result<Detections>& answer : out) answer = Detections{};
  }
};
/// The same picture over and over, without decoding.
class Still final : public Source {
 public:
  SourceInfo open(SourceContext&) override { return {.size = frame_.size(), .codec = "raw", .time_base = {1, 25}}; }
  ReadResult read() override {
    if (next_ == frames) return End{};
    FrameInfo info;
    info.sequence = next_;
    info.time.pts = static_cast<std::int64_t>(next_);
    info.time.time_base = {1, 25};
    info.time.media_time = from_pts(info.time.pts, {1, 25});
    ++next_;
    return frame_.with_info(info);
  }
  void interrupt() noexcept override {}
  void close() noexcept override { next_ = 0; }
  static constexpr std::uint64_t frames = 1000;

 private:
  Frame frame_ = frame_of({1280, 720});
  std::uint64_t next_ = 0;
};

void analyzer_overhead(benchmark::State& state) {
  register_adapter("nothing", [](const Value&) { return std::make_unique<Nothing>(); });
  Analyzer analyzer({{.name = "nothing", .adapter = {.adapter = "nothing"}}});
  analyzer.warm_up();
  Still source;
  for (auto _ : state) {
    AnalyzeOptions options;
    options.collect = false;
    const Report report = analyzer.analyze(source, options);
    if (report.answered != Still::frames) state.SkipWithError("frames are missing");
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(Still::frames) * state.iterations());
}
BENCHMARK(analyzer_overhead)->Unit(benchmark::kMillisecond)->UseRealTime();

/// Counts what reaches it.
class Drawn final : public Sink {
 public:
  SinkInfo info() const override { return {.every_frame = true, .pixels = true}; }
  void write(const FrameResult& result) override { pictures += result.frame.has_value() ? 1 : 0; }
  std::uint64_t pictures = 0;
};

/// People of 120x300 pixels on a 1080p picture, in rows.
FrameResult people_on_1080p(std::int64_t count) {
  Detections found;
  found.vocabulary = Vocabulary::of({"person"});
  for (std::int64_t i = 0; i < count; ++i) {
    const auto x = static_cast<float>(20 + i % 10 * 185), y = static_cast<float>(60 + i / 10 * 330);
    found.xyxy.push_back({x, y, x + 120, y + 300});
    found.confidence.push_back(0.5F + 0.01F * static_cast<float>(i));
    found.class_id.push_back(0);
  }
  FrameResult result;
  result.frame_size = {1920, 1080};
  result.outcomes.emplace_back("people", Outcome(std::move(found), {.where = "local", .attempts = 1}, "object"));
  return result;
}

/// Drawing on a 1080p picture, the copy of its planes included: a decoder's picture is never written to.
void annotated_1080p(benchmark::State& state, const AnnotateOptions& options) {
  const Frame frame = frame_of({1920, 1080});
  const FrameResult result = people_on_1080p(state.range(0));
  const bool letters = !options.kinds.contains("object") || options.kinds.at("object").labels;
  try {
    if (annotated(frame, result, options).luma().data == frame.luma().data) return state.SkipWithError("nothing was drawn");
  } catch (const Error& error) {
    if (letters && error.code == Code::not_built) return state.SkipWithError("letters need the component pango");
    throw;
  }
  const auto to = std::make_shared<Drawn>();
  const std::shared_ptr<Sink> drawing = annotate(to, options);
  FrameResult one = result;
  one.frame = frame;
  drawing->open({}, {.size = frame.size(), .time_base = {1, 25}});
  for (auto _ : state) {
    one.info.sequence = to->pictures;
    one.info.time.media_time = from_pts(static_cast<std::int64_t>(to->pictures), {1, 25});
    drawing->write(one);
  }
  drawing->close({});
  if (to->pictures == 0) state.SkipWithError("no picture");
}
BENCHMARK_CAPTURE(annotated_1080p, boxes, {.kinds = {{"object", {.labels = false}}}})->Arg(1)->Arg(10)->Arg(30)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(annotated_1080p, boxes_and_labels, {})->Arg(1)->Arg(10)->Arg(30)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(annotated_1080p, pixelate, {.pixelate = {"person"}, .kinds = {{"object", {.labels = false}}}})->Arg(1)->Arg(10)->Arg(30)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(annotated_1080p, blur, {.blur = {"person"}, .kinds = {{"object", {.labels = false}}}})->Arg(1)->Arg(10)->Arg(30)->Unit(benchmark::kMillisecond);

/// What no drawing goes below: the copy of the three planes.
void copy_of_a_1080p_picture(benchmark::State& state) {
  const std::vector<std::byte> from(std::size_t{1920} * 1080 * 3 / 2);
  std::vector<std::byte> to(from.size());
  for (auto _ : state) {
    std::copy(from.begin(), from.end(), to.begin());
    benchmark::DoNotOptimize(to.data());
  }
}
BENCHMARK(copy_of_a_1080p_picture)->Unit(benchmark::kMillisecond);

}  // namespace
