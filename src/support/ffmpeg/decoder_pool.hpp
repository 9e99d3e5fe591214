#pragma once
/// Decoders that outlive the stream they decoded: opening one costs a sixth of the first picture of a 1080p segment.
///
/// Only decoders of one thread are kept, emptied, and only those that met no damage and no timestamp out of order: the next stream with the same parameters
/// gets pictures, times and health as from a new one. A few per core, the longest idle ones go first. Thread-safe; after a fork
/// the child begins with an empty pool.

#include <support/ffmpeg/decoder.hpp>

#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace vidloom::av {

class DecoderPool {
 public:
  static DecoderPool& process();

  /// What must be equal: parameters, options, and the parameter sets in the stream where the container has none.
  static std::string key_of(const AVCodecParameters& parameters, const Decoder::Options& options, std::string_view in_band = {});

  /// A kept decoder, or nullptr. \param what, options  of the new stream.
  std::unique_ptr<Decoder> take(const std::string& key, const Decoder::Options& options, const std::string& what);
  /// Keeps it for the next one, or not. \pre no frame of it is being received; frames that were given out may live on.
  void give(const std::string& key, std::unique_ptr<Decoder> decoder) noexcept;
  std::size_t idle() const;

 private:
  struct Idle {
    std::string key;
    std::unique_ptr<Decoder> decoder;
    std::chrono::steady_clock::time_point since;
  };
  mutable std::mutex mutex_;
  std::deque<Idle> idle_;  ///< the longest idle one first
};

}  // namespace vidloom::av
