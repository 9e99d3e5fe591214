#include <sinks/sinks.hpp>
#include <vidloom/core/version.hpp>
#include <vidloom/sinks/jsonl.hpp>

#include <map>
#include <mutex>
#include <utility>

namespace vidloom {
inline namespace v0 {
namespace {

std::string_view word(StreamEvent::Kind kind) noexcept {
  switch (kind) {
    case StreamEvent::Kind::new_epoch: return "new_epoch";
    case StreamEvent::Kind::gap: return "gap";
    case StreamEvent::Kind::format_change: return "format_change";
    case StreamEvent::Kind::ended: return "ended";
  }
  return "unknown";
}

Value record(std::string_view type, const std::string& stream) {
  Value line = Value::object();
  line.set("schema", "vidloom/result/v1").set("type", type).set("stream", stream);
  return line;
}

Value size_of(Size size) { return Value(Value::Array{size.width, size.height}); }

Value colour_of(const SourceInfo& source) {
  const ColourTags used = effective_colour(source.colour, source.coded_size.empty() ? source.size : source.coded_size);
  Value colour = Value::object();
  colour.set("matrix", to_string(used.matrix)).set("range", to_string(used.range));
  colour.set("assumed", source.colour.matrix == Matrix::unknown || source.colour.range == Range::unknown);
  colour.set("mode", "exact");
  return colour;
}

Value start_record(const SourceInfo& source) {
  Value line = record("start", source.stream);
  line.set("source", source.uri).set("live", source.live).set("frame_size", size_of(source.size));
  line.set("time_base", Value(Value::Array{source.time_base.num, source.time_base.den}));
  line.set("colour", colour_of(source)).set("vidloom", version());
  line.set("analyses", source.analyses.is_object() ? source.analyses : Value::object());
  return line;
}

class Jsonl final : public Sink {
 public:
  Jsonl(const std::string& path, LineFileOptions options) : file_(path, options) {}

  void open(StreamId stream, const SourceInfo& source) override {
    {
      const std::lock_guard lock(mutex_);
      streams_[stream] = {.name = source.stream};
    }
    put(stream, start_record(source));
  }

  void write(const FrameResult& result) override { put(result.info.stream, to_value(result)); }

  void event(StreamId stream, const StreamEvent& event) override {
    const bool ended = event.kind == StreamEvent::Kind::ended;
    const Open open = state_of(stream);
    if (ended && open.failed) return;  // its writer knows already, and no end follows a line that is missing
    Value line = record(ended ? "end" : "event", open.name);
    if (!ended) {
      line.set("at", format_utc(wall_now())).set("event", word(event.kind));
      if (!event.detail.empty()) line.set("detail", event.detail);
    }
    if (event.data.is_object()) {
      for (const auto& [key, value] : event.data.as_object()) line.set(key, value);
    }
    put(stream, line);
  }

  void close(StreamId stream) noexcept override {
    const std::lock_guard lock(mutex_);
    streams_.erase(stream);
  }

 private:
  struct Open {
    std::string name{};
    bool failed = false;
  };
  void put(StreamId stream, const Value& line) {
    try {
      file_.write(line.dump() + '\n');
    } catch (const Error&) {
      const std::lock_guard lock(mutex_);
      if (const auto found = streams_.find(stream); found != streams_.end()) found->second.failed = true;
      throw;
    }
  }
  Open state_of(StreamId stream) {
    const std::lock_guard lock(mutex_);
    const auto found = streams_.find(stream);
    return found == streams_.end() ? Open{} : found->second;
  }

  LineFile file_;
  std::mutex mutex_;  ///< guards streams_
  std::map<StreamId, Open> streams_;
};

}  // namespace

std::shared_ptr<Sink> jsonl(const std::string& path, const JsonlOptions& options) {
  return make_jsonl(path, {.overwrite = options.overwrite, .append = options.append});
}

std::unique_ptr<Sink> make_jsonl(const std::string& path, const LineFileOptions& options) { return std::make_unique<Jsonl>(path, options); }

}  // namespace v0
}  // namespace vidloom
