#include <core/component.hpp>

extern "C" VIDLOOM_API int vidloom_component_v0(vidloom::Registry*, const char*) { return 0; }
