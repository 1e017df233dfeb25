# Downloads, libvit22b_http.so beside the program, where libcurl's and OpenSSL's headers are. The program loads it at run time
# when something has to be fetched, so that nothing else needs either.

find_package(CURL 7.85 QUIET)
find_package(OpenSSL QUIET COMPONENTS Crypto)
if(NOT CURL_FOUND OR NOT OPENSSL_FOUND)
  message(STATUS "no libcurl or OpenSSL: libvit22b_http.so is left out, nothing is downloaded (Debian: libcurl4-openssl-dev libssl-dev)")
  return()
endif()
vit22b_module(vit22b_http core/http/curl)
target_link_libraries(vit22b_http PRIVATE CURL::libcurl OpenSSL::Crypto)
# Tests look for it where an installed program would.
add_custom_command(TARGET vit22b_http POST_BUILD
  COMMAND ${CMAKE_COMMAND} -E make_directory "${CMAKE_BINARY_DIR}/lib"
  COMMAND ${CMAKE_COMMAND} -E create_symlink "../libvit22b_http.so" "${CMAKE_BINARY_DIR}/lib/libvit22b_http.so")
