#pragma once
/// One readable line per result on standard output: `   4.50 s  people: 2 people (0.97, 0.94)  motion: 1.2 % moving`.

#include <vidloom/sink.hpp>

#include <functional>
#include <memory>
#include <string_view>

namespace vidloom {
inline namespace v0 {

/// \param write  receives each line with its newline; the library itself prints nothing.
VIDLOOM_API std::shared_ptr<Sink> lines(std::function<void(std::string_view)> write);
/// \return the readable line of one result, without a newline.
VIDLOOM_API std::string to_line(const FrameResult& result);

}  // namespace v0
}  // namespace vidloom
