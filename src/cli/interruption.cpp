#include <cli/interruption.hpp>

#include <vidloom/core/error.hpp>

#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <utility>

namespace vidloom::cli {
namespace {

constexpr std::array signals{SIGINT, SIGTERM};
// A handler reaches nothing but globals. Lock-free atomics and write() are all it may use.
std::atomic<int> caught{0};
std::atomic<int> wake_descriptor{-1};
std::array<struct sigaction, signals.size()> former{};
std::array<bool, signals.size()> installed{};
static_assert(std::atomic<int>::is_always_lock_free);

void wake() noexcept {
  const std::uint64_t one = 1;
  while (::write(wake_descriptor.load(), &one, sizeof one) < 0 && errno == EINTR) {
  }
}

extern "C" void on_signal(int number) {
  const int saved = errno;
  int none = 0;
  if (!caught.compare_exchange_strong(none, number)) ::_exit(128 + number);
  wake();
  errno = saved;
}

}  // namespace

Interruption::Interruption(std::stop_source stop, bool interrupt_too) {
  caught = 0;
  wake_descriptor = ::eventfd(0, EFD_CLOEXEC);
  if (wake_descriptor < 0) throw Error(Code::internal, "cannot make an eventfd: the process has too many open files");
  waiter_ = std::thread([stop = std::move(stop)]() mutable {
    std::uint64_t count = 0;
    while (::read(wake_descriptor, &count, sizeof count) < 0 && errno == EINTR) {
    }
    if (caught != 0) stop.request_stop();
  });
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  for (std::size_t i = 0; i < signals.size(); ++i) {
    installed[i] = false;
    if (signals[i] == SIGINT && !interrupt_too) continue;
    ::sigaction(signals[i], nullptr, &former[i]);
    if (former[i].sa_handler == SIG_IGN) continue;
    installed[i] = ::sigaction(signals[i], &action, nullptr) == 0;
  }
}

Interruption::~Interruption() {
  for (std::size_t i = 0; i < signals.size(); ++i) {
    if (installed[i]) ::sigaction(signals[i], &former[i], nullptr);
  }
  wake();
  waiter_.join();
  ::close(wake_descriptor.exchange(-1));
}

int Interruption::signal() const noexcept { return caught; }

}  // namespace vidloom::cli
