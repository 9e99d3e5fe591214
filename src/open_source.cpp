#include <vidloom/core/error.hpp>
#include <vidloom/registry.hpp>
#include <vidloom/source.hpp>

#include <core/builtin.hpp>
#include <core/catalogue.hpp>
#include <core/component.hpp>
#include <core/registry.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace vidloom {
inline namespace v0 {
namespace {

std::string in_quotes(std::string_view text) { return "'" + std::string(text) + "'"; }

/// Of an HLS stream, in bytes: ten seconds of 50 Mbit/s. What is longer is a recording.
constexpr std::uintmax_t longest_segment = std::uintmax_t{64} << 20;

/// \return what `bytes`, the beginning of a file, are: "images", "segment" or "file".
std::string_view kind_of(std::string_view bytes) noexcept {
  const auto has = [bytes](std::size_t at, std::string_view magic) { return bytes.size() >= at && bytes.substr(at).starts_with(magic); };
  using namespace std::string_view_literals;
  const bool animated_webp = has(8, "WEBPVP8X"sv) && bytes.size() > 20 && (static_cast<unsigned char>(bytes[20]) & 2U);
  if (has(0, "\xFF\xD8\xFF"sv) || has(0, "\x89PNG\r\n\x1A\n"sv) || has(0, "II*\0"sv) || has(0, "MM\0*"sv)) return "images";
  if (has(0, "RIFF"sv) && has(8, "WEBP"sv) && !animated_webp) return "images";
  // A bitmap's header says its own length, which keeps texts that begin with "BM" out.
  if (has(0, "BM"sv) && bytes.size() > 17 &&
      (has(14, "\x28\0\0\0"sv) || has(14, "\x6C\0\0\0"sv) || has(14, "\x7C\0\0\0"sv) || has(14, "\x0C\0\0\0"sv))) {
    return "images";
  }
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  if (bytes.size() > 2 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '7' && is_space(bytes[2])) return "images";
  constexpr std::size_t packet = 188;
  const std::size_t packets = std::min<std::size_t>(bytes.size() / packet, 5);
  bool transport = packets > 0;
  for (std::size_t i = 0; i < packets; ++i) transport = transport && bytes[i * packet] == 0x47;
  return transport ? "segment" : "file";
}

struct Option {
  std::string_view name;
  std::string_view kinds;  ///< sources that know it
};
constexpr std::array<Option, 4> path_options{
    {{"trust", " file segment images "}, {"max_pixels", " file segment images "}, {"threads", " file segment "}, {"rate", " images "}}};

void check_path_options(const Value& options) {
  const auto wrong = [](const std::string& name, const Value& value, std::string_view fix) {
    return Error(Code::config, "source option " + name + " is " + value.dump() + "; use " + std::string(fix));
  };
  for (const auto& [name, value] : options.as_object()) {
    if (name == "uri") continue;
    if (name == "trust") {
      static constexpr std::array<std::string_view, 4> words{"automatic", "local", "lan", "untrusted"};
      if (!value.is_string() || std::ranges::find(words, value.as_string()) == words.end()) {
        throw wrong(name, value, "automatic, local, lan or untrusted");
      }
    } else if (name == "max_pixels" || name == "threads") {
      if (!value.is_integer() || value.as_integer() < 0) throw wrong(name, value, "a whole number of 0 or more");
    } else if (name == "rate") {
      if (!value.is_number() || !(value.as_real() > 0) || value.as_real() > 1e6) throw wrong(name, value, "pictures a second, above 0");
    } else {
      std::vector<std::string> known;
      for (const Option& option : path_options) known.emplace_back(option.name);
      const std::string near = nearest(name, known);
      throw Error(Code::config, "source option " + in_quotes(name) + " is not known; " +
                                    (near.empty() ? "use trust, max_pixels, threads or rate" : "did you mean " + in_quotes(near) + "?"));
    }
  }
}

/// Looks at the path when it is opened, and not before: it may not be there yet.
class PathSource final : public Source {
 public:
  PathSource(std::string path, Value options) : path_(std::move(path)), options_(std::move(options)) {}
  ~PathSource() override { close(); }

  SourceInfo open(SourceContext& context) override {
    const std::string_view kind = look();
    Value options = Value::object();
    options.set("uri", path_);
    for (const auto& [name, value] : options_.as_object()) {
      const auto option = std::ranges::find(path_options, name, &Option::name);
      if (option == path_options.end()) continue;
      if (option->kinds.find(" " + std::string(kind) + " ") == std::string_view::npos) {
        throw Error(Code::config, "source option " + name + " does not apply to " + path_ +
                                      (kind == "images" ? ", which is a picture" : ", which is a video"));
      }
      options.set(name, value);
    }
    std::unique_ptr<Source> made = make_source(kind, options);
    {
      const std::lock_guard lock(mutex_);
      if (interrupted_) throw Error(Code::cancelled, "interrupted before " + path_ + " was opened");
      if (!demands_.empty()) made->set_demand(demands_);
      inner_ = std::move(made);
    }
    return inner_->open(context);
  }
  ReadResult read() override { return opened().read(); }
  void interrupt() noexcept override {
    const std::lock_guard lock(mutex_);
    interrupted_ = true;
    if (inner_) inner_->interrupt();
  }
  void close() noexcept override {
    if (inner_) inner_->close();
    const std::lock_guard lock(mutex_);
    interrupted_ = false;
  }
  void set_demand(std::span<const Demand> demands) noexcept override {
    const std::lock_guard lock(mutex_);
    demands_.assign(demands.begin(), demands.end());
    if (inner_) inner_->set_demand(demands_);
  }
  void seek(Nanos media_time) override { opened().seek(media_time); }
  std::vector<Frame> frames_at(std::span<const Nanos> media_times) override { return opened().frames_at(media_times); }
  std::vector<Frame> frames_by_index(std::span<const std::size_t> indices) override { return opened().frames_by_index(indices); }
  SourceStats stats() const noexcept override { return inner_ ? inner_->stats() : SourceStats{}; }

 private:
  Source& opened() {
    if (!inner_) throw Error(Code::source, path_ + " is not open; call open() first");
    return *inner_;
  }

  /// \return the kind of source to make. Throws Error(source).
  std::string_view look() const {
    std::error_code error;
    const std::filesystem::file_status status = std::filesystem::status(path_, error);
    if (status.type() == std::filesystem::file_type::not_found) throw Error(Code::source, path_ + ": no such file");
    if (error) throw Error(Code::source, path_ + ": " + error.message());
    if (std::filesystem::is_directory(status)) return "images";
    // Reading the beginning of a pipe would take it away from whoever decodes it, and could block.
    if (!std::filesystem::is_regular_file(status)) return "file";
    std::ifstream file(path_, std::ios::binary);
    if (!file) throw Error(Code::source, path_ + ": " + std::generic_category().message(errno));
    std::array<char, std::size_t{5} * 188> head;
    file.read(head.data(), static_cast<std::streamsize>(head.size()));
    const std::string_view kind = kind_of({head.data(), static_cast<std::size_t>(file.gcount())});
    // A recording is decoded on all cores, as other films are; segments run side by side, each on one.
    return kind == "segment" && std::filesystem::file_size(path_, error) > longest_segment ? "file" : kind;
  }

  const std::string path_;
  const Value options_;
  std::mutex mutex_;  // guards the rest; only the reading thread changes inner_, so it reads it without
  std::unique_ptr<Source> inner_;
  std::vector<Demand> demands_;
  bool interrupted_ = false;
};

/// A source of the user's: it need not know by which text it was named.
class NamedSource final : public Source {
 public:
  NamedSource(std::unique_ptr<Source> inner, std::string uri) : inner_(std::move(inner)), uri_(std::move(uri)) {}
  SourceInfo open(SourceContext& context) override {
    SourceInfo info = inner_->open(context);
    if (info.uri.empty()) info.uri = redact(uri_);
    return info;
  }
  ReadResult read() override { return inner_->read(); }
  void interrupt() noexcept override { inner_->interrupt(); }
  void close() noexcept override { inner_->close(); }
  void set_demand(std::span<const Demand> demands) noexcept override { inner_->set_demand(demands); }
  void seek(Nanos media_time) override { inner_->seek(media_time); }
  std::vector<Frame> frames_at(std::span<const Nanos> media_times) override { return inner_->frames_at(media_times); }
  std::vector<Frame> frames_by_index(std::span<const std::size_t> indices) override { return inner_->frames_by_index(indices); }
  SourceStats stats() const noexcept override { return inner_->stats(); }

 private:
  const std::unique_ptr<Source> inner_;
  const std::string uri_;
};

std::unique_ptr<Source> path_source(std::string path, const Value& options) {
  if (path.empty()) throw Error(Code::config, "the source is empty; name a file, a folder of pictures, or test:");
  check_path_options(options);
  expect_component("ffmpeg", "source " + in_quotes(path));
  return std::make_unique<PathSource>(std::move(path), options);
}

/// \return the scheme in lower case, or "" for a path. One letter is a drive of another system, not a scheme.
std::string scheme_of(std::string_view uri) {
  const std::size_t colon = uri.find(':');
  if (colon == std::string_view::npos || colon < 2) return {};
  std::string scheme(uri.substr(0, colon));
  for (char& c : scheme) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  const auto letter = [](char c) { return c >= 'a' && c <= 'z'; };
  const bool plain = letter(scheme.front()) && std::ranges::all_of(scheme, [letter](char c) {
                       return letter(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.' || c == '_';
                     });
  return plain ? scheme : std::string{};
}

/// "file:street.mp4", "file:///srv/street.mp4" and "file://localhost/srv/street.mp4".
std::string path_of_file_uri(std::string_view uri) {
  uri.remove_prefix(std::string_view("file:").size());
  if (!uri.starts_with("//")) return std::string(uri);
  uri.remove_prefix(2);
  if (uri.starts_with("localhost/")) uri.remove_prefix(9);
  if (!uri.starts_with('/')) throw Error(Code::config, "file://" + std::string(uri) + " names another machine; use file:///path");
  std::string path;
  const auto digit = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
  };
  for (std::size_t i = 0; i < uri.size(); ++i) {
    if (uri[i] == '%' && i + 2 < uri.size() && digit(uri[i + 1]) >= 0 && digit(uri[i + 2]) >= 0) {
      path += static_cast<char>(digit(uri[i + 1]) * 16 + digit(uri[i + 2]));
      i += 2;
    } else {
      path += uri[i];
    }
  }
  return path;
}

[[noreturn]] void throw_not_built(const std::string& uri, std::string_view what) {
  throw Error(Code::not_built, "source " + in_quotes(redact(uri)) + ": " + std::string(what) +
                                   " are not part of Vidloom " VIDLOOM_VERSION "; it reads files, segments, pictures, test: and lavfi:");
}

void refuse_options(std::string_view scheme, const Value& options) {
  for (const auto& [name, value] : options.as_object()) {
    throw Error(Code::config, "source option " + in_quotes(name) + " is not known to " + std::string(scheme) +
                                  ": sources; put it into the text after " + std::string(scheme) + ":");
  }
}

}  // namespace

std::unique_ptr<Source> open_source(const std::string& uri, const Value& given) {
  Value options = given.is_null() ? Value::object() : given;
  if (!options.is_object())
    throw Error(Code::config, "the options of a source are " + std::string(options.type_name()) + "; use an object");
  options.erase("uri");
  std::error_code ignored;
  const bool exists = !uri.empty() && std::filesystem::exists(uri, ignored);
  if (uri.starts_with("/dev/video")) throw_not_built(uri, "webcams");
  if (exists) return path_source(uri, options);
  if (!uri.empty() && std::ranges::all_of(uri, [](char c) { return c >= '0' && c <= '9'; })) throw_not_built(uri, "webcams");

  const std::string scheme = scheme_of(uri);
  if (scheme.empty()) return path_source(uri, options);
  if (scheme == "file") return path_source(path_of_file_uri(uri), options);
  if (scheme == "test" || scheme == "lavfi") {
    refuse_options(scheme, options);
    options.set("uri", uri);
    if (scheme == "test") return make_test_pattern(options);
    return make_source("lavfi", options);
  }
  SourceFactory factory;
  {
    RegistryTables& tables = registry_tables();
    const std::lock_guard lock(tables.mutex);
    if (const auto found = tables.sources.find(scheme); found != tables.sources.end()) factory = found->second;
  }
  if (factory) {
    options.set("uri", uri);
    std::unique_ptr<Source> made = factory(options);
    if (!made) throw Error(Code::source, "the factory of source " + in_quotes(scheme) + " made nothing");
    return std::make_unique<NamedSource>(std::move(made), uri);
  }
  if (const std::string_view missing = reserved_scheme(scheme); !missing.empty()) throw_not_built(uri, missing);
  const std::vector<std::string> known = source_schemes();
  const std::string near = nearest(scheme, known);
  std::string all;
  for (const std::string& one : known) all += (all.empty() ? "" : ", ") + one + ":";
  throw Error(Code::config, "source " + in_quotes(redact(uri)) + " has the unknown scheme " + in_quotes(scheme) +
                                (near.empty() ? "; use a path, or one of " + all : "; did you mean " + in_quotes(near + ":") + "?"));
}

}  // namespace v0
}  // namespace vidloom
