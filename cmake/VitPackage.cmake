# A Debian package, by script/package: what cmake --install installs, and the files of libtorch that it needs, so that the
# package depends on nothing outside Debian. Those files are the component `torch`, which a plain installation leaves out.

get_filename_component(cuda_lib_dir "${LibTorch_LIB_DIR}/../../nvidia/cu13/lib" ABSOLUTE)
set(torch_files "${LibTorch_LIB_DIR}/libtorch_cpu.so" "${LibTorch_LIB_DIR}/libc10.so")
foreach(file "${LibTorch_LIB_DIR}/libgomp.so.1" "${cuda_lib_dir}/libcudart.so.13" "${cuda_lib_dir}/libcupti.so.13")
  if(EXISTS "${file}")
    list(APPEND torch_files "${file}")
  endif()
endforeach()
# All in one folder: libtorch_cpu.so looks for its companions in its own.
install(FILES ${torch_files} DESTINATION lib/vit22b COMPONENT torch EXCLUDE_FROM_ALL)
install(FILES LICENSE DESTINATION share/doc/vit22b RENAME copyright COMPONENT torch EXCLUDE_FROM_ALL)
file(GLOB torch_licences CONFIGURE_DEPENDS "${LibTorch_LIB_DIR}/../../*.dist-info")
install(DIRECTORY ${torch_licences} DESTINATION share/doc/vit22b COMPONENT torch EXCLUDE_FROM_ALL)
install(CODE "set(torch_lib_dir \"${LibTorch_LIB_DIR}\")" COMPONENT torch EXCLUDE_FROM_ALL)
install(CODE [[
  set(root "$ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}")
  file(RPATH_CHANGE FILE "${root}/bin/vit22b" OLD_RPATH "${torch_lib_dir}" NEW_RPATH "$ORIGIN/../lib/vit22b")
  file(GLOB libraries "${root}/lib/libvit22b.so.*.*.*" "${root}/lib/libvit22b_cuda.so")
  foreach(library IN LISTS libraries)
    file(RPATH_CHANGE FILE "${library}" OLD_RPATH "${torch_lib_dir}" NEW_RPATH "$ORIGIN/vit22b")
  endforeach()
]] COMPONENT torch EXCLUDE_FROM_ALL)

set(CPACK_GENERATOR DEB)
set(CPACK_INSTALL_CMAKE_PROJECTS "${CMAKE_BINARY_DIR};vit22b;ALL;/;${CMAKE_BINARY_DIR};vit22b;torch;/")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "the authors of vit22b")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Vision transformers of the ViT-22B family: train, scale, adapt and study them")
set(CPACK_RESOURCE_FILE_LICENSE "${PROJECT_SOURCE_DIR}/LICENSE")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE zstd)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_DEPENDS
  "libc6, libgcc-s1, libgif7, libtiff6, libstdc++6, libhwy1, libjpeg62-turbo, libpng16-16, libsentencepiece0, libutf8proc2, libwebp7, libwebpdemux2, libxxhash0, zlib1g")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "openmpi-bin, python3-numpy")
include(CPack)
