#include <core/safetensors.hpp>
#include <vidloom/core/error.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

using namespace vidloom;

namespace {

std::string file_of(const std::string& header, const std::string& data, std::uint64_t length) {
  std::string file(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) file[i] = static_cast<char>(length >> (8 * i) & 0xFF);
  return file + header + data;
}
std::string file_of(const std::string& header, const std::string& data) { return file_of(header, data, header.size()); }

std::string complaint(const std::string& file) {
  try {
    const Safetensors read(std::as_bytes(std::span(file)), "x.safetensors");
    return "fine";
  } catch (const Error& error) {
    CHECK(error.code == Code::model);
    return error.what();
  }
}

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("tensors are found by name, with their shape and numbers") {
  const float numbers[] = {1.5F, -2, 0.25F};
  // 1.0, -2.0 and the smallest subnormal as binary16; 1.0 and -0.5 as bfloat16
  const std::uint16_t halves[] = {0x3C00, 0xC000, 0x0001, 0x3F80, 0xBF00};
  std::string data(reinterpret_cast<const char*>(numbers), sizeof numbers);
  data.append(reinterpret_cast<const char*>(halves), sizeof halves);
  const std::string file = file_of(
      R"({"__metadata__":{"format":"pt"},"a.weight":{"dtype":"F32","shape":[1,3],"data_offsets":[0,12]},)"
      R"("h":{"dtype":"F16","shape":[3],"data_offsets":[12,18]},"b":{"dtype":"BF16","shape":[2],"data_offsets":[18,22]},)"
      R"("scalar":{"dtype":"F32","shape":[],"data_offsets":[4,8]},"none":{"dtype":"F32","shape":[0,7],"data_offsets":[0,0]}}  )", data);
  const Safetensors read(std::as_bytes(std::span(file)), "x");
  CHECK(read.size() == 5);
  REQUIRE(read.find("a.weight"));
  CHECK(read.find("a.weight")->shape == std::vector<std::int64_t>{1, 3});
  CHECK_FALSE(read.find("__metadata__"));
  const auto floats = [&](const char* name, std::size_t from, std::size_t count) {
    std::vector<float> out(count);
    read_floats(*read.find(name), from, out);
    return out;
  };
  CHECK(floats("a.weight", 1, 2) == std::vector<float>{-2, 0.25F});
  CHECK(floats("h", 0, 3) == std::vector<float>{1, -2, 5.9604644775390625e-8F});
  CHECK(floats("b", 0, 2) == std::vector<float>{1, -0.5F});
  CHECK(floats("scalar", 0, 1) == std::vector<float>{-2});
  CHECK_THROWS_AS(floats("a.weight", 2, 2), Error);
}

TEST_CASE("what is no safetensors file, or half of one, is told") {
  const std::string good = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  CHECK(complaint(file_of(good, std::string(8, 'x'))) == "fine");
  CHECK(holds(complaint("1234567"), "cut off"));
  CHECK(holds(complaint(file_of(good, "", std::uint64_t{1} << 40)), "its header would have 1099511627776 bytes"));
  CHECK(holds(complaint(file_of(good, "", 1000)), "cut off within its header"));
  CHECK(holds(complaint(file_of(good, "1234")), "tensor 'a' ends at byte 8 of the data, which has 4"));
  CHECK(holds(complaint(file_of("{\"a\":", "")), "no JSON"));
  CHECK(holds(complaint(file_of("[1]", "")), "its header is a list"));
  CHECK(holds(complaint("PK\3\4 and a zip of pickles"), "python -m vidloom.convert x.safetensors"));
  CHECK(holds(complaint(std::string("\x80\2}q\0", 5)), "pickle"));
  const auto tensor = [&](const std::string& about) { return complaint(file_of("{\"a\":" + about + "}", std::string(64, 'x'))); };
  CHECK(holds(tensor(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})"), "of 12 bytes, but 8 bytes"));
  CHECK(holds(tensor(R"({"dtype":"F32","shape":[-1],"data_offsets":[0,8]})"), "has the shape [-1]"));
  CHECK(holds(tensor(R"({"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]})"), "has the shape"));
  CHECK(holds(tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})"), "lies at [8,0]"));
  CHECK(holds(tensor(R"({"dtype":"F32","shape":[2],"data_offsets":[-8,0]})"), "lies at"));
  CHECK(holds(tensor(R"({"dtype":"F32","shape":2})"), "lacks dtype, shape or data_offsets"));
  CHECK(tensor(R"({"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]})") == "fine");  // a kind nobody asks for
  CHECK(holds(complaint(file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x")), "no JSON"));
  CHECK_THROWS_AS(Safetensors("/no/such/file.safetensors"), Error);
  CHECK_THROWS_AS(Safetensors("/"), Error);
}
