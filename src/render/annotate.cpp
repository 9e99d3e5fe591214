// The sink that draws: which results stand on which picture.
#include <core/builtin.hpp>
#include <render/annotator.hpp>
#include <shared_sink.hpp>

#include <vidloom/core/error.hpp>

#include <algorithm>
#include <utility>

namespace vidloom {
inline namespace v0 {
namespace {

/// Note [Held results]
/// Between two looks of an analysis its last result stands on the pictures, so that boxes do not flicker: as long as the next look may
/// be away, which is one `every`, and `tolerance` more. A result is drawn first on the picture it is of: sinks are told in order, and
/// a picture waits until all that is due on it has answered.
struct Held {
  std::string kind;
  std::optional<Detections> found;  ///< nothing: it failed
  Nanos until{};                    ///< exclusive
  bool knows_private = false;
};

struct Analysis {
  Nanos hold{};
  std::size_t number = 0;
  bool knows_private = false;
  std::optional<Held> held{};
};

struct Stream {
  std::map<std::string, Analysis> analyses;  ///< by name
  std::uint32_t epoch = 0;
};

std::vector<std::string> names_in(const Value& list) {
  std::vector<std::string> names;
  if (list.is_array())
    for (const Value& name : list.as_array())
      if (name.is_string()) names.push_back(name.as_string());
  return names;
}

Annotator::Layer layer_of(const std::string& kind, const std::optional<Detections>& found, const Analysis& analysis) {
  return {kind, found ? &*found : nullptr, analysis.number, analysis.knows_private};
}

class AnnotateSink final : public Sink {
 public:
  AnnotateSink(std::shared_ptr<Sink> to, const AnnotateOptions& options) : to_(std::move(to)), annotator_(options) {}

  SinkInfo info() const override { return {.every_frame = true, .pixels = true}; }
  void open(StreamId stream, const SourceInfo& source) override;
  void write(const FrameResult& result) override;
  void event(StreamId stream, const StreamEvent& event) override { to_->event(stream, event); }
  void close(StreamId stream) noexcept override {
    to_->close(stream);
    const std::lock_guard lock(mutex_);
    streams_.erase(stream);
  }

 private:
  std::shared_ptr<Stream> stream_of(StreamId stream) {
    const std::lock_guard lock(mutex_);
    auto& found = streams_[stream];
    if (!found) found = std::make_shared<Stream>();
    return found;
  }

  const std::shared_ptr<Sink> to_;
  Annotator annotator_;
  std::mutex mutex_;  ///< guards the map; each stream has one thread at a time
  std::map<StreamId, std::shared_ptr<Stream>> streams_;
};

void AnnotateSink::open(StreamId id, const SourceInfo& source) {
  auto stream = std::make_shared<Stream>();
  if (source.analyses.is_object()) {
    for (const auto& [name, about] : source.analyses.as_object()) {
      Analysis& analysis = stream->analyses[name];
      for (const char* field : {"every", "tolerance"})
        if (const Value& value = about[field]; value.is_number()) analysis.hold += from_seconds(value.as_real());
      analysis.number = stream->analyses.size() - 1;
      analysis.knows_private = annotator_.hides_any(names_in(about["vocabulary"]));
    }
  }
  {
    const std::lock_guard lock(mutex_);
    streams_[id] = std::move(stream);
  }
  to_->open(id, source);
}

void AnnotateSink::write(const FrameResult& result) {
  const std::shared_ptr<Stream> stream = stream_of(result.info.stream);
  const Nanos time = result.info.time.media_time;
  if (result.info.epoch != stream->epoch) {
    stream->epoch = result.info.epoch;
    for (auto& [name, analysis] : stream->analyses) analysis.held.reset();
  }
  for (const auto& [name, outcome] : result.outcomes) {
    Analysis& analysis = stream->analyses[name];
    std::optional<Detections> found;
    if (outcome.answered()) found = outcome.detections();
    analysis.held = Held{outcome.kind(), std::move(found), time + analysis.hold, analysis.knows_private};
  }
  if (!result.frame) return to_->write(result);
  std::vector<Annotator::Layer> layers;
  for (auto& [name, analysis] : stream->analyses) {
    if (!analysis.held) continue;
    if (time >= analysis.held->until && !result.find(name)) {
      analysis.held.reset();
      continue;
    }
    Annotator::Layer layer = layer_of(analysis.held->kind, analysis.held->found, analysis);
    if (annotator_.draws(layer)) layers.push_back(std::move(layer));
  }
  if (layers.empty()) return to_->write(result);
  YuvPicture picture = YuvPicture::upright_of(*result.frame);
  Canvas canvas(picture);
  annotator_.draw(canvas, layers);
  FrameResult drawn = result;
  drawn.frame = picture.frame();
  to_->write(drawn);
}

}  // namespace

std::shared_ptr<Sink> annotate(std::shared_ptr<Sink> to, const AnnotateOptions& options) {
  if (!to) throw Error(Code::config, "annotate() got a null sink; give the one that takes the pictures, such as video(\"out.mp4\")");
  return std::make_shared<AnnotateSink>(std::move(to), options);
}

std::unique_ptr<Sink> make_annotate_sink(const Value& options) {
  AnnotateOptions drawing;
  Value rest = Value::object();
  for (const auto& [name, value] : options.as_object()) {
    if (name == "blur" || name == "pixelate") {
      if (!value.is_array() || names_in(value).size() != value.as_array().size()) {
        throw Error(Code::config, "option " + name + " of sink annotate is " + value.dump() + "; use a list of class names");
      }
      (name == "blur" ? drawing.blur : drawing.pixelate) = names_in(value);
    } else if (name == "scale" && value.is_number()) {
      drawing.scale = static_cast<float>(value.as_real());
    } else if (name == "font" && value.is_string()) {
      drawing.font = value.as_string();
    } else if (name != "uri") {
      rest.set(name, value);
    }
  }
  const std::string& uri = options["uri"].as_string();
  const std::size_t colon = uri.find(':');
  if (colon == std::string::npos || colon + 1 == uri.size()) throw Error(Code::config, "sink annotate names no file; use annotate:out.mp4");
  return std::make_unique<SharedSink>(annotate(make_sink("video" + uri.substr(colon), rest), drawing));
}

Frame annotated(const Frame& frame, const FrameResult& result, const AnnotateOptions& options) {
  Annotator annotator(options);
  std::vector<Annotator::Layer> layers;
  for (const auto& [name, outcome] : result.outcomes) {
    Annotator::Layer layer{.kind = outcome.kind(), .found = outcome.answered() ? &outcome.detections() : nullptr, .number = layers.size()};
    const bool named = outcome.answered() && outcome.detections().vocabulary;
    layer.knows_private = annotator.hides_any(named ? outcome.detections().vocabulary->names : std::vector<std::string>());
    layers.push_back(std::move(layer));
  }
  YuvPicture picture = YuvPicture::upright_of(frame);
  Canvas canvas(picture);
  annotator.draw(canvas, layers);
  return picture.frame();
}

}  // namespace v0
}  // namespace vidloom
