#include <render/annotator.hpp>

#include <core/utf8.hpp>
#include <vidloom/core/error.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace vidloom {
inline namespace v0 {
namespace {

constexpr std::size_t most_words = 512, longest_label = 120;

/// Far apart from each other on film, none of them near black or white.
constexpr std::array<Rgb, 10> palette{{{255, 179, 0}, {0, 174, 255}, {255, 72, 66}, {64, 200, 80}, {186, 104, 255}, {0, 214, 190}, {255, 105, 180},
                                       {200, 220, 0}, {255, 130, 70}, {120, 144, 255}}};

const std::array<std::string_view, 7> kinds{"object", "logo", "face", "motion", "text", "scene", "visual"};

/// Whether black is read on it more easily than white.
bool is_light(Rgb colour) noexcept { return 299 * colour.red + 587 * colour.green + 114 * colour.blue > 128'000; }

Rgb colour_of(const KindStyle& style, std::size_t number, std::int32_t class_id) noexcept {
  if (style.colour) return *style.colour;
  return palette[(number * 3 + static_cast<std::size_t>(std::max(class_id, 0))) % palette.size()];
}

std::string shortened(std::string_view text) {
  std::string whole = valid_utf8(text);
  if (whole.size() <= longest_label) return whole;
  std::size_t end = longest_label;
  while (end > 0 && (static_cast<unsigned char>(whole[end]) & 0xC0U) == 0x80U) --end;
  return whole.substr(0, end) + "\u2026";
}

template <class T>
T value_at(const std::vector<T>& column, std::size_t row, T fallback) {
  return row < column.size() ? column[row] : fallback;
}

std::string words_of(const Detections& found, std::size_t row) {
  std::string words(found.class_name(value_at(found.class_id, row, -1)));
  if (const std::string text = value_at(found.text, row, std::string()); !text.empty()) words = text;
  if (const std::int32_t track = value_at(found.tracker_id, row, -1); track >= 0) words += (words.empty() ? "#" : " #") + std::to_string(track);
  if (const float confidence = value_at(found.confidence, row, NAN); !std::isnan(confidence)) words += fmt::format("{}{:.2f}", words.empty() ? "" : " ", confidence);
  return shortened(words);
}

}  // namespace

std::shared_ptr<const Coverage> Lettering::of(const std::string& text, int height) {
  Key key{text, height};
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = known_.find(key); found != known_.end()) {
      recent_.splice(recent_.begin(), recent_, found->second);
      return found->second->second;
    }
  }
  auto made = std::make_shared<Coverage>();
  text_renderer("the labels").draw(text, height, family_, made->size, made->values);
  const std::lock_guard lock(mutex_);
  if (const auto found = known_.find(key); found != known_.end()) return found->second->second;
  recent_.emplace_front(key, made);
  known_[std::move(key)] = recent_.begin();
  if (recent_.size() > most_words) {
    known_.erase(recent_.back().first);
    recent_.pop_back();
  }
  return made;
}

Annotator::Annotator(AnnotateOptions options)
    : options_(std::move(options)),
      blurred_(options_.blur.begin(), options_.blur.end()),
      pixelated_(options_.pixelate.begin(), options_.pixelate.end()),
      lettering_(options_.font) {
  if (!(options_.scale > 0 && options_.scale <= 20)) {
    throw Error(Code::config, fmt::format("AnnotateOptions.scale is {:g}; use a number above 0, at most 20", options_.scale));
  }
  for (const auto& [kind, style] : options_.kinds) {
    if (std::ranges::find(kinds, kind) == kinds.end()) {
      throw Error(Code::config, "AnnotateOptions.kinds names '" + kind + "'; use object, logo, face, motion, text, scene or visual");
    }
    if (!(style.line > 0 && style.line <= 20)) {
      throw Error(Code::config, fmt::format("AnnotateOptions.kinds.{}.line is {:g}; use a number above 0, at most 20", kind, style.line));
    }
  }
  for (const auto* names : {&options_.blur, &options_.pixelate}) {
    if (std::ranges::find(*names, "") != names->end()) throw Error(Code::config, "blur or pixelate holds an empty class name; name classes, or * for all");
  }
  if (!std::ranges::all_of(kinds, [this](std::string_view kind) { return !style_of(std::string(kind)).labels; })) text_renderer("the labels");
}

KindStyle Annotator::style_of(const std::string& kind) const {
  if (const auto found = options_.kinds.find(kind); found != options_.kinds.end()) return found->second;
  return {.boxes = kind != "visual", .labels = kind != "motion" && kind != "visual"};
}

Annotator::Hiding Annotator::hiding(std::string_view name) const {
  const auto in = [name](const auto& names) { return names.contains("*") || names.contains(name); };
  return in(pixelated_) ? Hiding::pixelated : in(blurred_) ? Hiding::blurred : Hiding::none;
}

bool Annotator::hides_any(const std::vector<std::string>& names) const {
  if (names.empty()) return !pixelated_.empty() || !blurred_.empty();  // no vocabulary: it may find anything
  return std::ranges::any_of(names, [this](const std::string& name) { return hiding(name) != Hiding::none; });
}

bool Annotator::draws(const Layer& layer) const {
  if (!layer.found) return layer.knows_private;
  const KindStyle style = style_of(layer.kind);
  return (layer.found->size() > 0 && (style.boxes || style.labels || layer.knows_private)) || (style.labels && !layer.found->labels.empty());
}

int Annotator::letter_height(Size size) const {
  const float height = static_cast<float>(std::min(size.width, size.height)) / 36 * options_.scale;
  return std::max(static_cast<int>(std::lround(height)), static_cast<int>(std::lround(10 * std::min(options_.scale, 1.0F))));
}

void Annotator::draw(Canvas& canvas, const std::vector<Layer>& layers) {
  for (const Layer& layer : layers) hide(canvas, layer);
  for (const Layer& layer : layers)
    if (layer.found) draw_boxes(canvas, layer);
  int top = letter_height(canvas.size()) / 2;
  for (const Layer& layer : layers)
    if (layer.found) top = draw_labels(canvas, layer, top);
}

void Annotator::hide(Canvas& canvas, const Layer& layer) const {
  if (!layer.knows_private) return;
  const Size size = canvas.size();
  if (!layer.found) {
    const Area all{0, 0, size.width, size.height};
    if (pixelated_.empty()) canvas.blur(all);
    else canvas.pixelate(all);
    return;
  }
  const Detections& found = *layer.found;
  for (std::size_t row = 0; row < found.size(); ++row) {
    const Hiding how = hiding(found.class_name(value_at(found.class_id, row, -1)));
    if (how == Hiding::none) continue;
    const Area area = canvas.covering(found.xyxy[row]);
    if (how == Hiding::pixelated) canvas.pixelate(area);
    else canvas.blur(area);
  }
}

void Annotator::draw_boxes(Canvas& canvas, const Layer& layer) {
  const Detections& found = *layer.found;
  const KindStyle style = style_of(layer.kind);
  const float usual = std::max(2.0F, static_cast<float>(std::min(canvas.size().width, canvas.size().height)) / 360) * options_.scale;
  const float line = std::max(1.0F, usual * style.line);
  if (style.boxes) {
    for (std::size_t row = 0; row < found.size(); ++row) {
      const Rgb colour = colour_of(style, layer.number, value_at(found.class_id, row, 0));
      if (row < found.polygon.size() && found.polygon[row].size() >= 6) canvas.polygon(found.polygon[row], line, colour);
      else canvas.outline(canvas.nearest(found.xyxy[row]), static_cast<int>(std::lround(line)), colour);
    }
  }
  if (!style.labels) return;
  for (std::size_t row = 0; row < found.size(); ++row) {
    const std::string words = words_of(found, row);
    if (words.empty()) continue;
    const Area area = canvas.nearest(found.xyxy[row]);
    tag(canvas, words, area.left, area.top, colour_of(style, layer.number, value_at(found.class_id, row, 0)));
  }
}

/// Labels of the whole picture, one below the other. \return where the next one goes.
int Annotator::draw_labels(Canvas& canvas, const Layer& layer, int top) {
  const KindStyle style = style_of(layer.kind);
  if (!style.labels) return top;
  const int height = letter_height(canvas.size());
  for (const Detections::Label& label : layer.found->labels) {
    std::string words(layer.found->class_name(label.class_id));
    if (!std::isnan(label.confidence)) words += fmt::format(" {:.2f}", label.confidence);
    top += height + height / 2;
    tag(canvas, shortened(words), height / 2, top, colour_of(style, layer.number, label.class_id));
  }
  return top;
}

/// Words on a plate that stands on `bottom`; below it where there is no room above.
void Annotator::tag(Canvas& canvas, const std::string& text, int left, int bottom, Rgb colour) {
  const int height = letter_height(canvas.size());
  const std::shared_ptr<const Coverage> letters = lettering_.of(text, height);
  const int pad = std::max(1, height / 6);
  const Size plate{letters->size.width + 2 * pad, letters->size.height};
  left = std::clamp(left, 0, std::max(0, canvas.size().width - plate.width));
  int top = bottom - plate.height;
  if (top < 0) top = std::max(0, bottom);
  top = std::min(top, std::max(0, canvas.size().height - plate.height));
  canvas.fill({left, top, left + plate.width, top + plate.height}, colour);
  canvas.blend(*letters, left + pad, top, is_light(colour) ? Rgb{0, 0, 0} : Rgb{255, 255, 255});
}

}  // namespace v0
}  // namespace vidloom
