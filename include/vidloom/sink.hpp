#pragma once
/// Sink: whatever takes results. Calls for one stream come in order: open, write and event, close; different streams may call
/// from different threads.

#include <vidloom/core/export.hpp>
#include <vidloom/results.hpp>
#include <vidloom/source.hpp>

namespace vidloom {
inline namespace v0 {

struct SinkInfo {
  bool every_frame = false;  ///< write() also for frames on which nothing was due
  bool pixels = false;       ///< FrameResult::frame is set
  bool each = false;         ///< a fast analysis waits for no other: write() per outcome
};

class VIDLOOM_API Sink {
 public:
  Sink() = default;
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;
  virtual ~Sink();
  virtual SinkInfo info() const;
  /// Throws Error(output).
  virtual void open(StreamId stream, const SourceInfo& source);
  /// Throws Error(output); what was written before stays readable.
  virtual void write(const FrameResult& result) = 0;
  virtual void event(StreamId stream, const StreamEvent& event);
  /// After it that stream's file is whole.
  virtual void close(StreamId stream) noexcept;
};

}  // namespace v0
}  // namespace vidloom
