#pragma once
#include <vidloom/sink.hpp>

#include <memory>
#include <utility>

namespace vidloom {
inline namespace v0 {

/// A shared sink where a unique one is wanted.
class SharedSink final : public Sink {
 public:
  explicit SharedSink(std::shared_ptr<Sink> sink) : sink_(std::move(sink)) {}
  SinkInfo info() const override { return sink_->info(); }
  void open(StreamId stream, const SourceInfo& source) override { sink_->open(stream, source); }
  void write(const FrameResult& result) override { sink_->write(result); }
  void event(StreamId stream, const StreamEvent& event) override { sink_->event(stream, event); }
  void close(StreamId stream) noexcept override { sink_->close(stream); }

 private:
  std::shared_ptr<Sink> sink_;
};

}  // namespace v0
}  // namespace vidloom
