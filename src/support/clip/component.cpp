#include <adapters/clip/clip.hpp>
#include <adapters/clip/tower_kernels.hpp>
#include <core/component.hpp>

#include <string>

VIDLOOM_COMPONENT(registry) {
  using namespace vidloom;
  registry.add_adapter("clip", make_clip);
  registry.describe(std::string("kernels ") + tower_kernels().name);
}
