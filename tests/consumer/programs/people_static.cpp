// The quick start against the static library: one line more, which a shared build ignores.
#include <vidloom/vidloom.hpp>

#include <chrono>
#include <iostream>

int main(int argc, char** argv) try {
  vidloom::register_components();
  vidloom::Analyzer analyzer({{.name = "people", .adapter = vidloom::people(), .every = std::chrono::milliseconds(500)}});
  const auto source = vidloom::open_source(argc > 1 ? argv[1] : "street.mp4");
  const vidloom::Report report = analyzer.analyze(*source, [](const vidloom::FrameResult& frame) {
    std::cout << frame["people"].detections().size() << " people\n";
    return true;
  });
  std::cout << report.answered << " of " << report.due << " frames answered\n";
} catch (const vidloom::Error& error) {
  std::cerr << error.what() << '\n';
  return vidloom::exit_code(error);
}
