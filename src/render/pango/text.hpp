#pragma once
/// The one TextRenderer: any script, by Pango on fontconfig's fonts.

#include <core/component.hpp>

#include <memory>

namespace vidloom {

std::shared_ptr<const TextRenderer> make_text_renderer();

}  // namespace vidloom
