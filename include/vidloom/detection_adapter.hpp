#pragma once
/// DetectionAdapter: WHAT is looked for. Subclass it to bring your own.
///
///     struct Brightest final : vidloom::DetectionAdapter {
///       AdapterInfo info() const override { return {.kind = "visual", .demand = {.pixels = Demand::Pixels::luma}}; }
///       void detect(std::span<const Item> items, std::span<Result<Detections>> out, const BatchContext&) override {
///         for (std::size_t i = 0; i < items.size(); ++i) out[i] = look_at(items[i].frame.luma());
///       }
///     };
///     vidloom::register_adapter("brightest", [](const Value&) { return std::make_unique<Brightest>(); });

#include <vidloom/core/error.hpp>
#include <vidloom/core/export.hpp>
#include <vidloom/core/value.hpp>
#include <vidloom/demand.hpp>
#include <vidloom/frame.hpp>
#include <vidloom/results.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

namespace vidloom {
inline namespace v0 {

/// A name and options: prints, compares, travels to a worker. Null options: all defaults.
struct AdapterSpec {
  std::string adapter;
  std::shared_ptr<const Value> options{};
};
/// \return name and canonical options: equal keys share one hosted adapter.
VIDLOOM_API std::string key_of(const AdapterSpec& spec);

struct AdapterInfo {
  std::string kind = "object";  ///< object logo face motion text scene visual: legacy key and annotator's style
  std::shared_ptr<const Vocabulary> vocabulary{};
  std::string model_name{}, model_sha256{};
  std::string precision{};    ///< of the model's arithmetic: "fp32", "bf16", ...; "" where there is no model
  Demand demand{};
  std::size_t max_batch = 1;
  Nanos max_wait{0};          ///< longest a job waits for company; 0: only what is there already
  bool per_stream_state = false;
  unsigned max_replicas = 0;  ///< replicas that may run side by side; 0: as many as there are workers
  Outcome::Lists lists{};     ///< what it can produce; besides, where Item::regions are given, boxes
  std::string calibration_id{};
  std::string model_id{};     ///< tells weights apart by a sample of them: known at once, which model_sha256 is not
};

/// What an adapter remembers of one stream between pictures.
struct VIDLOOM_API StreamState {
  virtual ~StreamState();
};

struct Item {
  const Frame& frame;
  StreamState* state;            ///< of this stream and epoch; null without per_stream_state
  std::span<const Box> regions;  ///< look only here (display pixels); empty: everywhere
};

struct BatchContext {
  SteadyTime deadline;   ///< the earliest of the batch; SteadyTime::max(): none
  std::stop_token stop;  ///< answers are no longer wanted
};

/// A replica: one thread at a time. With per_stream_state a stream's items come in order, one state per stream and epoch,
/// and never two of a stream in one batch.
class VIDLOOM_API DetectionAdapter {
 public:
  DetectionAdapter() = default;
  DetectionAdapter(const DetectionAdapter&) = delete;
  DetectionAdapter& operator=(const DetectionAdapter&) = delete;
  virtual ~DetectionAdapter();
  /// Complete after load().
  virtual AdapterInfo info() const = 0;
  /// Reads weights; on the replica's thread. Throws Error(model, config).
  virtual void load();
  virtual std::unique_ptr<StreamState> new_state();
  /// Answers every item: out[i] belongs to items[i] and arrives as Error(internal, "no answer"). A throw fails the batch.
  virtual void detect(std::span<const Item> items, std::span<Result<Detections>> out, const BatchContext& context) = 0;
};

struct HttpCall {
  std::string method = "POST", path{}, body{};
  std::vector<std::pair<std::string, std::string>> headers{};
};
struct HttpReply {
  int status = 0;
  std::string body{};
  std::vector<std::pair<std::string, std::string>> headers{};
};
struct CallLimits {
  std::size_t images = 1;
  std::size_t bytes = 0;  ///< of one call's body; 0: no limit
};

/// How an adapter's work is put to an HTTP service. Pure: the strategy owns connections, retries, deadlines, money.
class VIDLOOM_API ServiceCodec {
 public:
  virtual ~ServiceCodec();
  virtual CallLimits limits() const = 0;
  virtual HttpCall encode(std::span<const Item> items) = 0;
  virtual void decode(const HttpReply& reply, std::span<Result<Detections>> out) = 0;
};

}  // namespace v0
}  // namespace vidloom
