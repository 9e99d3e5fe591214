#include <cli/commands.hpp>
#include <cli/console.hpp>
#include <imaging/plane_md5.hpp>
#include <vidloom/core/waiting.hpp>
#include <vidloom/source.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <memory>

namespace vidloom::cli {
namespace {

constexpr Flag flags[] = {
    {"--json", "", "as JSON; with --frames one line per frame"},
    {"--frames", "", "decode all of it: sequence, pts, media_time, keyframe, health, md5 of the planes"},
};
constexpr std::string_view notes = R"(Opens the source, decodes its first picture and says what it is.

  vidloom probe street.mp4
  vidloom probe street.mp4 --frames --json | jq -r .md5
  vidloom probe test:size=640x360,frames=10
)";

/// A source that closes itself.
class Opened {
 public:
  /// \param poll  null, or called while nothing comes; what it throws leaves the constructor or next().
  Opened(const std::string& uri, void (*poll)()) : source_(open_source(uri)), uri_(redact(uri)), poll_(poll) {
    SourceContext context{.stream = StreamId{0}, .cpu = CpuGate::process(), .details = true};
    const WhileWaiting hook(poll);
    info_ = source_->open(context);
    if (info_.uri.empty()) info_.uri = uri_;
  }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
  ~Opened() { source_->close(); }

  const SourceInfo& info() const noexcept { return info_; }
  /// \return the next picture; nothing at the end. Throws Error(decode) when there was not a single one.
  std::optional<Frame> next() {
    const WhileWaiting hook(poll_);
    for (;;) {
      ReadResult result = source_->read();
      if (auto* frame = std::get_if<Frame>(&result)) {
        any_ = true;
        return std::move(*frame);
      }
      if (std::holds_alternative<End>(result)) break;
    }
    if (!any_) throw Error(Code::decode, uri_ + " gave no picture");
    return std::nullopt;
  }

 private:
  const std::unique_ptr<Source> source_;
  const std::string uri_;
  void (*const poll_)();
  SourceInfo info_;
  bool any_ = false;
};

Value pair_of(std::int64_t a, std::int64_t b) { return Value(Value::Array{a, b}); }

Value value_of(const SourceInfo& info, const Frame& first) {
  const FrameInfo& frame = first.info();
  const ColourTags used = effective_colour(info.colour, first.coded_size());
  Value colour = Value::object();
  colour.set("matrix", to_string(used.matrix)).set("range", to_string(used.range)).set("transfer", to_string(used.transfer));
  colour.set("chroma_site", to_string(used.chroma_site));
  colour.set("assumed", info.colour.matrix == Matrix::unknown || info.colour.range == Range::unknown);
  Value value = Value::object();
  value.set("source", info.uri).set("live", info.live).set("seekable", info.seekable).set("codec", info.codec);
  value.set("frame_size", pair_of(first.size().width, first.size().height));
  value.set("coded_size", pair_of(first.coded_size().width, first.coded_size().height));
  value.set("pixel_format", first.pixel_format()).set("duration", info.duration ? Value(seconds(*info.duration)) : Value());
  value.set("time_base", pair_of(info.time_base.num, info.time_base.den)).set("start", seconds(frame.time.media_time));
  value.set("clock", to_string(frame.time.clock)).set("colour", colour);
  value.set("sample_aspect", pair_of(frame.sample_aspect.num, frame.sample_aspect.den)).set("rotation", frame.rotation_degrees);
  return value.set("details", info.details.is_object() ? info.details : Value::object());
}

/// What is worth knowing before one wonders about it later: the source's own findings first.
std::vector<std::string> oddities_of(const SourceInfo& info, const Frame& first) {
  std::vector<std::string> found;
  if (const Value& own = info.details["oddities"]; own.is_array()) {
    for (const Value& oddity : own.as_array()) found.push_back(oddity.as_string());
  }
  if (first.info().health != Health::ok) found.emplace_back("the first picture is damaged");
  if (!info.duration && !info.live) found.emplace_back("it does not say how long it is");
  return found;
}

std::string stream_text(const Value& stream) {
  const auto text = [&stream](std::string_view key) { return stream[key].is_string() ? " " + stream[key].as_string() : std::string{}; };
  std::string line = fmt::format("stream {:<4} {:<5}{}{}", stream["index"].dump(),
                                 stream["type"].is_string() ? stream["type"].as_string() : "?", text("codec"), text("profile"));
  if (stream["width"].is_integer()) line += fmt::format(", {} x {}", stream["width"].as_integer(), stream["height"].as_integer());
  if (stream["sample_rate"].is_integer()) line += fmt::format(", {} Hz", stream["sample_rate"].as_integer());
  return line + (stream["language"].is_string() ? "," + text("language") : std::string{}) + '\n';
}

std::string readable(const SourceInfo& info, const Frame& first) {
  const Value facts = value_of(info, first);
  std::string text = fmt::format("source      {}{}\n", info.uri, info.live ? " (live)" : "");
  text += fmt::format("video       {}, {} x {}, {}\n", info.codec, first.size().width, first.size().height, first.pixel_format());
  text += info.duration ? fmt::format("duration    {:.3f} s\n", seconds(*info.duration)) : std::string("duration    not known\n");
  text += fmt::format("time base   {}/{}, clock: {}\n", info.time_base.num, info.time_base.den, facts["clock"].as_string());
  const Value& colour = facts["colour"];
  text += fmt::format("colour      {} {}{}\n", colour["matrix"].as_string(), colour["range"].as_string(),
                      colour["assumed"].as_bool() ? " (assumed: the stream does not say all)" : "");
  if (const Value& container = info.details["container"]; container.is_string())
    text += fmt::format("container   {}\n", container.as_string());
  if (const Value& streams = info.details["streams"]; streams.is_array()) {
    for (const Value& stream : streams.as_array()) text += stream_text(stream);
  }
  for (const std::string& oddity : oddities_of(info, first)) text += fmt::format("note        {}\n", oddity);
  return text;
}

std::string frame_line(const Frame& frame, bool json) {
  const FrameInfo& info = frame.info();
  if (json) {
    Value value = Value::object();
    value.set("sequence", info.sequence).set("pts", info.time.pts).set("media_time", seconds(info.time.media_time));
    value.set("keyframe", info.keyframe).set("health", to_string(info.health)).set("md5", plane_md5(frame));
    return value.dump() + '\n';
  }
  return fmt::format("{:>8} {:>14} {:>14.6f} {:<4} {:<10} {}\n", info.sequence, info.time.pts, seconds(info.time.media_time),
                     info.keyframe ? "key" : "", to_string(info.health), plane_md5(frame));
}

int run(const Arguments& arguments, const Hooks& hooks) {
  const bool json = arguments.has("--json");
  Opened source(arguments.positional().front(), hooks.poll);
  std::optional<Frame> frame = source.next();
  if (!arguments.has("--frames")) {
    print(json ? value_of(source.info(), *frame).dump(2) + '\n' : readable(source.info(), *frame));
    return 0;
  }
  if (!json) print(fmt::format("{:>8} {:>14} {:>14} {:<4} {:<10} {}\n", "sequence", "pts", "media_time", "key", "health", "md5"));
  for (; frame; frame = source.next()) {
    print(frame_line(*frame, json));
    if (hooks.poll != nullptr) hooks.poll();
  }
  return 0;
}

}  // namespace

Value probe_value(const std::string& uri, void (*poll)()) {
  Opened source(uri, poll);
  const std::optional<Frame> first = source.next();
  return value_of(source.info(), *first);
}

const Command probe_command{
    "probe", "SOURCE [--json] [--frames]", "Shows what a source is: codec, size, duration, clock, oddities", notes, flags, 1, 1, run};

}  // namespace vidloom::cli
