// A source of one's own, by its scheme, through the built-in adapter `visual`.
#include <vidloom/vidloom.hpp>

#include <cmath>
#include <cstddef>
#include <iostream>
#include <memory>
#include <vector>

namespace {

/// Ten grey pictures, each brighter than the one before.
class Dawn final : public vidloom::Source {
 public:
  vidloom::SourceInfo open(vidloom::SourceContext&) override {
    next_ = 0;
    return {.duration = vidloom::from_pts(frames, time_base), .size = size, .codec = "raw", .time_base = time_base};
  }
  vidloom::ReadResult read() override {
    if (next_ == frames) return vidloom::End{};
    const std::vector<std::byte> rgb(std::size_t{3} * size.width * size.height, static_cast<std::byte>(25 * next_));
    vidloom::FrameInfo info;
    info.sequence = static_cast<std::uint64_t>(next_);
    info.time = {.pts = next_, .time_base = time_base, .media_time = vidloom::from_pts(next_, time_base)};
    info.duration = vidloom::from_pts(1, time_base);
    ++next_;
    return vidloom::Frame::copy_of({rgb.data(), 3 * size.width, size}, info);
  }
  void interrupt() noexcept override {}
  void close() noexcept override {}

 private:
  static constexpr int frames = 10;
  static constexpr vidloom::Rational time_base{1, 5};
  static constexpr vidloom::Size size{64, 36};
  int next_ = 0;
};

}  // namespace

int main() try {
  vidloom::register_components();
  vidloom::register_source("dawn", [](const vidloom::Value&) { return std::make_unique<Dawn>(); });
  vidloom::Analyzer analyzer({{.name = "visual", .adapter = vidloom::visual()}});
  const auto source = vidloom::open_source("dawn:");
  double last = -1;
  bool brighter = true;
  const vidloom::Report report = analyzer.analyze(*source, [&](const vidloom::FrameResult& frame) {
    for (const vidloom::Attribute& attribute : frame["visual"].detections().attributes) {
      if (attribute.name != "brightness_level") continue;
      const double level = std::get<double>(attribute.value);
      brighter = brighter && level > last;
      last = level;
      std::cout << vidloom::seconds(frame.info.time.media_time) << " s  brightness " << std::round(level * 100) << " %\n";
    }
    return true;
  });
  std::cout << report.answered << " of " << report.due << " frames answered\n";
  return report.answered == 10 && brighter ? 0 : 1;
} catch (const vidloom::Error& error) {
  std::cerr << error.what() << '\n';
  return vidloom::exit_code(error);
}
