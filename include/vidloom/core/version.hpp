#pragma once
/// The version of the headers, and of the library that was loaded.

#include <vidloom/core/export.hpp>

#include <string_view>

#define VIDLOOM_VERSION_MAJOR 0
#define VIDLOOM_VERSION_MINOR 1
#define VIDLOOM_VERSION_PATCH 0
#define VIDLOOM_VERSION "0.1.0"

namespace vidloom {
inline namespace v0 {

/// \return the version of the loaded libvidloom, such as "0.1.0". Compare with VIDLOOM_VERSION. Never throws.
VIDLOOM_API std::string_view version() noexcept;

}  // namespace v0
}  // namespace vidloom
