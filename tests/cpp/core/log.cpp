#include <vidloom/core/error.hpp>
#include <vidloom/core/log.hpp>
#include <vidloom/core/version.hpp>

#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>

using namespace vidloom;

namespace {
/// An empty log that keeps everything, and the level of before at the end.
struct FreshLog {
  LogLevel before = log_level();
  FreshLog() {
    set_log_level(LogLevel::debug);
    take_log();
  }
  ~FreshLog() {
    take_log();
    set_log_level(before);
  }
};

/// \return the exit status of `body` in a forked child.
template <class Body>
int in_child(Body body) {
  const pid_t child = fork();
  if (child == 0) _exit(body());
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}
}  // namespace

TEST_CASE("records come out in order, once") {
  const FreshLog fresh;
  log(LogLevel::info, "source", "first");
  log(LogLevel::error, "ffmpeg", "second");
  const auto records = take_log();
  REQUIRE(records.size() == 2);
  CHECK(records[0].area == "source");
  CHECK(records[0].message == "first");
  CHECK(records[1].level == LogLevel::error);
  CHECK(records[1].time >= records[0].time);
  CHECK(take_log().empty());
}

TEST_CASE("records below the level are not kept") {
  const FreshLog fresh;
  set_log_level(LogLevel::warning);
  log(LogLevel::info, "a", "no");
  log(LogLevel::warning, "a", "yes");
  CHECK(take_log().size() == 1);
  set_log_level(LogLevel::off);
  log(LogLevel::error, "a", "no");
  log(LogLevel::off, "a", "no");
  CHECK(take_log().empty());
}

TEST_CASE("a full log drops its oldest records and counts them") {
  const FreshLog fresh;
  for (int i = 0; i < 1500; ++i) log(LogLevel::info, "a", std::to_string(i));
  std::uint64_t dropped = 0;
  const auto records = take_log(&dropped);
  REQUIRE(records.size() == 1024);
  CHECK(dropped == 1500 - 1024);
  CHECK(records.front().message == "476");
  CHECK(records.back().message == "1499");
  take_log(&dropped);
  CHECK(dropped == 0);
}

TEST_CASE("no record is lost uncounted when many threads log while one reads") {
  const FreshLog fresh;
  constexpr int writers = 4, each = 3000;
  std::atomic<int> running{writers};
  std::vector<std::thread> threads;
  for (int t = 0; t < writers; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < each; ++i) log(LogLevel::info, "thread", "message");
      --running;
    });
  }
  std::uint64_t taken = 0, lost = 0;
  const auto read = [&] {
    std::uint64_t dropped = 0;
    taken += take_log(&dropped).size();
    lost += dropped;
  };
  while (running > 0) read();
  for (auto& thread : threads) thread.join();
  read();
  CHECK(taken + lost == writers * each);
  CHECK(taken >= 1024);
}

TEST_CASE("messages are bounded and valid UTF-8, whatever they were made of") {
  const FreshLog fresh;
  log(LogLevel::info, "ffmpeg", std::string(1 << 20, 'x'));
  log(LogLevel::info, "ffmpeg", "caf\xE9 \xC3\xA9");
  const auto records = take_log();
  REQUIRE(records.size() == 2);
  CHECK(records[0].message.size() <= 4096);
  CHECK(records[1].message == "caf\xEF\xBF\xBD \xC3\xA9");
}

TEST_CASE("a child forked while others log can log") {
  const FreshLog fresh;
  std::atomic<bool> done{false};
  std::thread writer([&] {
    while (!done) log(LogLevel::info, "thread", "message");
  });
  int failures = 0;
  for (int i = 0; i < 50; ++i) {
    failures += in_child([] {
      alarm(20);  // a lock left closed would hang here
      log(LogLevel::error, "child", "alive");
      const auto records = take_log();
      return !records.empty() && records.back().area == "child" ? 0 : 1;
    });
  }
  done = true;
  writer.join();
  CHECK(failures == 0);
}

TEST_CASE("levels have words") {
  CHECK(to_string(LogLevel::warning) == "warning");
  for (const LogLevel level : {LogLevel::debug, LogLevel::info, LogLevel::warning, LogLevel::error, LogLevel::off})
    CHECK(parse_log_level(to_string(level)) == level);
  CHECK(parse_log_level("DEBUG") == LogLevel::debug);
  CHECK_THROWS_WITH_AS(parse_log_level("loud"), "log level is \"loud\"; use debug, info, warning, error or off", Error);
}

TEST_CASE("the level is taken from VIDLOOM_LOG_LEVEL") {
  // The environment is read once a process, so it takes a fresh one: this program, asked for the test case below.
  const auto with = [](const char* level) {
    const std::string command = std::string("VIDLOOM_LOG_LEVEL=") + level + " VIDLOOM_TEST_EXPECTS=" + level + " /proc/" +
                                std::to_string(getpid()) + "/exe --no-skip --test-case='helper: level of the environment' > /dev/null";
    return std::system(command.c_str());
  };
  CHECK(with("debug") == 0);
  CHECK(with("off") == 0);
  CHECK(with("loud") == 0);
}

TEST_CASE("helper: level of the environment" * doctest::skip()) {
  const char* expected = std::getenv("VIDLOOM_TEST_EXPECTS");
  REQUIRE(expected != nullptr);
  if (std::string_view(expected) == "loud") {
    CHECK(log_level() == LogLevel::warning);
    const auto records = take_log();
    REQUIRE(records.size() == 1);
    CHECK(records[0].message.find("VIDLOOM_LOG_LEVEL: log level is \"loud\"") != std::string::npos);
  } else {
    CHECK(to_string(log_level()) == expected);
  }
}

TEST_CASE("the loaded library is the one of these headers") { CHECK(version() == VIDLOOM_VERSION); }
