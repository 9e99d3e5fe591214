#include <sinks/sinks.hpp>
#include <vidloom/sinks/null.hpp>

namespace vidloom {
inline namespace v0 {
namespace {

class Null final : public Sink {
 public:
  void write(const FrameResult&) override {}
};

}  // namespace

std::unique_ptr<Sink> make_null() { return std::make_unique<Null>(); }

std::shared_ptr<Sink> null_sink() { return make_null(); }

}  // namespace v0
}  // namespace vidloom
