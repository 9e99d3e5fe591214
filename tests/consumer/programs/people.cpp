#include <vidloom/vidloom.hpp>
#include <iostream>
using namespace std::chrono_literals;

int main(int argc, char** argv) try {
    vidloom::Analyzer analyzer({{.name = "people", .adapter = vidloom::people({}), .every = 500ms, .min_confidence = 0.6F}});
    const auto source = vidloom::open_source(argc > 1 ? argv[1] : "street.mp4");
    const auto report = analyzer.analyze(*source, [](const vidloom::FrameResult& frame) {
        const vidloom::Outcome& people = frame["people"];
        std::cout << vidloom::seconds(frame.info.time.media_time) << " s  ";
        if (people.answered()) std::cout << people.detections().size() << " people\n";
        else std::cout << "not known: " << people.error().what() << '\n';
        return true;
    });
    std::cout << report.answered << " of " << report.due << " frames answered\n";
} catch (const vidloom::Error& error) {
    std::cerr << error.what() << '\n';
    return vidloom::exit_code(error);
}
