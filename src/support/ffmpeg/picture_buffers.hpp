#pragma once
/// The memory one decoder decodes into: reused from picture to picture, and the system's again after the last one.

#include <support/ffmpeg/av.hpp>

extern "C" {
#include <libavutil/buffer.h>
}

#include <cstddef>
#include <memory>
#include <mutex>

namespace vidloom::av {

/// Thread-safe: frame threads ask all at once. Pictures may outlive it.
class PictureBuffers {
 public:
  /// For AVCodecContext::get_buffer2. \return FFmpeg's code.
  int get(AVCodecContext& codec, AVFrame& frame, int flags) noexcept;

 private:
  struct FreePool {
    void operator()(AVBufferPool* pool) const noexcept { av_buffer_pool_uninit(&pool); }
  };
  std::mutex mutex_;
  std::size_t bytes_ = 0;  ///< of each buffer in pool_
  std::unique_ptr<AVBufferPool, FreePool> pool_;
};

}  // namespace vidloom::av
