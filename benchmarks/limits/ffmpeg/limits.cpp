// The limits of the decode rows: what bare libavcodec of the same version needs for the same pictures. Answers the line protocol.
#include "bare.hpp"

#include "../../side_by_side/line_protocol.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <queue>
#include <thread>

namespace {

using side_by_side::Reply;
using side_by_side::Request;

/// Rows as `-f rawvideo` would write them, cropped.
void write_planes(const AVFrame& frame, Reply& reply) {
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(
      av_image_get_buffer_size(static_cast<AVPixelFormat>(frame.format), frame.width, frame.height, 1)));
  std::array<const std::uint8_t*, 4> planes{frame.data[0], frame.data[1], frame.data[2], frame.data[3]};
  std::array<int, 4> strides{frame.linesize[0], frame.linesize[1], frame.linesize[2], frame.linesize[3]};
  av_image_copy_to_buffer(bytes.data(), static_cast<int>(bytes.size()), planes.data(), strides.data(),
                          static_cast<AVPixelFormat>(frame.format), frame.width, frame.height, 1);
  reply.write(bytes.data(), bytes.size());
}

/// Full-size RGB by swscale's fast path, into the same buffer again and again.
class ToRgb {
 public:
  ~ToRgb() { sws_freeContext(context_); }
  const std::vector<std::uint8_t>& operator()(const AVFrame& frame, int flags = SWS_BICUBIC) {
    if (!context_) {
      context_ = sws_getContext(frame.width, frame.height, static_cast<AVPixelFormat>(frame.format), frame.width, frame.height,
                                AV_PIX_FMT_RGB24, flags, nullptr, nullptr, nullptr);
      const int* matrix = sws_getCoefficients(frame.colorspace == AVCOL_SPC_UNSPECIFIED ? SWS_CS_DEFAULT : frame.colorspace);
      sws_setColorspaceDetails(context_, matrix, frame.color_range == AVCOL_RANGE_JPEG, matrix, 1, 0, 1 << 16, 1 << 16);
      rgb_.resize(static_cast<std::size_t>(frame.width) * static_cast<std::size_t>(frame.height) * 3 + 64);
    }
    std::uint8_t* out[] = {rgb_.data()};
    const int strides[] = {frame.width * 3};
    sws_scale(context_, frame.data, frame.linesize, 0, frame.height, out, strides);
    size_ = static_cast<std::size_t>(frame.width) * static_cast<std::size_t>(frame.height) * 3;
    return rgb_;
  }
  std::size_t size() const { return size_; }

 private:
  SwsContext* context_ = nullptr;
  std::vector<std::uint8_t> rgb_;
  std::size_t size_ = 0;
};

/// A picture as the row wants it: a handle to the planes, or RGB24.
class Delivery {
 public:
  Delivery(const Request& request, const bare::Demuxer& demuxer, Reply& reply)
      : rgb_(request.has("as") && request.text("as") == "rgb"), demuxer_(demuxer), reply_(reply) {}
  void operator()(const AVFrame& frame) {
    reply_.times.push_back(demuxer_.seconds(frame.best_effort_timestamp));
    if (rgb_) {
      const auto& bytes = convert_(frame);
      if (reply_.checks()) reply_.write(bytes.data(), convert_.size());
    } else if (reply_.checks()) {
      write_planes(frame, reply_);
    }
  }

 private:
  bool rgb_;
  const bare::Demuxer& demuxer_;
  Reply& reply_;
  ToRgb convert_;
};

/// The first key packet, drained: neither probing nor the wait for reordering.
void first_of(const std::string& path, const Request& request, Reply& reply) {
  bare::Demuxer demuxer(path);
  bare::Packet packet = demuxer.next();
  while (packet && (packet->flags & AV_PKT_FLAG_KEY) == 0) packet = demuxer.next();
  if (!packet) throw std::runtime_error("no key packet");
  Delivery deliver(request, demuxer, reply);
  bare::Decoder decoder(demuxer.stream(), 1);
  const auto use = [&](const AVFrame& frame) { deliver(frame); };
  decoder.feed(packet.get(), use);
  decoder.feed(nullptr, use);
}

void first(const Request& request, Reply& reply) {
  reply.timed([&] { first_of(request.text("file"), request, reply); });
}

void drop_from_page_cache(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw std::runtime_error("cannot open " + path);
  ::fdatasync(file);
  ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  ::close(file);
}

void many(const Request& request, Reply& reply) {
  const std::vector<std::string> files = request.list("files");
  if (request.integer("cold", 0) != 0)
    for (const std::string& file : files) drop_from_page_cache(file);
  reply.timed([&] {
    for (const std::string& file : files) first_of(file, request, reply);
  });
}

template <class Use>
void keys_of(bare::Demuxer& demuxer, const Use& use) {
  bare::Packet packet = demuxer.next();
  bare::Decoder decoder(demuxer.stream(), 1);
  for (; packet; packet = demuxer.next()) {
    if ((packet->flags & AV_PKT_FLAG_KEY) == 0) continue;
    decoder.feed(packet.get(), use);
    decoder.feed(nullptr, use);
    decoder.flush();
  }
}

void keys(const Request& request, Reply& reply) {
  reply.timed([&] {
    bare::Demuxer demuxer(request.text("file"));
    Delivery deliver(request, demuxer, reply);
    keys_of(demuxer, [&](const AVFrame& frame) { deliver(frame); });
  });
}

template <class Use>
void all_of(bare::Demuxer& demuxer, int threads, std::size_t most, const Use& use) {
  bare::Packet packet = demuxer.next();
  bare::Decoder decoder(demuxer.stream(), threads);
  std::size_t pictures = 0;
  const auto count = [&](const AVFrame& frame) {
    if (pictures++ < most) use(frame);
  };
  for (; packet && pictures < most; packet = demuxer.next()) decoder.feed(packet.get(), count);
  if (pictures < most) decoder.feed(nullptr, count);
}

void all(const Request& request, Reply& reply) {
  reply.timed([&] {
    bare::Demuxer demuxer(request.text("file"));
    Delivery deliver(request, demuxer, reply);
    all_of(demuxer, request.integer("threads", 1), SIZE_MAX, [&](const AVFrame& frame) { deliver(frame); });
  });
}

/// Decoding in this thread (and its frame threads), conversion in another one, at most four pictures between them.
void overlapped(const Request& request, Reply& reply) {
  reply.timed([&] {
    bare::Demuxer demuxer(request.text("file"));
    Delivery deliver(request, demuxer, reply);
    std::mutex mutex;
    std::condition_variable changed;
    std::queue<bare::Frame> waiting;
    bool ended = false;
    std::thread converter([&] {
      for (;;) {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return ended || !waiting.empty(); });
        if (waiting.empty()) return;
        const bare::Frame frame = std::move(waiting.front());
        waiting.pop();
        lock.unlock();
        changed.notify_one();
        deliver(*frame);
      }
    });
    all_of(demuxer, request.integer("threads", 1), SIZE_MAX, [&](const AVFrame& frame) {
      bare::Frame kept(av_frame_clone(&frame));
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return waiting.size() < 4; });
      waiting.push(std::move(kept));
      lock.unlock();
      changed.notify_one();
    });
    {
      const std::lock_guard lock(mutex);
      ended = true;
    }
    changed.notify_all();
    converter.join();
  });
}

/// One group of pictures: from its key packet to the one before the next.
struct Group { std::size_t begin = 0, end = 0; };

/// Decodes from the key packet to the last picture wanted of the group; pictures nothing refers to are skipped unless wanted.
template <class Use>
void needed_of(const std::vector<bare::Packet>& packets, Group group, const std::vector<std::int64_t>& wanted, bare::Decoder& decoder,
               const Use& use) {
  std::size_t left = wanted.size();
  const auto is_wanted = [&](std::int64_t pts) { return std::binary_search(wanted.begin(), wanted.end(), pts); };
  const auto deliver = [&](const AVFrame& frame) {
    if (is_wanted(frame.best_effort_timestamp)) use(frame);
  };
  for (std::size_t i = group.begin; i < group.end && left > 0; ++i) {
    const bool keep = is_wanted(packets[i]->pts);
    left -= keep;
    decoder.context().skip_frame = keep ? AVDISCARD_DEFAULT : AVDISCARD_NONREF;
    decoder.feed(packets[i].get(), deliver);
  }
  decoder.feed(nullptr, deliver);
  decoder.flush();
}

/// Pictures at chosen times. `workers` decoders take one group of pictures after the other.
void needed(const Request& request, Reply& reply) {
  std::vector<double> times = request.numbers("at");
  reply.timed([&] {
    bare::Demuxer demuxer(request.text("file"));
    const std::vector<bare::Packet> packets = demuxer.all();
    std::vector<std::int64_t> wanted;
    for (const double time : times) wanted.push_back(llround(time / av_q2d(demuxer.stream().time_base)));
    std::sort(wanted.begin(), wanted.end());

    std::vector<Group> groups;
    for (std::size_t i = 0; i < packets.size(); ++i) {
      if ((packets[i]->flags & AV_PKT_FLAG_KEY) == 0) continue;
      if (!groups.empty()) groups.back().end = i;
      groups.push_back({i, packets.size()});
    }
    std::vector<std::vector<std::int64_t>> of_group(groups.size());
    for (std::size_t g = 0; g < groups.size(); ++g) {
      for (std::size_t i = groups[g].begin; i < groups[g].end; ++i)
        if (std::binary_search(wanted.begin(), wanted.end(), packets[i]->pts)) of_group[g].push_back(packets[i]->pts);
      std::sort(of_group[g].begin(), of_group[g].end());
    }
    std::mutex mutex;
    std::size_t next = 0;
    const auto work = [&] {
      bare::Decoder decoder(demuxer.stream(), 1);
      for (;;) {
        std::size_t mine = 0;
        {
          const std::lock_guard lock(mutex);
          while (next < groups.size() && of_group[next].empty()) ++next;
          if (next == groups.size()) return;
          mine = next++;
        }
        needed_of(packets, groups[mine], of_group[mine], decoder, [&](const AVFrame& frame) {
          const std::lock_guard lock(mutex);
          reply.times.push_back(demuxer.seconds(frame.best_effort_timestamp));
          if (reply.checks()) write_planes(frame, reply);
        });
      }
    };
    const int workers = request.integer("workers", 1);
    std::vector<std::thread> threads;
    for (int i = 1; i < workers; ++i) threads.emplace_back(work);
    work();
    for (std::thread& thread : threads) thread.join();
  });
}

/// `count` streams at once, a decoder of one thread each, in `count` threads.
void streams(const Request& request, Reply& reply) {
  const int count = request.integer("count", 1);
  const bool key_only = request.text("what") == "keys";
  const auto most = static_cast<std::size_t>(request.integer("most", 1 << 30));
  std::mutex mutex;
  reply.timed([&] {
    std::vector<std::thread> threads;
    for (int i = 0; i < count; ++i) {
      threads.emplace_back([&] {
        bare::Demuxer demuxer(request.text("file"));
        std::vector<double> mine;
        const auto use = [&](const AVFrame& frame) { mine.push_back(demuxer.seconds(frame.best_effort_timestamp)); };
        if (key_only) keys_of(demuxer, use);
        else all_of(demuxer, 1, most, use);
        const std::lock_guard lock(mutex);
        reply.times.insert(reply.times.end(), mine.begin(), mine.end());
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
}

/// Full-size RGB of pictures decoded beforehand, by swscale: `accurate=1` adds full chroma and accurate rounding.
void to_rgb(const Request& request, Reply& reply) {
  bare::Demuxer demuxer(request.text("file"));
  const auto most = static_cast<std::size_t>(request.integer("most", 10));
  std::vector<bare::Frame> frames;
  all_of(demuxer, 1, most, [&](const AVFrame& frame) { frames.emplace_back(av_frame_clone(&frame)); });
  const int flags = SWS_BICUBIC | (request.integer("accurate", 0) != 0 ? SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP : 0);
  ToRgb convert;
  convert(*frames.front(), flags);
  reply.timed([&] {
    for (const bare::Frame& frame : frames) {
      const auto& bytes = convert(*frame, flags);
      reply.times.push_back(demuxer.seconds(frame->best_effort_timestamp));
      if (reply.checks()) reply.write(bytes.data(), convert.size());
    }
  }, static_cast<int>(frames.size()));
}

/// Reads what the kernel of a row has to read, once: the bytes of the planes in the middle `crop` of each picture.
void read_planes(const Request& request, Reply& reply) {
  bare::Demuxer demuxer(request.text("file"));
  std::vector<bare::Frame> frames;
  all_of(demuxer, 1, static_cast<std::size_t>(request.integer("most", 10)), [&](const AVFrame& frame) {
    frames.emplace_back(av_frame_clone(&frame));
  });
  const bool square = request.integer("square", 0) != 0;
  reply.timed([&] {
    for (const bare::Frame& frame : frames) {
      std::uint64_t sum = 0;
      for (int plane = 0; plane < 3; ++plane) {
        const int shift = plane ? 1 : 0, height = frame->height >> shift;
        const int width = square ? std::min(frame->width, frame->height) >> shift : frame->width >> shift;
        const int left = (frame->width >> shift) / 2 - width / 2;
        for (int y = 0; y < height; ++y) {
          const std::uint8_t* row = frame->data[plane] + static_cast<std::ptrdiff_t>(y) * frame->linesize[plane] + left;
          std::uint32_t line = 0;
          for (int x = 0; x < width; ++x) line += row[x];
          sum += line;
        }
      }
      reply.values.push_back(static_cast<double>(sum));
    }
  }, static_cast<int>(frames.size()));
}

/// A fixed amount of arithmetic on each core this process may use. It takes longer when something else runs here.
void calibrate(const Request& request, Reply& reply) {
  const int rounds = request.integer("rounds", 1);
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sched_getaffinity(0, sizeof allowed, &allowed);
  const auto work = [rounds](int cpu) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    pthread_setaffinity_np(pthread_self(), sizeof one, &one);
    std::array<float, 48> x{};
    for (int round = 0; round < rounds * 1'000'000; ++round)
      for (float& value : x) value = value * 0.999F + 0.5F;
    volatile float keep = x[7];
    static_cast<void>(keep);
  };
  reply.timed([&] {
    std::vector<std::thread> threads;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &allowed)) threads.emplace_back(work, cpu);
    for (std::thread& thread : threads) thread.join();
  });
}

}  // namespace

int main() {
  av_log_set_level(AV_LOG_QUIET);
  return side_by_side::serve({{"first", first}, {"many", many}, {"keys", keys}, {"all", all}, {"overlapped", overlapped}, {"needed", needed},
                              {"streams", streams}, {"to_rgb", to_rgb}, {"read_planes", read_planes}, {"calibrate", calibrate}});
}
