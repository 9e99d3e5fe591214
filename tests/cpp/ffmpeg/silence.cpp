// A pipe that stays silent: what the waiting thread does meanwhile, and how it leaves.
#include <support/clips.hpp>
#include <vidloom/analyzer.hpp>
#include <vidloom/core/waiting.hpp>
#include <vidloom/source.hpp>

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <thread>

using namespace vidloom;
using namespace std::chrono_literals;

namespace {

struct HandlerRan {};

/// A named pipe whose writer says what it is told and then nothing more.
class SilentPipe {
 public:
  SilentPipe() {
    REQUIRE(::mkfifo(path().c_str(), 0600) == 0);
    reader_ = ::open(path().c_str(), O_RDONLY | O_NONBLOCK);  // else opening the other end would wait
    writer_ = ::open(path().c_str(), O_WRONLY);
    REQUIRE(writer_ >= 0);
  }
  SilentPipe(const SilentPipe&) = delete;
  SilentPipe& operator=(const SilentPipe&) = delete;
  ~SilentPipe() {
    ::close(reader_);
    ::close(writer_);
  }
  std::string path() const { return folder_ / "silent.ts"; }
  const test::Folder& folder() const { return folder_; }
  void say(const std::string& bytes) { REQUIRE(::write(writer_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size())); }

 private:
  const test::Folder folder_;
  int reader_ = -1, writer_ = -1;
};

}  // namespace

TEST_CASE("what WhileWaiting throws leaves open() of a silent pipe unchanged, and the source works again after close()") {
  SilentPipe pipe;
  const auto source = open_source(pipe.path());
  SourceContext context{.stream = StreamId{1}, .cpu = CpuGate::process()};
  for (int attempt = 0; attempt < 2; ++attempt) {
    int calls = 0;
    const WhileWaiting hook([&] {
      if (++calls == 3) throw HandlerRan();
    });
    CHECK_THROWS_AS(source->open(context), HandlerRan);
    CHECK(calls == 3);
    CHECK_THROWS_AS(source->read(), Error);  // only close() is legal
    source->close();
  }
}

TEST_CASE("it leaves read() in the middle of a segment, and pictures that came before are whole") {
  SilentPipe pipe;
  const std::string clip = pipe.folder().make(
      "clip.ts", "-f lavfi -i testsrc2=size=128x96:rate=25:duration=1 -c:v libx264 -preset veryfast -threads 1 -g 5");
  const std::string bytes = pipe.folder().read("clip.ts");
  pipe.say(bytes.substr(0, std::min<std::size_t>(bytes.size() * 3 / 4, 48 << 10)));
  const auto source = open_source(pipe.path());
  SourceContext context{.stream = StreamId{1}, .cpu = CpuGate::process()};
  int calls = 0, pictures = 0;
  const WhileWaiting hook([&] {
    if (++calls == 5) throw HandlerRan();
  });
  const auto read_on = [&] {
    source->open(context);
    for (;;) pictures += std::holds_alternative<Frame>(source->read());
  };
  CHECK_THROWS_AS(read_on(), HandlerRan);
  CHECK(calls == 5);
  source->close();
  MESSAGE(pictures << " pictures before the silence");
}

TEST_CASE("a source that has bytes calls nobody, and hooks nest") {
  const test::Folder folder;
  const auto source = open_source(folder.make("clip.ts", "-f lavfi -i testsrc2=size=128x96:rate=25:duration=0.4 -c:v libx264"));
  const WhileWaiting outer([] { throw HandlerRan(); });
  SourceContext context{.stream = StreamId{1}, .cpu = CpuGate::process()};
  source->open(context);
  int pictures = 0;
  while (std::holds_alternative<Frame>(source->read())) ++pictures;
  CHECK(pictures == 10);
  source->close();
  const std::function<void()>* const before = WhileWaiting::current();
  {
    const WhileWaiting inner([] {});
    CHECK(WhileWaiting::current() != before);
    const WhileWaiting none(nullptr);
    CHECK(WhileWaiting::current() != before);
  }
  CHECK(WhileWaiting::current() == before);
  std::thread([] { CHECK(WhileWaiting::current() == nullptr); }).join();
}

TEST_CASE("AnalyzeOptions::poll runs while a run waits for its source, and what it throws leaves the call") {
  SilentPipe pipe;
  Analyzer analyzer({});
  const auto source = open_source(pipe.path());
  AnalyzeOptions options;
  int calls = 0;
  options.poll = [&] {
    if (++calls == 4) throw HandlerRan();
  };
  CHECK_THROWS_AS(analyzer.analyze(*source, options), HandlerRan);
  options.poll = nullptr;
  options.deadline = 200ms;
  try {
    analyzer.analyze(*source, options);
    FAIL_CHECK("a silent pipe gave a report");
  } catch (const Error& error) {
    CHECK(error.code == Code::deadline);
  }
}
