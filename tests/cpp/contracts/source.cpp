#include "findings.hpp"

#include <doctest/doctest.h>
#include <support/clips.hpp>
#include <vidloom/contracts/source.hpp>
#include <vidloom/vidloom.hpp>

using namespace vidloom;
using contracts::Findings;
using test::tells;

namespace {

/// Keeps its contract: 30 pictures, 10 a second.
class Counting : public Source {
 public:
  SourceInfo open(SourceContext& context) override {
    stream_ = context.stream;
    at_ = 0;
    interrupted_ = false;
    SourceInfo info;
    info.size = {64, 48};
    info.time_base = {1, 10};
    return info;
  }
  ReadResult read() override {
    if (interrupted_) throw Error(Code::cancelled, "interrupted");
    if (at_ == 30) return End{};
    Frame frame = contracts::scene_frame({64, 48}, at_);
    FrameInfo info = frame.info();
    info.stream = stream_;
    change(info);
    ++at_;
    return frame.with_info(info);
  }
  void interrupt() noexcept override { interrupted_ = true; }
  void close() noexcept override {}

 protected:
  virtual void change(FrameInfo&) {}
  std::atomic<bool> interrupted_{false};
  std::uint64_t at_ = 0;
  StreamId stream_{};
};

template <class T>
Findings check() {
  return contracts::check_source([] { return std::make_unique<T>(); }, {.timeout = std::chrono::seconds(2)});
}
Findings check(const std::string& uri) {
  return contracts::check_source([uri] { return open_source(uri); });
}

}  // namespace

TEST_CASE("a sound source passes") { CHECK(check<Counting>() == Findings{}); }

TEST_CASE("the test pattern keeps the contract") { CHECK(check("test:size=320x64,rate=30000/1001,frames=60,start=10") == Findings{}); }

TEST_CASE("files, segments, pictures and lavfi keep the contract") {
  test::Folder folder;
  const std::string lavfi = "-f lavfi -i testsrc2=duration=3:size=320x180:rate=25 ";
  for (const std::string& clip : {folder.make("h264.mp4", lavfi + "-c:v libx264 -bf 2 -g 25"),
                                  folder.make("h264.ts", lavfi + "-c:v libx264 -bf 2 -g 25 -output_ts_offset 10"),
                                  folder.make("mpeg4.avi", lavfi + "-c:v mpeg4"), folder.make("lossless.mkv", lavfi + "-c:v ffv1")}) {
    CAPTURE(clip);
    CHECK(check(clip) == Findings{});
    CHECK(contracts::check_source([&] { return segment_source(clip); }) == Findings{});
  }
  const std::string picture = folder.make("one.png", "-f lavfi -i testsrc2=size=96x64 -frames:v 1");
  CHECK(check(picture) == Findings{});
  test::Folder pictures;
  pictures.make("p%02d.jpg", "-f lavfi -i testsrc2=size=96x64:rate=5 -frames:v 7");
  CHECK(check(pictures.path()) == Findings{});
  CHECK(check("lavfi:testsrc2=size=96x64:rate=10:duration=3") == Findings{});
}

TEST_CASE("real footage keeps the contract") {
  for (const char* name : {"vtest.avi", "box.mp4", "cup.mp4", "Megamind.avi"}) {
    const std::string clip = test::require_clip(name);
    if (clip.empty()) return;
    CAPTURE(std::string(name));
    CHECK(check(clip) == Findings{});
  }
}

TEST_CASE("time that steps back is told") {
  struct Backwards final : Counting {
    void change(FrameInfo& info) override {
      if (at_ == 7) info.time.media_time -= std::chrono::milliseconds(150);
    }
  };
  CHECK(tells(check<Backwards>(), "frame 7: media_time steps back from 0.6"));
}

TEST_CASE("sequences that start late or stand still are told") {
  struct Late final : Counting {
    void change(FrameInfo& info) override { info.sequence += 1; }
  };
  CHECK(tells(check<Late>(), "the first frame of an epoch has sequence 1"));
  struct Still final : Counting {
    void change(FrameInfo& info) override { info.sequence = 0; }
  };
  CHECK(tells(check<Still>(), "sequence goes from 0 to 0"));
}

TEST_CASE("frames of another stream are told") {
  struct Foreign final : Counting {
    void change(FrameInfo& info) override { info.stream = StreamId{99}; }
  };
  CHECK(tells(check<Foreign>(), "does not carry SourceContext.stream"));
}

TEST_CASE("a read that an interrupt does not end is told, and left behind") {
  static std::atomic<bool> released{false};
  struct Deaf final : Counting {
    ReadResult read() override {
      if (at_ == 1) released.wait(false);
      return Counting::read();
    }
    void interrupt() noexcept override {}
  };
  CHECK(tells(contracts::check_source([] { return std::make_unique<Deaf>(); }, {.timeout = std::chrono::milliseconds(300)}),
              "did not come back within 0.3"));
  released = true;
  released.notify_all();
}

TEST_CASE("pictures that go on after an interrupt are told") {
  struct Endless final : Counting {
    ReadResult read() override {
      if (at_ == 29) at_ = 28;
      Frame frame = contracts::scene_frame({16, 16}, 0);
      FrameInfo info = contracts::info_at(count_++);
      info.stream = stream_;
      return frame.with_info(info);
    }
    SourceInfo open(SourceContext& context) override {
      count_ = 0;
      return Counting::open(context);
    }
    std::uint64_t count_ = 0;
  };
  CHECK(tells(contracts::check_source([] { return std::make_unique<Endless>(); }, {.timeout = std::chrono::seconds(5), .most_frames = 20}),
              "goes on giving pictures after interrupt()"));
}

TEST_CASE("another code than cancelled after an interrupt is told") {
  struct Rude final : Counting {
    ReadResult read() override {
      if (interrupted_) throw Error(Code::source, "connection reset");
      if (at_ == 29) at_ = 1;
      return Counting::read();
    }
  };
  CHECK(tells(contracts::check_source([] { return std::make_unique<Rude>(); }, {.most_frames = 20}), "use Code::cancelled"));
}

TEST_CASE("an interrupt that close() does not forget is told") {
  struct Sticky final : Counting {
    SourceInfo open(SourceContext& context) override {
      const bool before = interrupted_;
      const SourceInfo info = Counting::open(context);
      interrupted_ = before;
      return info;
    }
  };
  CHECK(tells(check<Sticky>(), "after interrupt(), close() and open() threw: interrupted"));
}

TEST_CASE("a source that cannot be opened again, or gives other pictures then, is told") {
  struct Once final : Counting {
    SourceInfo open(SourceContext& context) override {
      if (opened_++ > 0) throw Error(Code::source, "already used");
      return Counting::open(context);
    }
    int opened_ = 0;
  };
  CHECK(tells(check<Once>(), "open() after close() threw: already used"));
  struct Other final : Counting {
    SourceInfo open(SourceContext& context) override {
      ++opened_;
      return Counting::open(context);
    }
    void change(FrameInfo& info) override { info.time.media_time += std::chrono::seconds(opened_); }
    int opened_ = 0;
  };
  CHECK(tells(check<Other>(), "opened again it does not deliver the same pictures"));
}

TEST_CASE("no picture at all is told") {
  struct Empty final : Counting {
    ReadResult read() override { return End{}; }
  };
  CHECK(tells(check<Empty>(), "it ended without one picture"));
}

TEST_CASE("seeking to the wrong picture, and a seek that is promised but missing, are told") {
  struct Missing final : Counting {
    SourceInfo open(SourceContext& context) override {
      SourceInfo info = Counting::open(context);
      info.seekable = true;
      return info;
    }
  };
  CHECK(tells(check<Missing>(), "seek(1.5"));
  struct Early final : Counting {
    SourceInfo open(SourceContext& context) override {
      SourceInfo info = Counting::open(context);
      info.seekable = true;
      return info;
    }
    void seek(Nanos to) override { at_ = static_cast<std::uint64_t>(std::max<std::int64_t>(0, to / std::chrono::milliseconds(100) - 3)); }
  };
  CHECK(tells(check<Early>(), "came the picture of 1.2"));
}

TEST_CASE("a buffer that is used again under a picture is told") {
  struct Reusing final : Counting {
    ReadResult read() override {
      if (interrupted_) throw Error(Code::cancelled, "interrupted");
      if (at_ == 30) return End{};
      for (std::byte& byte : *buffer_) byte = static_cast<std::byte>(at_);
      FrameInfo info = contracts::info_at(at_++);
      info.stream = stream_;
      const PlaneView plane{buffer_->data(), 64, {64, 48}};
      return Frame::adopt({&plane, 1}, "gray", info, buffer_);
    }
    std::shared_ptr<std::vector<std::byte>> buffer_ = std::make_shared<std::vector<std::byte>>(64 * 48);
  };
  CHECK(tells(check<Reusing>(), "the first picture changed after it was handed out"));
}
