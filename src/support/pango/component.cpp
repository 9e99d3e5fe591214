#include <core/component.hpp>

#include <render/pango/text.hpp>

#include <pango/pango.h>

#include <string>

VIDLOOM_COMPONENT(registry) {
  registry.set_text_renderer(vidloom::make_text_renderer());
  registry.describe(std::string("Pango ") + pango_version_string());
}
