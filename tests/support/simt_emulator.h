#pragma once
// Stands for cuda_runtime.h where a CUDA source is compiled as plain C++: a block's threads are
// fibers of one thread, run in turn and switched at barriers and shuffles, so that the kernels'
// logic runs on machines without a GPU. Blocks run one after the other. It says nothing of speed,
// nor of what only hardware shows: alignment faults, races between blocks, memory order.
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <vector>

#define __global__
#define __device__
#define __shared__ static

namespace vit22b::cuda {

struct Index3 {
  unsigned x = 0, y = 0, z = 0;
};
// CUDA's names of a thread's place.
extern Index3 threadIdx, blockIdx, blockDim, gridDim;

/// Waits until every thread of the block has come here.
void __syncthreads();
/// The value of the lane whose number differs by `mask`; every lane of the warp has to come here.
float __shfl_xor_sync(unsigned lanes, float value, int mask);

inline uint32_t __float_as_uint(float x) {
  return std::bit_cast<uint32_t>(x);
}
inline float __uint_as_float(uint32_t bits) {
  return std::bit_cast<float>(bits);
}
inline float __expf(float x) {
  return std::exp(x);
}
inline float rsqrtf(float x) {
  return 1 / std::sqrt(x);
}
using std::isfinite;

/// The block's dynamic shared memory.
float* shared_floats();

/// Runs `thread` once for each thread of each block.
void emulate(int64_t blocks_x, int64_t blocks_y, int threads, int64_t shared_bytes,
             const std::function<void()>& thread);

}  // namespace vit22b::cuda
