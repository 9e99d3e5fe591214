#include <vidloom/core/version.hpp>

namespace vidloom {
inline namespace v0 {

std::string_view version() noexcept { return VIDLOOM_VERSION; }

}  // namespace v0
}  // namespace vidloom
