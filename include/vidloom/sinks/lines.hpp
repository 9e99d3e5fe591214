#pragma once
/// One readable line per result: `   4.50 s  people: 2 person (0.97, 0.94)   motion: 3 regions, 1.2 % moving`.

#include <vidloom/sink.hpp>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace vidloom {
inline namespace v0 {

/// \param write  receives each line with its newline, from the thread of the line's stream; the library itself prints nothing.
///               What it throws leaves Sink::write().
/// \param stream_names  begin each line with the stream's name, for several streams.
VIDLOOM_API std::shared_ptr<Sink> lines(std::function<void(std::string_view)> write, bool stream_names = false);
/// \return the readable line of one result, without a newline and without control characters.
VIDLOOM_API std::string to_line(const FrameResult& result);

}  // namespace v0
}  // namespace vidloom
