// The specs are in libvidloom, so that naming an adapter loads nothing; what they name is in components.
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
