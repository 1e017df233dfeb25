# The GPU's kernels, libvit22b_cuda.so beside the program, where nvcc is. The program loads it at run time for
# --device cuda, so that one binary serves machines with and without a GPU.
#
# VIT22B_CUDA_ARCHITECTURES: "90" by default (one, for quick builds); script/build cuda compiles for all.

set(VIT22B_CUDA_ARCHITECTURES "90" CACHE STRING "CUDA architectures of libvit22b_cuda.so")
find_program(VIT22B_NVCC nvcc HINTS /usr/local/cuda/bin)
if(NOT VIT22B_NVCC)
  message(STATUS "no nvcc: libvit22b_cuda.so is left out, --device cuda takes libtorch's operators")
  return()
endif()
set(CMAKE_CUDA_COMPILER "${VIT22B_NVCC}")
set(CMAKE_CUDA_ARCHITECTURES "${VIT22B_CUDA_ARCHITECTURES}")
find_package(CUDAToolkit 13 QUIET)
if(NOT CUDAToolkit_FOUND)
  message(STATUS "${VIT22B_NVCC} is not of CUDA 13, which libtorch is built with: libvit22b_cuda.so is left out")
  return()
endif()
enable_language(CUDA)

file(GLOB cuda_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/kernels/cuda/*.cu" "${PROJECT_SOURCE_DIR}/src/kernels/cuda/*.cpp")
add_library(vit22b_cuda MODULE ${cuda_sources})
target_compile_options(vit22b_cuda PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-fvisibility=hidden,-Wall;-lineinfo>")
# libtorch_cuda.so is in the process when this is loaded, and finds the CUDA libraries by its own run path.
target_link_libraries(vit22b_cuda PRIVATE vit22b_core CUDA::cudart "${LibTorch_LIB_DIR}/libc10_cuda.so" "${LibTorch_LIB_DIR}/libtorch_cuda.so")
target_precompile_headers(vit22b_cuda REUSE_FROM vit22b_pch)
target_link_options(vit22b_cuda PRIVATE -Wl,-z,defs)  # a symbol that the pinned libtorch lacks fails here, not on the GPU machine
set_target_properties(vit22b_cuda PROPERTIES PREFIX "lib" LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}" BUILD_RPATH "${LibTorch_LIB_DIR}"
  INSTALL_RPATH "${LibTorch_LIB_DIR}" CUDA_RUNTIME_LIBRARY Shared)
install(TARGETS vit22b_cuda LIBRARY DESTINATION lib)
