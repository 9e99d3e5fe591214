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

TEST_CASE("regions are boxes and polygons in shares of the picture, and come back as they went in") {
  const auto analyses = analyses_from(Value::parse(R"({"people": {"regions": [[0, 0.25, 0.5, 1], [[0.5, 0], [1, 0], [1, 0.6]]]},
                                                      "motion": {"regions": {"exclude": [[0.75, 0, 1, 0.1]]}}})"));
  REQUIRE(analyses[0].regions.include.size() == 2);
  CHECK(analyses[0].regions.include[0] == Region::box(0, 0.25F, 0.5F, 1));
  CHECK(analyses[0].regions.include[1].corners.back() == Region::Corner{1, 0.6F});
  CHECK(analyses[1].regions.include.empty());
  REQUIRE(analyses[1].regions.exclude.size() == 1);
  for (const AnalysisSpec& spec : analyses) CHECK(regions_from(value_of(spec.regions)) == spec.regions);
  CHECK(value_of(analyses[0].regions).dump().find("0.6]") != std::string::npos);
}

TEST_CASE("a mistake in analyses.json names the field and the fix") {
  const auto of_regions = [](const std::string& regions) { return refusal(R"({"version": 1, "analyses": {"people": {"regions": )" + regions + "}}}"); };
  CHECK(says(of_regions("[[0, 0, 340, 200]]"), "analyses.people.regions[0][2] is 340; use shares of the picture"));
  CHECK(says(of_regions("[0, 0, 1, 1]"), "analyses.people.regions[0] is 0; use [left, top, right, bottom]"));
  CHECK(says(of_regions("[[0.5, 0, 0.2, 1]]"), "which is empty"));
  CHECK(says(of_regions("[[[0, 0], [1, 1]]]"), "use [left"));
  CHECK(says(of_regions("[[[0, 0], [0.5, 0], [1, 0]]]"), "no area"));
  CHECK(says(of_regions("[[[0, 0], [0.5], [1, 0]]]"), "no corner"));
  CHECK(says(of_regions("[]"), "leave it out"));
  CHECK(says(of_regions("{\"includes\": []}"), "analyses.people.regions.includes is not known"));
  CHECK(says(of_regions("\"left\""), "use a list of shapes"));
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
  const Value analyses = read_analyses(path);  // there are no such pictures, and nobody asks for them yet
  CHECK(analyses["brands"]["references"].as_string() == folder / "brands");
  CHECK(analyses["brands"]["every"].as_string() == "500ms");
  CHECK(analyses["brands"]["where"]["workers"].as_integer() == 2);
  CHECK(analyses["people"]["where"]["workers"].as_integer() == 3);
}

TEST_CASE("a common option spelled wrong is told by its nearest name") {
  CHECK(says(refusal(R"({"version": 1, "analyses": {"people": {"min_confidense": 0.5}}})"), "min_confidense"));
}
