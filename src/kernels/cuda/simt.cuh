#pragma once
// What the kernels share: storage types, wide loads, sums over a warp and a block, launches.
//
// The kernels use no more of CUDA than tests/support/simt_emulator.h offers, so that a machine
// without a GPU runs their logic too: there, that header stands for cuda_runtime.h.
#ifdef __CUDACC__
#include <cuda_runtime.h>
#endif

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "kernels/cuda/launch.h"

namespace vit22b::cuda {

constexpr int kWarp = 32;

struct BFloat16 {
  uint16_t bits;
};

__device__ inline float to_float(float x) {
  return x;
}
__device__ inline float to_float(BFloat16 x) {
  return __uint_as_float(static_cast<uint32_t>(x.bits) << 16);
}

// Rounds to nearest, ties to even; a NaN stays one.
__device__ inline void from_float(float x, BFloat16& out) {
  const uint32_t bits = __float_as_uint(x);
  const bool is_nan = (bits & 0x7fffffffU) > 0x7f800000U;
  out.bits = static_cast<uint16_t>(is_nan ? (bits >> 16) | 0x40U
                                          : (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}
__device__ inline void from_float(float x, float& out) {
  out = x;
}

// kWidth values that travel together.
template <typename T, int kWidth>
struct alignas(sizeof(T) * kWidth) Pack {
  T values[kWidth];
};

template <int kWidth, typename T>
__device__ inline void load(const T* from, float (&to)[kWidth]) {
  const auto pack = *reinterpret_cast<const Pack<T, kWidth>*>(from);
#pragma unroll
  for (int i = 0; i < kWidth; ++i) to[i] = to_float(pack.values[i]);
}
template <int kWidth, typename T>
__device__ inline void store(const float (&from)[kWidth], T* to) {
  Pack<T, kWidth> pack;
#pragma unroll
  for (int i = 0; i < kWidth; ++i) from_float(from[i], pack.values[i]);
  *reinterpret_cast<Pack<T, kWidth>*>(to) = pack;
}

// The sum over kLanes neighbouring lanes, a power of two, in each of them.
template <int kLanes>
__device__ inline float lanes_sum(float x) {
#pragma unroll
  for (int offset = kLanes / 2; offset > 0; offset /= 2)
    x += __shfl_xor_sync(0xffffffffU, x, offset);
  return x;
}

__device__ inline float warp_sum(float x) {
  return lanes_sum<kWarp>(x);
}

// The sums of several values over a block of up to 32 warps, in every thread; `scratch` is
// [kSums * 32] and shared.
template <int kSums>
__device__ inline void block_sums(float (&x)[kSums], float* scratch) {
  const unsigned warp = threadIdx.x / kWarp, warps = blockDim.x / kWarp;
  for (int s = 0; s < kSums; ++s) x[s] = warp_sum(x[s]);
  if (threadIdx.x % kWarp == 0)
    for (int s = 0; s < kSums; ++s) scratch[s * kWarp + warp] = x[s];
  __syncthreads();
  for (int s = 0; s < kSums; ++s) {
    x[s] = 0;
    for (unsigned i = 0; i < warps; ++i) x[s] += scratch[s * kWarp + i];
  }
  __syncthreads();  // before the next sums write
}

// The sum over a block of up to 32 warps, in every thread; `scratch` is [32] and shared.
__device__ inline float block_sum(float x, float* scratch) {
  float sums[1] = {x};
  block_sums(sums, scratch);
  return sums[0];
}

/// Blocks of a launch, and the threads of each.
struct Grid {
  int64_t x = 1, y = 1;
  int threads = 256;
  int64_t shared_bytes = 0;
};

#ifdef __CUDACC__
__device__ inline float* shared_floats() {
  extern __shared__ float memory[];
  return memory;
}

inline void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  throw std::runtime_error(std::string("CUDA: ") + what + ": " + cudaGetErrorString(error));
}

template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), const Grid& grid, Stream stream,
            const Arguments&... arguments) {
  // CUDA gives 48 KiB; some of it is a kernel's static arrays.
  constexpr int64_t kSharedWithoutAsking = 40 * 1024;
  if (grid.shared_bytes > kSharedWithoutAsking)
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(grid.shared_bytes)),
          "shared memory");
  kernel<<<dim3(static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y)), grid.threads,
           static_cast<size_t>(grid.shared_bytes), static_cast<cudaStream_t>(stream)>>>(
      arguments...);
  check(cudaGetLastError(), "launch");
}
#else
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), const Grid& grid, Stream,
            const Arguments&... arguments) {
  emulate(grid.x, grid.y, grid.threads, grid.shared_bytes, [&] { kernel(arguments...); });
}
#endif

inline int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// Whether rows of a matrix can be read kWidth values at a time.
template <int kWidth>
bool is_wide(const Matrix& m, int64_t columns) {
  const uintptr_t bytes = kWidth * (m.is_bf16 ? 2 : 4);
  return m.data == nullptr || (columns % kWidth == 0 && m.stride % kWidth == 0 &&
                               reinterpret_cast<uintptr_t>(m.data) % bytes == 0);
}

template <int kWidth>
bool is_wide(const float* vector) {
  return reinterpret_cast<uintptr_t>(vector) % (kWidth * sizeof(float)) == 0;
}

template <typename T>
struct Typed {
  T* data;
  int64_t stride;
  __device__ T* at(int64_t row, int64_t column) const { return data + row * stride + column; }
};
template <typename T>
Typed<T> typed(const Matrix& m) {
  return {static_cast<T*>(m.data), m.stride};
}

/// Calls f with a value of the storage type: f(float()) or f(BFloat16()).
template <typename F>
void with_storage(bool is_bf16, F&& f) {
  is_bf16 ? f(BFloat16()) : f(float());
}

/// Sums of columns in shares of the rows, each `stride` floats after the one before.
struct Partial {
  const float* data;
  int64_t shares, stride;
};
/// sums[column] += the sum over shares; does nothing where `sums` is null.
void add_partial(const Partial& partial, int64_t columns, float* sums, Stream stream);

/// Most blocks of rows that one column's sum comes in.
constexpr int64_t kShares = 512;

}  // namespace vit22b::cuda
