#pragma once
/// Ctrl-C and SIGTERM: the first one asks for a stop, the second one ends the process at once.

#include <stop_token>
#include <thread>

namespace vidloom::cli {

/// One at a time. Signals that the parent made us ignore (nohup, a shell's &) stay ignored.
class Interruption {
 public:
  /// \param stop  asked to stop by the first signal, on a thread of its own.
  /// \param interrupt_too  false leaves SIGINT to whoever has it (Python).
  Interruption(std::stop_source stop, bool interrupt_too);
  ~Interruption();
  Interruption(const Interruption&) = delete;
  Interruption& operator=(const Interruption&) = delete;
  /// \return the signal that came, 0: none.
  int signal() const noexcept;

 private:
  std::thread waiter_;
};

}  // namespace vidloom::cli
