#include <sources/ffmpeg/file_input.hpp>
#include <sources/ffmpeg/picture_file.hpp>
#include <sources/ffmpeg/sources.hpp>
#include <support/ffmpeg/decoder.hpp>
#include <support/ffmpeg/pictures.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <deque>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

namespace vidloom {
namespace {

namespace fs = std::filesystem;

/// "img9" before "img10": runs of digits compare by value, all else byte by byte.
bool natural_less(std::string_view a, std::string_view b) noexcept {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  std::size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (digit(a[i]) && digit(b[j])) {
      const auto run = [&](std::string_view text, std::size_t& at) {
        while (at < text.size() && text[at] == '0') ++at;
        const std::size_t from = at;
        while (at < text.size() && digit(text[at])) ++at;
        return text.substr(from, at - from);
      };
      const std::string_view first = run(a, i), second = run(b, j);
      if (first.size() != second.size()) return first.size() < second.size();
      if (first != second) return first < second;
    } else {
      if (a[i] != b[j]) return static_cast<unsigned char>(a[i]) < static_cast<unsigned char>(b[j]);
      ++i;
      ++j;
    }
  }
  if (a.size() - i != b.size() - j) return a.size() - i < b.size() - j;
  return a < b;  // "img01" and "img1": any fixed order
}

constexpr std::size_t largest_file = std::size_t{1} << 30;
constexpr std::size_t head_bytes = 4096;  // tell what kind of picture a file is: an SVG may begin with remarks

std::span<const std::uint8_t> bytes_head(const std::vector<std::uint8_t>& bytes) { return std::span(bytes).first(std::min(bytes.size(), head_bytes)); }

/// Up to `limit` bytes of a file, with the zeros behind them that FFmpeg's readers need.
std::vector<std::uint8_t> read_bytes(const std::string& path, std::size_t limit) {
  const Descriptor file = open_for_reading(path);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) throw Error(Code::source, path + " is not a file");
  if (static_cast<std::size_t>(status.st_size) > largest_file && limit > largest_file)
    throw Error(Code::source, path + " is larger than a picture may be (1 GiB)");
  const std::size_t wanted = std::min(static_cast<std::size_t>(status.st_size), limit);
  std::vector<std::uint8_t> bytes(wanted + AV_INPUT_BUFFER_PADDING_SIZE);
  std::size_t have = 0;
  while (have < wanted) {
    const auto got = ::read(file.get(), bytes.data() + have, wanted - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error(Code::source, path + " cannot be read: " + std::strerror(errno), true);
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  bytes.resize(have);
  bytes.reserve(have + AV_INPUT_BUFFER_PADDING_SIZE);
  return bytes;
}

class ImagesSource final : public Source {
 public:
  ImagesSource(std::string uri, std::int64_t max_pixels, double rate, int svg_side)
      : uri_(std::move(uri)), path_(path_of(uri_)), max_pixels_(max_pixels), rate_(rate), svg_side_(svg_side) {}

  SourceInfo open(SourceContext& context) override;
  ReadResult read() override;
  void interrupt() noexcept override { stop_.set(); }
  void close() noexcept override {
    files_.clear();
    waiting_.clear();
    cpu_ = nullptr;
    stop_.clear();
  }
  void seek(Nanos media_time) override;
  SourceStats stats() const noexcept override { return stats_; }

 private:
  void list_files();
  /// SVG is a program for a drawing library: only whoever asks for it gets it.
  PictureKind kind_of(std::span<const std::uint8_t> head) const noexcept {
    const PictureKind kind = picture_kind(head);
    return kind == PictureKind::svg && svg_side_ == 0 ? PictureKind::none : kind;
  }
  std::optional<ReadResult> next();
  Frame decode(const std::string& path, std::size_t index);
  Nanos time_of(std::size_t index) const { return from_seconds(static_cast<double>(index) / rate_); }

  const std::string uri_, path_;
  const std::int64_t max_pixels_;
  const double rate_;
  const int svg_side_;  ///< pixels; 0: no SVG
  WakeUp stop_;
  StreamId stream_{};
  CpuGate* cpu_ = nullptr;
  bool folder_ = false;
  std::vector<std::string> files_;   ///< pictures only, in natural order
  std::size_t index_ = 0;            ///< of the next file
  std::uint64_t next_sequence_ = 0;
  std::string codec_;
  std::deque<ReadResult> waiting_;   ///< what open() read ahead to describe the first picture
  SourceStats stats_;
};

void ImagesSource::list_files() {
  files_.clear();
  std::error_code error;
  const fs::file_status status = fs::status(path_, error);
  folder_ = fs::is_directory(status);
  if (!folder_) {
    const auto head = read_bytes(path_, head_bytes);
    if (head.empty()) throw Error(Code::source, path_ + " is empty (0 bytes)");
    if (kind_of(head) == PictureKind::none) throw Error(Code::source, path_ + " is not a picture");
    files_.push_back(path_);
    return;
  }
  std::vector<std::string> names;
  for (auto entry = fs::directory_iterator(path_, error); !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::error_code ignored;
    if (!name.starts_with('.') && entry->is_regular_file(ignored)) names.push_back(name);
  }
  if (error) throw Error(Code::source, path_ + ": the folder cannot be read: " + error.message());
  std::sort(names.begin(), names.end(), natural_less);
  for (const std::string& name : names) {
    if (stop_.is_set()) stop_.throw_reason(path_);
    std::string file = (fs::path(path_) / name).string();
    // A file that cannot be read stays listed: its turn makes it an event with the reason.
    bool picture = true;
    try {
      picture = kind_of(read_bytes(file, head_bytes)) != PictureKind::none;
    } catch (const Error&) {
    }
    if (picture) files_.push_back(std::move(file));
  }
  if (files_.empty()) throw Error(Code::source, path_ + ": the folder holds no picture");
}

SourceInfo ImagesSource::open(SourceContext& context) {
  waiting_.clear();
  stats_ = {};
  index_ = 0;
  next_sequence_ = 0;
  stream_ = context.stream;
  list_files();
  cpu_ = &context.cpu;

  std::size_t damaged = 0;
  std::string reason;
  for (;;) {
    std::optional<ReadResult> one = next();
    if (!one) throw Error(Code::decode, path_ + ": none of its " + std::to_string(damaged) + " pictures can be read; the first: " + reason);
    if (const auto* event = std::get_if<StreamEvent>(&*one); event && damaged++ == 0) reason = event->detail;
    waiting_.push_back(std::move(*one));
    if (std::holds_alternative<Frame>(waiting_.back())) break;
  }
  const Frame& first = std::get<Frame>(waiting_.back());
  SourceInfo info;
  info.seekable = true;
  info.duration = time_of(files_.size());
  info.size = first.size();
  info.coded_size = first.coded_size();
  info.codec = codec_;
  info.time_base = first.info().time.time_base;
  info.colour = first.info().colour;
  info.uri = redact(uri_);
  info.details = Value::object();
  info.details.set("container", folder_ ? "folder" : "picture");
  info.details.set("pictures", files_.size());
  info.details.set("rate", rate_);
  info.details.set("pixel_format", first.pixel_format());
  info.details.set("rotation", first.info().rotation_degrees);
  info.details.set("oddities", Value::array());
  if (damaged > 0) info.details.set("oddities", Value::Array{Value(std::to_string(damaged) + " damaged pictures before the first whole one")});
  return info;
}

Frame ImagesSource::decode(const std::string& path, std::size_t index) {
  std::vector<std::uint8_t> bytes = read_bytes(path, largest_file + 1);
  if (bytes.empty()) throw Error(Code::source, path + " is empty (0 bytes)");
  const PictureKind kind = kind_of(bytes_head(bytes));
  if (kind == PictureKind::none) throw Error(Code::source, path + " is not a picture");
  av::PacketPtr packet = av::make_packet();
  if (av_new_packet(packet.get(), static_cast<int>(bytes.size())) < 0) throw std::bad_alloc();
  std::memcpy(packet->data, bytes.data(), bytes.size());

  AVCodecParameters parameters{};
  parameters.codec_type = AVMEDIA_TYPE_VIDEO;
  parameters.codec_id = codec_of(kind);
  parameters.format = -1;
  // Where a decoder mends silently. (TIFF's would also refuse every tag that it has no use for.)
  const bool strict = kind == PictureKind::jpeg || kind == PictureKind::png;
  av::FramePtr frame = av::make_frame();
  {
    CpuGate::Pass pass(*cpu_);
    av::Decoder decoder(parameters, {.threads = 1, .max_pixels = max_pixels_, .strict = strict, .drawn_side = svg_side_}, path);
    int code = decoder.send(packet.get(), false);
    ++stats_.packets;
    if (code >= 0) code = decoder.send(nullptr, false);
    if (code >= 0) code = decoder.receive(*frame);
    if (!is_whole(kind, bytes)) throw Error(Code::decode, path + " is cut off: its end is missing");
    if (code < 0) throw Error(Code::decode, path + " is a damaged picture: " + av::error_text(code));
    if (frame->decode_error_flags != 0) throw Error(Code::decode, path + " is a damaged picture");
  }
  codec_ = av::codec_name(parameters.codec_id);
  const AVRational rate = av_d2q(rate_, 1'000'000);
  FrameInfo info;
  info.stream = stream_;
  info.sequence = next_sequence_++;
  info.time.pts = static_cast<std::int64_t>(index);
  info.time.time_base = {rate.den, rate.num};
  info.time.media_time = time_of(index);
  info.time.received_at = std::chrono::steady_clock::now();
  info.duration = time_of(1);
  av::describe(*frame, {}, info);
  info.keyframe = true;
  ++stats_.decoded;
  return av::adopt(std::move(frame), info);
}

/// A picture, or an event in its place; nothing after the last one.
std::optional<ReadResult> ImagesSource::next() {
  if (stop_.is_set()) stop_.throw_reason(path_);
  if (index_ >= files_.size()) return std::nullopt;
  const std::size_t index = index_++;
  try {
    return decode(files_[index], index);
  } catch (const Error& error) {
    if (!folder_) throw;
    ++stats_.errors;
    return StreamEvent{StreamEvent::Kind::gap, error.what(), Value()};
  }
}

ReadResult ImagesSource::read() {
  if (!cpu_) throw Error(Code::config, path_ + ": read() before open()");
  if (stop_.is_set()) stop_.throw_reason(path_);
  if (!waiting_.empty()) {
    ReadResult first = std::move(waiting_.front());
    waiting_.pop_front();
    return first;
  }
  std::optional<ReadResult> one = next();
  return one ? std::move(*one) : ReadResult(End{});
}

void ImagesSource::seek(Nanos media_time) {
  if (!cpu_) throw Error(Code::config, path_ + ": seek() before open()");
  waiting_.clear();
  index_ = 0;
  while (index_ < files_.size() && time_of(index_) < media_time) ++index_;
}

}  // namespace

std::unique_ptr<Source> make_images_source(const Value& options) {
  const Value* wanted = options.find("rate");
  const double rate = wanted && !wanted->is_null() ? wanted->as_real() : 1.0;
  if (!(rate >= 1e-6) || !(rate <= 1e6)) throw Error(Code::config, "rate is " + std::to_string(rate) + "; use 0.000001 to 1000000 pictures a second");
  const Value* side = options.find("svg_side");
  const std::int64_t svg_side = side && !side->is_null() ? side->as_integer() : 0;
  if (svg_side < 0 || svg_side > 8192) throw Error(Code::config, "svg_side is " + std::to_string(svg_side) + "; use 1 to 8192 pixels, or 0 for no SVG");
  return std::make_unique<ImagesSource>(options["uri"].as_string(), av::pixel_limit(options), rate, static_cast<int>(svg_side));
}

}  // namespace vidloom
