#pragma once
/// Another source, ended after so much media time from its first frame.

#include <vidloom/source.hpp>

#include <memory>
#include <optional>
#include <utility>

namespace vidloom::cli {

class LimitedSource final : public Source {
 public:
  LimitedSource(std::shared_ptr<Source> source, Nanos length) : source_(std::move(source)), length_(length) {}

  SourceInfo open(SourceContext& context) override {
    end_.reset();
    return source_->open(context);
  }
  ReadResult read() override {
    ReadResult next = source_->read();
    if (const auto* frame = std::get_if<Frame>(&next)) {
      const Nanos now = frame->info().time.media_time;
      if (!end_) end_ = now + length_;
      if (now >= *end_) return End{};
    }
    return next;
  }
  void interrupt() noexcept override { source_->interrupt(); }
  void close() noexcept override { source_->close(); }
  void set_demand(std::span<const Demand> demands) noexcept override { source_->set_demand(demands); }
  void seek(Nanos media_time) override { source_->seek(media_time); }
  SourceStats stats() const noexcept override { return source_->stats(); }

 private:
  const std::shared_ptr<Source> source_;
  const Nanos length_;
  std::optional<Nanos> end_{};
};

}  // namespace vidloom::cli
