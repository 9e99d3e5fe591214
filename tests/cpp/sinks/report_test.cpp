// The page of a report, from results made by hand: what it counts, what it escapes, how large it gets.
#include <doctest/doctest.h>
#include <support/clips.hpp>
#include <vidloom/core/error.hpp>
#include <vidloom/render/contact_sheet.hpp>
#include <vidloom/sinks/report.hpp>

#include <filesystem>
#include <fstream>
#include <string>

using namespace vidloom;
using namespace std::chrono_literals;

namespace {

SourceInfo street() {
  SourceInfo source{.size = {640, 360}, .uri = "rtsp://user:secret@camera/street?token=abc", .stream = "<script>alert(1)</script>"};
  source.analyses = Value::parse(R"({"people": {"adapter": "people", "kind": "object", "every": 0.04, "vocabulary": ["<b>&\"'"]}})");
  return source;
}

FrameResult result_at(std::uint64_t number, std::size_t boxes) {
  FrameResult result{.info = {.stream = StreamId{1}, .sequence = number}};
  result.info.time.media_time = 40ms * static_cast<std::int64_t>(number) + 10s;
  result.info.duration = 40ms;
  result.frame_size = {640, 360};
  Detections found;
  found.vocabulary = Vocabulary::of({"<b>&\"'"});
  for (std::size_t i = 0; i < boxes; ++i) {
    found.xyxy.push_back({10, 10, 50, 50});
    found.confidence.push_back(0.5F);
    found.class_id.push_back(0);
  }
  result.outcomes.emplace_back("people", Outcome(std::move(found), Trace{.where = "local", .ran = 2ms}, "object"));
  return result;
}

StreamEvent end_of(std::uint64_t decoded) {
  StreamEvent ended{.kind = StreamEvent::Kind::ended, .detail = "end_of_file"};
  ended.data = Value::object().set("reason", "end_of_file").set("frames", Value::object().set("decoded", decoded)).set("duration", 4.0).set("elapsed", 2.0);
  return ended;
}

std::size_t count_of(const std::string& text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

void put(const std::string& path) { std::ofstream(path) << "precious"; }

}  // namespace

TEST_CASE("a page appears whole when its stream ends, and hidden drafts are gone") {
  test::Folder folder;
  const auto sink = report(folder / "out.html", {.video = folder / "film.mp4"});
  CHECK(std::filesystem::is_empty(folder / ""));
  sink->open(StreamId{1}, street());
  for (std::uint64_t i = 0; i < 100; ++i) sink->write(result_at(i, i == 42 ? 9 : i % 2));
  CHECK(std::filesystem::is_empty(folder / ""));
  sink->event(StreamId{1}, end_of(100));
  sink->close(StreamId{1});
  const std::string page = folder.read("out.html");
  CHECK(page.ends_with("</html>\n"));
  CHECK(page.find("data-time=\"11.680000\"") != std::string::npos);  // the frame with nine
  CHECK(page.find("9 &lt;b&gt;&amp;&quot;&#39; at 0:11.680") != std::string::npos);
  CHECK(page.find("src=\"./film.mp4\"") != std::string::npos);
  CHECK(std::distance(std::filesystem::directory_iterator(folder / ""), {}) == 1);
}

TEST_CASE("texts from outside stay texts, and secrets stay out") {
  test::Folder folder;
  const auto sink = report(folder / "out.html", {.title = "</title><img src=x>", .video = folder / "a\"><b #%.mp4"});
  sink->open(StreamId{1}, street());
  FrameResult result = result_at(0, 1);
  result.outcomes.emplace_back("odd</script>", Outcome(Error(Code::model, "<img src=x onerror=alert(1)> \x01 \xFF rtsp://user:secret@host/"), Trace{}, "logo"));
  sink->write(result);
  sink->event(StreamId{1}, end_of(1));
  sink->close(StreamId{1});
  const std::string page = folder.read("out.html");
  CHECK(page.find("<img src=x") == std::string::npos);
  CHECK(page.find("<script>alert") == std::string::npos);
  CHECK(page.find("<b>") == page.find("<b>Choose a moment"));
  CHECK(count_of(page, "</script>") == 2);
  CHECK(page.find("secret") == std::string::npos);
  CHECK(page.find("token=abc") == std::string::npos);
  CHECK(page.find("./a%22%3E%3Cb%20%23%25.mp4") != std::string::npos);
  CHECK(page.find('\x01') == std::string::npos);
  CHECK(page.find("default-src &#39;none&#39;") != std::string::npos);
}

TEST_CASE("failures, drops and damage are counted, with their reasons and places") {
  test::Folder folder;
  const auto sink = report(folder / "out.html", {.video = folder / "film.mp4"});
  sink->open(StreamId{1}, street());
  for (std::uint64_t i = 0; i < 159; ++i) {
    FrameResult result = result_at(i, 1);
    if (i % 13 == 12) {
      result.outcomes.clear();
      result.outcomes.emplace_back("people", Outcome(Error(Code::deadline, "no answer within 0.2 s"), Trace{}, "object"));
    }
    if (i == 50) result.info.health = Health::concealed;
    sink->write(result);
  }
  StreamEvent ended = end_of(159);
  ended.data.set("drops", Value::object().set("lag", 3));
  sink->event(StreamId{1}, ended);
  sink->close(StreamId{1});
  const std::string page = folder.read("out.html");
  CHECK(page.find("<span class=\"bad\">people: failed 12 of 159</span>") != std::string::npos);
  CHECK(page.find("12 \u00d7 deadline: no answer within 0.2 s") != std::string::npos);
  CHECK(page.find("1 picture is damaged") != std::string::npos);
  CHECK(page.find("concealed, 1 picture at 0:12.000") != std::string::npos);
  CHECK(page.find("people failed, 1 time at 0:10.480") != std::string::npos);
  CHECK(page.find("dropped, lag: 3") != std::string::npos);
}

TEST_CASE("a page stays small however long the film is, and its peaks are those of the film") {
  test::Folder folder;
  const auto page_of = [&](std::uint64_t frames, const std::string& name) {
    const auto sink = report(folder / name, {.video = folder / "film.mp4"});
    sink->open(StreamId{1}, street());
    for (std::uint64_t i = 0; i < frames; ++i) sink->write(result_at(i, i == frames / 3 ? 9 : i % 3));
    sink->event(StreamId{1}, end_of(frames));
    sink->close(StreamId{1});
    return folder.read(name);
  };
  const std::string minute = page_of(1'500, "minute.html"), hours = page_of(180'000, "hours.html");
  CHECK(hours.size() < minute.size() * 3 / 2);
  CHECK(hours.size() < 200'000);
  CHECK(count_of(hours, "<button type=\"button\" class=\"h") <= 160);
  CHECK(count_of(hours, "class=\"h10\"") == 1);
  CHECK(hours.find("data-time=\"2410.000000\"") != std::string::npos);
}

TEST_CASE("classes beyond what a page holds are counted together") {
  test::Folder folder;
  const auto sink = report(folder / "out.html", {.video = folder / "film.mp4"});
  sink->open(StreamId{1}, street());
  for (std::uint64_t i = 0; i < 300; ++i) {
    FrameResult result = result_at(i, 0);
    Detections found;
    std::vector<std::string> names;
    for (int k = 0; k < 300; ++k) names.push_back("class number " + std::to_string(k));
    found.vocabulary = Vocabulary::of(names);
    found.xyxy.push_back({1, 1, 2, 2});
    found.class_id.push_back(static_cast<std::int32_t>(i));
    result.outcomes.emplace_back("many", Outcome(std::move(found), Trace{}, "object"));
    sink->write(result);
  }
  sink->event(StreamId{1}, end_of(300));
  sink->close(StreamId{1});
  const std::string page = folder.read("out.html");
  CHECK(count_of(page, "class=\"name\"") <= 41);
  CHECK(page.find("many: all others") != std::string::npos);
}

TEST_CASE("an existing page is refused before work, and a bad option named") {
  test::Folder folder;
  put(folder / "out.html");
  CHECK_THROWS_WITH_AS(report(folder / "out.html"), doctest::Contains("exists; choose another name"), Error);
  CHECK(folder.read("out.html") == "precious");
  CHECK_FALSE(std::filesystem::exists(folder / "out.mp4"));
  CHECK_THROWS_WITH_AS(report(folder / "none/out.html"), doctest::Contains("does its folder exist?"), Error);
  CHECK_THROWS_WITH_AS(report(folder / "a.html", {.moments = 0}), doctest::Contains("ReportOptions.moments is 0; use 1 to 200"), Error);
  CHECK_THROWS_WITH_AS(report(""), doctest::Contains("is empty"), Error);
  CHECK_THROWS_WITH_AS(contact_sheet(folder / "a.jpg"), doctest::Contains("end it in .png"), Error);
  CHECK_THROWS_WITH_AS(contact_sheet(folder / "a.png", {.cells = 0}), doctest::Contains("ContactSheetOptions.cells is 0; use 1 to 200"), Error);
  put(folder / "b.png");
  CHECK_THROWS_WITH_AS(contact_sheet(folder / "b.png"), doctest::Contains("exists"), Error);
}

TEST_CASE("what a full disk refuses is an error, and nothing half stays") {
  if (!std::filesystem::exists("/dev/full")) return;
  const auto sink = report("/dev/full", {.video = "film.mp4"});
  sink->open(StreamId{1}, street());
  sink->write(result_at(0, 1));
  CHECK_THROWS_WITH_AS(sink->event(StreamId{1}, end_of(1)), doctest::Contains("cannot write /dev/full: No space left"), Error);
  sink->close(StreamId{1});
}
