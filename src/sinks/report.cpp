// The sink behind a report's page: its streams, and the films it makes where none was named.
#include <vidloom/sinks/report.hpp>

#include <core/component.hpp>
#include <core/whole_file.hpp>
#include <sinks/html.hpp>
#include <sinks/report_page.hpp>
#include <vidloom/core/log.hpp>
#include <vidloom/registry.hpp>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>
#include <utility>

namespace vidloom {
inline namespace v0 {
namespace {

namespace fs = std::filesystem;

constexpr int most_moments = 200;

/// "/clips/a.mp4" of "file:/clips/a.mp4"; itself otherwise.
std::string path_of(const std::string& uri) {
  for (const std::string_view scheme : {"file:", "segment:"})
    if (uri.starts_with(scheme)) return uri.substr(scheme.size());
  return uri;
}

Value list_of(const std::vector<std::string>& names) {
  Value list = Value::array();
  for (const std::string& name : names) list.push_back(name);
  return list;
}

/// A stream's name as part of a file's.
std::string file_part(const std::string& name) {
  std::string part;
  for (const char c : name.substr(0, 80)) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || (static_cast<unsigned char>(c) & 0x80U);
    part += plain ? c : '_';
  }
  return part.empty() ? "stream" : part;
}

const Value& picture_stream(const SourceInfo& source) {
  static const Value none;
  const Value &streams = source.details["streams"], &number = source.details["stream"];
  if (!streams.is_array() || !number.is_integer()) return none;
  const auto index = static_cast<std::size_t>(number.as_integer());
  return index < streams.size() ? streams.at(index) : none;
}

class ReportSink final : public Sink {
 public:
  ReportSink(const std::string& path, const ReportOptions& options) : path_(path), options_(options) {
    expect_writable(path_, options_.overwrite);
    picture_encoder("the pictures of a report");
    hidden_.insert(options_.blur.begin(), options_.blur.end());
    hidden_.insert(options_.pixelate.begin(), options_.pixelate.end());
    if (options_.video.empty() && !options_.plays_source) {
      const std::string name = film_name("");
      first_film_ = {name, film(name)};
    }
  }

  SinkInfo info() const override { return {.every_frame = !options_.plays_source, .pixels = true}; }
  void open(StreamId stream, const SourceInfo& source) override;
  void write(const FrameResult& result) override;
  void event(StreamId stream, const StreamEvent& event) override;
  void close(StreamId stream) noexcept override;

 private:
  struct Film {
    std::string name{};
    std::shared_ptr<Sink> sink{};
  };
  struct Open {
    std::shared_ptr<ReportStream> stream;
    std::shared_ptr<Sink> film{};
    bool opened = false;
  };

  std::string film_name(const std::string& stream);
  std::shared_ptr<Sink> film(const std::string& name) const;
  Open open_of(StreamId stream) {
    const std::lock_guard lock(mutex_);
    const auto found = open_.find(stream);
    return found == open_.end() ? Open{} : found->second;
  }
  void finish(StreamId stream, const Open& open, const StreamEvent& event);
  void write_page();

  const std::string path_;
  const ReportOptions options_;
  std::set<std::string, std::less<>> hidden_;
  std::mutex mutex_;  ///< guards what is below; each stream has one thread at a time
  std::map<StreamId, Open> open_;
  std::vector<std::shared_ptr<const ReportStream>> ended_;
  std::set<std::string> film_names_;
  Film first_film_;
  bool first_taken_ = false;
  std::mutex writing_;  ///< one page at a time
  bool written_ = false;
};

/// "out.mp4" beside "out.html", "out-gate.mp4" for a later stream.
std::string ReportSink::film_name(const std::string& stream) {
  const fs::path page(path_);
  const std::string stem = (page.parent_path() / page.stem()).string();
  const std::string base = stream.empty() ? stem : stem + "-" + file_part(stream);
  std::string name = base + ".mp4";
  for (int number = 2; !film_names_.insert(name).second; ++number) name = base + "-" + std::to_string(number) + ".mp4";
  return name;
}

std::shared_ptr<Sink> ReportSink::film(const std::string& name) const {
  Value drawing = Value::object().set("overwrite", options_.overwrite);
  drawing.set("blur", list_of(options_.blur)).set("pixelate", list_of(options_.pixelate));
  return make_sink("annotate:" + name, drawing);
}

void ReportSink::open(StreamId id, const SourceInfo& source) {
  auto stream = std::make_shared<ReportStream>(source, ReportStream::Options{static_cast<std::size_t>(options_.moments), hidden_});
  Open open{.stream = stream};
  std::string film_file;
  {
    const std::lock_guard lock(mutex_);
    const bool first = !std::exchange(first_taken_, true);
    if (options_.plays_source) {
      stream->video = relative_url(path_of(source.uri), path_);
      stream->film_begins_at_first = false;
      const Value &of_pictures = picture_stream(source)["start"], &of_file = source.details["start"];
      const double start = of_pictures.is_number() ? of_pictures.as_real() : of_file.is_number() ? of_file.as_real() : 0;
      stream->film_start = from_seconds(start);
    } else if (!options_.video.empty() && first) {
      stream->video = relative_url(options_.video, path_);
    } else {
      film_file = first ? first_film_.name : film_name(source.stream);
      open.film = first ? std::exchange(first_film_.sink, nullptr) : nullptr;
    }
  }
  if (!film_file.empty()) {
    std::error_code ignored;
    if (fs::equivalent(path_of(source.uri), film_file, ignored)) {
      throw Error(Code::config, "the report would write its film over its own source " + film_file + "; choose another name for the report, or name a video");
    }
    if (!open.film) open.film = film(film_file);
    stream->video = relative_url(film_file, path_);
  }
  {
    const std::lock_guard lock(mutex_);
    open_[id] = open;
  }
  if (open.film) open.film->open(id, source);
  const std::lock_guard lock(mutex_);
  open_[id].opened = true;
}

void ReportSink::write(const FrameResult& result) {
  const Open open = open_of(result.info.stream);
  if (!open.stream) return;
  if (open.film) open.film->write(result);
  open.stream->add(result);
}

void ReportSink::event(StreamId id, const StreamEvent& event) {
  const Open open = open_of(id);
  if (!open.stream) return;
  if (event.kind == StreamEvent::Kind::ended) return finish(id, open, event);
  if (open.film) open.film->event(id, event);
  open.stream->note(event);
}

void ReportSink::finish(StreamId id, const Open& open, const StreamEvent& event) {
  std::exception_ptr failure;
  try {
    if (open.film) open.film->event(id, event);
  } catch (...) {
    failure = std::current_exception();  // the page is worth having all the same
  }
  open.stream->end(event);
  bool last = false;
  {
    const std::lock_guard lock(mutex_);
    ended_.push_back(open.stream);
    open_[id].stream = nullptr;
    last = std::none_of(open_.begin(), open_.end(), [](const auto& one) { return one.second.stream != nullptr; });
  }
  if (last) write_page();
  if (failure) std::rethrow_exception(failure);
}

void ReportSink::write_page() {
  const std::lock_guard writing(writing_);
  std::vector<std::shared_ptr<const ReportStream>> streams;
  {
    const std::lock_guard lock(mutex_);
    streams = ended_;
  }
  replace_file(path_, report_page(options_.title, streams), options_.overwrite || written_);
  written_ = true;
}

void ReportSink::close(StreamId id) noexcept {
  Open open = open_of(id);
  try {
    if (open.stream && open.opened) finish(id, open, {.kind = StreamEvent::Kind::ended, .detail = "stopped"});  // nobody told of the end
  } catch (const std::exception& error) {
    log(LogLevel::error, "sink", error.what());
  } catch (...) {
    log(LogLevel::error, "sink", path_ + " could not be finished");
  }
  if (open.film) open.film->close(id);
  const std::lock_guard lock(mutex_);
  open_.erase(id);
}

}  // namespace

std::shared_ptr<Sink> report(const std::string& path, const ReportOptions& options) {
  if (path.empty()) throw Error(Code::config, "the name of the report is empty; use a name that ends in .html");
  if (options.moments < 1 || options.moments > most_moments) {
    throw Error(Code::config, "ReportOptions.moments is " + std::to_string(options.moments) + "; use 1 to " + std::to_string(most_moments));
  }
  const bool hides = !(options.blur.empty() && options.pixelate.empty());
  if (options.plays_source && !options.video.empty()) throw Error(Code::config, "ReportOptions.video and plays_source are both set; use one of them");
  if (options.plays_source && hides) throw Error(Code::config, "a report that plays the source itself cannot hide anybody in it; leave plays_source out");
  if (fs::path(path).extension() == ".mp4") throw Error(Code::config, "the report's name is '" + path + "'; end it in .html");
  return std::make_shared<ReportSink>(path, options);
}

bool plays_in_browsers(const std::string& uri) noexcept {
  try {
    const std::string ending = fs::path(path_of(uri)).extension().string();
    const bool webm = ending == ".webm", mp4 = ending == ".mp4" || ending == ".m4v" || ending == ".mov";
    if (!(webm || mp4) || !fs::is_regular_file(path_of(uri))) return false;
    const std::unique_ptr<Source> source = open_source(uri);
    SourceContext context{.stream = StreamId{0}, .cpu = CpuGate::process(), .details = true};
    const SourceInfo info = source->open(context);
    source->close();
    const Value& format = picture_stream(info)["pixel_format"];
    const bool plain = format.is_string() && (format.as_string() == "yuv420p" || format.as_string() == "yuvj420p");
    const bool codec = info.codec == "vp9" || info.codec == "av1" || (webm ? info.codec == "vp8" : info.codec == "h264");
    return plain && codec;
  } catch (...) {
    return false;
  }
}

}  // namespace v0
}  // namespace vidloom
