# The library that other programs link, libvit22b.so: the interface in src/api over the project's static libraries, whose
# symbols stay hidden. Installed with a CMake package, a pkg-config file and the Python package.

file(GLOB api_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/api/*.cpp")
add_library(vit22b_shared SHARED ${api_sources})
target_link_libraries(vit22b_shared PRIVATE vit22b_train)
target_precompile_headers(vit22b_shared REUSE_FROM vit22b_pch)
target_include_directories(vit22b_shared INTERFACE $<INSTALL_INTERFACE:include>)
# libtorch_cpu names CUDA's libraries, which a linker need not see.
target_link_options(vit22b_shared INTERFACE "-Wl,--allow-shlib-undefined")
set_target_properties(vit22b_shared PROPERTIES OUTPUT_NAME vit22b EXPORT_NAME vit22b LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}")

# A wheel lies beside PyTorch's own wheel, whose libtorch it uses.
if(SKBUILD)
  set_target_properties(vit22b_shared PROPERTIES INSTALL_RPATH "$ORIGIN/../torch/lib")
  foreach(minor RANGE 9 14)
    list(APPEND places "$ORIGIN/../lib/python3.${minor}/site-packages/torch/lib")
  endforeach()
  set_target_properties(vit22b PROPERTIES INSTALL_RPATH "${places}")
  install(TARGETS vit22b_shared LIBRARY DESTINATION vit22b COMPONENT wheel)
  install(TARGETS vit22b RUNTIME DESTINATION "${SKBUILD_SCRIPTS_DIR}" COMPONENT wheel)
  return()
endif()

set_target_properties(vit22b_shared PROPERTIES
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
  BUILD_RPATH "${LibTorch_LIB_DIR}" INSTALL_RPATH "${LibTorch_LIB_DIR};${VIT22B_DEPS_RPATH}")

include(CMakePackageConfigHelpers)
install(TARGETS vit22b_shared EXPORT vit22bTargets LIBRARY DESTINATION lib)
install(FILES src/api/vit22b.h src/api/vit22b_c.h DESTINATION include/vit22b)
install(EXPORT vit22bTargets NAMESPACE vit22b:: DESTINATION lib/cmake/vit22b)
file(WRITE "${CMAKE_BINARY_DIR}/vit22bConfig.cmake" "include(\"\${CMAKE_CURRENT_LIST_DIR}/vit22bTargets.cmake\")\n")
write_basic_package_version_file("${CMAKE_BINARY_DIR}/vit22bConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_BINARY_DIR}/vit22bConfig.cmake" "${CMAKE_BINARY_DIR}/vit22bConfigVersion.cmake" DESTINATION lib/cmake/vit22b)
configure_file("${PROJECT_SOURCE_DIR}/cmake/vit22b.pc.in" "${CMAKE_BINARY_DIR}/vit22b.pc" @ONLY)
install(FILES "${CMAKE_BINARY_DIR}/vit22b.pc" DESTINATION lib/pkgconfig)
install(DIRECTORY python/vit22b DESTINATION lib/python3/dist-packages PATTERN __pycache__ EXCLUDE)

# Completion scripts and the manual page are what the program itself says.
install(CODE [[
  set(shares share/bash-completion/completions/vit22b bash share/zsh/vendor-completions/_vit22b zsh
    share/fish/vendor_completions.d/vit22b.fish fish share/man/man1/vit22b.1 man)
  while(shares)
    list(POP_FRONT shares place kind)
    cmake_path(GET place PARENT_PATH folder)
    file(MAKE_DIRECTORY "$ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}/${folder}")
    execute_process(COMMAND "$<TARGET_FILE:vit22b>" completion ${kind}
      OUTPUT_FILE "$ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}/${place}" COMMAND_ERROR_IS_FATAL ANY)
  endwhile()
]])
