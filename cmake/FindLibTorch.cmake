# Finds the pinned libtorch and defines LibTorch::cpu (libtorch_cpu and libc10, nothing that needs CUDA).
#
# Searched in this order: -DVIT22B_TORCH=DIR (a folder that holds lib/ and include/, such as site-packages/torch), the
# project's .deps/libtorch/torch, then the torch of python3 (found without importing it).
# find_package(Torch) is not used: the wheel's own files demand a CUDA toolkit.

set(LibTorch_PINNED_VERSION 2.11.0)
set(VIT22B_TORCH "" CACHE PATH "folder with libtorch's lib/ and include/")

set(_candidates "${VIT22B_TORCH}" "${PROJECT_SOURCE_DIR}/.deps/libtorch/torch")
execute_process(
  COMMAND python3 -c "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')"
  OUTPUT_VARIABLE _python_torch OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
list(APPEND _candidates "${_python_torch}")

foreach(_dir IN LISTS _candidates)
  if(_dir AND EXISTS "${_dir}/lib/libtorch_cpu.so" AND EXISTS "${_dir}/version.py")
    file(STRINGS "${_dir}/version.py" _line REGEX "^__version__ = ")
    string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" LibTorch_VERSION "${_line}")
    if(LibTorch_VERSION VERSION_EQUAL LibTorch_PINNED_VERSION)
      set(LibTorch_DIR_FOUND "${_dir}")
      break()
    endif()
    message(STATUS "libtorch ${LibTorch_VERSION} in ${_dir} passed over: ${LibTorch_PINNED_VERSION} is wanted")
  endif()
endforeach()

if(NOT LibTorch_DIR_FOUND)
  message(FATAL_ERROR "libtorch ${LibTorch_PINNED_VERSION} not found: run script/setup, or pass -DVIT22B_TORCH=DIR")
endif()
get_filename_component(LibTorch_LIB_DIR "${LibTorch_DIR_FOUND}/lib" REALPATH)
message(STATUS "libtorch ${LibTorch_VERSION}: ${LibTorch_DIR_FOUND}")

if(NOT TARGET LibTorch::cpu)
  add_library(LibTorch::c10 SHARED IMPORTED)
  set_target_properties(LibTorch::c10 PROPERTIES IMPORTED_LOCATION "${LibTorch_LIB_DIR}/libc10.so")
  add_library(LibTorch::cpu SHARED IMPORTED)
  set_target_properties(LibTorch::cpu PROPERTIES IMPORTED_LOCATION "${LibTorch_LIB_DIR}/libtorch_cpu.so")
  target_include_directories(LibTorch::cpu SYSTEM INTERFACE
    "${LibTorch_DIR_FOUND}/include" "${LibTorch_DIR_FOUND}/include/torch/csrc/api/include")
  target_link_libraries(LibTorch::cpu INTERFACE LibTorch::c10)
  # libtorch_cpu names CUDA's runtime libraries, which the loader finds beside it by its own run path.
  target_link_options(LibTorch::cpu INTERFACE "-Wl,--allow-shlib-undefined")
endif()
