#include <fuzz/texts.hpp>

#ifdef VIDLOOM_FUZZ_TOKENIZER
#include <adapters/clip/bpe_tokenizer.hpp>
#endif
#include <core/safetensors.hpp>
#include <fuzz/trial.hpp>
#include <sources/ffmpeg/coded_pictures.hpp>
#include <sources/ffmpeg/picture_file.hpp>
#include <sources/ffmpeg/timeline.hpp>
#include <sources/ffmpeg/transport.hpp>
#include <vidloom/analyzer.hpp>
#include <vidloom/registry.hpp>
#include <vidloom/sources/test_pattern.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

namespace vidloom::fuzz {
namespace {

using namespace std::string_view_literals;

/// A file without a name, for readers that take a path.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view bytes) : fd_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    if (fd_ < 0 || ::write(fd_, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
      throw std::runtime_error(std::string("no file in memory: ") + std::strerror(errno));
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(fd_); }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

void read_value(std::string_view text, Value::Comments comments) {
  const Value value = Value::parse(text, comments);
  const std::string once = value.dump(), indented = value.dump(2), canonical = value.canonical();
  const Value again = Value::parse(once);
  if (!(again == value)) throw Broken("a value and its text differ: " + once);
  if (again.dump() != once) throw Broken("a text does not come back: " + once);
  if (!(Value::parse(indented) == value)) throw Broken("an indented text differs");
  if (Value::parse(canonical).canonical() != canonical) throw Broken("a canonical text does not come back: " + canonical);
}

/// "URI" or "URI\n{options}".
void read_source(std::string_view text) {
  const std::size_t line = text.find('\n');
  const std::string uri(text.substr(0, line));
  const Value options = line == std::string_view::npos ? Value() : Value::parse(text.substr(line + 1));
  (void)open_source(uri, options);
}

void read_frames(Source& source, std::int64_t max_pixels) {
  SourceContext context{.stream = StreamId{1}, .cpu = CpuGate::process()};
  const SourceInfo info = source.open(context);
  if (std::int64_t{info.size.width} * info.size.height <= max_pixels) {
    for (int count = 0; count < 2; ++count) {
      const ReadResult next = source.read();
      if (const auto* frame = std::get_if<Frame>(&next); frame && frame->size().empty()) throw Broken("a frame without pixels");
    }
    if (info.seekable) {
      source.seek(std::chrono::seconds(1));
      (void)source.read();
    }
  }
  source.close();
}

/// Two bytes of size, then grey pixels.
bool read_picture_of_a_barcode(std::string_view bytes) {
  if (bytes.size() < 2) return false;
  const Size size{1 + static_cast<unsigned char>(bytes[0]) * 4, 1 + static_cast<unsigned char>(bytes[1])};
  bytes.remove_prefix(2);
  const Image image = Image::make(size, ImageSpec::Format::gray8, {}, [&](std::span<std::byte> out) {
    for (std::size_t at = 0; at < out.size(); ++at)
      out[at] = bytes.empty() ? std::byte{0} : static_cast<std::byte>(bytes[at % bytes.size()]);
  });
  return read_barcode(image).has_value();
}

bool look_at_picture_file(std::string_view bytes) {
  const std::span<const std::uint8_t> all(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  const PictureKind kind = picture_kind(all.first(std::min<std::size_t>(all.size(), 64)));
  return kind != PictureKind::none && is_whole(kind, all);
}

/// Numbers out of bytes; zeros when they are used up.
class Bytes {
 public:
  explicit Bytes(std::string_view bytes) : bytes_(bytes) {}
  bool empty() const noexcept { return bytes_.empty(); }
  std::string_view take(std::size_t count) noexcept {
    const std::string_view part = bytes_.substr(0, count);
    bytes_.remove_prefix(part.size());
    return part;
  }
  std::int64_t number(std::size_t count) noexcept {
    std::uint64_t value = 0;
    for (; count > 0; --count) {
      value = value << 8 | (bytes_.empty() ? 0U : static_cast<unsigned char>(bytes_.front()));
      bytes_.remove_prefix(bytes_.empty() ? 0 : 1);
    }
    return static_cast<std::int64_t>(value);
  }

 private:
  std::string_view bytes_;
};

/// Time base, width of the timestamps, kind of container; then timestamps, some missing, with durations.
bool read_timestamps(std::string_view text) {
  Bytes bytes(text);
  Timeline timeline({.time_base = {bytes.number(4), bytes.number(4)},
                     .wrap_bits = static_cast<int>(bytes.number(1)),
                     .jumps_begin_epochs = bytes.number(1) % 2 != 0});
  Nanos last = -Timeline::farthest;
  bool any = false;
  for (; !bytes.empty(); any = true) {
    const std::int64_t kind = bytes.number(1);
    const Nanos duration(kind & 2 ? bytes.number(8) : kind & 4 ? 40'000'000 : 0);
    const Timeline::Stamp stamp = timeline.next(kind & 1 ? std::nullopt : std::optional(bytes.number(kind & 8 ? 8 : 4)), duration);
    if (!stamp.new_epoch && stamp.media_time < last) throw Broken("media_time stepped back");
    if (stamp.media_time > Timeline::farthest || stamp.media_time < -Timeline::farthest) throw Broken("a time beyond all bounds");
    last = stamp.media_time;
  }
  return any;
}

/// A PID, then packets.
bool look_at_transport(std::string_view text) {
  Bytes bytes(text);
  const int pid = static_cast<int>(bytes.number(2)) & 0x1FFF;
  const std::int64_t near = bytes.number(5) & (transport::wrap - 1);
  const std::string_view rest = bytes.take(text.size());
  const auto first = transport::first_packet(rest);
  if (first && *first + transport::packet_bytes > rest.size()) throw Broken("the first packet stands behind the end");
  const transport::Count count = transport::count(rest, pid);
  if (count.scrambled > count.packets || count.packets > rest.size() / transport::packet_bytes) throw Broken("more packets than there are");
  const auto pts = transport::latest_pts(rest, pid, near);
  if (pts && (*pts < 0 || *pts >= transport::wrap)) throw Broken("a timestamp of more than 33 bits");
  return first && count.packets > 0;
}

/// A codec, its extradata, then packets: each a length and bytes, at whose end FFmpeg's padding stands.
bool look_at_coded_pictures(std::string_view text) {
  static constexpr std::array codecs{AV_CODEC_ID_H264, AV_CODEC_ID_HEVC, AV_CODEC_ID_MPEG2VIDEO,
                                     AV_CODEC_ID_VP8,  AV_CODEC_ID_VP9,  AV_CODEC_ID_MJPEG};
  Bytes bytes(text);
  AVCodecParameters parameters{};
  parameters.codec_type = AVMEDIA_TYPE_VIDEO;
  parameters.codec_id = codecs[static_cast<std::size_t>(bytes.number(1)) % codecs.size()];
  const auto padded = [](std::string_view part) {
    std::vector<std::uint8_t> copy(part.begin(), part.end());
    copy.resize(part.size() + AV_INPUT_BUFFER_PADDING_SIZE);
    return copy;
  };
  const std::string_view extra = bytes.take(static_cast<std::size_t>(bytes.number(1)));
  std::vector<std::uint8_t> extradata = padded(extra);
  parameters.extradata = extradata.data();
  parameters.extradata_size = static_cast<int>(extra.size());
  CodedPictures pictures(parameters);
  const av::PacketPtr packet = av::make_packet();
  bool any = false;
  while (!bytes.empty()) {
    const std::string_view part = bytes.take(static_cast<std::size_t>(bytes.number(2)));
    std::vector<std::uint8_t> copy = padded(part);
    packet->data = copy.data();
    packet->size = static_cast<int>(part.size());
    packet->flags = part.size() % 2 != 0 ? AV_PKT_FLAG_KEY : 0;
    const auto picture = pictures.look(*packet);
    if (picture && picture->closed && !picture->entry) throw Broken("a closed picture that is no entry");
    if (pictures.parameter_sets().size() > text.size()) throw Broken("more parameter sets than bytes");
    any |= picture.has_value();
    (void)pictures.self_contained();
    packet->data = nullptr;
    packet->size = 0;
  }
  return any;
}

/// A header, after its length has been put before it as it is; then numbers.
bool look_at_safetensors(std::string_view text) {
  const Safetensors file(std::as_bytes(std::span(text)), "x.safetensors");
  for (const auto& [name, tensor] : file.all()) {
    if (tensor.bytes.empty()) continue;
    if (tensor.bytes.data() < reinterpret_cast<const std::byte*>(text.data()) || tensor.bytes.size() > text.size())
      throw Broken("a tensor outside of its file");
    float ends[1];
    try {
      read_floats(tensor, 0, ends);
      read_floats(tensor, tensor.bytes.size() / bytes_of(tensor.number) - 1, ends);
    } catch (const Error& error) {
      if (error.code != Code::model) throw Broken(error.what());
    }
  }
  return file.size() > 0;
}

/// Either tokenizer.json or vocab.json and merges.txt; the configuration; a text. Between them stands U+001E.
bool read_tokenizer([[maybe_unused]] std::string_view text) {
#ifdef VIDLOOM_FUZZ_TOKENIZER
  const auto next = [&text] {
    const std::string_view part = text.substr(0, text.find('\x1e'));
    text.remove_prefix(std::min(part.size() + 1, text.size()));
    return part;
  };
  const std::string_view first = next(), merges = next(), config = next();
  const auto tokenizer =
      merges.empty() ? BpeTokenizer::from_tokenizer_json(first, config) : BpeTokenizer::from_vocabulary(first, merges, config);
  for (const std::string_view each : {text, first}) {
    const std::vector<std::int64_t> all = tokenizer->encode(each, each.size() * 4 + 2), few = tokenizer->encode(each, 5);
    if (all.size() < 2 || all.front() != tokenizer->start_of_text() || all.back() != tokenizer->end_of_text())
      throw Broken("no start or no end of text");
    if (few.size() != std::min<std::size_t>(all.size(), 5) || !std::equal(few.begin(), few.end() - 1, all.begin()))
      throw Broken("fewer ids are other ids");
    for (const std::int64_t id : all) {
      if (id < 0 || id >= static_cast<std::int64_t>(tokenizer->size())) throw Broken("an id beyond the vocabulary");
    }
  }
  return true;
#else
  return false;
#endif
}

bool read_redacted(std::string_view text) {
  const std::string once = redact(text);
  if (redact(once) != once) throw Broken("what was redacted is redacted otherwise the second time: " + once);
  (void)nearest(text.substr(0, 200), {"people", "motion", "visual"});
  return once != text;
}

bool fits(Reader reader, Code code) {
  switch (reader) {
    case Reader::value:
    case Reader::commented_value:
    case Reader::duration:
    case Reader::test_pattern: return code == Code::config;
    case Reader::filter_graph: return code == Code::config || code == Code::source || code == Code::decode;
    case Reader::safetensors:
    case Reader::tokenizer: return code == Code::model;
    default: return code == Code::config || code == Code::not_built;
  }
}

}  // namespace

bool read_text(Reader reader, std::string_view bytes) {
  try {
    switch (reader) {
      case Reader::value: read_value(bytes, Value::Comments::refuse); break;
      case Reader::commented_value: read_value(bytes, Value::Comments::allow); break;
      case Reader::source: read_source(bytes); break;
      case Reader::test_pattern: read_frames(*open_source("test:" + std::string(bytes)), std::int64_t{1} << 18); break;
      case Reader::filter_graph: read_frames(*open_source("lavfi:" + std::string(bytes)), std::int64_t{1} << 18); break;
      case Reader::analyses: (void)load_analyses(MemoryFile(bytes).path()); break;
      case Reader::sink: (void)make_sink("null:" + std::string(bytes)); break;
      case Reader::duration:
        if (parse_duration(bytes, "field") < Nanos{0}) throw Broken("a negative duration was read");
        break;
      case Reader::redaction: return read_redacted(bytes);
      case Reader::barcode: return read_picture_of_a_barcode(bytes);
      case Reader::picture: return look_at_picture_file(bytes);
      case Reader::timeline: return read_timestamps(bytes);
      case Reader::transport: return look_at_transport(bytes);
      case Reader::coded_pictures: return look_at_coded_pictures(bytes);
      case Reader::safetensors: return look_at_safetensors(bytes);
      case Reader::tokenizer: return read_tokenizer(bytes);
    }
  } catch (const Error& error) {
    if (!fits(reader, error.code)) throw Broken("an error of code " + std::string(to_string(error.code)) + ": " + error.what());
    if (std::string_view(error.what()).empty()) throw Broken("an error without a message");
    return false;
  }
  return true;
}

std::vector<std::string_view> samples_of(Reader reader) {
  switch (reader) {
    case Reader::value:
      return {R"({"labels": ["A\u00e9\ud83c\udfa5\n"], "deep": [[[[{"a": null}]]]], "big": 9223372036854775807, "small": -1e-308})",
              R"([true, false, null, 0, -0, 1.5e300, "\\\"\/\b\f\n\r\t", {}, []])"};
    case Reader::commented_value: return {"{\n  // one\n  \"version\": 1, /* two */ \"url\": \"http://a//b\" // three\n}\n"};
    case Reader::source:
      return {"street.mp4\n{\"trust\": \"untrusted\", \"max_pixels\": 1000000, \"threads\": 2}",
              "file:///srv/a%20b/%E2%82%AC.ts\n{\"rate\": 2.5}",
              "file://localhost/srv/x",
              "test:size=640x360,rate=30000/1001,frames=300,start=10",
              "lavfi:testsrc2=size=64x48",
              "rtsp://user:secret@camera:554/live?token=abc#x",
              "/dev/video0",
              "0",
              "tst:size=1"};
    case Reader::test_pattern:
      return {"size=640x360,rate=30000/1001,frames=300,start=10", "size=160x32,rate=1/1,frames=1", "start=1.5min,rate=25", ""};
    case Reader::filter_graph:
      return {"testsrc2=size=64x48:rate=25:duration=1,format=yuv422p10le", "color=c=red:s=64x48,hue=h=30 [a]; [a] vflip"};
    case Reader::analyses:
      return {R"({"version": 1, // of the file
 "analyses": {"people": {"adapter": "people", "every": 0.5, "min_confidence": {"*": 0.6, "person": 0.7}, "scale": 1.05},
  "visual": {"every": "500ms", "tolerance": 6, "where": {"type": "local", "workers": 2}}, 
  "moves": {"adapter": "motion", "deadline": 5, "history": 20}},
 "where": "local"})"};
    case Reader::sink: return {"", "a=b", "out.jsonl"};
    case Reader::duration: return {"0.5", "500ms", "1.5min", "3h", "12ns", "7us", "1e3s"};
    case Reader::redaction:
      return {"rtmp://host/live/streamkey123 failed, then https://user:pass@host:8443/path?token=abc&x=1#frag and file:///x",
              "srt://[::1]:9000?passphrase=secret&streamid=#!::r=x"};
    case Reader::barcode: return {"\x28\x40\x10\xEB\x10\x10\xEB\xEB"};
    case Reader::picture:
      return {"\xFF\xD8\xFF\xE0\x00\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xFF\xDA\0\x08\x01\x01\0\0\x3F\0\x12\x34\xFF\0\xFF\xD9"sv,
              "\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0\0\0\0\0\0\0\0\0IEND\xAE\x42\x60\x82"sv,
              "RIFF\x1A\0\0\0WEBPVP8L\x0D\0\0\0\x2F\0\0\0\x10\x07\x10\x11\x11\x88\x88\xFE\x07\0"sv, "P6\n64 48\n255\n"sv};
    // Whole packets and pictures come from the media themselves.
    case Reader::transport: return {"\x01\0\0\0\0\0\0\x47\x41\0\x10\0\0\x01\xE0\0\0\x80\x80\x05\x21\0\x01\0\x01"sv};
    case Reader::coded_pictures:
      return {"\0\0\0\x20\0\0\0\x01\x67\x42\xC0\x0A\xDA\x11\x16\0\0\x01\x68\xCE\x09\xC8\0\0\x01\x65\xB8\x40\0\x12\x34\x56\x78\x9A"sv,
              "\x01\0\0\x18\0\0\x01\x40\x01\x0C\x01\xFF\0\0\x01\x42\x01\x01\x01\x60\0\0\x01\x26\x01\xAF\x12\x34"sv,
              "\x02\0\0\x18\0\0\x01\xB3\x04\0\x30\x13\xFF\xFF\xE0\x18\0\0\x01\0\0\x08\xFF\xF8\0\0\x01\xB5\x8F\x12"sv,
              // A scaling list whose first difference is the largest number there is.
              "\x00\x00\x00\x11\x00\x00\x01\x67\x64\x00\x0A\xAD\x80\x00\x00\x00\xFF\xFF\xFF\xFE\xFE"sv};
    case Reader::safetensors:
      return {
          "\x36\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}\0\0\x80\x3F\0\0\0\xC0"sv,
          "\x6B\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F16\",\"shape\":[],\"data_offsets\":[0,2]},\"b\":{\"dtype\":\"I8\",\"shape\":[1,2],\"data_offsets\":[2,4]}}\0\x3C\1\2"sv};
    case Reader::tokenizer:
      return {
          "{\"a\":0,\"b</w>\":1,\"ab</w>\":2,\"<|startoftext|>\":3,\"<|endoftext|>\":4}\x1e#version: 0.2\na "
          "b</w>\n\x1e{\"pad_token\":\"a\","
          "\"eos_token\":{\"content\":\"<|endoftext|>\",\"normalized\":true}}\x1e"
          "aab A\xCC\x81\xCC\xA7 <|ENDOFTEXT|>'s \xFF",
          "{\"model\":{\"type\":\"BPE\",\"end_of_word_suffix\":\"</"
          "w>\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"<|startoftext|>\":3,\"<|endoftext|>\":4},"
          "\"merges\":[[\"a\",\"b\"]]},\"added_tokens\":[{\"id\":4,\"content\":\"<|endoftext|>\",\"normalized\":true}]}\x1e\x1e"
          "{\"added_tokens_decoder\":{\"5\":{\"content\":\"<b c>\"}}}\x1e"
          "ababab <b c>"};
    case Reader::timeline:
      return {"\0\0\0\x01\0\x01\x5F\x90\x21\x01\x04\xFF\xFF\xF1\xF0\x04\0\0\0\0\x05\x04\0\0\x0E\x10\x04\0\x1E\x84\x80"sv,
              "\x40\0\0\0\0\0\0\x01\x40\0\x08\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x0A\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x80\0\0\0\0\0\0\0"sv};
  }
  return {};
}

}  // namespace vidloom::fuzz
