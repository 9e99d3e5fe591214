#include <core/component.hpp>

VIDLOOM_COMPONENT(registry) {}
