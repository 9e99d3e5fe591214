#include <vidloom/core/error.hpp>
#include <vidloom/core/value.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

using namespace vidloom;

namespace {

std::string message_of(std::string_view json, Value::Comments comments = Value::Comments::refuse) {
  try {
    Value::parse(json, comments);
  } catch (const Error& error) {
    CHECK(error.code == Code::config);
    return error.what();
  }
  return "accepted";
}

/// A random tree of every type, at most `levels` deep.
Value random_value(std::mt19937& random, int levels) {
  const auto below = [&](unsigned n) { return static_cast<int>(random() % n); };
  switch (below(levels > 0 ? 7 : 5)) {
    case 0: return nullptr;
    case 1: return below(2) == 1;
    case 2: return static_cast<std::int64_t>((static_cast<std::uint64_t>(random()) << 32 | random()) >> below(64));
    case 3: {
      const std::uint64_t bits = static_cast<std::uint64_t>(random()) << 32 | random();
      double number = 0;
      std::memcpy(&number, &bits, sizeof number);
      return std::isfinite(number) ? number : 0.1 * below(1000);
    }
    case 4: {
      static constexpr std::string_view pieces[] = {
          "a", "Z", "\"", "\\", "/", "\n", "\t", "\x01", "\x7F", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x8E\xA5", "{", "//"};
      std::string text;
      for (int i = below(12); i > 0; --i) text += pieces[below(std::size(pieces))];
      return text;
    }
    case 5: {
      Value list = Value::array();
      for (int i = below(6); i > 0; --i) list.push_back(random_value(random, levels - 1));
      return list;
    }
    default: {
      Value object = Value::object();
      for (int i = below(6); i > 0; --i) object.set(std::string(1, static_cast<char>('a' + below(20))), random_value(random, levels - 1));
      return object;
    }
  }
}

/// The same tree with the members of its objects in another order.
Value shuffled(const Value& value, std::mt19937& random) {
  if (value.is_array()) {
    Value list = Value::array();
    for (const Value& element : value.as_array()) list.push_back(shuffled(element, random));
    return list;
  }
  if (!value.is_object()) return value;
  Value::Object members;
  for (const auto& [key, member] : value.as_object()) members.emplace_back(key, shuffled(member, random));
  std::shuffle(members.begin(), members.end(), random);
  return members;
}

}  // namespace

TEST_CASE("JSON reads into values of the right types, in the order written") {
  const Value value = Value::parse(R"({"b": [1, 2.5, "x", true, null], "a": {"deep": -3}})");
  CHECK(value.as_object()[0].first == "b");
  const Value& list = value["b"];
  CHECK(list.at(0).is_integer());
  CHECK(list.at(1).type() == Value::Type::real);
  CHECK(list.at(2).as_string() == "x");
  CHECK(list.at(3).as_bool());
  CHECK(list.at(4).is_null());
  CHECK(value["a"]["deep"].as_integer() == -3);
  CHECK(value["a"]["none"]["whatever"].is_null());
  CHECK(value.dump() == R"({"b":[1,2.5,"x",true,null],"a":{"deep":-3}})");
}

TEST_CASE("numbers beyond 64-bit integers become reals") {
  CHECK(Value::parse("9223372036854775807").as_integer() == std::numeric_limits<std::int64_t>::max());
  CHECK(Value::parse("-9223372036854775808").as_integer() == std::numeric_limits<std::int64_t>::min());
  for (const char* large : {"9223372036854775808", "18446744073709551616", "-9223372036854775809", "123456789012345678901234567890"}) {
    CAPTURE(large);
    CHECK(Value::parse(large).type() == Value::Type::real);
    CHECK(Value::parse(large).as_real() == std::strtod(large, nullptr));
  }
  CHECK(message_of("1e999").find("line 1, column 5") != std::string::npos);
}

TEST_CASE("reals are written as short as they read back, and stay reals") {
  CHECK(Value(0.5).dump() == "0.5");
  CHECK(Value(4.5).dump() == "4.5");
  CHECK(Value(5.0).dump() == "5.0");
  CHECK(Value(-0.0).dump() == "-0.0");
  CHECK(Value(0.1 + 0.2).dump() == "0.30000000000000004");
  CHECK(Value(1e-7).dump() == "1e-07");
  CHECK(Value(100000.0).dump() == "100000.0");
  CHECK(Value(123456789012.25).dump() == "123456789012.25");
  CHECK(Value(1e22).dump() == "1e+22");
  CHECK(Value(5e-324).dump() == "5e-324");
  CHECK(Value(1.7976931348623157e308).dump() == "1.7976931348623157e+308");
  CHECK(Value(0.00011904761904761905).dump() == "0.00011904761904761905");
  CHECK(Value(std::numeric_limits<double>::quiet_NaN()).dump() == "null");
  CHECK(Value(-std::numeric_limits<double>::infinity()).dump() == "null");
}

TEST_CASE("a mistake in JSON is named with its line and column") {
  CHECK(message_of("{\n  \"a\": 1,\n  \"b\" 2\n}").find("JSON, line 3, column 7: ") == 0);
  CHECK(message_of("[1, 2").find("line 1, column 6") != std::string::npos);
  CHECK(message_of("").find("line 1, column 1") != std::string::npos);
  CHECK(message_of("[\"\xC3\xA9\", x]").find("line 1, column 7") != std::string::npos);  // characters, not bytes
  CHECK(message_of("[1,]").find("line 1, column 4") != std::string::npos);
  CHECK(message_of("{\"a\": 1} trailing").find("line 1, column 12") != std::string::npos);
}

TEST_CASE("messages never quote the input at length, nor bytes that are no text") {
  const std::string message = message_of("[\"" + std::string(100000, 'x') + "\xFF\"]");
  CHECK(message.size() < 200);
  CHECK(message.find("UTF-8") != std::string::npos);
  for (const char c : message) CHECK(static_cast<unsigned char>(c) < 0x80);
  CHECK(message_of(std::string(100000, '9') + "e999").size() < 250);
  CHECK(message_of("{\"" + std::string(100000, 'k') + "\": 1, \"" + std::string(100000, 'k') + "\": 2}").size() < 250);
}

TEST_CASE("what RFC 8259 does not allow is refused") {
  for (const std::string_view bad :
       {std::string_view("nan"), std::string_view("[1 2]"), std::string_view("{'a': 1}"), std::string_view("{\"a\": 01}"),
        std::string_view("[+1]"), std::string_view("[.5]"), std::string_view("[1.]"), std::string_view("[\"\n\"]"),
        std::string_view("[\"\\x\"]"), std::string_view("[\"\\ud800\"]"), std::string_view("[\"\xC0\xAF\"]"),
        std::string_view("[1]\0[2]", 7), std::string_view("1 2"), std::string_view("// comment\n1"), std::string_view("[1,]"),
        std::string_view("{\"a\":1,}"), std::string_view("{1:2}"), std::string_view("]"), std::string_view("{")}) {
    CAPTURE(bad);
    CHECK(message_of(bad).find("JSON, line ") == 0);
  }
}

TEST_CASE("duplicate keys are refused where they stand, wherever they stand") {
  const std::string message = message_of("{\"a\": 1,\n \"b\": {\"x\": 1, \"x\": 2}}");
  CHECK(message.find("line 2") != std::string::npos);
  CHECK(message.find("\"x\" stands twice") != std::string::npos);
  CHECK(message_of(R"({"a": {"a": 1}, "b": {"a": 1}})") == "accepted");
  CHECK(message_of(R"({"a": 1, "\u0061": 2})").find("stands twice") != std::string::npos);
}

TEST_CASE("comments are allowed only where asked for") {
  const char* text = "// analyses\n{\"a\": 1, /* two */ \"b\": \"// no comment\"}";
  CHECK(message_of(text) != "accepted");
  const Value value = Value::parse(text, Value::Comments::allow);
  CHECK(value.dump() == R"({"a":1,"b":"// no comment"})");
  CHECK(message_of("{} /* open", Value::Comments::allow).find("line 1") != std::string::npos);
}

TEST_CASE("deep nesting is an error, not a crash") {
  const auto nested = [](std::size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); };
  CHECK(message_of(nested(256)) == "accepted");
  CHECK(message_of(nested(257)).find("line 1, column 257: nested deeper than 256") != std::string::npos);
  CHECK(message_of(std::string(10'000'000, '[')).find("nested deeper") != std::string::npos);
  std::string objects;
  for (int i = 0; i < 100000; ++i) objects += "{\"a\":";
  CHECK(message_of(objects).find("nested deeper") != std::string::npos);
}

TEST_CASE("an object of very many keys is read in reasonable time") {
  std::string text = "{";
  for (int i = 0; i < 200000; ++i) text += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":" + std::to_string(i);
  text += "}";
  const Value value = Value::parse(text);
  CHECK(value.size() == 200000);
  CHECK(value.dump() == text);
}

TEST_CASE("texts are escaped, and what is no UTF-8 is replaced") {
  CHECK(Value("a\"b\\c/\b\f\n\r\t\x01\x1F").dump() == "\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0001\\u001f\"");
  CHECK(Value("\xF0\x9F\x8E\xA5 caf\xC3\xA9").dump() == "\"\xF0\x9F\x8E\xA5 caf\xC3\xA9\"");
  CHECK(Value("caf\xE9!").dump() == "\"caf\xEF\xBF\xBD!\"");
  CHECK(Value(std::string("a\0b", 3)).dump() == "\"a\\u0000b\"");
  CHECK(Value::parse(R"("\u20ac \ud83c\udfa5")").as_string() == "\xE2\x82\xAC \xF0\x9F\x8E\xA5");
  Value object;
  object.set("\xFF", 1);
  CHECK(object.dump() == "{\"\xEF\xBF\xBD\":1}");
}

TEST_CASE("indented JSON reads the same") {
  const Value value = Value::parse(R"({"a": [1, {"b": []}], "c": {}})");
  CHECK(value.dump(2) == "{\n  \"a\": [\n    1,\n    {\n      \"b\": []\n    }\n  ],\n  \"c\": {}\n}");
  CHECK(Value::parse(value.dump(2)) == value);
}

TEST_CASE("canonical texts are equal for equal values") {
  CHECK(Value::parse(R"({"b": 1, "a": {"d": 2.0, "c": [3]}})").canonical() == R"({"a":{"c":[3],"d":2},"b":1})");
  const Value a = Value::parse(R"({"x": 1, "y": [0.0, 1e3]})"), b = Value::parse(R"({"y": [-0.0, 1000], "x": 1.0})");
  CHECK(a == b);
  CHECK(a.canonical() == b.canonical());
  CHECK(Value(0.5).canonical() == "0.5");
}

TEST_CASE("equality is exact") {
  CHECK(Value(1) == Value(1.0));
  CHECK(Value(1) != Value(true));
  CHECK(Value(0) != Value());
  CHECK(Value("1") != Value(1));
  CHECK(Value((std::int64_t{1} << 53) + 1) != Value(9007199254740992.0));
  CHECK(Value(std::numeric_limits<std::int64_t>::max()) != Value(9223372036854775808.0));
  CHECK(Value::parse("[1,2]") != Value::parse("[2,1]"));
  CHECK(Value::parse(R"({"a":1,"b":2})") == Value::parse(R"({"b":2,"a":1})"));
  CHECK(Value::parse(R"({"a":1})") != Value::parse(R"({"a":1,"b":2})"));
  CHECK(Value::parse(R"({"a":1,"c":2})") != Value::parse(R"({"a":1,"b":2})"));
}

TEST_CASE("a value read as another type says what it is and what was needed") {
  CHECK(Value(3.0).as_integer() == 3);
  CHECK(Value(3).as_real() == 3.0);
  CHECK_THROWS_WITH_AS(Value(3.5).as_integer(), "a number (3.5) stands where an integer is needed", Error);
  CHECK_THROWS_WITH_AS(Value(1e300).as_integer(), "a number (1e+300) stands where an integer is needed", Error);
  CHECK_THROWS_WITH_AS(Value("secret").as_real(), "a text stands where a number is needed", Error);
  CHECK_THROWS_WITH_AS(Value(1).as_bool(), "an integer (1) stands where true or false is needed", Error);
  CHECK_THROWS_WITH_AS(Value(true).as_string(), "true or false (true) stands where a text is needed", Error);
  CHECK_THROWS_WITH_AS(Value().as_array(), "null stands where a list is needed", Error);
  CHECK_THROWS_WITH_AS(Value::array().as_object(), "a list stands where an object is needed", Error);
  CHECK_THROWS_AS(Value(std::numeric_limits<double>::quiet_NaN()).as_integer(), Error);
  CHECK_THROWS_AS(Value::array().at(0), Error);
}

TEST_CASE("objects and lists are filled, changed and emptied") {
  Value value;
  value.set("a", 1).set("b", 2).set("a", Value::array());
  value.find("a")->push_back("x").push_back(nullptr);
  CHECK(value.dump() == R"({"a":["x",null],"b":2})");
  CHECK(value.erase("b"));
  CHECK_FALSE(value.erase("b"));
  CHECK(value.size() == 1);
  value.set("self", value);
  CHECK(value.dump() == R"({"a":["x",null],"self":{"a":["x",null]}})");
  CHECK_THROWS_AS(Value(1).set("a", 1), Error);
  CHECK_THROWS_AS(Value("a").push_back(1), Error);
  CHECK(Value(1).find("a") == nullptr);
  CHECK_FALSE(Value(1).erase("a"));
}

TEST_CASE("random values come back from their JSON text, and are one canonical text in any order") {
  std::mt19937 random(20261121);
  std::size_t written = 0;
  for (int i = 0; i < 5000; ++i) {
    const Value value = random_value(random, 5);
    const std::string text = value.dump();
    CAPTURE(text);
    const Value again = Value::parse(text);
    REQUIRE(again == value);
    REQUIRE(again.dump() == text);
    REQUIRE(Value::parse(value.dump(3)) == value);
    REQUIRE(Value::parse(value.canonical()) == value);
    REQUIRE(shuffled(value, random).canonical() == value.canonical());
    written += text.size();
  }
  CHECK(written > 100000);
}

TEST_CASE("damaged JSON is read or refused with a position, never anything else") {
  std::mt19937 random(77);
  int accepted = 0, refused = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text = random_value(random, 4).dump();
    for (auto n = 1 + random() % 3; n > 0 && !text.empty(); --n) {
      const std::size_t at = random() % text.size();
      switch (random() % 3) {
        case 0: text[at] = static_cast<char>(random()); break;
        case 1: text.erase(at, 1 + random() % 4); break;
        default: text.insert(at, 1, "{}[]\",:0-e\\/*"[random() % 13]);
      }
    }
    CAPTURE(text);
    const auto comments = random() % 2 == 0 ? Value::Comments::allow : Value::Comments::refuse;
    try {
      const Value value = Value::parse(text, comments);
      REQUIRE(Value::parse(value.dump()) == value);
      ++accepted;
    } catch (const Error& error) {
      REQUIRE(error.code == Code::config);
      REQUIRE(std::string_view(error.what()).starts_with("JSON, line "));
      ++refused;
    }
  }
  CHECK(accepted > 100);
  CHECK(refused > 1000);
}
