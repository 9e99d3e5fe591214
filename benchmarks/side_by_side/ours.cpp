// Vidloom in the side-by-side runs: each task is what a C++ user types. Answers the line protocol.
#include "line_protocol.hpp"

#include <vidloom/vidloom.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

namespace {

using namespace vidloom;
using side_by_side::Reply;
using side_by_side::Request;

/// An open source; gives frames until there are none.
class Reading {
 public:
  Reading(const std::string& path, const Request& request, std::span<const Demand> demands = {})
      : source_(open_source(path, options_of(request))) {
    if (!demands.empty()) source_->set_demand(demands);
    SourceContext context{.cpu = CpuGate::process()};
    time_base_ = source_->open(context).time_base;
  }
  ~Reading() { source_->close(); }
  Source& source() { return *source_; }
  /// The container's tick next to a printed time.
  Nanos at_tick(double time) const {
    return from_pts(std::llround(time * static_cast<double>(time_base_.den) / static_cast<double>(time_base_.num)), time_base_);
  }
  std::optional<Frame> next() {
    for (;;) {
      ReadResult result = source_->read();
      if (std::holds_alternative<End>(result)) return std::nullopt;
      if (auto* frame = std::get_if<Frame>(&result)) return std::move(*frame);
    }
  }

 private:
  static Value options_of(const Request& request) {
    Value options = Value::object();
    if (request.has("threads")) options.set("threads", request.integer("threads", 0));
    return options;
  }
  std::unique_ptr<Source> source_;
  Rational time_base_{};
};

double seconds_of(const Frame& frame) {
  const FrameTime& time = frame.info().time;
  return static_cast<double>(time.pts) * static_cast<double>(time.time_base.num) / static_cast<double>(time.time_base.den);
}

void write_planes(const Frame& frame, Reply& reply) {
  const Size size = frame.size();
  bool first = true;
  for (const PlaneView& plane : frame.planes()) {
    const bool chroma = !std::exchange(first, false);
    reply.write_rows(plane.data, plane.stride, chroma ? (size.width + 1) / 2 : size.width, chroma ? (size.height + 1) / 2 : size.height);
  }
}

/// A picture as the row wants it: a handle to the planes, or RGB24.
class Delivery {
 public:
  Delivery(const Request& request, Reply& reply) : rgb_(request.has("as") && request.text("as") == "rgb"), reply_(reply) {}
  void operator()(const Frame& frame) {
    reply_.times.push_back(seconds_of(frame));
    if (rgb_) {
      const Image image = frame.image();
      if (reply_.checks()) reply_.write(image.bytes().data(), image.bytes().size());
    } else if (reply_.checks()) {
      write_planes(frame, reply_);
    }
  }

 private:
  bool rgb_;
  Reply& reply_;
};

void first_of(const std::string& path, const Request& request, Reply& reply) {
  Delivery deliver(request, reply);
  const Demand demand{.first = 1};
  Reading reading(path, request, {&demand, 1});
  deliver(reading.next().value());
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

constexpr Demand keyframes{.keyframes_only = true};

void keys(const Request& request, Reply& reply) {
  reply.timed([&] {
    Delivery deliver(request, reply);
    Reading reading(request.text("file"), request, {&keyframes, 1});
    while (const std::optional<Frame> frame = reading.next())
      deliver(*frame);
  });
}

void all(const Request& request, Reply& reply) {
  reply.timed([&] {
    Delivery deliver(request, reply);
    Reading reading(request.text("file"), request);
    while (const std::optional<Frame> frame = reading.next()) deliver(*frame);
  });
}

/// The first picture at or after each multiple of `every` on the media clock.
void sample(const Request& request, Reply& reply) {
  reply.timed([&] {
    Delivery deliver(request, reply);
    const Demand demand{.every = from_seconds(request.number("every"))};
    Reading reading(request.text("file"), request, {&demand, 1});
    std::optional<std::int64_t> last;
    while (const std::optional<Frame> frame = reading.next()) {
      const FrameInfo& info = frame->info();
      const std::int64_t tick = info.time.media_time / demand.every;
      if (tick > last.value_or((info.time.media_time - info.duration) / demand.every)) deliver(*frame);
      last = tick;
    }
  });
}

/// The pictures at chosen times.
void at(const Request& request, Reply& reply) {
  reply.timed([&] {
    Delivery deliver(request, reply);
    Reading reading(request.text("file"), request);
    std::vector<Nanos> times;
    for (const double time : request.numbers("at")) times.push_back(reading.at_tick(time));
    for (const Frame& frame : reading.source().frames_at(times)) deliver(frame);
  });
}

void streams(const Request& request, Reply& reply) {
  const int count = request.integer("count", 1);
  const auto most = static_cast<std::size_t>(request.integer("most", 1 << 30));
  const bool key_only = request.text("what") == "keys";
  std::mutex mutex;
  std::string failure;
  reply.timed([&] {
    std::vector<std::thread> threads;
    for (int i = 0; i < count; ++i) {
      threads.emplace_back([&] {
        std::vector<double> mine;
        std::string trouble;
        try {
          const Demand demand = key_only ? keyframes : Demand{};
          Reading reading(request.text("file"), request, {&demand, 1});
          while (mine.size() < most || key_only) {
            const std::optional<Frame> frame = reading.next();
            if (!frame) break;
            if (!key_only || frame->info().keyframe) mine.push_back(seconds_of(*frame));
          }
        } catch (const std::exception& error) {
          trouble = error.what();
        }
        const std::lock_guard lock(mutex);
        reply.times.insert(reply.times.end(), mine.begin(), mine.end());
        if (!trouble.empty()) failure = trouble;
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
  if (!failure.empty()) throw std::runtime_error(failure);
}

/// Mean of Y of every picture, on the decoder's own plane.
void luma(const Request& request, Reply& reply) {
  reply.timed([&] {
    Reading reading(request.text("file"), request);
    while (const std::optional<Frame> frame = reading.next()) {
      const PlaneView y = frame->luma();
      std::uint64_t sum = 0;
      for (int row = 0; row < y.size.height; ++row) {
        const auto* line = reinterpret_cast<const std::uint8_t*>(y.data + row * y.stride);
        std::uint32_t of_line = 0;
        for (int x = 0; x < y.size.width; ++x) of_line += line[x];
        sum += of_line;
      }
      reply.times.push_back(seconds_of(*frame));
      reply.values.push_back(static_cast<double>(sum) / (static_cast<double>(y.size.width) * y.size.height));
    }
  });
}

std::vector<Frame> decoded(const Request& request) {
  Reading reading(request.text("file"), request);
  std::vector<Frame> frames;
  for (int left = request.integer("most", 10); left > 0; --left) frames.push_back(reading.next().value());
  return frames;
}

void tensor(const Request& request, Reply& reply) {
  TensorSpec spec;
  const int side = request.integer("size", 224);
  spec.size = {side, side};
  spec.fit = request.text("fit") == "letterbox" ? TensorSpec::Fit::letterbox : TensorSpec::Fit::centre_crop;
  spec.filter = request.has("filter") && request.text("filter") == "bilinear" ? Filter::bilinear : Filter::bicubic;
  if (request.integer("clip", 0) != 0) {  // OpenAI's CLIP: mean and deviation of its training pictures
    const float mean[] = {0.48145466F, 0.4578275F, 0.40821073F}, deviation[] = {0.26862954F, 0.26130258F, 0.27577711F};
    std::copy(std::begin(mean), std::end(mean), spec.mean);
    std::copy(std::begin(deviation), std::end(deviation), spec.std);
  }
  const std::vector<Frame> frames = decoded(request);
  std::vector<std::byte> slot(slot_bytes(spec));
  frames.front().write_tensor(spec, slot);
  reply.timed([&] {
    for (const Frame& frame : frames) {
      frame.write_tensor(spec, slot);
      reply.times.push_back(seconds_of(frame));
      if (reply.checks()) reply.write(slot.data(), slot.size());
    }
  }, static_cast<int>(frames.size()));
}

void to_rgb(const Request& request, Reply& reply) {
  const std::vector<Frame> frames = decoded(request);
  reply.timed([&] {
    for (const Frame& frame : frames) {
      const Image image = frame.image();
      reply.times.push_back(seconds_of(frame));
      if (reply.checks()) reply.write(image.bytes().data(), image.bytes().size());
    }
  }, static_cast<int>(frames.size()));
}

}  // namespace

int main() {
  return side_by_side::serve({{"first", first}, {"many", many}, {"keys", keys}, {"all", all}, {"sample", sample}, {"at", at},
                              {"streams", streams}, {"luma", luma}, {"tensor", tensor}, {"to_rgb", to_rgb}});
}
