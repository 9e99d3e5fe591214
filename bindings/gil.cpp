#include <gil.hpp>

#include <mutex>

#include <pthread.h>

namespace vidloom::bindings {

#if PY_VERSION_HEX < 0x030C0000

namespace {

/// Held while a thread state is made, and over fork(). Whoever holds it never waits for the interpreter's lock.
std::mutex fork_gate;

}  // namespace

void make_thread_state() {
  static const int registered = pthread_atfork([] { fork_gate.lock(); }, [] { fork_gate.unlock(); }, [] { fork_gate.unlock(); });
  static_cast<void>(registered);  // without memory for it, as safe as before
  if (PyGILState_GetThisThreadState() != nullptr) return;
  const std::lock_guard lock(fork_gate);
  // As PyGILState_Ensure() leaves it, which takes it from here: the last PyGILState_Release() deletes it, holding the lock.
  if (PyThreadState* state = PyThreadState_New(PyInterpreterState_Main())) state->gilstate_counter = 0;
}

#else

void make_thread_state() {}

#endif

}  // namespace vidloom::bindings
