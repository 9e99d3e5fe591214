# What `cmake --install` leaves: lib/, include/, bin/, share/vidloom/schemas and lib/cmake/vidloom. Plain "lib" also where the distribution
# has a multiarch folder, so that one layout serves install trees and the pip package (there the prefix is the package).
include_guard()
include(CMakePackageConfigHelpers)
set(vidloom_cmake_dir lib/cmake/vidloom)
# A shared build's own folder answers find_package too: -Dvidloom_DIR=<build>.
set(vidloom_config_dir ${PROJECT_BINARY_DIR})
if(NOT BUILD_SHARED_LIBS)
  set(vidloom_config_dir ${PROJECT_BINARY_DIR}/installed)
endif()

list(TRANSFORM VIDLOOM_COMPONENTS PREPEND vidloom_ OUTPUT_VARIABLE vidloom_component_targets)
set(vidloom_exported vidloom vidloom_all)
if(NOT BUILD_SHARED_LIBS)
  list(APPEND vidloom_exported vidloom_components ${vidloom_component_targets})
else()
  install(TARGETS ${vidloom_component_targets} LIBRARY DESTINATION lib)
endif()
install(TARGETS ${vidloom_exported} EXPORT vidloomTargets LIBRARY DESTINATION lib ARCHIVE DESTINATION lib)
install(DIRECTORY include/vidloom DESTINATION include FILES_MATCHING PATTERN "*.hpp")
# The contract suites: third parties run them on their own adapters, sources and sinks.
install(DIRECTORY tests/contracts/vidloom DESTINATION include OPTIONAL FILES_MATCHING PATTERN "*.hpp")
if(TARGET vidloom_command)
  install(TARGETS vidloom_command RUNTIME DESTINATION bin)
endif()

install(EXPORT vidloomTargets NAMESPACE vidloom:: DESTINATION ${vidloom_cmake_dir})
configure_package_config_file(src/cmake/vidloomConfig.cmake.in ${vidloom_config_dir}/vidloomConfig.cmake INSTALL_DESTINATION ${vidloom_cmake_dir}
                              NO_SET_AND_CHECK_MACRO)
# 0.x: a minor version may change shapes.
write_basic_package_version_file(${vidloom_config_dir}/vidloomConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${vidloom_config_dir}/vidloomConfig.cmake ${vidloom_config_dir}/vidloomConfigVersion.cmake
        ${CMAKE_CURRENT_LIST_DIR}/VidloomTorch.cmake DESTINATION ${vidloom_cmake_dir})
if(BUILD_SHARED_LIBS)
  export(EXPORT vidloomTargets NAMESPACE vidloom:: FILE ${vidloom_config_dir}/vidloomTargets.cmake)
  file(COPY ${CMAKE_CURRENT_LIST_DIR}/VidloomTorch.cmake DESTINATION ${vidloom_config_dir})
endif()
