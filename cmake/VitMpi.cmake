# CPU ranks over MPI, libvit22b_mpi.so beside the program, where OpenMPI's headers are. The program loads it at run time
# where it was started by mpirun or srun, so that a single process needs no MPI.

find_package(MPI QUIET COMPONENTS CXX)
if(NOT MPI_CXX_FOUND)
  message(STATUS "no MPI: libvit22b_mpi.so is left out, runs are of one process (Debian: libopenmpi-dev openmpi-bin)")
  return()
endif()
file(GLOB mpi_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/dist/mpi/*.cpp")
add_library(vit22b_mpi MODULE ${mpi_sources})
# C's interface alone: no libmpi_cxx, no torch.
target_compile_features(vit22b_mpi PRIVATE cxx_std_20)
target_compile_options(vit22b_mpi PRIVATE -Wall -Wextra -Wshadow -Wno-unused-parameter -fPIC -fvisibility=hidden)
target_compile_definitions(vit22b_mpi PRIVATE OMPI_SKIP_MPICXX MPICH_SKIP_MPICXX)
target_include_directories(vit22b_mpi PRIVATE "${PROJECT_SOURCE_DIR}/src")
target_include_directories(vit22b_mpi SYSTEM PRIVATE ${MPI_CXX_INCLUDE_DIRS})
find_library(VIT22B_MPI_LIBRARY mpi HINTS ${MPI_CXX_LIBRARY_DIRS} /usr/lib/x86_64-linux-gnu/openmpi/lib REQUIRED)
target_link_libraries(vit22b_mpi PRIVATE ${VIT22B_MPI_LIBRARY} Threads::Threads)
target_link_options(vit22b_mpi PRIVATE -Wl,-z,defs)
set_target_properties(vit22b_mpi PROPERTIES PREFIX "lib" LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}")
install(TARGETS vit22b_mpi LIBRARY DESTINATION lib)
