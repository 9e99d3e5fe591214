#pragma once
/// The interpreter's lock, for threads that may outlive the interpreter.
///
/// Until Python 3.13 a thread that asks for the lock while the interpreter ends is killed by pthread_exit(), whose unwinding
/// ends in std::terminate() at the first noexcept frame. As Python 3.14 does, such a thread waits here for the end of the
/// process instead. Lock order: ours first, this one last.

#include <pybind11/pybind11.h>

#include <cxxabi.h>
#include <unistd.h>

#include <vidloom/core/error.hpp>

namespace vidloom::bindings {

[[noreturn]] inline void wait_for_process_end() noexcept {
  for (;;) pause();
}

/// Gives this thread its Python state, if it has none, at no time when the process forks. Until Python 3.12 a child of os.fork()
/// takes the lock of the list of these states before it renews it: were it held here meanwhile, the child would wait for ever.
void make_thread_state();

/// Holds the lock. Throws Error(cancelled) when there is no interpreter any more.
class Gil {
 public:
  Gil() : state_(ensure()) {}
  ~Gil() { PyGILState_Release(state_); }
  Gil(const Gil&) = delete;
  Gil& operator=(const Gil&) = delete;

 private:
  static PyGILState_STATE ensure() {
    if (!Py_IsInitialized()) throw Error(Code::cancelled, "the Python interpreter has ended");
    make_thread_state();
    try {
      return PyGILState_Ensure();
    } catch (abi::__forced_unwind&) {
      wait_for_process_end();
    }
  }
  PyGILState_STATE state_;
};

/// Gives the lock away for as long as it lives.
class NoGil {
 public:
  NoGil() : state_(PyEval_SaveThread()) {}
  ~NoGil() {
    try {
      PyEval_RestoreThread(state_);
    } catch (abi::__forced_unwind&) {
      wait_for_process_end();
    }
  }
  NoGil(const NoGil&) = delete;
  NoGil& operator=(const NoGil&) = delete;

 private:
  PyThreadState* state_;
};

/// Calls into Python; `call` returns a new reference or null, as PyObject_Call does. A thread that the interpreter wants to
/// end inside goes no further.
template <class Call>
PyObject* guarded(Call call) {
  try {
    return call();
  } catch (abi::__forced_unwind&) {
    wait_for_process_end();
  }
}

}  // namespace vidloom::bindings
