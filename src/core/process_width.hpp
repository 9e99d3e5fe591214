#pragma once
/// How many threads of this process decode at once.

#include <vidloom/core/export.hpp>

namespace vidloom {
inline namespace v0 {

/// \return VIDLOOM_THREADS, else one more than the cores this process may use: a source that waits for its turn takes a moment to wake up, and a core
/// would idle meanwhile: on 2 cores 16 streams of 1080p decoded at 0.96 to 0.99 of bare libavcodec's speed instead of 0.81 to 0.89. Never 0.
VIDLOOM_API unsigned process_width() noexcept;

}  // namespace v0
}  // namespace vidloom
