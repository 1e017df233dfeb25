#include "kernels/cuda/simt.cuh"

namespace vit22b::cuda {
namespace {

constexpr int kThreads = 256;

// A row's mean (0 without centring) and reciprocal deviation.
struct Moments {
  float mean, scale;
};

template <typename T, int kWidth>
__device__ Moments row_moments(const T* row, int64_t columns, const Norm& norm, float* scratch) {
  float values[kWidth];
  float mean = 0, sum = 0;
  if (norm.is_centred) {
    for (int64_t j = threadIdx.x * kWidth; j < columns; j += blockDim.x * kWidth) {
      load<kWidth>(row + j, values);
      for (int i = 0; i < kWidth; ++i) sum += values[i];
    }
    mean = block_sum(sum, scratch) / static_cast<float>(columns);
    sum = 0;
  }
  for (int64_t j = threadIdx.x * kWidth; j < columns; j += blockDim.x * kWidth) {
    load<kWidth>(row + j, values);
    for (int i = 0; i < kWidth; ++i) sum += (values[i] - mean) * (values[i] - mean);
  }
  const float variance = block_sum(sum, scratch) / static_cast<float>(columns);
  return {mean, rsqrtf(variance + norm.eps)};
}

template <typename T, typename U, int kWidth>
__global__ void norm_forward_kernel(Typed<T> x, int64_t columns, Norm norm, Typed<U> y) {
  __shared__ float scratch[kWarp];
  const int64_t row = blockIdx.x;
  const Moments m = row_moments<T, kWidth>(x.at(row, 0), columns, norm, scratch);
  for (int64_t j = threadIdx.x * kWidth; j < columns; j += blockDim.x * kWidth) {
    float values[kWidth], weight[kWidth];
    load<kWidth>(x.at(row, j), values);
    load<kWidth>(norm.weight + j, weight);
    for (int i = 0; i < kWidth; ++i) {
      const float bias = norm.bias == nullptr ? 0.0F : norm.bias[j + i];
      values[i] = (values[i] - m.mean) * m.scale * weight[i] + bias;
    }
    store<kWidth>(values, y.at(row, j));
  }
}

// Each block takes every gridDim.x-th row; a thread sees the same columns in all of them and keeps
// their sums in shared memory.
template <typename T, typename U, int kWidth>
__global__ void norm_backward_kernel(Typed<U> d_y, Typed<T> x, int64_t rows, int64_t columns,
                                     Norm norm, const float* residual, float* d_x, float* partial) {
  __shared__ float scratch[kWarp];
  float *weight_sums = shared_floats(), *bias_sums = weight_sums + columns;
  for (int64_t j = threadIdx.x * kWidth; j < columns; j += blockDim.x * kWidth)
    for (int i = 0; i < kWidth; ++i) {
      weight_sums[j + i] = 0;
      if (norm.bias != nullptr) bias_sums[j + i] = 0;
    }
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const Moments m = row_moments<T, kWidth>(x.at(row, 0), columns, norm, scratch);
    float dot = 0, sum = 0;
    for (int64_t j = threadIdx.x * kWidth; j < columns; j += blockDim.x * kWidth) {
      float values[kWidth], gradient[kWidth], weight[kWidth];
      load<kWidth>(x.at(row, j), values);
      load<kWidth>(d_y.at(row, j), gradient);
      load<kWidth>(norm.weight + j, weight);
      for (int i = 0; i < kWidth; ++i) {
        const float unit = (values[i] - m.mean) * m.scale;
        weight_sums[j + i] += gradient[i] * unit;
        if (norm.bias != nullptr) bias_sums[j + i] += gradient[i];
        dot += gradient[i] * weight[i] * unit;
        sum += gradient[i] * weight[i];
      }
    }
    dot = block_sum(dot, scratch) / static_cast<float>(columns);
    sum = norm.is_centred ? block_sum(sum, scratch) / static_cast<float>(columns) : 0.0F;
    for (int64_t j = threadIdx.x * kWidth; j < columns; j += blockDim.x * kWidth) {
      float values[kWidth], gradient[kWidth], weight[kWidth], base[kWidth];
      load<kWidth>(x.at(row, j), values);
      load<kWidth>(d_y.at(row, j), gradient);
      load<kWidth>(norm.weight + j, weight);
      load<kWidth>(residual + row * columns + j, base);
      for (int i = 0; i < kWidth; ++i) {
        const float unit = (values[i] - m.mean) * m.scale;
        base[i] += m.scale * (gradient[i] * weight[i] - sum - unit * dot);
      }
      store<kWidth>(base, d_x + row * columns + j);
    }
  }
  float* own = partial + blockIdx.x * 2 * columns;
  for (int64_t j = threadIdx.x * kWidth; j < columns; j += blockDim.x * kWidth)
    for (int i = 0; i < kWidth; ++i) {
      own[j + i] = weight_sums[j + i];
      own[columns + j + i] = norm.bias != nullptr ? bias_sums[j + i] : 0.0F;
    }
}

__global__ void add_partial_kernel(const float* partial, int64_t shares, int64_t stride,
                                   int64_t columns, float* sums) {
  const int64_t column = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (column >= columns) return;
  float sum = 0;
  for (int64_t i = 0; i < shares; ++i) sum += partial[i * stride + column];
  sums[column] += sum;
}

bool is_norm_wide(int64_t columns) {
  return columns % 4 == 0;  // weights and biases are whole tensors, aligned by their allocator
}

}  // namespace

int64_t partial_floats(int64_t columns) {
  return kShares * columns;
}

void add_partial(const Partial& partial, int64_t columns, float* sums, Stream stream) {
  if (sums == nullptr) return;
  launch(add_partial_kernel, {ceil_div(columns, kThreads), 1, kThreads}, stream, partial.data,
         partial.shares, partial.stride, columns, sums);
}

void norm_forward(const Matrix& x, int64_t rows, int64_t columns, const Norm& norm, const Matrix& y,
                  Stream stream) {
  const bool wide = is_wide<4>(x, columns) && is_wide<4>(y, columns) && is_norm_wide(columns);
  with_storage(x.is_bf16, [&](auto from) {
    with_storage(y.is_bf16, [&](auto to) {
      using T = decltype(from);
      using U = decltype(to);
      launch(wide ? norm_forward_kernel<T, U, 4> : norm_forward_kernel<T, U, 1>,
             {rows, 1, kThreads}, stream, typed<T>(x), columns, norm, typed<U>(y));
    });
  });
}

void norm_backward(const Matrix& d_y, const Matrix& x, int64_t rows, int64_t columns,
                   const Norm& norm, const float* residual, float* d_x, const NormSums& sums,
                   float* partial, Stream stream) {
  const bool wide = is_wide<4>(x, columns) && is_wide<4>(d_y, columns) && is_norm_wide(columns);
  const int64_t shares = rows < kShares ? rows : kShares;
  const Grid grid{shares, 1, kThreads, (norm.bias != nullptr ? 2 : 1) * columns * 4};
  with_storage(x.is_bf16, [&](auto from) {
    with_storage(d_y.is_bf16, [&](auto to) {
      using T = decltype(from);
      using U = decltype(to);
      launch(wide ? norm_backward_kernel<T, U, 4> : norm_backward_kernel<T, U, 1>, grid, stream,
             typed<U>(d_y), typed<T>(x), rows, columns, norm, residual, d_x, partial);
    });
  });
  add_partial({partial, shares, 2 * columns}, columns, sums.weight, stream);
  add_partial({partial + columns, shares, 2 * columns}, columns, sums.bias, stream);
}

}  // namespace vit22b::cuda
