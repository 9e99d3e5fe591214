#pragma once
/// The JSON Schemas (draft 2020-12) of what Vidloom writes and reads, as `vidloom schema NAME` prints them.

#include <vidloom/core/export.hpp>

#include <string_view>

namespace vidloom {
inline namespace v0 {

/// \param name  "result" (a JSON line), "report" (of a segment) or "analyses" (the config file).
/// \return JSON text that lives as long as the program. Throws Error(config) naming the nearest known name.
VIDLOOM_API std::string_view schema_text(std::string_view name);

}  // namespace v0
}  // namespace vidloom
