// An adapter of one's own, chosen by name beside a built-in one, on the same clock.
#include <vidloom/vidloom.hpp>

#include <algorithm>
#include <cstddef>
#include <iostream>
#include <memory>

namespace {

/// The brightest luma value of the picture.
class Brightest final : public vidloom::DetectionAdapter {
 public:
  vidloom::AdapterInfo info() const override {
    return {.kind = "visual", .demand = {.pixels = vidloom::Demand::Pixels::luma}, .max_batch = 4, .lists = {.detections = false, .attributes = true}};
  }
  void detect(std::span<const vidloom::Item> items, std::span<vidloom::Result<vidloom::Detections>> out,
              const vidloom::BatchContext&) override {
    for (std::size_t i = 0; i < items.size(); ++i) {
      const vidloom::PlaneView luma = items[i].frame.luma();
      std::byte brightest{0};
      for (int y = 0; y < luma.size.height; ++y) {
        const std::byte* row = luma.data + y * luma.stride;
        brightest = std::max(brightest, *std::max_element(row, row + luma.size.width));
      }
      vidloom::Detections answer;
      answer.attributes.push_back({.name = "brightest", .value = static_cast<double>(std::to_integer<int>(brightest))});
      out[i] = std::move(answer);
    }
  }
};

}  // namespace

int main() try {
  vidloom::register_components();
  vidloom::register_adapter("brightest", [](const vidloom::Value&) { return std::make_unique<Brightest>(); });
  vidloom::Analyzer analyzer(vidloom::analyses_from(vidloom::Value::parse(R"({"brightest": {}, "visual": {"every": 0.4}})")));
  const auto source = vidloom::open_source("test:frames=25");
  const vidloom::Report report = analyzer.analyze(*source, [](const vidloom::FrameResult& frame) {
    std::cout << vidloom::to_line(frame) << '\n';
    return true;
  });
  std::cout << report.answered << " of " << report.due << " frames answered\n";
  return report.due == 25 && report.answered == 25 ? 0 : 1;
} catch (const vidloom::Error& error) {
  std::cerr << error.what() << '\n';
  return vidloom::exit_code(error);
}
