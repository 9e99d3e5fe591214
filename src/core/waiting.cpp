#include <vidloom/core/waiting.hpp>

#include <utility>

namespace vidloom {
inline namespace v0 {
namespace {

thread_local const std::function<void()>* innermost = nullptr;

}  // namespace

WhileWaiting::WhileWaiting(std::function<void()> call) : call_(std::move(call)), outer_(innermost) {
  if (call_) innermost = &call_;
}
WhileWaiting::~WhileWaiting() { innermost = outer_; }
const std::function<void()>* WhileWaiting::current() noexcept { return innermost; }

}  // namespace v0
}  // namespace vidloom
