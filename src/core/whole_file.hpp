#pragma once
/// Files that appear under their names all at once: nobody ever sees half of one, whatever ends the process.

#include <vidloom/core/export.hpp>

#include <string>
#include <string_view>

namespace vidloom {
inline namespace v0 {

/// Whether replace_file() could work, before the work starts. Leaves nothing behind.
/// Throws Error(output) where `path` exists and `overwrite` is not set, its folder is missing, or it cannot be written.
void expect_writable(const std::string& path, bool overwrite);

/// Writes beside it under a hidden name, which then takes its place. What is no ordinary file (/dev/null, a pipe) is written to as it is.
/// \param overwrite  false: throws where something has taken the name meanwhile.
/// Throws Error(output) naming path and reason; what stood there stays then.
VIDLOOM_API void replace_file(const std::string& path, std::string_view bytes, bool overwrite = true);

}  // namespace v0
}  // namespace vidloom
