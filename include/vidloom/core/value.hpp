#pragma once
/// Value: null, bool, integer, real, string, array or object. What options, results and JSON are made of.
///
/// Objects keep their order and are looked up linearly (they are small). Regular: copies are deep. A const Value may be
/// read from many threads.
///
///     Value options = Value::parse(R"({"scale": 1.05, "labels": ["Nike"]})");
///     double scale = options["scale"].as_real();
///     options.set("stride", 8);

#include <vidloom/core/export.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace vidloom {
inline namespace v0 {

class VIDLOOM_API Value {
 public:
  using Array = std::vector<Value>;
  using Member = std::pair<std::string, Value>;
  using Object = std::vector<Member>;
  enum class Type : std::uint8_t { null, boolean, integer, real, string, array, object };

  Value() noexcept : state_(nullptr) {}
  Value(std::nullptr_t) noexcept : state_(nullptr) {}
  Value(bool value) noexcept : state_(value) {}
  template <std::integral T>
    requires(!std::same_as<T, bool>)
  Value(T value) noexcept : state_(static_cast<std::int64_t>(value)) {}  ///< \pre it fits into 64 signed bits
  Value(double value) noexcept : state_(value) {}
  Value(float value) noexcept : state_(static_cast<double>(value)) {}
  Value(const char* value) : state_(std::string(value)) {}
  Value(std::string_view value) : state_(std::string(value)) {}
  Value(std::string value) noexcept : state_(std::move(value)) {}
  Value(Array value) noexcept : state_(std::move(value)) {}
  Value(Object value) noexcept : state_(std::move(value)) {}
  /// An empty object, to be filled with set().
  static Value object() { return Value(Object{}); }
  static Value array() { return Value(Array{}); }

  Type type() const noexcept { return static_cast<Type>(state_.index()); }
  bool is_null() const noexcept { return type() == Type::null; }
  bool is_bool() const noexcept { return type() == Type::boolean; }
  bool is_integer() const noexcept { return type() == Type::integer; }
  bool is_number() const noexcept { return is_integer() || type() == Type::real; }
  bool is_string() const noexcept { return type() == Type::string; }
  bool is_array() const noexcept { return type() == Type::array; }
  bool is_object() const noexcept { return type() == Type::object; }
  /// \return "null", "true or false", "an integer", "a number", "a text", "a list" or "an object": for messages.
  std::string_view type_name() const noexcept;

  /// The value as that type; an integer also reads as a real, and a whole real as an integer. Each throws Error(config) otherwise.
  bool as_bool() const;
  std::int64_t as_integer() const;
  double as_real() const;
  const std::string& as_string() const;
  const Array& as_array() const;
  Array& as_array();
  const Object& as_object() const;
  Object& as_object();

  /// \return members or elements; 0 for all other types. Never throws.
  std::size_t size() const noexcept;
  /// \return the member, or nullptr when there is none or this is no object. Never throws.
  const Value* find(std::string_view key) const noexcept;
  Value* find(std::string_view key) noexcept;
  /// \return the member, or a null Value. Never throws.
  const Value& operator[](std::string_view key) const noexcept;
  /// \return the element; throws Error(config) when out of range.
  const Value& at(std::size_t index) const;
  /// Sets or replaces a member; a null Value becomes an object first. \return this.
  Value& set(std::string_view key, Value value);
  /// Removes a member. \return whether there was one.
  bool erase(std::string_view key);
  /// Adds an element; a null Value becomes an array first. \return this.
  Value& push_back(Value value);

  enum class Comments : std::uint8_t { refuse, allow };  // allow: // and /* */ as in analyses.json
  /// Reads JSON text (RFC 8259). Throws Error(config) with line and column, also on a duplicate key and beyond 256 levels.
  static Value parse(std::string_view json, Comments comments = Comments::refuse);
  /// \return JSON text on one line, or indented. NaN and infinities become null, bytes that are no UTF-8 become U+FFFD.
  std::string dump(int indent = -1) const;
  /// \return dump() with all keys sorted and 1.0 as 1: equal values give equal texts, whatever the order of their keys.
  std::string canonical() const;

  /// Objects are equal whatever their order; 1 and 1.0 are equal.
  friend VIDLOOM_API bool operator==(const Value& a, const Value& b) noexcept;

 private:
  std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, Array, Object> state_;
};

}  // namespace v0
}  // namespace vidloom
