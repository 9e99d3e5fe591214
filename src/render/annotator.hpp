#pragma once
/// What is drawn on a picture, and in which order: first what must not be seen, then outlines, then labels.

#include <core/component.hpp>
#include <render/canvas.hpp>
#include <vidloom/render/annotate.hpp>

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace vidloom {
inline namespace v0 {

/// Written words as coverage, the last few hundred kept. Thread-safe.
class Lettering {
 public:
  explicit Lettering(std::string family) : family_(std::move(family)) {}
  /// \param height  of the letters' line, in pixels. Throws Error(not_built) without the pango component.
  std::shared_ptr<const Coverage> of(const std::string& text, int height);

 private:
  using Key = std::pair<std::string, int>;
  const std::string family_;
  std::mutex mutex_;
  std::list<std::pair<Key, std::shared_ptr<const Coverage>>> recent_;  ///< the latest first
  std::map<Key, decltype(recent_)::iterator> known_;
};

/// Thread-safe: keeps no state of a stream.
class Annotator {
 public:
  /// Throws Error(config) naming the option.
  explicit Annotator(AnnotateOptions options);

  struct Layer {
    std::string kind;
    const Detections* found = nullptr;  ///< null: the analysis failed
    std::size_t number = 0;             ///< of the analysis: shifts its colours
    bool knows_private = false;         ///< its vocabulary holds a class that must not be seen
  };
  /// \return whether there is anything to draw.
  bool draws(const Layer& layer) const;
  void draw(Canvas& canvas, const std::vector<Layer>& layers);
  /// \return whether one of `names` must not be seen.
  bool hides_any(const std::vector<std::string>& names) const;

 private:
  enum class Hiding : std::uint8_t { none, blurred, pixelated };
  Hiding hiding(std::string_view name) const;
  KindStyle style_of(const std::string& kind) const;
  void hide(Canvas& canvas, const Layer& layer) const;
  void draw_boxes(Canvas& canvas, const Layer& layer);
  int draw_labels(Canvas& canvas, const Layer& layer, int top);
  void tag(Canvas& canvas, const std::string& text, int left, int bottom, Rgb colour);
  int letter_height(Size size) const;

  const AnnotateOptions options_;
  std::set<std::string, std::less<>> blurred_, pixelated_;
  Lettering lettering_;
};

}  // namespace v0
}  // namespace vidloom
