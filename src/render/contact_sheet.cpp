// The contact sheet: which moments, each drawn at the size it is shown, laid out in a grid.
#include <vidloom/render/contact_sheet.hpp>

#include <core/builtin.hpp>
#include <core/component.hpp>
#include <core/whole_file.hpp>
#include <render/annotator.hpp>
#include <shared_sink.hpp>
#include <top_moments.hpp>
#include <vidloom/core/error.hpp>
#include <vidloom/core/log.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>
#include <set>
#include <utility>

namespace vidloom {
inline namespace v0 {
namespace {

constexpr int gap = 6;
constexpr std::byte paper{24};

std::string clock_text(Nanos time) {
  const std::int64_t ms = std::max<std::int64_t>(0, (time.count() + 500'000) / 1'000'000), whole = ms / 1000;
  if (whole >= 3600) return fmt::format("{}:{:02}:{:02}.{}", whole / 3600, whole / 60 % 60, whole % 60, ms % 1000 / 100);
  return fmt::format("{}:{:02}.{}", whole / 60, whole % 60, ms % 1000 / 100);
}

std::string plain(std::string_view text) {
  std::string result;
  for (const char c : text.substr(0, 60)) result += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? ' ' : c;
  return result;
}

Detections scaled(const Detections& found, float x, float y) {
  Detections small = found;
  for (Box& box : small.xyxy) box = {box.x1 * x, box.y1 * y, box.x2 * x, box.y2 * y};
  for (std::vector<float>& polygon : small.polygon)
    for (std::size_t i = 0; i < polygon.size(); ++i) polygon[i] *= i % 2 == 0 ? x : y;
  return small;
}

double score_of(const FrameResult& result) {
  double score = 0.01;
  for (const auto& [name, outcome] : result.outcomes) {
    if (!outcome.answered()) continue;
    const Detections& found = outcome.detections();
    const double weight = outcome.kind() == "motion" ? 0.1 : 1;
    const std::set<std::int32_t> classes(found.class_id.begin(), found.class_id.end());
    score += weight * static_cast<double>(classes.size());
    for (std::size_t row = 0; row < std::min<std::size_t>(found.size(), 64); ++row) {
      const float confidence = row < found.confidence.size() ? found.confidence[row] : NAN;
      score += weight * (std::isnan(confidence) ? 0.5 : static_cast<double>(confidence));
    }
    for (const Detections::Label& label : found.labels) score += std::isnan(label.confidence) ? 0 : weight * static_cast<double>(label.confidence) / 4;
  }
  return score;
}

class SheetSink final : public Sink {
 public:
  SheetSink(const std::string& path, const ContactSheetOptions& options) : path_(path), options_(options), annotator_(options.drawing), words_(options.drawing.font) {
    expect_writable(path_, options_.overwrite);
    picture_encoder("a contact sheet");
  }

  SinkInfo info() const override { return {.pixels = true}; }
  void open(StreamId id, const SourceInfo& source) override {
    auto stream = std::make_shared<Stream>(Stream{.name = source.stream, .moments = TopMoments<Image>(static_cast<std::size_t>(options_.cells))});
    if (source.analyses.is_object()) {
      for (const auto& [name, about] : source.analyses.as_object()) {
        std::vector<std::string> words;
        if (about["vocabulary"].is_array())
          for (const Value& word : about["vocabulary"].as_array())
            if (word.is_string()) words.push_back(word.as_string());
        if (annotator_.hides_any(words)) stream->knows_private.insert(name);
        stream->numbers.emplace(name, stream->numbers.size());
      }
    }
    const std::lock_guard lock(mutex_);
    open_[id] = std::move(stream);
  }
  void write(const FrameResult& result) override;
  void event(StreamId id, const StreamEvent& event) override {
    if (event.kind == StreamEvent::Kind::ended) finish(id);
  }
  void close(StreamId id) noexcept override {
    try {
      finish(id);
    } catch (const std::exception& error) {
      log(LogLevel::error, "sink", error.what());
    }
  }

 private:
  struct Stream {
    std::string name;
    TopMoments<Image> moments;
    std::set<std::string> knows_private{};
    std::map<std::string, std::size_t> numbers{};
  };
  struct Cell {
    Nanos time;
    const Image* picture;
    std::string label;
    double score;
  };
  Image small(const FrameResult& result, const Stream& stream);
  void finish(StreamId id);
  void write_sheet(const std::vector<std::shared_ptr<Stream>>& streams);
  Image labelled(const Image& picture, const std::string& label);

  const std::string path_;
  const ContactSheetOptions options_;
  Annotator annotator_;
  Lettering words_;
  std::mutex mutex_;  ///< guards the two below; each stream has one thread at a time
  std::map<StreamId, std::shared_ptr<Stream>> open_;
  std::vector<std::shared_ptr<Stream>> ended_;
  std::mutex writing_;
  bool written_ = false;
};

void SheetSink::write(const FrameResult& result) {
  std::shared_ptr<Stream> stream;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = open_.find(result.info.stream); found != open_.end()) stream = found->second;
  }
  if (!stream || !result.frame) return;
  for (const std::string& name : stream->knows_private) {
    const Outcome* outcome = result.find(name);
    if (!outcome || !outcome->answered()) return;
  }
  const Nanos time = result.info.time.media_time;
  const double score = score_of(result);
  if (stream->moments.wants(time, score)) stream->moments.keep(time, score, small(result, *stream));
}

/// The frame as small as it will be shown, square pixels, with its boxes and labels.
Image SheetSink::small(const FrameResult& result, const Stream& stream) {
  const Frame& frame = *result.frame;
  FrameInfo info = frame.info();
  double width = frame.size().width, height = frame.size().height;
  if (info.sample_aspect.num > 0 && info.sample_aspect.den > 0) {
    (info.rotation_degrees % 180 != 0 ? height : width) *= static_cast<double>(info.sample_aspect.num) / static_cast<double>(info.sample_aspect.den);
  }
  const double scale = std::min(1.0, options_.width / width);
  const Size size{std::max(16, static_cast<int>(std::lround(width * scale))), std::max(16, static_cast<int>(std::lround(height * scale)))};
  const Image image = frame.image({.size = size, .format = ImageSpec::Format::rgb8, .filter = Filter::bilinear, .mode = ColourMode::fast});
  const float x = static_cast<float>(size.width) / static_cast<float>(frame.size().width), y = static_cast<float>(size.height) / static_cast<float>(frame.size().height);
  std::vector<Detections> found;
  found.reserve(result.outcomes.size());
  std::vector<Annotator::Layer> layers;
  for (const auto& [name, outcome] : result.outcomes) {
    if (!outcome.answered()) continue;
    found.push_back(scaled(outcome.detections(), x, y));
    const auto number = stream.numbers.find(name);
    layers.push_back({outcome.kind(), &found.back(), number == stream.numbers.end() ? 0 : number->second, stream.knows_private.contains(name)});
  }
  FrameInfo plain_info{};
  plain_info.time = info.time;
  YuvPicture picture = YuvPicture::upright_of(Frame::copy_of({image.bytes().data(), image.stride(), size}, plain_info));
  Canvas canvas(picture);
  annotator_.draw(canvas, layers);
  return picture.frame().image({.format = ImageSpec::Format::rgb8});
}

Image SheetSink::labelled(const Image& picture, const std::string& label) {
  YuvPicture drawn = YuvPicture::upright_of(Frame::copy_of({picture.bytes().data(), picture.stride(), picture.size()}, FrameInfo{}));
  Canvas canvas(drawn);
  const int height = std::clamp(picture.size().height / 14, 11, 28), pad = 3;
  const std::shared_ptr<const Coverage> letters = words_.of(label, height);
  const int top = picture.size().height - letters->size.height;
  canvas.fill({0, top, letters->size.width + 2 * pad, picture.size().height}, {0, 0, 0}, 190);
  canvas.blend(*letters, pad, top, {255, 255, 255});
  return drawn.frame().image({.format = ImageSpec::Format::rgb8});
}

void SheetSink::finish(StreamId id) {
  std::vector<std::shared_ptr<Stream>> streams;
  {
    const std::lock_guard lock(mutex_);
    const auto found = open_.find(id);
    if (found == open_.end()) return;
    ended_.push_back(std::move(found->second));
    open_.erase(found);
    if (open_.empty()) streams = ended_;
  }
  if (!streams.empty()) write_sheet(streams);
}

void SheetSink::write_sheet(const std::vector<std::shared_ptr<Stream>>& streams) {
  const std::lock_guard writing(writing_);
  const auto wanted = static_cast<std::size_t>(options_.cells);
  std::vector<Cell> cells;
  for (const auto& stream : streams) {
    for (const auto* moment : stream->moments.best(wanted)) {
      cells.push_back({moment->time, &moment->value, (streams.size() > 1 ? plain(stream->name) + "  " : "") + clock_text(moment->time), moment->score});
    }
  }
  if (cells.empty()) return;  // no picture: no sheet
  if (cells.size() > wanted) {
    std::vector<double> scores;
    for (const Cell& cell : cells) scores.push_back(cell.score);
    std::nth_element(scores.begin(), scores.begin() + static_cast<std::ptrdiff_t>(wanted) - 1, scores.end(), std::greater<>());
    const double least = scores[wanted - 1];
    std::erase_if(cells, [&](const Cell& cell) { return cell.score < least; });
    cells.resize(std::min(cells.size(), wanted), cells.front());
  }
  Size cell{};
  for (const Cell& one : cells) cell = {std::max(cell.width, one.picture->size().width), std::max(cell.height, one.picture->size().height)};
  const int columns = std::min(options_.columns, static_cast<int>(cells.size())), rows = (static_cast<int>(cells.size()) + columns - 1) / columns;
  const Size sheet{columns * (cell.width + gap) + gap, rows * (cell.height + gap) + gap};
  const std::ptrdiff_t stride = std::ptrdiff_t{3} * sheet.width;
  std::vector<std::byte> pixels(static_cast<std::size_t>(stride) * static_cast<std::size_t>(sheet.height), paper);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const Image picture = labelled(*cells[i].picture, cells[i].label);
    const int left = gap + static_cast<int>(i) % columns * (cell.width + gap), top = gap + static_cast<int>(i) / columns * (cell.height + gap);
    for (int y = 0; y < picture.size().height; ++y) {
      std::memcpy(pixels.data() + (top + y) * stride + std::ptrdiff_t{3} * left, picture.bytes().data() + y * picture.stride(), static_cast<std::size_t>(picture.size().width) * 3);
    }
  }
  const std::vector<std::byte> png = picture_encoder("a contact sheet").png({pixels.data(), stride, sheet});
  replace_file(path_, {reinterpret_cast<const char*>(png.data()), png.size()}, options_.overwrite || written_);
  written_ = true;
}

}  // namespace

std::shared_ptr<Sink> contact_sheet(const std::string& path, const ContactSheetOptions& options) {
  if (!path.ends_with(".png")) throw Error(Code::config, "the contact sheet's name is '" + path + "'; end it in .png");
  const auto check = [](const char* name, int value, int least, int most) {
    if (value < least || value > most) {
      throw Error(Code::config, fmt::format("ContactSheetOptions.{} is {}; use {} to {}", name, value, least, most));
    }
  };
  check("columns", options.columns, 1, 20);
  check("cells", options.cells, 1, 200);
  check("width", options.width, 64, 1920);
  return std::make_shared<SheetSink>(path, options);
}

std::unique_ptr<Sink> make_sheet_sink(const Value& options) {
  ContactSheetOptions sheet;
  const auto names = [](const Value& list) {
    std::vector<std::string> found;
    for (const Value& name : list.as_array()) found.push_back(name.as_string());
    return found;
  };
  const auto number = [](const Value& value) { return static_cast<int>(std::clamp<std::int64_t>(value.as_integer(), -1, 100'000)); };
  for (const auto& [name, value] : options.as_object()) {
    if (name == "uri") continue;
    if (name == "overwrite" && value.is_bool()) sheet.overwrite = value.as_bool();
    else if (name == "columns" && value.is_integer()) sheet.columns = number(value);
    else if (name == "cells" && value.is_integer()) sheet.cells = number(value);
    else if (name == "width" && value.is_integer()) sheet.width = number(value);
    else if (name == "blur" && value.is_array()) sheet.drawing.blur = names(value);
    else if (name == "pixelate" && value.is_array()) sheet.drawing.pixelate = names(value);
    else throw Error(Code::config, "option " + name + " of sink sheet is " + value.dump() + "; there are overwrite (true, false), columns, cells and width "
                                   "(whole numbers), blur and pixelate (lists of class names)");
  }
  const std::string& uri = options["uri"].as_string();
  const std::size_t colon = uri.find(':');
  if (colon == std::string::npos || colon + 1 == uri.size()) throw Error(Code::config, "sink sheet names no file; use sheet:out.png");
  return std::make_unique<SharedSink>(contact_sheet(uri.substr(colon + 1), sheet));
}

}  // namespace v0
}  // namespace vidloom
