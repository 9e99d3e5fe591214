#include <vidloom/sinks/null.hpp>

namespace vidloom {
inline namespace v0 {
namespace {

class Null final : public Sink {
 public:
  void write(const FrameResult&) override {}
};

}  // namespace

std::shared_ptr<Sink> null_sink() { return std::make_shared<Null>(); }

}  // namespace v0
}  // namespace vidloom
