#pragma once
/// What frames_at() answers to a time that no picture has.

#include <vidloom/core/error.hpp>
#include <vidloom/core/time.hpp>

#include <cstddef>
#include <string>

namespace vidloom {

inline Error outside_film(Nanos time, Nanos begin, Nanos end) {
  return Error(Code::config, "frames_at: " + std::to_string(seconds(time)) + " s is outside the film, which runs from " +
                                 std::to_string(seconds(begin)) + " to " + std::to_string(seconds(end)) +
                                 " s; times are the container's own, not counted from its first picture");
}

inline Error outside_film(std::size_t index, std::size_t pictures) {
  return Error(Code::config, "frames_at: index " + std::to_string(index) + " is outside the film, which has " + std::to_string(pictures) +
                                 " pictures, counted from 0");
}

}  // namespace vidloom
