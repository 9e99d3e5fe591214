// The specs are in libvidloom, so that naming an adapter loads nothing; what they name is in components.
#include <vidloom/adapters/clip.hpp>
#include <vidloom/adapters/faces.hpp>
#include <vidloom/adapters/logos.hpp>
#include <vidloom/adapters/motion.hpp>
#include <vidloom/adapters/people.hpp>
#include <vidloom/adapters/visual.hpp>

#include <adapters/options.hpp>

namespace vidloom {
inline namespace v0 {

AdapterSpec people(const PeopleOptions& options) {
  const PeopleOptions fallback;
  return {"people", SpecOptions()
                        .set("scale", options.scale, fallback.scale)
                        .set("stride", options.stride, fallback.stride)
                        .set("largest", options.largest, fallback.largest)
                        .share()};
}

AdapterSpec faces(const FacesOptions& options) {
  const FacesOptions fallback;
  return {"faces", SpecOptions()
                       .set("scale", options.scale, fallback.scale)
                       .set("stride", options.stride, fallback.stride)
                       .set("largest", options.largest, fallback.largest)
                       .set("model", options.model, fallback.model)
                       .share()};
}

AdapterSpec clip(const ClipOptions& options) {
  const ClipOptions fallback;
  const auto list = [](const std::vector<std::string>& texts) {
    Value made = Value::array();
    for (const std::string& text : texts) made.push_back(text);
    return made;
  };
  Value references = Value::object();
  for (const auto& [label, path] : options.references) references.set(label, path);
  SpecOptions made;
  made.set("model", options.model, fallback.model)
      .set("labels", list(options.labels), Value::array())
      .set("prompts", list(options.prompts), Value::array())
      .set("negatives", list(options.negatives), Value::array())
      .set("references", std::move(references), Value::object())
      .set("top_k", options.top_k, fallback.top_k)
      .set("precision", options.precision, fallback.precision)
      .set("device", options.device.empty() ? Value() : Value(options.device), Value())
      .set("scoring", options.scoring, fallback.scoring)
      .set("calibration", options.calibration, fallback.calibration)
      .set("tiles", options.tiles < 0 ? Value("auto") : Value(options.tiles), Value(fallback.tiles))
      .set("max_batch", options.max_batch, fallback.max_batch)
      .set("max_wait", options.max_wait, fallback.max_wait)
      .set("embedding", options.embedding, fallback.embedding)
      .set("logit_scale", options.logit_scale ? Value(*options.logit_scale) : Value(), Value())
      .set("kind", options.kind, fallback.kind);
  return {"clip", made.share()};
}

AdapterSpec logos(const LogosOptions& options) {
  const LogosOptions fallback;
  return {"logos", SpecOptions()
                       .set("references", options.references, fallback.references)
                       .set("max_instances", options.max_instances, fallback.max_instances)
                       .set("method", options.method, fallback.method)
                       .share()};
}

AdapterSpec motion(const MotionOptions& options) {
  const MotionOptions fallback;
  return {"motion", SpecOptions()
                        .set("history", options.history, fallback.history)
                        .set("sensitivity", options.sensitivity, fallback.sensitivity)
                        .set("min_area", options.min_area, fallback.min_area)
                        .share()};
}

AdapterSpec visual(const VisualOptions& options) {
  return {"visual", SpecOptions().set("colors", options.colors, VisualOptions{}.colors).share()};
}

}  // namespace v0
}  // namespace vidloom
