# Downloads, libvit22b_http.so beside the program, where libcurl's and OpenSSL's headers are. The program loads it at run time
# when something has to be fetched, so that nothing else needs either.

find_package(CURL 7.85 QUIET)
find_package(OpenSSL QUIET COMPONENTS Crypto)
if(NOT CURL_FOUND OR NOT OPENSSL_FOUND)
  message(STATUS "no libcurl or OpenSSL: libvit22b_http.so is left out, nothing is downloaded (Debian: libcurl4-openssl-dev libssl-dev)")
  return()
endif()
file(GLOB http_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/core/http/curl/*.cpp")
add_library(vit22b_http MODULE ${http_sources})
target_compile_features(vit22b_http PRIVATE cxx_std_20)
target_compile_options(vit22b_http PRIVATE -Wall -Wextra -Wshadow -Wno-unused-parameter -fPIC -fvisibility=hidden)
target_include_directories(vit22b_http PRIVATE "${PROJECT_SOURCE_DIR}/src")
target_link_libraries(vit22b_http PRIVATE CURL::libcurl OpenSSL::Crypto)
target_link_options(vit22b_http PRIVATE -Wl,-z,defs)
set_target_properties(vit22b_http PROPERTIES PREFIX "lib" LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}")
# Tests look for it where an installed program would.
add_custom_command(TARGET vit22b_http POST_BUILD
  COMMAND ${CMAKE_COMMAND} -E make_directory "${CMAKE_BINARY_DIR}/lib"
  COMMAND ${CMAKE_COMMAND} -E create_symlink "../libvit22b_http.so" "${CMAKE_BINARY_DIR}/lib/libvit22b_http.so")
install(TARGETS vit22b_http LIBRARY DESTINATION lib)
