#include <support/clips.hpp>
#include <vidloom/analyzer.hpp>

#include <doctest/doctest.h>

#include <fstream>

using namespace vidloom;
using namespace std::chrono_literals;

namespace {

std::string refusal(const std::string& text, Code code = Code::config) {
  const test::Folder folder;
  const std::string path = folder / "analyses.json";
  std::ofstream(path) << text;
  try {
    load_analyses(path);
  } catch (const Error& error) {
    CHECK(error.code == code);
    return error.what();
  }
  return "";
}

bool says(const std::string& text, const std::string& part) {
  INFO("it said: ", text);
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("analyses.json is read with comments, common keys and the adapter's own options") {
  const test::Folder folder;
  const std::string path = folder / "analyses.json";
  std::ofstream(path) << R"({"version": 1, // the only one
    "analyses": {
      "people": {"every": 0.5, "min_confidence": 0.6, "stride": 16},
      "colours": {"adapter": "visual", "every": "6s", "tolerance": 6, "deadline": "500ms", "kind": "scene",
                  "min_confidence": {"*": 0.6, "Nike": 0.7}, "where": {"type": "local", "workers": 2}, "regions_of": "people"}},
    "where": {"type": "local"}})";
  const auto analyses = load_analyses(path);
  REQUIRE(analyses.size() == 2);
  CHECK(analyses[0].adapter.adapter == "people");
  CHECK(analyses[0].every == 500ms);
  CHECK(analyses[0].min_confidence.all == 0.6F);
  CHECK((*analyses[0].adapter.options)["stride"].as_integer() == 16);
  CHECK(analyses[0].adapter.options->size() == 1);
  CHECK_FALSE(analyses[0].where);
  CHECK(analyses[1].adapter.adapter == "visual");
  CHECK(analyses[1].every == 6s);
  CHECK(analyses[1].tolerance == 6s);
  CHECK(analyses[1].deadline == 500ms);
  CHECK(analyses[1].kind == "scene");
  CHECK(analyses[1].regions_of == "people");
  CHECK(analyses[1].min_confidence.per_class.at("Nike") == 0.7F);
  CHECK(analyses[1].where);
  CHECK_NOTHROW(Analyzer analyzer(analyses));
}

TEST_CASE("a mistake in analyses.json names the field and the fix") {
  CHECK(says(refusal(R"({"version": 1, "analysis": {}})"), "did you mean 'analyses'"));
  CHECK(says(refusal(R"({"analyses": {}})"), "\"version\": 1"));
  CHECK(says(refusal(R"({"version": 2, "analyses": {}})"), "version is 2"));
  CHECK(says(refusal(R"({"version": 1, "analyses": {"people": {"every": -1}}})"), "analyses.people.every"));
  CHECK(says(refusal(R"({"version": 1, "analyses": {"people": {"every": "soon"}}})"), "analyses.people.every"));
  CHECK(says(refusal(R"({"version": 1, "analyses": {"people": {"min_confidence": 60}}})"), "analyses.people.min_confidence"));
  CHECK(says(refusal(R"({"version": 1, "analyses": {"people": {"evry": 1}}})"), "people"));
  CHECK(says(refusal(R"({"version": 1, "analyses": {"peeple": {}}})"), "people"));
  CHECK(says(refusal(R"({"version": 1, "analyses": {"people": {"where": {"type": "locl"}}}})"), "did you mean 'local'"));
  CHECK(says(refusal(R"({"version": 1, "analyses": {"people": {"where": {"type": "lan", "hosts": ["gpu1:8700"]}}}})", Code::not_built), "lan"));
  CHECK(says(refusal(R"({"version": 1, "analyses": {}})"), "analyses is empty"));
  CHECK(says(refusal(R"({"version": 1})"), "analyses is missing"));
  CHECK(says(refusal(R"({"analyses": {"people": {}}})"), "version is missing"));
  CHECK(says(refusal(R"({"version": 1, "analyses": {"people": {"where": {"type": "failover", "of": [{"type": "lam"}]}}}})"),
             "where.of[0] is 'lam'; did you mean 'lan'"));
  CHECK(says(refusal(R"({"version": 1, "analyses": {"people": {"where": {"type": "lan"}}}})"), "where.hosts is missing"));
  CHECK(says(refusal("{"), "analyses.json"));
  CHECK_THROWS_AS(load_analyses("/nowhere/analyses.json"), Error);
}

TEST_CASE("a secret is refused wherever it stands, and its environment variable is not") {
  const std::string lan = R"({"type": "lan", "hosts": ["gpu1:8700"], "token": "s3cret"})";
  CHECK(says(refusal(R"({"version": 1, "analyses": {"people": {"where": )" + lan + "}}}"), "analyses.people.where.token is a secret"));
  CHECK(says(refusal(R"({"version": 1, "analyses": {"people": {}}, "where": )" + lan + "}"), "write \"token_env\""));
  CHECK(says(refusal(R"({"version": 1, "analyses": {"people": {"where": {"type": "failover", "of": [)" + lan + "]}}}}"),
             "where.of[0].token is a secret"));
  CHECK(says(refusal(R"({"version": 1, "analyses": {"people": {"api_key": "s3cret"}}})"), "analyses.people.api_key is a secret"));
  const std::string env = R"({"type": "lan", "hosts": ["gpu1:8700"], "token_env": "VIDLOOM_TOKEN"})";
  CHECK(says(refusal(R"({"version": 1, "analyses": {"people": {"where": )" + env + "}}}", Code::not_built), "lan"));
}

TEST_CASE("what stands in the file is read as it is, with absolute paths and the common place") {
  const test::Folder folder;
  const std::string path = folder / "analyses.json";
  std::ofstream(path) << R"({"version": 1, "analyses": {
    "brands": {"adapter": "logos", "references": "brands", "every": "500ms"},
    "people": {"where": {"type": "local", "workers": 3}}},
    "where": {"type": "local", "workers": 2}})";
  const Value analyses = read_analyses(path);  // logos is not in this version, and not asked for
  CHECK(analyses["brands"]["references"].as_string() == folder / "brands");
  CHECK(analyses["brands"]["every"].as_string() == "500ms");
  CHECK(analyses["brands"]["where"]["workers"].as_integer() == 2);
  CHECK(analyses["people"]["where"]["workers"].as_integer() == 3);
}

TEST_CASE("a common option spelled wrong is told by its nearest name") {
  CHECK(says(refusal(R"({"version": 1, "analyses": {"people": {"min_confidense": 0.5}}})"), "min_confidense"));
}
