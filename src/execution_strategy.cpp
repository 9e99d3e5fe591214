#include <vidloom/core/log.hpp>
#include <vidloom/execution_strategy.hpp>

#include <cxxabi.h>

#include <exception>

namespace vidloom {
inline namespace v0 {

struct Completion::State {
  std::function<void(Answer)> done;
};

namespace {

Answer abandoned() { return {.detections = Error(Code::internal, "abandoned: the job was given up without an answer")}; }

}  // namespace

Completion::Completion(std::function<void(Answer)> done) : state_(std::make_unique<State>(State{std::move(done)})) {}
Completion::Completion(Completion&&) noexcept = default;

Completion& Completion::operator=(Completion&& other) noexcept {
  if (this != &other) {
    Completion replaced(std::move(*this));  // answers at the end of this block
    state_ = std::move(other.state_);
  }
  return *this;
}

Completion::~Completion() {
  if (state_) std::move (*this)(abandoned());
}

void Completion::operator()(Answer answer) && {
  const std::unique_ptr<State> state = std::move(state_);  // once: whatever happens below, nobody calls again
  if (!state || !state->done) return;
  try {
    state->done(std::move(answer));
  } catch (const std::exception& error) {
    log(LogLevel::error, "execution", std::string("the receiver of an answer threw: ") + error.what());
  } catch (abi::__forced_unwind&) {
    throw;  // the thread is being ended: this must reach its first frame
  } catch (...) {
    log(LogLevel::error, "execution", "the receiver of an answer threw something that is no std::exception");
  }
}

Execution::~Execution() = default;

ExecutionStrategy::~ExecutionStrategy() = default;
void ExecutionStrategy::check(const AdapterSpec&) const {}
Value ExecutionStrategy::health() const { return Value::object(); }

}  // namespace v0
}  // namespace vidloom
