#include "findings.hpp"

#include <doctest/doctest.h>
#include <support/clips.hpp>
#include <vidloom/contracts/adapter.hpp>
#include <vidloom/vidloom.hpp>

using namespace vidloom;
using contracts::Findings;
using test::tells;

namespace {

/// Keeps its contract: boxes around all that is brighter than the suite's ground, per picture.
class Bright : public DetectionAdapter {
 public:
  AdapterInfo info() const override {
    AdapterInfo info;
    info.vocabulary = vocabulary_;
    info.max_batch = 5;
    return info;
  }
  void detect(std::span<const Item> items, std::span<Result<Detections>> out, const BatchContext&) override {
    for (std::size_t i = 0; i < items.size(); ++i) out[i] = look_at(items[i]);
  }

 protected:
  static float middle(float a, float b) { return (a + b) / 2; }
  Result<Detections> look_at(const Item& item) const try {
    const PlaneView luma = item.frame.luma();
    float x1 = 1e9F, y1 = 1e9F, x2 = -1, y2 = -1;
    for (int y = 0; y < luma.size.height; ++y) {
      for (int x = 0; x < luma.size.width; ++x) {
        if (std::to_integer<int>(luma.data[y * luma.stride + x]) < 180) continue;
        x1 = std::min(x1, static_cast<float>(x)), y1 = std::min(y1, static_cast<float>(y));
        x2 = std::max(x2, static_cast<float>(x + 1)), y2 = std::max(y2, static_cast<float>(y + 1));
      }
    }
    Detections found;
    found.vocabulary = vocabulary_;
    if (x2 < 0) return found;
    const Box box = map_box(item.frame.display_from_luma(), {x1, y1, x2, y2});
    for (const Box& region : item.regions) {
      if (middle(box.x1, box.x2) >= region.x1 && middle(box.x1, box.x2) < region.x2 && middle(box.y1, box.y2) < region.y2)
        return with(found, box);
    }
    return item.regions.empty() ? with(found, box) : found;
  } catch (const Error& error) {
    return error;
  }
  static Detections with(Detections found, const Box& box) {
    found.xyxy = {box};
    found.class_id = {0};
    found.confidence = {0.75F};
    return found;
  }
  std::shared_ptr<const Vocabulary> vocabulary_ = Vocabulary::of({"bright"});
};

/// Breaks the contract in one way: `break_it` changes what Bright answered.
class Broken final : public Bright {
 public:
  using Change = std::function<void(std::span<const Item>, std::span<Result<Detections>>, const BatchContext&)>;
  explicit Broken(Change break_it) : break_it_(std::move(break_it)) {}
  void detect(std::span<const Item> items, std::span<Result<Detections>> out, const BatchContext& context) override {
    Bright::detect(items, out, context);
    break_it_(items, out, context);
  }

 private:
  Change break_it_;
};

Findings check_broken(Broken::Change change, const contracts::AdapterContractOptions& options = {}) {
  return contracts::check_adapter([change] { return std::make_unique<Broken>(change); }, options);
}

std::vector<Frame> street_pictures() {
  const std::string street = test::require_clip("vtest.avi");
  std::vector<Frame> frames;
  if (street.empty()) return frames;
  const auto source = open_source(street);
  SourceContext context{.stream = StreamId{1}, .cpu = CpuGate::process()};
  source->open(context);
  for (int i = 0; i <= 50; ++i) {
    ReadResult next = source->read();
    if (auto* frame = std::get_if<Frame>(&next); frame && i >= 40 && i % 5 == 0) frames.push_back(*frame);
  }
  source->close();
  return frames;
}

}  // namespace

TEST_CASE("a sound adapter passes") {
  CHECK(contracts::check_adapter([] { return std::make_unique<Bright>(); }) == Findings{});
}

TEST_CASE("the adapters of this version keep the contract on pictures of the suite and on a street") {
  const test::Folder folder;
  folder.make("mark.png", "-f lavfi -i testsrc2=size=160x120 -frames:v 1");
  contracts::AdapterContractOptions street;
  street.frames = street_pictures();
  for (const AdapterSpec& spec : {people(), faces(), motion(), visual(), logos({.references = folder / "mark.png"})}) {
    CAPTURE(spec.adapter);
    CHECK(contracts::check_adapter([spec] { return make_adapter(spec); }) == Findings{});
    if (!street.frames.empty()) CHECK(contracts::check_adapter([spec] { return make_adapter(spec); }, street) == Findings{});
  }
}

TEST_CASE("a short answer is told") {
  const auto findings = check_broken([](auto, auto out, auto&) {
    if (out.size() >= 3) out[2] = Error(Code::internal, "no answer");
  });
  CHECK(tells(findings, "item 3 of 3 in detect() of a batch of 3 was left without an answer"));
}

TEST_CASE("a throw is told") {
  CHECK(tells(check_broken([](auto, auto, auto&) { throw std::runtime_error("out of paper"); }), "threw: out of paper"));
}

TEST_CASE("failing a good item of a batch is told") {
  const auto findings = check_broken([](auto, auto out, auto&) {
    if (out.size() == 5) out[2] = Error(Code::model, "third of five");
  });
  CHECK(tells(findings, "item 3 of 5 in detect() of a batch of 5, a good picture, was answered with an Error: third of five"));
}

TEST_CASE("an unreadable picture that costs its whole batch is told") {
  const auto findings = check_broken([](auto items, auto, auto&) {
    for (const Item& item : items) item.frame.image();
  });
  CHECK(tells(findings, "failed its whole batch"));
}

TEST_CASE("an adapter that never comes back is told, and left behind") {
  const auto released = std::make_shared<std::atomic<bool>>(false);
  const auto findings = check_broken(
      [released](auto items, auto, auto&) {
        if (items.size() >= 2) released->wait(false);
      },
      {.timeout = std::chrono::milliseconds(300)});
  CHECK(tells(findings, "detect() of a batch of 2 did not come back within 0.3"));
  *released = true;
  released->notify_all();
}

TEST_CASE("boxes in coded orientation are told") {
  const auto findings = check_broken([](auto items, auto out, auto&) {
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (!out[i]) continue;
      for (Box& box : out[i].value().xyxy) box = map_box(inverse(items[i].frame.display_from_luma()), box);
    }
  });
  CHECK(tells(findings, "stored turned"));
}

TEST_CASE("boxes beyond the frame are told") {
  const auto findings = check_broken([](auto, auto out, auto&) {
    for (auto& result : out)
      if (result && result.value().size() > 0) result.value().xyxy[0].x2 += 1000;
  });
  CHECK(tells(findings, "leaves the frame of 320x180"));
}

TEST_CASE("a column of another length and a class out of the vocabulary are told") {
  CHECK(tells(check_broken([](auto, auto out, auto&) {
                for (auto& result : out)
                  if (result && result.value().size() > 0) result.value().confidence.push_back(0.5F);
              }),
              "confidence"));
  CHECK(tells(check_broken([](auto, auto out, auto&) {
                for (auto& result : out)
                  if (result && result.value().size() > 0) result.value().class_id[0] = 9;
              }),
              "class_id"));
  CHECK(tells(check_broken([](auto, auto out, auto&) {
                for (auto& result : out)
                  if (result && result.value().size() > 0) result.value().confidence[0] = 75;
              }),
              "confidence 0 is 75"));
}

TEST_CASE("answers that depend on the company in the batch, or change from look to look, are told") {
  CHECK(tells(check_broken([](auto, auto out, auto&) {
                for (auto& result : out)
                  if (result && out.size() > 2 && result.value().size() > 0) result.value().confidence[0] = 0.1F;
              }),
              "the confidences differ"));
  const auto looks = std::make_shared<int>(0);
  CHECK(tells(check_broken([looks](auto, auto out, auto&) {
                for (auto& result : out)
                  if (result && result.value().size() > 0) result.value().xyxy[0].x1 -= static_cast<float>(++*looks % 2) * 5;
              }),
              "the boxes differ"));
}

TEST_CASE("swapped answers are told") {
  const auto findings = check_broken([](auto, auto out, auto&) {
    if (out.size() == 2) std::swap(out[0], out[1]);
  });
  CHECK(tells(findings, "as item 1 of a batch of 2"));
}

TEST_CASE("boxes outside of the regions are told") {
  const auto findings = check_broken([](auto items, auto out, auto&) {
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (!items[i].regions.empty())
        out[i] = [] {
          Detections found;
          found.xyxy = {{300, 170, 310, 180}};
          return found;
        }();
    }
  });
  CHECK(tells(findings, "outside of all Item::regions"));
}

TEST_CASE("attributes that info() does not announce are told") {
  const auto findings = check_broken([](auto, auto out, auto&) {
    for (auto& result : out)
      if (result) result.value().attributes = {{"level", 0.5}};
  });
  CHECK(tells(findings, "info().lists.attributes is false"));
}

TEST_CASE("writing to the picture is told") {
  const auto findings = check_broken([](auto items, auto, auto&) {
    for (const Item& item : items) {
      auto* byte = const_cast<std::byte*>(item.frame.planes().front().data);
      *byte ^= std::byte{1};
    }
  });
  CHECK(tells(findings, "the picture was written to"));
}

TEST_CASE("an unknown kind, no batch and a missing state are told") {
  struct Odd final : Bright {
    AdapterInfo info() const override { return {.kind = "persons", .max_batch = 0, .per_stream_state = true}; }
  };
  const auto findings = contracts::check_adapter([] { return std::make_unique<Odd>(); });
  CHECK(tells(findings, "info().kind is \"persons\""));
  CHECK(tells(findings, "max_batch is 0"));
  CHECK(tells(findings, "new_state() gives none"));
}

TEST_CASE("state that is kept in the replica instead of the stream's state is told") {
  struct Leaky final : Bright {
    struct Nothing final : StreamState {};
    AdapterInfo info() const override {
      AdapterInfo info = Bright::info();
      info.per_stream_state = true;
      return info;
    }
    std::unique_ptr<StreamState> new_state() override { return std::make_unique<Nothing>(); }
    void detect(std::span<const Item> items, std::span<Result<Detections>> out, const BatchContext& context) override {
      Bright::detect(items, out, context);
      for (auto& result : out)
        if (result && result.value().size() > 0) result.value().confidence[0] = 1 / static_cast<float>(++seen_);
    }
    int seen_ = 0;
  };
  CHECK(tells(contracts::check_adapter([] { return std::make_unique<Leaky>(); }), "with other streams between: the confidences differ"));
}
