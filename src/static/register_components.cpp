// register_components() of a static build. This file is a library of its own (vidloom_components) that links libvidloom and
// every component: were it part of libvidloom, libvidloom would need its own users. Calling it is what makes the linker take the
// components out of their archives. In a shared build it is not compiled, and libvidloom has the one that does nothing.
#include <core/component.hpp>

extern "C" int vidloom_component_v0_ffmpeg(vidloom::Registry* registry, const char* core_version);
extern "C" int vidloom_component_v0_opencv(vidloom::Registry* registry, const char* core_version);
extern "C" int vidloom_component_v0_pango(vidloom::Registry* registry, const char* core_version);
extern "C" int vidloom_component_v0_clip(vidloom::Registry* registry, const char* core_version);

namespace vidloom {
inline namespace v0 {

void register_components() {
  link_component("ffmpeg", vidloom_component_v0_ffmpeg);
  link_component("opencv", vidloom_component_v0_opencv);
  link_component("pango", vidloom_component_v0_pango);
  link_component("clip", vidloom_component_v0_clip);
}

}  // namespace v0
}  // namespace vidloom
