#pragma once
/// Takes results and does nothing: for measuring.

#include <vidloom/sink.hpp>

#include <memory>

namespace vidloom {
inline namespace v0 {

VIDLOOM_API std::shared_ptr<Sink> null_sink();

}  // namespace v0
}  // namespace vidloom
