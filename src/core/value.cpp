#include <vidloom/core/value.hpp>

#include <core/utf8.hpp>
#include <vidloom/core/error.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <limits>
#include <optional>
#include <unordered_set>

namespace vidloom {
inline namespace v0 {

namespace {

/// JSON from outside nests no deeper than this, so that copying, comparing and destroying a Value never exhaust a stack.
constexpr std::size_t most_levels = 256;

/// \return `value` as an integer when it is one, exactly.
std::optional<std::int64_t> whole(double value) noexcept {
  constexpr double two_to_63 = 9223372036854775808.0;
  if (!(value >= -two_to_63 && value < two_to_63) || std::trunc(value) != value) return std::nullopt;
  return static_cast<std::int64_t>(value);
}

// ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/// Hands the parser its bytes and lets the handler know how far it has come.
struct Cursor {
  using iterator_category = std::forward_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  const char* at = nullptr;
  const char** reached = nullptr;

  reference operator*() const noexcept { return *at; }
  Cursor& operator++() noexcept {
    ++at;
    if (reached != nullptr) *reached = at;
    return *this;
  }
  Cursor operator++(int) noexcept {
    Cursor before = *this;
    ++*this;
    return before;
  }
  friend bool operator==(const Cursor& a, const Cursor& b) noexcept { return a.at == b.at; }
};

[[noreturn]] void refuse(std::string_view json, const char* position, const std::string& problem) {
  const std::string_view before = json.substr(0, static_cast<std::size_t>(position - json.data()));
  const auto line = 1 + std::ranges::count(before, '\n');
  const std::string_view last_line = before.substr(before.rfind('\n') + 1);
  const auto column = 1 + std::ranges::count_if(last_line, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; });
  throw Error(Code::config, "JSON, line " + std::to_string(line) + ", column " + std::to_string(column) + ": " + problem);
}

constexpr std::size_t longest_reason = 160;

/// What nlohmann says without its id, position and quotation of the input (which may be long, or no text at all).
std::string reason_of(std::string_view what) {
  for (const std::string_view opening : {"] ", "column ", ": "}) {
    const auto at = what.find(opening);
    if (at != std::string_view::npos) what.remove_prefix(at + opening.size());
  }
  std::string text(what);
  const auto quotation = text.find("; last read: '");
  if (quotation != std::string::npos) {
    const auto expected = text.rfind("'; expected ");
    text.erase(quotation, expected == std::string::npos ? std::string::npos : expected + 1 - quotation);
  }
  if (text.size() > longest_reason) text.replace(longest_reason, std::string::npos, "...");  // it quotes numbers of any length
  return text;
}

/// Builds a Value while nlohmann reads.
class Builder {
 public:
  explicit Builder(std::string_view json) : json_(json), reached_(json.data()) {}

  Cursor begin() noexcept { return {json_.data(), &reached_}; }
  Cursor end() const noexcept { return {json_.data() + json_.size(), nullptr}; }
  Value take() { return std::move(root_); }

  bool null() { return add(Value()); }
  bool boolean(bool value) { return add(Value(value)); }
  bool number_integer(std::int64_t value) { return add(Value(value)); }
  bool number_unsigned(std::uint64_t value) {
    constexpr auto largest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    return add(value <= largest ? Value(value) : Value(static_cast<double>(value)));
  }
  bool number_float(double value, const std::string&) { return add(Value(value)); }
  bool string(std::string& value) { return add(Value(std::move(value))); }
  bool binary(nlohmann::json::binary_t&) { return false; }  // JSON text has none

  bool start_object(std::size_t) { return open(Value::object()); }
  bool key(std::string& name) {
    Level& level = open_.back();
    if (!level.keys.insert(name).second)
      refuse(json_, reached_ - 1, "the key \"" + valid_utf8(name.substr(0, 80)) + "\" stands twice in one object");
    level.key = std::move(name);
    return true;
  }
  bool end_object() { return close(); }
  bool start_array(std::size_t) { return open(Value::array()); }
  bool end_array() { return close(); }

  /// \param read  bytes up to and with the offending one; the end of the text counts as one
  bool parse_error(std::size_t read, const std::string&, const nlohmann::json::exception& error) {
    refuse(json_, json_.data() + std::min(std::max<std::size_t>(read, 1) - 1, json_.size()), reason_of(error.what()));
  }

 private:
  struct Level {
    Value value;
    std::string key{};                       ///< of the member to come
    std::unordered_set<std::string> keys{};  ///< so far: a search of the members would be quadratic in hostile input
  };

  bool open(Value value) {
    if (open_.size() == most_levels) refuse(json_, reached_ - 1, "nested deeper than " + std::to_string(most_levels) + " levels");
    open_.push_back({std::move(value)});
    return true;
  }
  bool close() {
    Value value = std::move(open_.back().value);
    open_.pop_back();
    return add(std::move(value));
  }
  bool add(Value value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (Level& level = open_.back(); level.value.is_object()) {
      level.value.as_object().emplace_back(std::move(level.key), std::move(value));
    } else {
      level.value.as_array().push_back(std::move(value));
    }
    return true;
  }

  std::string_view json_;
  const char* reached_;  ///< one behind the byte read last
  std::vector<Level> open_;
  Value root_;
};

// ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/// Written here and not by nlohmann: records are the hot path, and its ordered objects cost a copy and a search per key.
class Writer {
 public:
  Writer(int indent, bool canonical) : indent_(indent), canonical_(canonical) {}

  void write(const Value& value) {
    switch (value.type()) {
      case Value::Type::null: out_.append("null"); break;
      case Value::Type::boolean: out_.append(value.as_bool() ? "true" : "false"); break;
      case Value::Type::integer: digits(value.as_integer()); break;
      case Value::Type::real: real(value.as_real()); break;
      case Value::Type::string: text(value.as_string()); break;
      case Value::Type::array: array(value.as_array()); break;
      case Value::Type::object: object(value.as_object()); break;
    }
  }
  std::string take() { return std::move(out_); }

 private:
  void digits(std::int64_t number) {
    char buffer[32];
    out_.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, number).ptr);
  }

  void real(double number) {
    if (!std::isfinite(number)) {
      out_.append("null");
      return;
    }
    if (canonical_) {
      if (const auto integer = whole(number)) return digits(*integer);  // equal to that integer, so it must read the same
    }
    const std::size_t begin = out_.size();
    const double size = std::abs(number);
    const bool plain = number == 0 || (size >= 1e-4 && size < 1e16);  // as Python writes it: to_chars alone makes 1e+05 of 100000
    char buffer[32];
    const auto format = plain ? std::chars_format::fixed : std::chars_format::scientific;
    out_.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, number, format).ptr);
    if (out_.find_first_of(".e", begin) == std::string::npos) out_.append(".0");  // stays a real when read again
  }

  void text(std::string_view bytes) {
    const auto plain = [](char c) { return c >= 0x20 && static_cast<unsigned char>(c) < 0x80 && c != '"' && c != '\\'; };
    out_.push_back('"');
    while (!bytes.empty()) {
      const auto run = static_cast<std::size_t>(std::ranges::find_if_not(bytes, plain) - bytes.begin());
      out_.append(bytes.substr(0, run));
      bytes.remove_prefix(run);
      if (bytes.empty()) break;
      std::size_t length = 1;
      if (const auto byte = static_cast<unsigned char>(bytes.front()); byte < 0x80) {
        escape(byte);
      } else {
        length = utf8_length(bytes);
        out_.append(length == 0 ? "\xEF\xBF\xBD" : bytes.substr(0, length));
      }
      bytes.remove_prefix(std::max<std::size_t>(length, 1));
    }
    out_.push_back('"');
  }

  void escape(unsigned char byte) {
    constexpr std::string_view hex = "0123456789abcdef";
    switch (byte) {
      case '"': out_.append("\\\""); break;
      case '\\': out_.append("\\\\"); break;
      case '\b': out_.append("\\b"); break;
      case '\f': out_.append("\\f"); break;
      case '\n': out_.append("\\n"); break;
      case '\r': out_.append("\\r"); break;
      case '\t': out_.append("\\t"); break;
      default: out_.append("\\u00").append(1, hex[byte >> 4U]).append(1, hex[byte & 0xFU]);
    }
  }

  void array(const Value::Array& elements) {
    out_.push_back('[');
    ++level_;
    for (const Value& element : elements) {
      if (&element != elements.data()) out_.push_back(',');
      new_line();
      write(element);
    }
    --level_;
    if (!elements.empty()) new_line();
    out_.push_back(']');
  }

  void object(const Value::Object& members) {
    std::vector<const Value::Member*> order;
    order.reserve(members.size());
    for (const auto& member : members) order.push_back(&member);
    if (canonical_) std::ranges::stable_sort(order, {}, [](const Value::Member* member) -> const std::string& { return member->first; });
    out_.push_back('{');
    ++level_;
    for (const Value::Member* member : order) {
      if (member != order.front()) out_.push_back(',');
      new_line();
      text(member->first);
      out_.append(indent_ < 0 ? ":" : ": ");
      write(member->second);
    }
    --level_;
    if (!members.empty()) new_line();
    out_.push_back('}');
  }

  void new_line() {
    if (indent_ >= 0) out_.append("\n").append(static_cast<std::size_t>(indent_) * level_, ' ');
  }

  int indent_;
  bool canonical_;
  std::size_t level_ = 0;
  std::string out_;
};

// ── typed access ─────────────────────────────────────────────────────────────────────────────────────────────────────

constexpr std::string_view type_names[] = {"null", "true or false", "an integer", "a number", "a text", "a list", "an object"};

[[noreturn]] void refuse_type(const Value& value, std::string_view wanted) {
  std::string message = std::string(value.type_name());
  if (value.is_number() || value.type() == Value::Type::boolean) message += " (" + value.dump() + ")";
  throw Error(Code::config, message + " stands where " + std::string(wanted) + " is needed");
}

const Value null_value;

}  // namespace

std::string_view Value::type_name() const noexcept { return type_names[state_.index()]; }

bool Value::as_bool() const {
  if (const auto* value = std::get_if<bool>(&state_)) return *value;
  refuse_type(*this, "true or false");
}

std::int64_t Value::as_integer() const {
  if (const auto* value = std::get_if<std::int64_t>(&state_)) return *value;
  if (const auto* value = std::get_if<double>(&state_)) {
    if (const auto integer = whole(*value)) return *integer;
  }
  refuse_type(*this, "an integer");
}

double Value::as_real() const {
  if (const auto* value = std::get_if<double>(&state_)) return *value;
  if (const auto* value = std::get_if<std::int64_t>(&state_)) return static_cast<double>(*value);
  refuse_type(*this, "a number");
}

const std::string& Value::as_string() const {
  if (const auto* value = std::get_if<std::string>(&state_)) return *value;
  refuse_type(*this, "a text");
}

const Value::Array& Value::as_array() const {
  if (const auto* value = std::get_if<Array>(&state_)) return *value;
  refuse_type(*this, "a list");
}
Value::Array& Value::as_array() { return const_cast<Array&>(std::as_const(*this).as_array()); }

const Value::Object& Value::as_object() const {
  if (const auto* value = std::get_if<Object>(&state_)) return *value;
  refuse_type(*this, "an object");
}
Value::Object& Value::as_object() { return const_cast<Object&>(std::as_const(*this).as_object()); }

std::size_t Value::size() const noexcept {
  if (const auto* members = std::get_if<Object>(&state_)) return members->size();
  if (const auto* elements = std::get_if<Array>(&state_)) return elements->size();
  return 0;
}

const Value* Value::find(std::string_view key) const noexcept {
  const auto* members = std::get_if<Object>(&state_);
  if (members == nullptr) return nullptr;
  const auto member = std::ranges::find(*members, key, &Member::first);
  return member == members->end() ? nullptr : &member->second;
}
Value* Value::find(std::string_view key) noexcept { return const_cast<Value*>(std::as_const(*this).find(key)); }

const Value& Value::operator[](std::string_view key) const noexcept {
  const Value* member = find(key);
  return member == nullptr ? null_value : *member;
}

const Value& Value::at(std::size_t index) const {
  const Array& elements = as_array();
  if (index < elements.size()) return elements[index];
  throw Error(Code::config, "element " + std::to_string(index) + " is asked of a list of " + std::to_string(elements.size()));
}

Value& Value::set(std::string_view key, Value value) {
  if (is_null()) state_ = Object{};
  Object& members = as_object();
  if (Value* member = find(key)) {
    *member = std::move(value);
  } else {
    members.emplace_back(std::string(key), std::move(value));
  }
  return *this;
}

bool Value::erase(std::string_view key) {
  auto* members = std::get_if<Object>(&state_);
  if (members == nullptr) return false;
  const auto member = std::ranges::find(*members, key, &Member::first);
  if (member == members->end()) return false;
  members->erase(member);
  return true;
}

Value& Value::push_back(Value value) {
  if (is_null()) state_ = Array{};
  as_array().push_back(std::move(value));
  return *this;
}

Value Value::parse(std::string_view json, Comments comments) {
  if (json.data() == nullptr) json = "";
  // nlohmann takes a NUL byte for the end of the text and would not see what follows.
  if (const auto nul = json.find('\0'); nul != std::string_view::npos)
    refuse(json, json.data() + nul, "a NUL byte, which JSON does not allow");
  Builder builder(json);
  const bool complete = nlohmann::json::sax_parse(builder.begin(), builder.end(), &builder, nlohmann::json::input_format_t::json, true,
                                                  comments == Comments::allow);
  if (!complete) throw Error(Code::internal, "the JSON parser stopped without a reason");
  return builder.take();
}

std::string Value::dump(int indent) const {
  Writer writer(indent, false);
  writer.write(*this);
  return writer.take();
}

std::string Value::canonical() const {
  Writer writer(-1, true);
  writer.write(*this);
  return writer.take();
}

bool operator==(const Value& a, const Value& b) noexcept {
  if (a.is_number() && b.is_number() && a.type() != b.type()) {
    const bool a_real = a.type() == Value::Type::real;
    // Through the integer: as reals, 2^53 and 2^53 + 1 would be equal.
    return whole(std::get<double>(a_real ? a.state_ : b.state_)) == std::get<std::int64_t>(a_real ? b.state_ : a.state_);
  }
  if (a.type() != b.type()) return false;
  if (!a.is_object()) return a.state_ == b.state_;
  const auto& left = std::get<Value::Object>(a.state_);
  const auto& right = std::get<Value::Object>(b.state_);
  if (left.size() != right.size()) return false;
  for (std::size_t i = 0; i < left.size(); ++i) {
    const Value* other = left[i].first == right[i].first ? &right[i].second : b.find(left[i].first);
    if (other == nullptr || !(left[i].second == *other)) return false;
  }
  return true;
}

}  // namespace v0
}  // namespace vidloom
