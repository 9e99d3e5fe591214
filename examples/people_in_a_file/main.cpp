// How many people are on the street, twice a second?
//
//     build/bin/examples/people_in_a_file street.mp4
#include <vidloom/vidloom.hpp>

#include <chrono>
#include <cstdio>

int main(int argc, char** argv) try {
  using namespace std::chrono_literals;
  vidloom::register_components();  // needed by the static library only; does nothing otherwise
  vidloom::Analyzer analyzer({{.name = "people", .adapter = vidloom::people(), .every = 500ms, .min_confidence = 0.6F}});
  const auto source = vidloom::open_source(argc > 1 ? argv[1] : "build/clips/vtest.avi");
  const vidloom::Report report = analyzer.analyze(*source, [](const vidloom::FrameResult& frame) {
    const vidloom::Outcome& people = frame["people"];
    const double at = vidloom::seconds(frame.info.time.media_time);
    if (people.answered()) {
      std::printf("%7.2f s   %zu people\n", at, people.detections().size());
    } else {
      std::printf("%7.2f s   not known: %s\n", at, people.error().what());
    }
    return true;  // go on
  });
  std::printf("%llu of %llu frames answered\n", static_cast<unsigned long long>(report.answered),
              static_cast<unsigned long long>(report.due));
} catch (const vidloom::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return vidloom::exit_code(error);
}
