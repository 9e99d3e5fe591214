#include <vidloom/core/error.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <set>

using namespace vidloom;

namespace {
constexpr int codes = static_cast<int>(Code::internal) + 1;
}

TEST_CASE("every code has its own frozen word") {
  std::set<std::string_view> words;
  for (int i = 0; i < codes; ++i) words.insert(to_string(static_cast<Code>(i)));
  CHECK(words.size() == codes);
  CHECK(to_string(Code::not_built) == "not_built");
  CHECK(to_string(Code::config) == "config");
  CHECK(to_string(Code::internal) == "internal");
}

TEST_CASE("exit codes are those of the command line's table") {
  const auto of = [](Code code) { return exit_code(Error(code, "")); };
  CHECK(of(Code::config) == 2);
  CHECK(of(Code::source) == 3);
  CHECK(of(Code::decode) == 3);
  CHECK(of(Code::not_built) == 4);
  CHECK(of(Code::model) == 4);
  CHECK(of(Code::auth) == 4);
  CHECK(of(Code::transport) == 4);
  CHECK(of(Code::output) == 5);
  CHECK(of(Code::internal) == 70);
  CHECK(of(Code::cancelled) == 130);
  CHECK(of(Code::deadline) == 1);
  for (int i = 0; i < codes; ++i) CHECK(of(static_cast<Code>(i)) != 0);
}

TEST_CASE("an error carries its message and when to try again") {
  try {
    throw Error(Code::overload, "gpu1 is busy", true, std::chrono::seconds(3));
  } catch (const std::exception& caught) {
    const auto* error = dynamic_cast<const Error*>(&caught);
    REQUIRE(error != nullptr);
    const Error copy = *error;
    CHECK(copy.what() == std::string("gpu1 is busy"));
    CHECK(copy.code == Code::overload);
    CHECK(copy.retryable);
    CHECK(copy.retry_after == std::chrono::seconds(3));
  }
}

TEST_CASE("a result throws its error where a value was expected") {
  Result<std::string> good(std::string("yes"));
  Result<std::string> bad(Error(Code::model, "no weights"));
  CHECK(good);
  CHECK(good.value() == "yes");
  CHECK_FALSE(bad);
  CHECK(bad.error().code == Code::model);
  CHECK_THROWS_WITH_AS(bad.value(), "no weights", Error);
}

TEST_CASE("redact hides users and passwords") {
  CHECK(redact("rtsp://admin:secret@cam.local:554/live") == "rtsp://***@cam.local:554/live");
  CHECK(redact("https://token@host/x") == "https://***@host/x");
  CHECK(redact("rtsp://admin:p@ss@cam/live") == "rtsp://***@cam/live");
  CHECK(redact("rtsp://admin:pa/ss@cam/live") == "rtsp://***@cam/live");
  CHECK(redact("rtsp://admin:pa?ss#1@cam/live") == "rtsp://***@cam/live");
  CHECK(redact("hls+https://u:p@[::1]:80/a.m3u8") == "hls+https://***@[::1]:80/a.m3u8");
}

TEST_CASE("redact hides query values and fragments but keeps the names of the keys") {
  CHECK(redact("https://cdn/x.m3u8?token=abc&expires=12") == "https://cdn/x.m3u8?token=***&expires=***");
  CHECK(redact("srt://host:9000?streamid=s3cret;passphrase=long") == "srt://host:9000?streamid=***;passphrase=***");
  CHECK(redact("https://host/x?abcdef") == "https://host/x?***");
  CHECK(redact("https://host/x#access_token=abc") == "https://host/x#***");
  CHECK(redact("https://host/x?") == "https://host/x?");
}

TEST_CASE("redact hides the stream key of an rtmp url") {
  CHECK(redact("rtmp://a.rtmp.youtube.com/live2/abcd-efgh") == "rtmp://a.rtmp.youtube.com/live2/***");
  CHECK(redact("RTMPS://host:443/app/key/") == "RTMPS://host:443/app/***/");
  CHECK(redact("rtmp://host/app/key?auth=1") == "rtmp://host/app/***?auth=***");
  CHECK(redact("rtmp://host") == "rtmp://host");
  CHECK(redact("rtmp://host/") == "rtmp://host/");
}

TEST_CASE("redact finds urls inside messages and leaves all other text as it is") {
  CHECK(redact("cannot open 'rtsp://a:b@cam/1': refused (http://x/?k=v)") == "cannot open 'rtsp://***@cam/1': refused (http://x/?k=***");
  for (const char* text : {"", "street.mp4", "/data/a?b=c&d.mp4", "C:\\clips\\x.mp4", "://", "mailto:me@host", "https://host/path@2x.png",
                           "http://[::1]/a@b", "http://host:8080/a@b", "test:smpte"})
    CHECK(redact(text) == text);
}

TEST_CASE("nearest finds typing errors") {
  const std::vector<std::string> known = {"people",         "faces", "motion",    "visual", "logos",
                                          "min_confidence", "every", "tolerance", "lan",    "local"};
  CHECK(nearest("peolpe", known) == "people");  // two neighbours swapped
  CHECK(nearest("peple", known) == "people");
  CHECK(nearest("vizual", known) == "visual");
  CHECK(nearest("logo", known) == "logos");
  CHECK(nearest("MOTION", known) == "motion");
  CHECK(nearest("evry", known) == "every");
  CHECK(nearest("min-confidence", known) == "min_confidence");
  CHECK(nearest("mincofidence", known) == "min_confidence");
}

TEST_CASE("nearest finds beginnings") {
  const std::vector<std::string> known = {"people", "tolerance", "min_confidence", "min_area"};
  CHECK(nearest("people_detector", known) == "people");
  CHECK(nearest("tol", known) == "tolerance");
  CHECK(nearest("min", known) == "min_area");  // the shorter of two
}

TEST_CASE("nearest says nothing when nothing is near") {
  CHECK(nearest("x", {"a", "b"}) == "");
  CHECK(nearest("", {"a", "people"}) == "");
  CHECK(nearest("gpu", {"cpu0123", "local"}) == "");
  CHECK(nearest("people", {}) == "");
  CHECK(nearest(std::string(100000, 'p'), {"people", "motion"}) == "");
}
