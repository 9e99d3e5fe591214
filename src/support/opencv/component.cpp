#include <core/component.hpp>

#include <adapters/opencv/faces.hpp>
#include <adapters/opencv/logos.hpp>
#include <adapters/opencv/motion.hpp>
#include <adapters/opencv/people.hpp>

#include <opencv2/core/version.hpp>

VIDLOOM_COMPONENT(registry) {
  registry.add_adapter("people", vidloom::make_people);
  registry.add_adapter("faces", vidloom::make_faces);
  registry.add_adapter("motion", vidloom::make_motion);
  registry.add_adapter("logos", vidloom::make_logos);
  registry.describe("OpenCV " CV_VERSION);
}
