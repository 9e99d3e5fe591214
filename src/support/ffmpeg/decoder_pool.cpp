#include <support/ffmpeg/decoder_pool.hpp>

#include <core/fork_guard.hpp>
#include <vidloom/core/log.hpp>

#include <algorithm>
#include <thread>
#include <utility>

namespace vidloom::av {
namespace {

using namespace std::chrono_literals;
constexpr auto longest_idle = 60s;  // a stream's next segment comes sooner

std::size_t most_idle() {
  static const std::size_t count = std::clamp<std::size_t>(2 * std::size_t{std::thread::hardware_concurrency()}, 4, 16);
  return count;
}

}  // namespace

DecoderPool& DecoderPool::process() { return of_this_process<DecoderPool>(); }

std::string DecoderPool::key_of(const AVCodecParameters& parameters, const Decoder::Options& options, std::string_view in_band) {
  std::string key;
  for (const std::int64_t part : {std::int64_t{parameters.codec_id}, std::int64_t{parameters.codec_tag}, std::int64_t{parameters.format},
                                  std::int64_t{parameters.width}, std::int64_t{parameters.height}, std::int64_t{parameters.profile},
                                  std::int64_t{parameters.level}, std::int64_t{number_of(parameters.field_order)},
                                  std::int64_t{number_of(parameters.color_range)}, std::int64_t{number_of(parameters.color_primaries)},
                                  std::int64_t{number_of(parameters.color_trc)}, std::int64_t{number_of(parameters.color_space)},
                                  std::int64_t{number_of(parameters.chroma_location)}, std::int64_t{parameters.sample_aspect_ratio.num},
                                  std::int64_t{parameters.sample_aspect_ratio.den}, std::int64_t{parameters.video_delay},
                                  std::int64_t{parameters.bits_per_coded_sample}, std::int64_t{options.threads},
                                  std::int64_t{options.strict}, std::int64_t{options.packet_time_base.num},
                                  std::int64_t{options.packet_time_base.den}}) {
    key += std::to_string(part);
    key += ' ';
  }
  if (parameters.extradata_size > 0)
    key.append(reinterpret_cast<const char*>(parameters.extradata), static_cast<std::size_t>(parameters.extradata_size));
  key += '\n';
  key += in_band;
  return key;
}

std::unique_ptr<Decoder> DecoderPool::take(const std::string& key, const Decoder::Options& options, const std::string& what) {
  const std::lock_guard lock(mutex_);
  // The one used last: its memory is the warmest.
  const auto found = std::find_if(idle_.rbegin(), idle_.rend(), [&](const Idle& one) { return one.key == key; });
  if (found == idle_.rend()) return nullptr;
  std::unique_ptr<Decoder> decoder = std::move(found->decoder);
  idle_.erase(std::next(found).base());
  decoder->what_ = what;
  decoder->limit_ = options.max_pixels;
  decoder->codec_->log_level_offset = ffmpeg_log_routed() ? 0 : silent;
  return decoder;
}

void DecoderPool::give(const std::string& key, std::unique_ptr<Decoder> decoder) noexcept {
  if (!decoder || decoder->threads() != 1 || decoder->refused_ != 0) return;
  // FFmpeg counts timestamps out of order to know which of two it may trust, and never forgets the count.
  if (!decoder->in_order_) return;
  std::deque<Idle> gone;  // freed without the lock
  try {
    decoder->flush();
    decoder->skip_unreferenced(false);
    // H.264 learns how far pictures are reordered while it decodes, and a flush does not make it forget.
    decoder->codec_->has_b_frames = decoder->first_delay_;
    decoder->codec_->flags &= ~AV_CODEC_FLAG_OUTPUT_CORRUPT;
    const auto now = std::chrono::steady_clock::now();
    const std::lock_guard lock(mutex_);
    idle_.push_back({key, std::move(decoder), now});
    while (!idle_.empty() && (idle_.size() > most_idle() || idle_.front().since < now - longest_idle)) {
      gone.push_back(std::move(idle_.front()));
      idle_.pop_front();
    }
  } catch (const std::bad_alloc&) {
  }
}

std::size_t DecoderPool::idle() const {
  const std::lock_guard lock(mutex_);
  return idle_.size();
}

}  // namespace vidloom::av
