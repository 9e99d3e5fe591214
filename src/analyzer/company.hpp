#pragma once
/// What is done when a burst of runs in this process is over: the heap gives its free pages back.
///
/// glibc keeps what many threads freed in an arena for each of them, and between segments nothing makes it let go. Runs that
/// had no company leave next to nothing behind, so only the last of several at once pays the millisecond.

namespace vidloom {
inline namespace v0 {

/// One run at work. Thread-safe; takes no lock.
class InCompany {
 public:
  InCompany() noexcept;
  ~InCompany();
  InCompany(const InCompany&) = delete;
  InCompany& operator=(const InCompany&) = delete;
};

}  // namespace v0
}  // namespace vidloom
