#include <vidloom/adapters/motion.hpp>
#include <vidloom/adapters/people.hpp>
#include <vidloom/adapters/visual.hpp>
#include <vidloom/core/error.hpp>
#include <vidloom/registry.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

using namespace vidloom;

namespace {

AdapterSpec spec(std::string name, std::string_view options = "{}") {
  return {std::move(name), std::make_shared<const Value>(Value::parse(options))};
}

/// \return "code: message" of what is thrown, or "fine".
std::string complaint(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return std::string(to_string(error.code)) + ": " + error.what();
  }
  return "fine";
}
std::string checked(std::string name, std::string_view options = "{}", std::string_view field = "adapter") {
  return complaint([&] { check_adapter(spec(std::move(name), options), field); });
}
bool holds(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

struct Nothing final : DetectionAdapter {
  AdapterInfo info() const override { return {}; }
  void detect(std::span<const Item>, std::span<Result<Detections>>, const BatchContext&) override {}
};

}  // namespace

TEST_CASE("a wrong option is named with its value and a fix") {
  CHECK(checked("people", R"({"scale": 0.9})") == "config: scale is 0.9; use a number above 1, such as 1.05 (adapter 'people')");
  CHECK(checked("people", R"({"scale": 1})") == "config: scale is 1; use a number above 1, such as 1.05 (adapter 'people')");
  CHECK(checked("people", R"({"stride": 12})", "analyses.gate.adapter") ==
        "config: analyses.gate.stride is 12; use a multiple of 8 (adapter 'people')");
  CHECK(checked("people", R"({"stride": 8.5})") == "config: stride is 8.5; use a whole number (adapter 'people')");
  CHECK(checked("people", R"({"scalee": 1.1})") == "config: scalee is no option of adapter 'people'; did you mean 'scale'?");
  CHECK(checked("people", R"({"scale": "1.1"})") == "config: scale is \"1.1\"; use a number (adapter 'people')");
  CHECK(checked("people", R"([1])") == "config: options is a list; use an object (adapter 'people')");
  CHECK(holds(checked("people", R"({"zzzzzz": 1})"), "use one of scale, stride, largest"));
  CHECK(checked("visual", R"({"colors": 17})") == "config: colors is 17; use a whole number from 1 to 16 (adapter 'visual')");
  CHECK(checked("motion", R"({"min_area": 2})") == "config: min_area is 2; use a number from 0 to 1 (adapter 'motion')");
  CHECK(holds(checked("motion", R"({"history": 0})"), "history is 0; use a whole number of 1 or more"));
  CHECK(checked("visual", R"({"colors": null})") == "fine");
  CHECK(checked("people", R"({"scale": null, "stride": null})") == "fine");
  CHECK(checked("visual", R"({"colors": 4.0})") == "fine");
}

TEST_CASE("an unknown adapter is answered with the nearest one") {
  CHECK(checked("poeple") == "config: adapter is 'poeple', which is no known adapter; did you mean 'people'?");
  CHECK(checked("", "{}", "analyses.x.adapter") == "config: analyses.x.adapter is empty; name an adapter, such as people");
  CHECK(holds(complaint([] { adapter_description("visuel"); }), "did you mean 'visual'?"));
  CHECK(holds(checked("qqqqqqqqqq"), "use one of "));
}

TEST_CASE("adapters of a later version are known by name and options") {
  for (const std::string name : {"yolo", "text", "cloud_vision"}) {
    CAPTURE(name);
    const std::string text = checked(name);
    CHECK(text.starts_with("not_built: adapter '" + name + "'"));
    CHECK_FALSE(adapter_description(name).built);
    CHECK(complaint([&] { make_adapter(spec(name)); }) == text);
  }
  CHECK(checked("clip", R"({"model": "m", "labels": []})").starts_with("config: labels is an empty list"));
  CHECK(checked("clip", R"({"model": "m", "scoring": "soft"})") ==
        "config: scoring is \"soft\"; use one of calibrated, softmax (adapter 'clip')");
  CHECK(checked("logos", R"({"refrences": "x"})") == "config: refrences is no option of adapter 'logos'; did you mean 'references'?");
}

TEST_CASE("each built adapter is described, checked and made with its defaults") {
  for (const AdapterDescription& adapter : adapters()) {
    CAPTURE(adapter.name);
    CHECK_FALSE(adapter.summary.empty());
    CHECK_FALSE(adapter.kind.empty());
    if (!adapter.built || adapter.any_option) continue;
    CHECK_FALSE(adapter.raw_score.empty());
    CHECK(holds(adapter.example, "vidloom analyze"));
    if (std::ranges::any_of(adapter.options, &OptionInfo::required)) {
      CHECK(holds(checked(adapter.name), " is missing; "));  // has no defaults to be made with
      continue;
    }
    check_adapter({adapter.name, nullptr});
    CHECK(make_adapter({adapter.name, nullptr})->info().kind == adapter.kind);
    // The defaults keep the rules they are printed beside.
    Value defaults = Value::object();
    for (const OptionInfo& option : adapter.options) defaults.set(option.name, option.fallback);
    CHECK(checked(adapter.name, defaults.dump()) == "fine");
  }
  CHECK(std::ranges::is_sorted(adapters(), {}, &AdapterDescription::name));
}

TEST_CASE("the specs of C++ pass the same check") {
  CHECK(complaint([] { check_adapter(people({.scale = 1.1, .stride = 16, .largest = 640})); }) == "fine");
  CHECK(complaint([] { check_adapter(motion({.history = 10, .sensitivity = 1, .min_area = 0})); }) == "fine");
  CHECK(complaint([] { check_adapter(visual({.colors = 16})); }) == "fine");
  CHECK(holds(complaint([] { check_adapter(people({.stride = 12})); }), "stride is 12; use a multiple of 8"));
  CHECK(key_of(people()) == key_of({"people", nullptr}));
  CHECK(key_of(people()) == key_of(spec("people")));
}

TEST_CASE("a registered adapter is made with its options and found in the list") {
  Value seen;
  register_adapter("mine", [&seen](const Value& options) {
    seen = options;
    return std::make_unique<Nothing>();
  });
  CHECK(make_adapter(spec("mine", R"({"anything": [1, 2]})")) != nullptr);
  CHECK(seen == Value::parse(R"({"anything": [1, 2]})"));
  CHECK(adapter_description("mine").any_option);

  AdapterDescription described{.name = "mine", .summary = "s", .kind = "visual"};
  described.options = {{.name = "level", .type = "integer", .fallback = 3, .minimum = 1},
                       {.name = "path", .type = "text", .text = "where", .required = true}};
  register_adapter(described, [&seen](const Value& options) {
    seen = options;
    return std::make_unique<Nothing>();
  });
  CHECK(checked("mine") == "config: path is missing; adapter 'mine' needs it: where");
  CHECK(holds(checked("mine", R"({"path": "p", "level": 0})"), "level is 0"));
  make_adapter(spec("mine", R"({"path": "p"})"));
  CHECK(seen == Value::parse(R"({"path": "p", "level": 3})"));
  CHECK(std::ranges::count(adapters(), "mine", &AdapterDescription::name) == 1);

  register_adapter("empty_handed", [](const Value&) { return nullptr; });
  CHECK(complaint([] { make_adapter({"empty_handed", nullptr}); }) == "model: the factory of adapter 'empty_handed' made nothing");
}

TEST_CASE("names that cannot be registered") {
  const auto factory = [](const Value&) { return std::make_unique<Nothing>(); };
  CHECK(complaint([&] { register_adapter("", factory); }) == "config: adapter name is empty; give it one");
  CHECK(holds(complaint([&] { register_adapter("people", factory); }), "'people' is taken by Vidloom's own"));
  CHECK(holds(complaint([&] { register_adapter("yolo", factory); }), "'yolo' is taken"));
  CHECK(holds(complaint([&] { register_adapter("a,b", factory); }), "letters"));
  CHECK(holds(complaint([&] { register_adapter("empty", AdapterFactory{}); }), "no factory"));
  const auto source = [](const Value&) -> std::unique_ptr<Source> { return nullptr; };
  CHECK(holds(complaint([&] { register_source("c", source); }), "one letter"));
  CHECK(holds(complaint([&] { register_source("test", source); }), "taken"));
  CHECK(holds(complaint([&] { register_source("rtsp", source); }), "taken"));
  const auto sink = [](const Value&) -> std::unique_ptr<Sink> { return nullptr; };
  CHECK(holds(complaint([&] { register_sink("", sink); }), "empty"));
  CHECK(holds(complaint([&] { register_sink("jsonl", sink); }), "taken"));
}

TEST_CASE("sinks are made by name") {
  CHECK(make_sink("null") != nullptr);
  CHECK(complaint([] { make_sink("jsnl:out"); }) ==
        "config: sink 'jsnl:out' names no known sink; did you mean 'jsonl'? (as in jsonl:out.jsonl)");
  CHECK(complaint([] { make_sink("hls:out/live"); }).starts_with("not_built: sink 'hls:out/live': live sinks are not part of Vidloom"));
  CHECK_FALSE(holds(complaint([] { make_sink("rtmp://user:secret@host/live"); }), "secret"));
  CHECK(complaint([] { make_sink("jsonl"); }) == "config: sink jsonl names no file; use jsonl:out.jsonl, or jsonl:- for standard output");
  CHECK(complaint([] { make_sink("jsonl:/tmp/x", Value::parse(R"({"overwite": true})")); }) ==
        "config: option overwite of sink jsonl is not known; did you mean overwrite?");
  Value seen;
  register_sink("mine", [&seen](const Value& options) {
    seen = options;
    return make_sink("null");
  });
  CHECK(make_sink("mine:there", Value::parse(R"({"a": 1})")) != nullptr);
  CHECK(seen == Value::parse(R"({"a": 1, "uri": "mine:there"})"));
  CHECK(std::ranges::count(sink_names(), "mine") == 1);
}
