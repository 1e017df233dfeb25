# One static library a folder of src/, and one test binary a folder of tests/.
# Every target that sees libtorch shares one precompiled header and the same flags.

find_package(Threads REQUIRED)
if(NOT VIT22B_FUZZ)  # clang's objects take omp.h alone, and libtorch's libgomp
  find_package(OpenMP REQUIRED COMPONENTS CXX)
endif()

add_library(vit22b_flags INTERFACE)
target_compile_features(vit22b_flags INTERFACE cxx_std_20)
target_compile_options(vit22b_flags INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wshadow;-Wno-unused-parameter;-Wno-missing-field-initializers;-fPIC;$<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess;-fopenmp>;-fvisibility=hidden;-Winvalid-pch>")
target_include_directories(vit22b_flags INTERFACE "${PROJECT_SOURCE_DIR}/src")
# libgomp comes from the compiler flag at compile time and from libtorch's own dependency at link time: one copy.
target_link_libraries(vit22b_flags INTERFACE LibTorch::cpu Threads::Threads gomp)
if(VIT22B_SANITIZE)
  target_compile_options(vit22b_flags INTERFACE -fsanitize=${VIT22B_SANITIZE} -fno-omit-frame-pointer -g1)
  target_link_options(vit22b_flags INTERFACE -fsanitize=${VIT22B_SANITIZE})
endif()
# A time inside clang's precompiled header would make every build's objects new to ccache.
if(CMAKE_CXX_COMPILER_ID STREQUAL Clang)
  target_compile_options(vit22b_flags INTERFACE "SHELL:-Xclang -fno-pch-timestamp")
endif()

file(WRITE "${CMAKE_BINARY_DIR}/pch_source.cpp.in" "// Owner of the precompiled header.\n")
configure_file("${CMAKE_BINARY_DIR}/pch_source.cpp.in" "${CMAKE_BINARY_DIR}/pch_source.cpp" COPYONLY)
add_library(vit22b_pch OBJECT "${CMAKE_BINARY_DIR}/pch_source.cpp")
target_link_libraries(vit22b_pch PUBLIC vit22b_flags)
target_precompile_headers(vit22b_pch PRIVATE "${PROJECT_SOURCE_DIR}/cmake/torch_pch.h")

# Sources are compiled four at a time: loading the precompiled header and instantiating the same templates is most of a file's time.
# So names in the anonymous namespaces of a folder differ. Importers each say kTypes, kRules and so on: they stay alone. OFF is
# for tools that take a file at a time.
option(VIT22B_UNITY "Compile the sources of a folder four at a time" ON)
function(vit22b_unity target)
  file(GLOB importers CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/checkpoint/import/*.cpp")
  set_source_files_properties(${importers} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${VIT22B_UNITY} UNITY_BUILD_BATCH_SIZE 4)
endfunction()

# vit22b_library(FOLDER DEPENDENCY...): src/FOLDER/**.cpp as vit22b_FOLDER, linked to the folders and libraries named.
function(vit22b_library folder)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/${folder}/*.cpp")
  list(FILTER sources EXCLUDE REGEX "/(kernels/cuda|dist/mpi|core/http/curl)/")  # modules: VitCuda.cmake's, VitMpi.cmake's, VitHttp.cmake's
  add_library(vit22b_${folder} STATIC ${sources})
  target_link_libraries(vit22b_${folder} PUBLIC vit22b_flags ${ARGN})
  target_precompile_headers(vit22b_${folder} REUSE_FROM vit22b_pch)
  vit22b_unity(vit22b_${folder})
endfunction()

# vit22b_module(NAME FOLDER): src/FOLDER/*.cpp as libNAME.so beside the program, which loads it at run time. It sees no torch, and
# leaves no symbol to be found elsewhere.
function(vit22b_module name folder)
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/${folder}/*.cpp")
  add_library(${name} MODULE ${sources})
  target_compile_features(${name} PRIVATE cxx_std_20)
  target_compile_options(${name} PRIVATE -Wall -Wextra -Wshadow -Wno-unused-parameter -fPIC -fvisibility=hidden)
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/src")
  target_link_options(${name} PRIVATE -Wl,-z,defs)
  set_target_properties(${name} PROPERTIES PREFIX "lib" LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}")
  install(TARGETS ${name} LIBRARY DESTINATION lib)
endfunction()

# vit22b_tests(FOLDER LIBRARY... [PART SUITES]): tests/FOLDER/*_test.cpp as one binary; suites named Slow* carry the label slow,
# and those whose names SUITES (a gtest filter) tells are a test of their own, FOLDER_PART, that runs beside the others.
function(vit22b_tests folder)
  cmake_parse_arguments(arg "" "PART;SUITES" "" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/${folder}/*.cpp")
  set(name ${folder}_test)
  add_executable(${name} ${sources} "${PROJECT_SOURCE_DIR}/tests/support/test_main.cpp")
  target_link_libraries(${name} PRIVATE ${arg_UNPARSED_ARGUMENTS} GTest::gtest)
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests")
  target_precompile_headers(${name} REUSE_FROM vit22b_pch)
  set(entries ${folder} ${folder}_slow)
  add_test(NAME ${folder} COMMAND ${name} "--gtest_filter=-Slow*:${arg_SUITES}" --gtest_brief=1)
  add_test(NAME ${folder}_slow COMMAND ${name} --gtest_filter=Slow* --gtest_brief=1)
  if(arg_PART)
    list(APPEND entries ${folder}_${arg_PART})
    add_test(NAME ${folder}_${arg_PART} COMMAND ${name} "--gtest_filter=${arg_SUITES}" --gtest_brief=1)
  endif()
  set_tests_properties(${entries} PROPERTIES TIMEOUT 600 ENVIRONMENT
    "VIT22B_BINARY=$<TARGET_FILE:vit22b>;VIT22B_SOURCE_DIR=${PROJECT_SOURCE_DIR};OMP_WAIT_POLICY=passive")
  set_tests_properties(${folder}_slow PROPERTIES LABELS slow TIMEOUT 1800)
endfunction()
