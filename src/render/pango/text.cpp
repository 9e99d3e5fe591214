#include <render/pango/text.hpp>

#include <pango/pangocairo.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <new>

namespace vidloom {
namespace {

struct Unref {
  void operator()(void* object) const noexcept { g_object_unref(object); }
};
struct FreeDescription {
  void operator()(PangoFontDescription* description) const noexcept { pango_font_description_free(description); }
};
struct DestroySurface {
  void operator()(cairo_surface_t* surface) const noexcept { cairo_surface_destroy(surface); }
};
struct DestroyCairo {
  void operator()(cairo_t* cairo) const noexcept { cairo_destroy(cairo); }
};

constexpr int widest = 8192;  // pixels; what a picture shows of a label is less

class PangoText final : public TextRenderer {
 public:
  void draw(std::string_view text, int height, const std::string& family, Size& size, std::vector<std::uint8_t>& coverage) const override;

 private:
  mutable std::mutex mutex_;  // a font map is for one thread at a time
  mutable std::unique_ptr<PangoFontMap, Unref> fonts_;
  mutable std::unique_ptr<PangoContext, Unref> context_;
};

void PangoText::draw(std::string_view text, int height, const std::string& family, Size& size, std::vector<std::uint8_t>& coverage) const {
  const std::lock_guard lock(mutex_);
  if (!fonts_) {
    fonts_.reset(pango_cairo_font_map_new());
    context_.reset(pango_font_map_create_context(fonts_.get()));
  }
  const std::unique_ptr<PangoLayout, Unref> layout(pango_layout_new(context_.get()));
  const std::unique_ptr<PangoFontDescription, FreeDescription> font(pango_font_description_new());
  pango_font_description_set_family(font.get(), family.c_str());
  pango_font_description_set_absolute_size(font.get(), std::max(1.0, height * 0.8) * PANGO_SCALE);
  pango_layout_set_font_description(layout.get(), font.get());
  pango_layout_set_single_paragraph_mode(layout.get(), TRUE);
  pango_layout_set_text(layout.get(), text.data(), static_cast<int>(text.size()));
  PangoRectangle ink{}, logical{};
  pango_layout_get_pixel_extents(layout.get(), &ink, &logical);
  const int left = std::min(ink.x, logical.x), top = std::min(ink.y, logical.y);
  size = {std::clamp(std::max(ink.x + ink.width, logical.x + logical.width) - left, 1, widest),
          std::clamp(std::max(ink.y + ink.height, logical.y + logical.height) - top, 1, widest)};
  const std::unique_ptr<cairo_surface_t, DestroySurface> surface(cairo_image_surface_create(CAIRO_FORMAT_A8, size.width, size.height));
  const std::unique_ptr<cairo_t, DestroyCairo> cairo(cairo_create(surface.get()));
  cairo_move_to(cairo.get(), -left, -top);
  pango_cairo_show_layout(cairo.get(), layout.get());
  cairo_surface_flush(surface.get());
  if (cairo_status(cairo.get()) != CAIRO_STATUS_SUCCESS) throw std::bad_alloc();
  const auto width = static_cast<std::size_t>(size.width);
  coverage.resize(width * static_cast<std::size_t>(size.height));
  const unsigned char* from = cairo_image_surface_get_data(surface.get());
  const int stride = cairo_image_surface_get_stride(surface.get());
  for (int y = 0; y < size.height; ++y) std::memcpy(coverage.data() + static_cast<std::size_t>(y) * width, from + std::ptrdiff_t{y} * stride, width);
}

}  // namespace

std::shared_ptr<const TextRenderer> make_text_renderer() { return std::make_shared<PangoText>(); }

}  // namespace vidloom
