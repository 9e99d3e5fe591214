#include <core/safetensors.hpp>
#include <vidloom/core/error.hpp>
#include <vidloom/core/value.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

namespace vidloom {
inline namespace v0 {
namespace {

// The largest models of today have headers of under 1 MB. The format's own reader stops at the same size.
constexpr std::uint64_t most_header = 100'000'000;

constexpr std::pair<std::string_view, Number> number_names[] = {
    {"F64", Number::f64}, {"F32", Number::f32}, {"F16", Number::f16}, {"BF16", Number::bf16}, {"I64", Number::i64},
    {"I32", Number::i32}, {"I16", Number::i16}, {"I8", Number::i8},   {"U8", Number::u8},     {"BOOL", Number::boolean}};

std::optional<Number> number_of(std::string_view name) noexcept {
  for (const auto& [known, number] : number_names) {
    if (known == name) return number;
  }
  return {};
}

float float_of_half(std::uint16_t half) noexcept {
  const std::uint32_t sign = std::uint32_t{half} << 16 & 0x80000000U, exponent = half >> 10 & 0x1FU, mantissa = half & 0x3FFU;
  if (exponent == 0) {
    const float value = static_cast<float>(mantissa) * 5.9604644775390625e-8F;  // 2^-24
    return sign ? -value : value;
  }
  const std::uint32_t wide = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | wide << 23 | mantissa << 13);
}

template <class T>
T number_at(const std::byte* from, std::size_t index) noexcept {
  T value;
  std::memcpy(&value, from + index * sizeof(T), sizeof(T));
  return value;
}

}  // namespace

Safetensors::Safetensors(const std::string& path) : path_(path) {
  const auto refuse = [&](const std::string& why) { return Error(Code::model, path + " " + why); };
  struct File {
    int fd;
    ~File() { if (fd >= 0) ::close(fd); }
  } file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) throw refuse(std::string("cannot be read: ") + std::strerror(errno));
  struct ::stat about {};
  if (::fstat(file.fd, &about) != 0) throw refuse(std::string("cannot be read: ") + std::strerror(errno));
  if (!S_ISREG(about.st_mode)) throw refuse("is no file; name the .safetensors file or the model's folder");
  if (about.st_size == 0) throw refuse("is empty; copy or download it again");
  mapped_ = static_cast<std::size_t>(about.st_size);
  void* const memory = ::mmap(nullptr, mapped_, PROT_READ, MAP_PRIVATE, file.fd, 0);
  if (memory == MAP_FAILED) throw refuse(std::string("cannot be mapped: ") + std::strerror(errno));
  mapping_ = std::shared_ptr<const std::byte>(static_cast<const std::byte*>(memory), [bytes = mapped_](const std::byte* start) {
    ::munmap(const_cast<std::byte*>(start), bytes);
  });
  read({mapping_.get(), mapped_});
}

Safetensors::Safetensors(std::span<const std::byte> file, std::string name) : path_(std::move(name)) { read(file); }

void Safetensors::read(std::span<const std::byte> file) {
  const auto refuse = [&](const std::string& why) { return Error(Code::model, path_ + " " + why); };
  const auto begins = [&](std::string_view with) {
    return file.size() >= with.size() && std::memcmp(file.data(), with.data(), with.size()) == 0;
  };
  if (begins("PK\3\4") || begins("\x80\2") || begins("\x80\4") || begins("\x80\5")) {
    throw refuse("is a PyTorch pickle, which could run code when it is read; turn it into safetensors: python -m vidloom.convert " + path_);
  }
  if (file.size() < 8) throw refuse("is cut off: a safetensors file has at least 8 bytes");
  std::uint64_t header = 0;
  for (std::size_t i = 0; i < 8; ++i) header |= std::uint64_t{std::to_integer<std::uint8_t>(file[i])} << (8 * i);
  if (header > most_header) throw refuse("is no safetensors file: its header would have " + std::to_string(header) + " bytes");
  if (header > file.size() - 8) throw refuse("is cut off within its header of " + std::to_string(header) + " bytes; copy or download it again");
  const std::span<const std::byte> numbers = file.subspan(8 + static_cast<std::size_t>(header));

  Value parsed;
  try {
    parsed = Value::parse({reinterpret_cast<const char*>(file.data()) + 8, static_cast<std::size_t>(header)});
  } catch (const Error& error) {
    throw refuse(std::string("is no safetensors file: its header is no JSON: ") + error.what());
  }
  if (!parsed.is_object()) throw refuse("is no safetensors file: its header is " + std::string(parsed.type_name()));
  for (const auto& [name, entry] : parsed.as_object()) {
    if (name == "__metadata__") continue;
    const auto wrong = [&](const std::string& why) { return refuse("is damaged: tensor '" + name + "' " + why); };
    const Value &type = entry["dtype"], &shape = entry["shape"], &offsets = entry["data_offsets"];
    if (!type.is_string() || !shape.is_array() || !offsets.is_array() || offsets.size() != 2) {
      throw wrong("lacks dtype, shape or data_offsets");
    }
    const auto number = number_of(type.as_string());
    if (!number) continue;  // of a kind that no reader here asks for, such as F8_E4M3: absent, should it be wanted after all
    StoredTensor tensor{.number = *number};
    std::uint64_t bytes = bytes_of(*number);
    for (const Value& side : shape.as_array()) {
      if (!side.is_integer() || side.as_integer() < 0) throw wrong("has the shape " + shape.dump());
      tensor.shape.push_back(side.as_integer());
      if (__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(side.as_integer()), &bytes)) throw wrong("has the shape " + shape.dump());
    }
    const Value &begin = offsets.at(0), &end = offsets.at(1);
    if (!begin.is_integer() || !end.is_integer() || begin.as_integer() < 0 || end.as_integer() < begin.as_integer()) {
      throw wrong("lies at " + offsets.dump());
    }
    const auto from = static_cast<std::uint64_t>(begin.as_integer()), to = static_cast<std::uint64_t>(end.as_integer());
    if (to - from != bytes) {
      throw wrong("has the shape " + shape.dump() + " of " + std::to_string(bytes) + " bytes, but " + std::to_string(to - from) + " bytes of data");
    }
    if (to > numbers.size()) {
      throw refuse("is cut off: tensor '" + name + "' ends at byte " + std::to_string(to) + " of the data, which has " +
                   std::to_string(numbers.size()) + "; copy or download it again");
    }
    tensor.bytes = numbers.subspan(static_cast<std::size_t>(from), static_cast<std::size_t>(bytes));
    tensors_.emplace(name, std::move(tensor));
  }
}

const StoredTensor* Safetensors::find(std::string_view name) const noexcept {
  const auto found = tensors_.find(std::string(name));
  return found == tensors_.end() ? nullptr : &found->second;
}

void Safetensors::release_pages() const noexcept {
  if (mapping_) ::madvise(const_cast<std::byte*>(mapping_.get()), mapped_, MADV_DONTNEED);
}

void read_floats(const StoredTensor& tensor, std::size_t from, std::span<float> out) {
  const std::size_t size = tensor.bytes.size() / bytes_of(tensor.number);
  if (from > size || out.size() > size - from) throw Error(Code::internal, "read_floats() beyond the end of a tensor");
  const std::byte* const bytes = tensor.bytes.data() + from * bytes_of(tensor.number);
  switch (tensor.number) {
    case Number::f32: std::memcpy(out.data(), bytes, out.size_bytes()); return;
    case Number::f64:
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(number_at<double>(bytes, i));
      return;
    case Number::f16:
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = float_of_half(number_at<std::uint16_t>(bytes, i));
      return;
    case Number::bf16:
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = std::bit_cast<float>(std::uint32_t{number_at<std::uint16_t>(bytes, i)} << 16);
      return;
    default: throw Error(Code::model, "the weights are whole numbers; only F64, F32, F16 and BF16 can be read");
  }
}

}  // namespace v0
}  // namespace vidloom
