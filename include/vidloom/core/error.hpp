#pragma once
/// Errors: one exception type with a Code, and Result<T> where one item of many may fail.
///
/// A mistake in set-up throws at once and names the field, the value and the fix. What fails while a stream runs
/// becomes an event or an Outcome that carries the same Error.
///
///     try { analyzer.analyze(*source); }
///     catch (const vidloom::Error& error) { return vidloom::exit_code(error); }

#include <vidloom/core/export.hpp>
#include <vidloom/core/time.hpp>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace vidloom {
inline namespace v0 {

/// What kind of thing went wrong. The texts of to_string() are frozen: they stand in result records.
enum class Code : std::uint8_t {
  config,      ///< a flag, option, name or file of the user's: the message names field, value and fix
  not_built,   ///< a part that is not in this build or not installed: the message names the package
  source,      ///< a source could not be opened or read
  decode,      ///< bytes arrived but gave no picture
  model,       ///< an adapter or its model failed
  transport,   ///< a connection to a worker or service failed
  overload,    ///< the other side refused work for now
  auth,        ///< credentials missing or refused
  deadline,    ///< no answer in time
  budget,      ///< a spending limit was reached
  lag,         ///< the picture was too old to be worth analysing
  unhealthy,   ///< the picture was damaged and the analysis wants whole ones
  cancelled,   ///< stopped by the caller
  forked,      ///< used before fork(), called again in the child
  output,      ///< a result could not be written
  internal     ///< a bug of ours
};

/// \return the frozen lower-case word, such as "not_built". Never throws.
VIDLOOM_API std::string_view to_string(Code code) noexcept;

/// Thrown by everything here. Exported from libvidloom, so it can be thrown in one library and caught in another.
struct VIDLOOM_API Error : std::runtime_error {
  Error(Code code, const std::string& message, bool retryable = false, Nanos retry_after = {});
  Error(const Error&) noexcept;
  Error& operator=(const Error&) noexcept;
  ~Error() override;

  Code code;
  bool retryable;     ///< the same call may succeed later
  Nanos retry_after;  ///< zero: not known
};

/// \return the exit code of the command line for `error`: 2 config, 3 source and decode, 4 not_built, model, transport, auth, forked,
/// 5 output, 130 cancelled, 70 internal, 1 for single answers (deadline, overload, budget, lag, unhealthy). Never throws.
VIDLOOM_API int exit_code(const Error& error) noexcept;

/// Hides userinfo, query values, fragments and RTMP stream keys of each `scheme://` URL in `text`; other text stays as it is.
VIDLOOM_API std::string redact(std::string_view text);

/// \return the entry of `known` nearest to `name` by edit distance, else by common beginning, or "". Any letter case. For messages.
VIDLOOM_API std::string nearest(std::string_view name, const std::vector<std::string>& known);

/// A value or the Error that stands in its place. Cheap to move. Not thread-safe.
template <class T>
class Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const noexcept { return state_.index() == 0; }
  /// \return the value; throws the stored Error when there is none.
  T& value() & {
    if (auto* error = std::get_if<1>(&state_)) throw *error;
    return *std::get_if<0>(&state_);
  }
  const T& value() const& {
    if (const auto* error = std::get_if<1>(&state_)) throw *error;
    return *std::get_if<0>(&state_);
  }
  /// \pre `!*this`; throws std::bad_variant_access otherwise.
  const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

}  // namespace v0
}  // namespace vidloom
