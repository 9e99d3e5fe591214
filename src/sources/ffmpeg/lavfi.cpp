#include <sources/ffmpeg/sources.hpp>
#include <sources/ffmpeg/timeline.hpp>
#include <support/ffmpeg/pictures.hpp>

extern "C" {
#include <libavfilter/avfilter.h>
#include <libavfilter/buffersink.h>
}

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace vidloom {
namespace {

struct FreeGraph {
  void operator()(AVFilterGraph* graph) const noexcept { avfilter_graph_free(&graph); }
};

/// Unlinked ends of a parsed graph.
class Ends {
 public:
  Ends() = default;
  Ends(const Ends&) = delete;
  Ends& operator=(const Ends&) = delete;
  ~Ends() { avfilter_inout_free(&list_); }
  AVFilterInOut** out() noexcept { return &list_; }
  AVFilterInOut* get() const noexcept { return list_; }

 private:
  AVFilterInOut* list_ = nullptr;
};

/// \return whether `graph` uses the filter `name`: the word at the start of a filter, after any link label.
bool uses(std::string_view graph, std::string_view name) {
  for (std::size_t at = graph.find(name); at != std::string_view::npos; at = graph.find(name, at + 1)) {
    const std::size_t before = graph.find_last_not_of(" \t\r\n", at == 0 ? 0 : at - 1);
    const bool starts = at == 0 || before == std::string_view::npos || graph[before] == ',' || graph[before] == ';' || graph[before] == ']';
    const std::size_t end = at + name.size();
    const bool ends = end >= graph.size() || std::string_view("=@,;[ \t\r\n").find(graph[end]) != std::string_view::npos;
    if (starts && ends) return true;
  }
  return false;
}

class LavfiSource final : public Source {
 public:
  LavfiSource(std::string uri, std::string description, std::int64_t max_pixels)
      : uri_(std::move(uri)), description_(std::move(description)), max_pixels_(max_pixels) {}

  SourceInfo open(SourceContext& context) override;
  ReadResult read() override;
  void interrupt() noexcept override { stopped_ = true; }
  void close() noexcept override {
    graph_.reset();
    cpu_ = nullptr;
    stopped_ = false;
  }
  SourceStats stats() const noexcept override { return stats_; }

 private:
  const std::string uri_, description_;
  const std::int64_t max_pixels_;
  std::atomic<bool> stopped_{false};
  StreamId stream_{};
  CpuGate* cpu_ = nullptr;
  std::unique_ptr<AVFilterGraph, FreeGraph> graph_;
  AVFilterContext* sink_ = nullptr;  ///< owned by graph_
  Timeline timeline_;
  Nanos usual_duration_{};
  std::uint64_t next_sequence_ = 0;
  SourceStats stats_;
};

SourceInfo LavfiSource::open(SourceContext& context) {
  if (stopped_) throw Error(Code::cancelled, uri_ + ": reading was stopped");
  stats_ = {};
  next_sequence_ = 0;
  stream_ = context.stream;
  for (const std::string_view reader : {"movie", "amovie"})
    if (uses(description_, reader))
      throw Error(Code::config, "lavfi: the filter '" + std::string(reader) + "' opens files; give the file itself as the source");
  graph_.reset(av::allocated(avfilter_graph_alloc()));
  const auto fail = [&](const std::string& reason) { return Error(Code::config, uri_ + ": " + reason); };
  Ends inputs, outputs;
  if (const int code = avfilter_graph_parse2(graph_.get(), description_.c_str(), inputs.out(), outputs.out()); code < 0)
    throw fail("not a filter graph that FFmpeg understands: " + av::error_text(code));
  const AVFilterInOut* output = outputs.get();
  if (inputs.get() || !output || output->next ||
      avfilter_pad_get_type(output->filter_ctx->output_pads, output->pad_idx) != AVMEDIA_TYPE_VIDEO)
    throw fail("the graph must have no input and one video output, as in lavfi:testsrc2=size=640x360:rate=25");
  if (const int code = avfilter_graph_create_filter(&sink_, avfilter_get_by_name("buffersink"), "out", nullptr, nullptr, graph_.get()); code < 0)
    throw fail(av::error_text(code));
  int code = avfilter_link(output->filter_ctx, static_cast<unsigned>(output->pad_idx), sink_, 0);
  if (code >= 0) code = avfilter_graph_config(graph_.get(), nullptr);
  if (code < 0) throw fail("the graph cannot be set up: " + av::error_text(code));

  const Size size{av_buffersink_get_w(sink_), av_buffersink_get_h(sink_)};
  if (std::int64_t{size.width} * size.height > max_pixels_) throw av::too_large(uri_, size, max_pixels_);
  const AVRational rate = av_buffersink_get_frame_rate(sink_);
  usual_duration_ = rate.num > 0 && rate.den > 0 ? from_pts(1, {rate.den, rate.num}) : Nanos{};
  const auto format = static_cast<AVPixelFormat>(av_buffersink_get_format(sink_));
  SourceInfo info;
  info.time_base = av::rational(av_buffersink_get_time_base(sink_));
  info.size = info.coded_size = size;
  info.codec = "raw";
  info.uri = uri_;
  info.colour = av::colour_of(AVCOL_SPC_UNSPECIFIED, AVCOL_RANGE_UNSPECIFIED, AVCOL_TRC_UNSPECIFIED, AVCHROMA_LOC_UNSPECIFIED, format);
  info.details = Value::object();
  info.details.set("container", "lavfi");
  info.details.set("pixel_format", av_get_pix_fmt_name(format));
  info.details.set("frame_rate", rate.num > 0 ? Value(Value::Array{Value(rate.num), Value(rate.den)}) : Value());
  info.details.set("oddities", Value::array());
  timeline_ = Timeline({.time_base = info.time_base});
  cpu_ = &context.cpu;
  return info;
}

ReadResult LavfiSource::read() {
  if (!cpu_) throw Error(Code::config, uri_ + ": read() before open()");
  if (stopped_) throw Error(Code::cancelled, uri_ + ": reading was stopped");
  av::FramePtr frame = av::make_frame();
  int code = 0;
  {
    CpuGate::Pass pass(*cpu_);
    code = av_buffersink_get_frame(sink_, frame.get());
  }
  if (stopped_) throw Error(Code::cancelled, uri_ + ": reading was stopped");
  if (code == AVERROR_EOF) {
    if (stats_.decoded == 0) throw Error(Code::decode, uri_ + " gave no picture");
    return End{};
  }
  if (code < 0) throw Error(Code::decode, uri_ + ": " + av::error_text(code));
  FrameInfo info;
  info.stream = stream_;
  info.sequence = next_sequence_++;
  info.time.time_base = av::rational(av_buffersink_get_time_base(sink_));
  const std::int64_t ticks = av::duration_of(*frame);
  info.duration = ticks > 0 ? std::min(from_pts(ticks, info.time.time_base), Timeline::farthest) : usual_duration_;
  const Timeline::Stamp stamp = timeline_.next(av::timestamp(frame->pts), info.duration);
  info.time.media_time = stamp.media_time;
  info.time.pts = frame->pts != AV_NOPTS_VALUE
                      ? frame->pts
                      : av_rescale_q(stamp.media_time.count(), AVRational{1, 1'000'000'000}, av_buffersink_get_time_base(sink_));
  info.time.received_at = std::chrono::steady_clock::now();
  av::describe(*frame, {}, info);
  info.health = av::health_of(*frame, false);
  ++stats_.decoded;
  stats_.repairs += stamp.repaired;
  return av::adopt(std::move(frame), info);
}

}  // namespace

std::unique_ptr<Source> make_lavfi_source(const Value& options) {
  const std::string& uri = options["uri"].as_string();
  const std::string description = uri.starts_with("lavfi:") ? uri.substr(6) : uri;
  if (description.empty()) throw Error(Code::config, "lavfi: no filter graph; write lavfi:testsrc2=size=640x360:rate=25");
  if (const Value* trust = options.find("trust"); trust && trust->is_string() && (trust->as_string() == "lan" || trust->as_string() == "untrusted"))
    throw Error(Code::config, "trust is '" + trust->as_string() + "', but a lavfi graph runs what it says; it is for trust local only");
  return std::make_unique<LavfiSource>(uri, description, av::pixel_limit(options));
}

}  // namespace vidloom
