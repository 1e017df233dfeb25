# CPU ranks over MPI, libvit22b_mpi.so beside the program, where OpenMPI's headers are. The program loads it at run time
# where it was started by mpirun or srun, so that a single process needs no MPI.

find_package(MPI QUIET COMPONENTS CXX)
if(NOT MPI_CXX_FOUND)
  message(STATUS "no MPI: libvit22b_mpi.so is left out, runs are of one process (Debian: libopenmpi-dev openmpi-bin)")
  return()
endif()
vit22b_module(vit22b_mpi dist/mpi)
# C's interface alone: no libmpi_cxx.
target_compile_definitions(vit22b_mpi PRIVATE OMPI_SKIP_MPICXX MPICH_SKIP_MPICXX)
target_include_directories(vit22b_mpi SYSTEM PRIVATE ${MPI_CXX_INCLUDE_DIRS})
find_library(VIT22B_MPI_LIBRARY mpi HINTS ${MPI_CXX_LIBRARY_DIRS} /usr/lib/x86_64-linux-gnu/openmpi/lib REQUIRED)
target_link_libraries(vit22b_mpi PRIVATE ${VIT22B_MPI_LIBRARY} Threads::Threads)
