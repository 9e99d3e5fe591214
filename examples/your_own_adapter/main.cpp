// An adapter of your own beside a built-in one, on the same clock.
//
//     build/bin/examples/your_own_adapter street.mp4
#include <vidloom/vidloom.hpp>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

namespace {

/// How sharp a picture is: mean difference between neighbours in a row of the luma plane, in levels of 255.
class Sharpness final : public vidloom::DetectionAdapter {
 public:
  vidloom::AdapterInfo info() const override {
    return {.kind = "visual",
            .demand = {.pixels = vidloom::Demand::Pixels::luma},
            .max_batch = 8,
            .lists = {.detections = false, .attributes = true}};
  }
  void detect(std::span<const vidloom::Item> items, std::span<vidloom::Result<vidloom::Detections>> out,
              const vidloom::BatchContext&) override {
    for (std::size_t i = 0; i < items.size(); ++i) {
      vidloom::Detections answer;
      answer.attributes.push_back({.name = "sharpness", .value = sharpness(items[i].frame.luma())});
      out[i] = std::move(answer);
    }
  }

 private:
  static double sharpness(const vidloom::PlaneView& luma) {
    long long sum = 0;
    for (int y = 0; y < luma.size.height; ++y) {
      const std::byte* row = luma.data + y * luma.stride;
      for (int x = 1; x < luma.size.width; ++x) sum += std::abs(std::to_integer<int>(row[x]) - std::to_integer<int>(row[x - 1]));
    }
    return static_cast<double>(sum) / luma.size.height / (luma.size.width - 1);
  }
};

double attribute(const vidloom::Outcome& outcome, const char* name) {
  for (const vidloom::Attribute& attribute : outcome.detections().attributes) {
    if (attribute.name == name) return std::get<double>(attribute.value);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) try {
  vidloom::register_components();
  vidloom::register_adapter("sharpness", [](const vidloom::Value&) { return std::make_unique<Sharpness>(); });
  vidloom::Analyzer analyzer(vidloom::analyses_from(vidloom::Value::parse(R"({"sharpness": {"every": 1}, "visual": {"every": 1}})")));
  const auto source = vidloom::open_source(argc > 1 ? argv[1] : "build/clips/vtest.avi");
  vidloom::AnalyzeOptions options;
  options.end = std::chrono::seconds(5);
  analyzer.analyze(*source, options, [](const vidloom::FrameResult& frame) {
    std::printf("%7.2f s   sharpness %.2f   brightness %.4f\n", vidloom::seconds(frame.info.time.media_time),
                attribute(frame["sharpness"], "sharpness"), attribute(frame["visual"], "brightness_level"));
    return true;
  });
} catch (const vidloom::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return vidloom::exit_code(error);
}
