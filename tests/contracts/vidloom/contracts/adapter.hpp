#pragma once
/// Does a DetectionAdapter keep its contract? Run it on your own, in any test framework or none:
///
///     #include <vidloom/contracts/adapter.hpp>
///     for (const std::string& broken : vidloom::contracts::check_adapter([] { return std::make_unique<Mine>(); }))
///       std::cerr << broken << '\n';
///
/// It makes a few replicas and shows them pictures of its own (and yours): upright and turned, odd, tiny and unreadable ones,
/// alone and in batches, of several streams. Blocks until done; an adapter that never comes back is a finding and is left behind.

#include <vidloom/contracts/guard.hpp>
#include <vidloom/contracts/pictures.hpp>
#include <vidloom/detection_adapter.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <set>

namespace vidloom {
inline namespace v0 {
namespace contracts {

struct AdapterContractOptions {
  Nanos timeout = std::chrono::seconds(20);  ///< longest load(), and longest detect() of a batch
  std::vector<Frame> frames{};               ///< of one stream, in order: pictures it finds something on, beside the suite's own
  double tolerance = 1e-3;                   ///< of scores and attributes between two looks at the same picture
  double box_tolerance = 1.0;                ///< pixels, of boxes between two looks at the same picture
  std::size_t largest_batch = 8;             ///< tried at most, where max_batch is more
};

namespace detail {

inline std::string size_of(const Frame& frame) { return std::to_string(frame.size().width) + "x" + std::to_string(frame.size().height); }

class AdapterCheck {
 public:
  AdapterCheck(Probe& probe, const std::function<std::unique_ptr<DetectionAdapter>()>& make, const AdapterContractOptions& options)
      : probe_(probe), make_(make), options_(options) {}

  void run() {
    adapter_ = loaded("a new replica");
    if (!adapter_) return;
    check_info();
    if (!probe_.clean()) return;
    batches_ = {1};
    for (const std::size_t size : {std::size_t{2}, std::size_t{3}, std::size_t{5}, info_.max_batch}) {
      if (size <= std::min(info_.max_batch, options_.largest_batch) && size > batches_.back()) batches_.push_back(size);
    }
    every_kind_of_picture();
    same_alone_and_together();
    bad_item_costs_only_itself();
    turned_pictures();
    regions();
    stopped_and_late();
    second_replica();
  }

 private:
  using Answers = std::vector<Result<Detections>>;

  std::unique_ptr<DetectionAdapter> loaded(const std::string& which) {
    std::unique_ptr<DetectionAdapter> adapter;
    if (!probe_.call("making " + which, [&] { adapter = make_(); })) return nullptr;
    probe_.expect(adapter != nullptr, "the factory gave no adapter");
    if (!adapter || !probe_.call("load() of " + which, [&] { adapter->load(); })) return nullptr;
    return adapter;
  }

  void check_info() {
    probe_.call("info()", [&] { info_ = adapter_->info(); });
    static const std::set<std::string> kinds{"object", "logo", "face", "motion", "text", "scene", "visual"};
    probe_.expect(kinds.contains(info_.kind),
                  "info().kind is \"" + info_.kind + "\"; use object, logo, face, motion, text, scene or visual");
    probe_.expect(info_.max_batch >= 1, "info().max_batch is 0; use 1 or more");
    const Outcome::Lists& lists = info_.lists;
    probe_.expect(lists.detections || lists.labels || lists.attributes || lists.embedding, "info().lists says that it produces nothing");
    if (info_.vocabulary) {
      const std::set<std::string> names(info_.vocabulary->names.begin(), info_.vocabulary->names.end());
      probe_.expect(names.size() == info_.vocabulary->names.size(), "info().vocabulary holds a name twice");
      probe_.expect(!info_.vocabulary->id.empty(), "info().vocabulary has no id; make it with Vocabulary::of()");
    }
    std::unique_ptr<StreamState> state;
    probe_.call("new_state()", [&] { state = adapter_->new_state(); });
    probe_.expect(!info_.per_stream_state || state, "info().per_stream_state is true but new_state() gives none");
    probe_.expect(info_.per_stream_state || !state,
                  "new_state() gives a state but info().per_stream_state is false: it would never be used");
  }

  /// Shows `frames` in one batch and checks all that can be said of the answers alone.
  Answers detect(const std::string& what, const std::vector<Frame>& frames, const std::vector<StreamState*>& states,
                 std::span<const Box> regions = {}, SteadyTime deadline = SteadyTime::max(), std::stop_token stop = {}) {
    std::vector<Item> items;
    std::vector<std::uint64_t> before;
    for (std::size_t i = 0; i < frames.size(); ++i) {
      items.push_back({frames[i], states.empty() ? nullptr : states[i], regions});
      before.push_back(fingerprint(frames[i]));
    }
    Answers out(frames.size(), Error(Code::internal, "no answer"));
    threw_ = !probe_.call("detect() of " + what, [&] {
      adapter_->detect(items, out, {.deadline = deadline, .stop = stop.stop_possible() ? stop : probe_.stop()});
    });
    for (std::size_t i = 0; i < frames.size() && !threw_; ++i) {
      const std::string item = "item " + std::to_string(i + 1) + " of " + std::to_string(frames.size()) + " in detect() of " + what;
      probe_.expect(fingerprint(frames[i]) == before[i], item + ": the picture was written to; frames are shared and read-only");
      if (out[i])
        check_answer(item, frames[i], out[i].value(), !regions.empty());
      else if (out[i].error().code == Code::internal && out[i].error().what() == std::string("no answer"))
        probe_.fail(item + " was left without an answer; write a result or an Error into each out[i]");
      else
        probe_.expect(*out[i].error().what() != '\0', item + " was answered with an Error without a message");
    }
    return out;
  }
  Answers detect_good(const std::string& what, const std::vector<Frame>& frames, const std::vector<StreamState*>& states = {},
                      std::span<const Box> regions = {}) {
    Answers out = detect(what, frames, states, regions);
    for (std::size_t i = 0; i < out.size() && !threw_; ++i) {
      if (!out[i] && out[i].error().what() != std::string("no answer")) {
        probe_.fail("item " + std::to_string(i + 1) + " of " + std::to_string(frames.size()) + " in detect() of " + what +
                    ", a good picture, was answered with an Error: " + out[i].error().what());
      }
    }
    return out;
  }

  void check_answer(const std::string& item, const Frame& frame, const Detections& found, bool has_regions) {
    try {
      found.check();
    } catch (const std::exception& error) {
      probe_.fail(item + ": " + error.what());
      return;
    }
    const Outcome::Lists& lists = info_.lists;
    probe_.expect(found.xyxy.empty() || lists.detections || has_regions, item + " holds boxes, but info().lists.detections is false");
    probe_.expect(found.labels.empty() || lists.labels, item + " holds labels, but info().lists.labels is false");
    probe_.expect(found.attributes.empty() || lists.attributes, item + " holds attributes, but info().lists.attributes is false");
    probe_.expect(found.embedding.empty() || lists.embedding, item + " holds an embedding, but info().lists.embedding is false");
    const float width = static_cast<float>(frame.size().width), height = static_cast<float>(frame.size().height);
    for (const Box& box : found.xyxy) {
      const std::string text = "(" + std::to_string(box.x1) + ", " + std::to_string(box.y1) + ", " + std::to_string(box.x2) + ", " +
                               std::to_string(box.y2) + ")";
      const bool finite = std::isfinite(box.x1) && std::isfinite(box.y1) && std::isfinite(box.x2) && std::isfinite(box.y2);
      probe_.expect(finite && box.x1 <= box.x2 && box.y1 <= box.y2, item + ": the box " + text + " is not x1 <= x2, y1 <= y2 and finite");
      if (finite && (box.x1 < -0.5F || box.y1 < -0.5F || box.x2 > width + 0.5F || box.y2 > height + 0.5F)) {
        probe_.fail(item + ": the box " + text + " leaves the frame of " + size_of(frame) +
                    (frame.info().rotation_degrees != 0
                         ? "; the picture is stored turned, boxes are display pixels (Frame::display_from_luma(), Image::to_display())"
                         : "; boxes are display pixels, see clip()"));
      }
    }
    const auto is_share = [](float value) { return std::isnan(value) || (value >= 0 && value <= 1); };
    probe_.expect(std::all_of(found.confidence.begin(), found.confidence.end(), is_share),
                  item + ": a confidence is not in 0..1 (or NaN: none)");
    for (const auto& label : found.labels) {
      probe_.expect(is_share(label.confidence), item + ": a label's confidence is not in 0..1 (or NaN: none)");
      const auto classes = found.vocabulary ? found.vocabulary->names.size() : 0;
      probe_.expect(
          !found.vocabulary || (label.class_id >= 0 && static_cast<std::size_t>(label.class_id) < classes),
          item + ": the label's class_id " + std::to_string(label.class_id) + " is not in a vocabulary of " + std::to_string(classes));
    }
    if (!found.class_id.empty() || !found.labels.empty()) {
      probe_.expect(found.vocabulary && info_.vocabulary && found.vocabulary->id == info_.vocabulary->id,
                    item + ": its vocabulary is not that of info()");
    }
    std::set<std::string> names;
    for (const Attribute& attribute : found.attributes) {
      probe_.expect(!attribute.name.empty() && names.insert(attribute.name).second, item + ": an attribute's name is empty or there twice");
      const auto* values = std::get_if<std::vector<double>>(&attribute.value);
      probe_.expect(!values || attribute.columns == 0 || values->size() % attribute.columns == 0,
                    item + ": attribute " + attribute.name + " is not whole rows of " + std::to_string(attribute.columns));
    }
    if (!found.embedding.empty()) {
      const std::size_t dim = found.embedding_dim;
      probe_.expect(dim > 0 && (found.embedding.size() == dim || found.embedding.size() == dim * found.size()),
                    item + ": " + std::to_string(found.embedding.size()) + " embedding values are no rows of " + std::to_string(dim));
    }
  }

  /// Notes where two answers about one picture differ.
  void expect_equal(const std::string& what, const Result<Detections>& first, const Result<Detections>& second) {
    if (!first || !second) {
      probe_.expect(static_cast<bool>(first) == static_cast<bool>(second), what + ": one is answered, the other is an Error");
      return;
    }
    const Detections &a = first.value(), &b = second.value();
    if (a.size() != b.size() || a.labels.size() != b.labels.size() || a.attributes.size() != b.attributes.size()) {
      probe_.fail(what + ": " + std::to_string(a.size()) + " boxes, " + std::to_string(a.labels.size()) + " labels and " +
                  std::to_string(a.attributes.size()) + " attributes against " + std::to_string(b.size()) + ", " +
                  std::to_string(b.labels.size()) + " and " + std::to_string(b.attributes.size()));
      return;
    }
    const auto near = [](double x, double y, double tolerance) {
      return (std::isnan(x) && std::isnan(y)) || std::abs(x - y) <= tolerance * std::max(1.0, std::max(std::abs(x), std::abs(y)));
    };
    for (std::size_t i = 0; i < a.size(); ++i) {
      const auto apart = [&](float x, float y) {
        return std::abs(static_cast<double>(x) - static_cast<double>(y)) > options_.box_tolerance;
      };
      const Box &p = a.xyxy[i], &q = b.xyxy[i];
      probe_.expect(!(apart(p.x1, q.x1) || apart(p.y1, q.y1) || apart(p.x2, q.x2) || apart(p.y2, q.y2)), what + ": the boxes differ");
      if (!a.confidence.empty() && !b.confidence.empty())
        probe_.expect(near(a.confidence[i], b.confidence[i], options_.tolerance), what + ": the confidences differ");
      if (!a.class_id.empty() && !b.class_id.empty()) probe_.expect(a.class_id[i] == b.class_id[i], what + ": the classes differ");
    }
    for (std::size_t i = 0; i < a.labels.size(); ++i) {
      probe_.expect(
          a.labels[i].class_id == b.labels[i].class_id && near(a.labels[i].confidence, b.labels[i].confidence, options_.tolerance),
          what + ": the labels differ");
    }
    for (std::size_t i = 0; i < a.attributes.size(); ++i) {
      const auto* x = std::get_if<double>(&a.attributes[i].value);
      const auto* y = std::get_if<double>(&b.attributes[i].value);
      probe_.expect(a.attributes[i].name == b.attributes[i].name && (!x || !y || near(*x, *y, options_.tolerance)),
                    what + ": attribute " + a.attributes[i].name + " differs");
    }
  }

  /// Owns one state per stream, where the adapter wants them.
  struct States {
    std::vector<std::unique_ptr<StreamState>> owned{};
    std::vector<StreamState*> borrowed{};
  };
  States states(std::size_t streams) {
    States made;
    for (std::size_t i = 0; i < streams && info_.per_stream_state; ++i) {
      made.owned.push_back(adapter_->new_state());
      made.borrowed.push_back(made.owned.back().get());
    }
    return made;
  }

  /// Pictures of one stream: the caller's own, else the suite's.
  std::vector<Frame> sequence() const {
    if (!options_.frames.empty()) return options_.frames;
    std::vector<Frame> frames;
    for (std::uint64_t picture = 0; picture < 8; ++picture) frames.push_back(scene_frame({320, 180}, picture));
    return frames;
  }

  void every_kind_of_picture() {
    const std::vector<std::pair<std::string, Frame>> pictures{
        {"an RGB picture of 320x180", scene_frame({320, 180}, 0)},
        {"a decoder's yuv420p picture of 320x240", planar_frame({320, 240}, 0)},
        {"an odd yuv420p picture of 161x97", planar_frame({161, 97}, 0)},
        {"a picture stored turned by 90 degrees", scene_frame({120, 320}, 0, 90)},
        {"a picture stored turned by 180 degrees", scene_frame({320, 120}, 0, 180)},
        {"a picture stored turned by 270 degrees", scene_frame({320, 120}, 0, 270)},
    };
    for (const auto& [what, frame] : pictures) {
      const States own = states(1);
      detect_good(what, {frame}, own.borrowed);
    }
    // Too small for most: an Error is a fair answer, a throw or a box outside is not.
    for (const Size size : {Size{1, 1}, Size{2, 2}, Size{17, 3}}) {
      const States own = states(1);
      detect("a tiny picture of " + std::to_string(size.width) + "x" + std::to_string(size.height), {scene_frame(size, 0)}, own.borrowed);
    }
    // The size of a stream changes in the middle.
    const States own = states(1);
    const std::vector<Frame> changing{scene_frame({320, 180}, 0), scene_frame({320, 180}, 1), scene_frame({200, 320}, 2, 90),
                                      scene_frame({96, 128}, 3), scene_frame({96, 128}, 4)};
    for (const Frame& frame : changing) detect_good("a stream that changes its size to " + size_of(frame), {frame}, own.borrowed);
  }

  /// What a stream is answered may not depend on what else is in the batch, nor on other streams seen between.
  void same_alone_and_together() {
    const std::vector<Frame> frames = sequence();
    const States alone = states(1);
    alone_.clear();
    for (const Frame& frame : frames) alone_.push_back(detect_good("one picture alone", {frame}, alone.borrowed).front());
    for (const std::size_t batch : batches_) {
      const States together = states(batch + 1);  // one state more than streams: of a picture that comes between
      for (std::size_t i = 0; i < frames.size(); ++i) {
        std::vector<Frame> items;
        std::vector<std::size_t> shown;
        for (std::size_t stream = 0; stream < batch; ++stream) {
          shown.push_back(info_.per_stream_state ? i : (i + stream) % frames.size());
          items.push_back(frames[shown.back()]);
        }
        std::vector<StreamState*> borrowed = together.borrowed;
        if (!borrowed.empty()) borrowed.pop_back();
        const Answers out = detect_good("a batch of " + std::to_string(batch), items, borrowed);
        for (std::size_t k = 0; k < out.size(); ++k) {
          expect_equal("picture " + std::to_string(shown[k] + 1) + " alone and as item " + std::to_string(k + 1) + " of a batch of " +
                           std::to_string(batch) + " with other streams between",
                       alone_[shown[k]], out[k]);
        }
        if (!probe_.clean()) return;
        const Frame between = scene_frame(frames[i].size(), 100 + i, 0, 99);
        detect_good("a picture of another stream", {between},
                    info_.per_stream_state ? std::vector<StreamState*>{together.borrowed.back()} : std::vector<StreamState*>{});
      }
    }
  }

  void bad_item_costs_only_itself() {
    const Frame good = sequence().front();
    if (batches_.back() >= 3) {
      const States own = states(3);
      const Answers out = detect("a batch whose second picture is unreadable", {good, unreadable_frame(0, 1), good}, own.borrowed);
      probe_.expect(!threw_, "a picture that cannot be converted failed its whole batch; catch its Error and write it into its out[i]");
      if (!threw_) {
        expect_equal("the first picture of a batch with an unreadable one", alone_.front(), out[0]);
        expect_equal("the last picture of a batch with an unreadable one", alone_.front(), out[2]);
      }
    } else {
      const States own = states(1);
      const Frame bad = unreadable_frame(0);
      probe_.step("detect() of an unreadable picture");
      Answers out{Error(Code::internal, "no answer")};
      const Item item{bad, own.borrowed.empty() ? nullptr : own.borrowed.front(), {}};
      try {
        adapter_->detect({&item, 1}, out, {.deadline = SteadyTime::max(), .stop = probe_.stop()});
        probe_.expect(out[0] || out[0].error().what() != std::string("no answer"), "an unreadable picture was left without an answer");
      } catch (const std::exception&) {  // fails a batch of one
      }
    }
    const States own = states(1);
    expect_equal("a good picture after an unreadable one", alone_.front(),
                 detect_good("a good picture after an unreadable one", {good}, own.borrowed).front());
  }

  /// A picture that is stored turned shows the same things at the same display pixels.
  void turned_pictures() {
    const std::vector<Frame> frames = sequence();
    for (const int degrees : {90, 180, 270}) {
      const States upright_states = states(1), turned_states = states(1);
      std::size_t boxes = 0, missed = 0, compared = 0;
      for (const Frame& frame : frames) {
        const Image rgb = frame.image();
        const Frame upright = stored_turned(rgb.bytes(), rgb.size(), 0, frame.info());
        const Frame turned = stored_turned(rgb.bytes(), rgb.size(), degrees, frame.info());
        const auto a = detect_good("an upright picture", {upright}, upright_states.borrowed).front();
        const auto b =
            detect_good("the same picture stored turned by " + std::to_string(degrees) + " degrees", {turned}, turned_states.borrowed)
                .front();
        if (!a || !b) continue;
        ++compared;
        boxes += a.value().size();
        for (const Box& box : a.value().xyxy) {
          const auto& others = b.value().xyxy;
          if (std::none_of(others.begin(), others.end(), [&](const Box& other) { return overlap(box, other) > 0.5F; })) ++missed;
        }
        if (compared >= 8 && boxes > 0) break;
      }
      probe_.expect(boxes == 0 || 4 * missed <= boxes,
                    "of " + std::to_string(boxes) + " boxes of upright pictures " + std::to_string(missed) +
                        " are elsewhere when the same pictures are stored turned by " + std::to_string(degrees) +
                        " degrees; boxes are display pixels, and luma() is in coded orientation");
    }
  }

  static float overlap(const Box& a, const Box& b) {
    const float width = std::min(a.x2, b.x2) - std::max(a.x1, b.x1), height = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
    if (width <= 0 || height <= 0) return 0;
    const float common = width * height;
    return common / (a.width() * a.height() + b.width() * b.height() - common);
  }

  void regions() {
    const States own = states(1);
    for (const Frame& frame : sequence()) {
      const float width = static_cast<float>(frame.size().width), height = static_cast<float>(frame.size().height);
      const std::array<Box, 2> wanted{Box{0, 0, width / 3, height}, Box{width / 4, 0, width / 2, height / 2}};
      const auto out = detect_good("a picture with two regions", {frame}, own.borrowed, wanted).front();
      if (!out) continue;
      for (const Box& box : out.value().xyxy) {
        const bool touches = std::any_of(wanted.begin(), wanted.end(), [&](const Box& region) {
          return std::min(box.x2, region.x2) > std::max(box.x1, region.x1) && std::min(box.y2, region.y2) > std::max(box.y1, region.y1);
        });
        probe_.expect(touches, "a box lies outside of all Item::regions: look only there");
      }
    }
  }

  void stopped_and_late() {
    const Frame frame = sequence().front();
    for (const std::size_t batch : {std::size_t{1}, batches_.back()}) {
      const States own = states(batch), late = states(batch);
      std::stop_source stopped;
      stopped.request_stop();
      const std::vector<Frame> frames(batch, frame);
      detect("a batch of " + std::to_string(batch) + " after stop was requested", frames, own.borrowed, {}, SteadyTime::max(),
             stopped.get_token());
      detect("a batch of " + std::to_string(batch) + " whose deadline has passed", frames, late.borrowed, {},
             std::chrono::steady_clock::now() - std::chrono::seconds(1));
    }
  }

  /// Replicas stand side by side: which of them a picture meets may not matter.
  void second_replica() {
    const std::unique_ptr<DetectionAdapter> first = std::move(adapter_);
    adapter_ = loaded("a second replica");
    if (!adapter_) return;
    const std::vector<Frame> frames = sequence();
    const States own = states(1);
    for (std::size_t i = 0; i < frames.size() && i < alone_.size(); ++i) {
      expect_equal("picture " + std::to_string(i + 1) + " in two replicas", alone_[i],
                   detect_good("one picture in a second replica", {frames[i]}, own.borrowed).front());
    }
    if (info_.per_stream_state && frames.size() > 1) {  // a stream may meet another replica at each picture
      const States moving = states(1);
      std::unique_ptr<DetectionAdapter> other = loaded("a third replica");
      if (!other) return;
      for (std::size_t i = 0; i < frames.size(); ++i) {
        expect_equal("picture " + std::to_string(i + 1) + " of a stream that changes replicas", alone_[i],
                     detect_good("a stream that changes replicas", {frames[i]}, moving.borrowed).front());
        std::swap(adapter_, other);
      }
    }
  }

  Probe& probe_;
  const std::function<std::unique_ptr<DetectionAdapter>()>& make_;
  const AdapterContractOptions& options_;
  std::unique_ptr<DetectionAdapter> adapter_{};
  AdapterInfo info_{};
  std::vector<std::size_t> batches_{};
  Answers alone_{};
  bool threw_ = false;
};

}  // namespace detail

/// \param make  makes a replica, not loaded yet; called a few times.
/// \return what is broken, one sentence each; empty: the contract is kept. Throws nothing of the adapter's.
inline Findings check_adapter(const std::function<std::unique_ptr<DetectionAdapter>()>& make, const AdapterContractOptions& options = {}) {
  return guarded(options.timeout, [make, options](Probe& probe) { detail::AdapterCheck(probe, make, options).run(); });
}

}  // namespace contracts
}  // namespace v0
}  // namespace vidloom
