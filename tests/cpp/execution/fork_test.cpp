#include <execution/local_runtime.hpp>
#include <vidloom/execution/local.hpp>
#include <vidloom/registry.hpp>

#include <doctest/doctest.h>

#include <array>
#include <future>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

using namespace vidloom;

namespace {

#if defined(__SANITIZE_THREAD__)
constexpr bool may_fork = false;  // ThreadSanitizer cannot follow a fork of a process with threads
#else
constexpr bool may_fork = true;
#endif
#if defined(__SANITIZE_ADDRESS__)
constexpr bool may_fork_busy = false;  // the sanitizer's allocator of g++ 12 may be locked by another thread during fork()
#else
constexpr bool may_fork_busy = may_fork;
#endif

/// Runs `body` in a forked child under a 20 s alarm. \return its exit status; -1 when it was killed.
template <class Body>
int in_child(Body body) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(20);
    int status = 99;
    try {
      status = body();
    } catch (...) {
    }
    ::_exit(status);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Frame picture() {
  static const std::array<std::byte, 12> pixels{};
  return Frame::copy_of({pixels.data(), 6, {2, 2}}, {});
}

bool answers(Execution& execution) {
  std::promise<bool> answered;
  execution.submit({.frame = picture(), .done = Completion([&](Answer answer) { answered.set_value(static_cast<bool>(answer.detections)); })});
  return answered.get_future().get();
}

}  // namespace

TEST_CASE("an execution used before fork() refuses every call in the child and never hangs" * doctest::skip(!may_fork)) {
  auto used = local()->host({"visual"}, {});
  REQUIRE(answers(*used));
  CHECK(in_child([&] {
          int refused = 0;
          try {
            used->info();
          } catch (const Error& error) {
            refused += error.code == Code::forked;
          }
          try {
            used->submit({.frame = picture(), .done = Completion([](Answer) {})});
          } catch (const Error& error) {
            refused += error.code == Code::forked;
          }
          used->forget(StreamId{});
          refused += used->credits() == 0;
          used.reset();
          return refused;
        }) == 3);
  CHECK(answers(*used));
}

TEST_CASE("new executions work in the child of a process that used others, while its threads are busy" * doctest::skip(!may_fork_busy)) {
  const auto used = local()->host({"visual"}, {});
  std::atomic<bool> over{false};
  std::vector<std::thread> busy;
  for (int i = 0; i < 2; ++i) {
    busy.emplace_back([&] {
      while (!over) {
        const auto mine = local({.workers = 1})->host({"visual"}, {});
        answers(*mine);
      }
    });
  }
  for (int i = 0; i < 20; ++i) {
    CHECK(in_child([] {
            const auto fresh = local()->host({"visual"}, {});
            return answers(*fresh) ? 0 : 1;
          }) == 0);
  }
  over = true;
  for (auto& thread : busy) thread.join();
}

TEST_CASE("shutdown answers open jobs, ends the threads and refuses new hosts" * doctest::skip(!may_fork)) {
  CHECK(in_child([] {  // in a child, as it is for the end of a process
          const auto execution = local()->host({"visual"}, {});
          if (!answers(*execution)) return 1;
          shutdown_local_execution(std::chrono::seconds(5));
          shutdown_local_execution(std::chrono::seconds(5));
          try {
            local()->host({"visual"}, {});
            return 2;
          } catch (const Error& error) {
            return error.code == Code::cancelled ? 0 : 3;
          }
        }) == 0);
}
