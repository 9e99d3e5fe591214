# Compiler checks, common flags and the functions that make this project's libraries.
include_guard()

if(NOT CMAKE_SYSTEM_NAME STREQUAL "Linux")
  message(FATAL_ERROR "Vidloom builds on Linux; this is ${CMAKE_SYSTEM_NAME}.")
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 12)
  message(FATAL_ERROR "Vidloom needs g++ 12 or newer; ${CMAKE_CXX_COMPILER} is ${CMAKE_CXX_COMPILER_VERSION}.")
elseif(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14)
  message(FATAL_ERROR "Vidloom needs clang 14 or newer; ${CMAKE_CXX_COMPILER} is ${CMAKE_CXX_COMPILER_VERSION}.")
elseif(NOT CMAKE_CXX_COMPILER_ID MATCHES "^(GNU|Clang)$")
  message(FATAL_ERROR "Vidloom needs g++ 12 or clang 14 or newer; ${CMAKE_CXX_COMPILER} is ${CMAKE_CXX_COMPILER_ID}.")
endif()

if(PROJECT_IS_TOP_LEVEL AND NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()
find_program(VIDLOOM_CCACHE ccache)
if(PROJECT_IS_TOP_LEVEL AND VIDLOOM_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${VIDLOOM_CCACHE})
endif()
find_package(Threads REQUIRED)

if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
  set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
  set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
endif()

# Flags of everything built here, never of whoever links it.
add_library(vidloom_flags INTERFACE)
target_compile_features(vidloom_flags INTERFACE cxx_std_20)
target_compile_options(vidloom_flags INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor -fvisibility=hidden
                       -fvisibility-inlines-hidden)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(vidloom_flags INTERFACE -Wno-restrict)  # GCC bug 105651: false alarms in "text" + std::string
endif()
if(VIDLOOM_SANITIZE)
  target_compile_options(vidloom_flags INTERFACE -fsanitize=${VIDLOOM_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -g1)
  target_link_options(vidloom_flags INTERFACE -fsanitize=${VIDLOOM_SANITIZE})
endif()

# A wheel is a zip: no symbolic links, so no versioned names in it.
function(vidloom_version_name target)
  if(NOT DEFINED SKBUILD)
    set_target_properties(${target} PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  endif()
endfunction()

# libvidloom: the vocabulary, local execution, the test pattern.
function(vidloom_add_core)
  add_library(vidloom ${ARGN})
  target_include_directories(vidloom PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>
                             PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_features(vidloom PUBLIC cxx_std_20)
  target_link_libraries(vidloom PRIVATE $<BUILD_INTERFACE:vidloom_flags> $<BUILD_INTERFACE:vidloom_dep_json> $<BUILD_INTERFACE:vidloom_dep_fmt>
                        Threads::Threads ${CMAKE_DL_LIBS})
  set_target_properties(vidloom PROPERTIES POSITION_INDEPENDENT_CODE ON INSTALL_RPATH "$ORIGIN" EXPORT_NAME core)
  vidloom_version_name(vidloom)
  if(NOT BUILD_SHARED_LIBS)
    target_compile_definitions(vidloom PUBLIC VIDLOOM_STATIC)
  endif()
endfunction()

# libvidloom_<name>: loaded at run time in a shared build, linked through register_components() in a static one.
set(VIDLOOM_COMPONENTS "")
function(vidloom_add_component name)
  cmake_parse_arguments(arg "" "" "SOURCES;LIBRARIES" ${ARGN})
  if(NOT arg_SOURCES)
    message(FATAL_ERROR "component ${name} has no sources")
  endif()
  add_library(vidloom_${name} ${arg_SOURCES})
  target_include_directories(vidloom_${name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(vidloom_${name} PRIVATE $<BUILD_INTERFACE:vidloom_flags> $<BUILD_INTERFACE:vidloom_dep_fmt>
                        $<BUILD_INTERFACE:${arg_LIBRARIES}>)
  target_link_libraries(vidloom_${name} PUBLIC vidloom)
  set_target_properties(vidloom_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON INSTALL_RPATH "$ORIGIN" EXPORT_NAME ${name})
  target_compile_definitions(vidloom_${name} PRIVATE VIDLOOM_COMPONENT_NAME=${name})
  set(VIDLOOM_COMPONENTS ${VIDLOOM_COMPONENTS} ${name} PARENT_SCOPE)
endfunction()

# A file of another language - a kernel that is compiled at run time, a page's style and script - as a C++ string: <output>.inc.
function(vidloom_embed_text target source output)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
  file(READ ${source} text)
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/generated/${output}.inc CONTENT "R\"embedded(@text@)embedded\"" @ONLY)
  target_include_directories(${target} PRIVATE ${PROJECT_BINARY_DIR}/generated)
endfunction()

# The component torch finds torch beside its own package first, then where it was at the build. What it was built against is
# written beside it: libvidloom reads that before it loads the component.
function(vidloom_note_torch)
  set(folders "${vidloom_torch_DIR}/lib")
  if(DEFINED SKBUILD)  # site-packages/vidloom/lib and site-packages/torch/lib
    list(PREPEND folders "$ORIGIN/../../torch/lib")
  endif()
  set_target_properties(vidloom_torch PROPERTIES INSTALL_RPATH "$ORIGIN;${folders}")
  list(TRANSFORM folders PREPEND "folder " OUTPUT_VARIABLE lines)
  list(JOIN lines "\n" lines)
  file(GENERATE OUTPUT $<TARGET_FILE_DIR:vidloom_torch>/libvidloom_torch.needs
       CONTENT "torch ${vidloom_torch_VERSION}\nlibrary libtorch_cpu.so\n${lines}\n")
  install(FILES $<TARGET_FILE_DIR:vidloom_torch>/libvidloom_torch.needs DESTINATION lib)
  # What programs link that include <vidloom/interop/torch.hpp>; the installed package makes its own, with the torch it finds.
  add_library(vidloom_torch_users INTERFACE)
  add_library(vidloom::torch ALIAS vidloom_torch_users)
  target_link_libraries(vidloom_torch_users INTERFACE vidloom_all vidloom_dep_torch)
endfunction()

# vidloom::vidloom, what programs link: libvidloom, and the components built with it. Shared: they only have to be there.
# Static: they are linked, through the library that holds register_components().
function(vidloom_join)
  add_library(vidloom_all INTERFACE)
  add_library(vidloom::vidloom ALIAS vidloom_all)
  set_target_properties(vidloom_all PROPERTIES EXPORT_NAME vidloom)
  target_link_libraries(vidloom_all INTERFACE vidloom)
  list(TRANSFORM VIDLOOM_COMPONENTS PREPEND vidloom_ OUTPUT_VARIABLE components)
  if(BUILD_SHARED_LIBS AND components)
    add_dependencies(vidloom_all ${components})
  elseif(NOT BUILD_SHARED_LIBS)
    add_library(vidloom_components STATIC ${ARGN})
    target_include_directories(vidloom_components PRIVATE ${PROJECT_SOURCE_DIR}/src)
    target_link_libraries(vidloom_components PRIVATE $<BUILD_INTERFACE:vidloom_flags> PUBLIC ${components})
    set_target_properties(vidloom_components PROPERTIES POSITION_INDEPENDENT_CODE ON EXPORT_NAME components)
    target_link_libraries(vidloom_all INTERFACE vidloom_components)
  endif()
endfunction()

# The command: its code is a static library, because the pip package runs the same main inside Python.
function(vidloom_add_command)
  set(main ${ARGN})
  list(FILTER main INCLUDE REGEX "/main\\.cpp$")
  set(rest ${ARGN})
  list(FILTER rest EXCLUDE REGEX "/main\\.cpp$")
  add_library(vidloom_cli STATIC ${rest})
  target_include_directories(vidloom_cli PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(vidloom_cli PRIVATE vidloom_flags vidloom_dep_fmt PUBLIC vidloom)
  set_target_properties(vidloom_cli PROPERTIES POSITION_INDEPENDENT_CODE ON)
  if(VIDLOOM_BUILD_CLI)
    add_executable(vidloom_command ${main})
    target_link_libraries(vidloom_command PRIVATE vidloom_flags vidloom_cli vidloom::vidloom)
    set_target_properties(vidloom_command PROPERTIES OUTPUT_NAME vidloom INSTALL_RPATH "$ORIGIN/../lib")
  endif()
endfunction()
