#pragma once
/// Reading an adapter's options out of a Value, with the adapter's name in every message.

#include <vidloom/core/error.hpp>
#include <vidloom/core/value.hpp>

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace vidloom {
inline namespace v0 {

/// Throws Error(config): "people.scale is 0.5; use more than 1".
[[noreturn]] inline void refuse_option(std::string_view adapter, std::string_view option, const Value& value, std::string_view fix) {
  throw Error(Code::config, std::string(adapter) + '.' + std::string(option) + " is " + value.dump() + "; use " + std::string(fix));
}

/// \return the option, or `fallback` where it is absent or null. `allowed` decides, `fix` says what it allows.
template <class Allowed>
double real_option(const Value& options, std::string_view adapter, std::string_view option, double fallback, Allowed allowed,
                   std::string_view fix) {
  const Value& value = options[option];
  if (value.is_null()) return fallback;
  if (!value.is_number() || !std::isfinite(value.as_real()) || !allowed(value.as_real())) refuse_option(adapter, option, value, fix);
  return value.as_real();
}

template <class Allowed>
int integer_option(const Value& options, std::string_view adapter, std::string_view option, int fallback, Allowed allowed,
                   std::string_view fix) {
  const auto whole = [&](double value) { return std::floor(value) == value && std::abs(value) < 1e9 && allowed(static_cast<int>(value)); };
  return static_cast<int>(real_option(options, adapter, option, fallback, whole, fix));
}

/// Collects what differs from the defaults, so that specs that mean the same have the same key.
class SpecOptions {
 public:
  template <class T>
  SpecOptions& set(std::string_view name, T value, T fallback) {
    if (value != fallback) options_.set(name, Value(value));
    return *this;
  }
  /// \return null when all are defaults.
  std::shared_ptr<const Value> share() { return options_.is_null() ? nullptr : std::make_shared<const Value>(std::move(options_)); }

 private:
  Value options_{};
};

}  // namespace v0
}  // namespace vidloom
