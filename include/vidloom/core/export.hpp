#pragma once
/// Symbol visibility: what is public carries VIDLOOM_API, all else is hidden (-fvisibility=hidden).
/// VIDLOOM_STATIC is defined for whoever links the static library.

#if defined(VIDLOOM_STATIC)
#define VIDLOOM_API
#else
#define VIDLOOM_API __attribute__((visibility("default")))
#endif
