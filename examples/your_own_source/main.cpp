// Frames from wherever you have them: here, ten grey pictures that grow brighter.
//
//     build/bin/examples/your_own_source
#include <vidloom/vidloom.hpp>

#include <cstddef>
#include <cstdio>
#include <memory>
#include <vector>

namespace {

class Dawn final : public vidloom::Source {
 public:
  vidloom::SourceInfo open(vidloom::SourceContext&) override {
    next_ = 0;
    return {.size = size, .codec = "raw", .time_base = time_base};
  }
  vidloom::ReadResult read() override {
    if (next_ == 10) return vidloom::End{};
    const std::vector<std::byte> rgb(std::size_t{3} * size.width * size.height, static_cast<std::byte>(25 * next_));
    vidloom::FrameInfo info;
    info.sequence = static_cast<std::uint64_t>(next_);
    info.time.pts = next_;
    info.time.time_base = time_base;
    info.time.media_time = vidloom::from_pts(next_, time_base);
    ++next_;
    return vidloom::Frame::copy_of({rgb.data(), 3 * size.width, size}, info);
  }
  void interrupt() noexcept override {}
  void close() noexcept override {}

 private:
  static constexpr vidloom::Rational time_base{1, 5};  // five pictures a second
  static constexpr vidloom::Size size{64, 36};
  int next_ = 0;
};

}  // namespace

int main() try {
  vidloom::register_components();
  vidloom::register_source("dawn", [](const vidloom::Value&) { return std::make_unique<Dawn>(); });
  vidloom::Analyzer analyzer({{.name = "visual", .adapter = vidloom::visual()}});
  const auto source = vidloom::open_source("dawn:");
  analyzer.analyze(*source, [](const vidloom::FrameResult& frame) {
    for (const vidloom::Attribute& attribute : frame["visual"].detections().attributes) {
      if (attribute.name == "brightness_level") {
        std::printf("%7.2f s   brightness %.2f\n", vidloom::seconds(frame.info.time.media_time), std::get<double>(attribute.value));
      }
    }
    return true;
  });
} catch (const vidloom::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return vidloom::exit_code(error);
}
