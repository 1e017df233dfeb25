#include <initializer_list>

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

constexpr int kRegisterWidth = 8;  // values of a row that a thread keeps in registers

// A thread has the same kRegisterWidth columns of every row; rows are as wide as a block at most.
template <typename T, typename U>
__global__ void norm_forward_registers_kernel(Typed<T> x, int64_t columns, Norm norm, Typed<U> y) {
  __shared__ float scratch[kWarp];
  const int64_t row = blockIdx.x, column = static_cast<int64_t>(threadIdx.x) * kRegisterWidth;
  const bool is_inside = column < columns;
  float values[kRegisterWidth] = {}, weight[kRegisterWidth] = {}, bias[kRegisterWidth] = {};
  if (is_inside) {
    load<kRegisterWidth>(x.at(row, column), values);
    load<kRegisterWidth>(norm.weight + column, weight);
    if (norm.bias != nullptr) load<kRegisterWidth>(norm.bias + column, bias);
  }
  float mean = 0, sum[1] = {};
  if (norm.is_centred) {
    for (int i = 0; i < kRegisterWidth; ++i) sum[0] += values[i];
    block_sums(sum, scratch);
    mean = sum[0] / static_cast<float>(columns);
    sum[0] = 0;
  }
  if (is_inside)
    for (int i = 0; i < kRegisterWidth; ++i) sum[0] += (values[i] - mean) * (values[i] - mean);
  block_sums(sum, scratch);
  const float scale = rsqrtf(sum[0] / static_cast<float>(columns) + norm.eps);
  for (int i = 0; i < kRegisterWidth; ++i)
    values[i] = (values[i] - mean) * scale * weight[i] + bias[i];
  if (is_inside) store<kRegisterWidth>(values, y.at(row, column));
}

// Blocks take rows in turn and keep the sums of their columns.
template <typename T, typename U>
__global__ void norm_backward_registers_kernel(Typed<U> d_y, Typed<T> x, int64_t rows,
                                               int64_t columns, Norm norm, const float* residual,
                                               float* d_x, float* partial) {
  __shared__ float scratch[3 * kWarp];
  const int64_t column = static_cast<int64_t>(threadIdx.x) * kRegisterWidth;
  const bool is_inside = column < columns;
  const float count = static_cast<float>(columns);
  float weight[kRegisterWidth] = {}, weight_sums[kRegisterWidth] = {},
        bias_sums[kRegisterWidth] = {};
  if (is_inside) load<kRegisterWidth>(norm.weight + column, weight);
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    float values[kRegisterWidth] = {}, gradient[kRegisterWidth] = {}, base[kRegisterWidth] = {};
    if (is_inside) {
      load<kRegisterWidth>(x.at(row, column), values);
      load<kRegisterWidth>(d_y.at(row, column), gradient);
      load<kRegisterWidth>(residual + row * columns + column, base);
    }
    float mean = 0;
    if (norm.is_centred) {
      float sum[1] = {};
      for (int i = 0; i < kRegisterWidth; ++i) sum[0] += values[i];
      block_sums(sum, scratch);
      mean = sum[0] / count;
    }
    float sums[3] = {};  // of squares, of gradients times values, of gradients
    if (is_inside)
      for (int i = 0; i < kRegisterWidth; ++i) {
        values[i] -= mean;
        sums[0] += values[i] * values[i];
        sums[1] += gradient[i] * weight[i] * values[i];
        sums[2] += gradient[i] * weight[i];
      }
    block_sums(sums, scratch);
    const float scale = rsqrtf(sums[0] / count + norm.eps), dot = scale * sums[1] / count,
                mean_gradient = norm.is_centred ? sums[2] / count : 0.0F;
    for (int i = 0; i < kRegisterWidth; ++i) {
      const float unit = values[i] * scale;
      weight_sums[i] += gradient[i] * unit;
      bias_sums[i] += gradient[i];
      base[i] += scale * (gradient[i] * weight[i] - mean_gradient - unit * dot);
    }
    if (is_inside) store<kRegisterWidth>(base, d_x + row * columns + column);
  }
  if (!is_inside) return;
  float* own = partial + blockIdx.x * 2 * columns + column;
  store<kRegisterWidth>(weight_sums, own);
  store<kRegisterWidth>(bias_sums, own + columns);
}

// A warp's lanes take neighbouring columns, the block's warps shares in turn.
__global__ void add_partial_kernel(const float* partial, int64_t shares, int64_t stride,
                                   int64_t columns, float* sums) {
  const int64_t lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, warps = blockDim.x / kWarp,
                column = static_cast<int64_t>(blockIdx.x) * kWarp + lane;
  float sum = 0;
  if (column < columns)
    for (int64_t i = warp; i < shares; i += warps) sum += partial[i * stride + column];
  shared_floats()[threadIdx.x] = sum;
  __syncthreads();
  if (warp > 0 || column >= columns) return;
  for (int64_t w = 1; w < warps; ++w) sum += shared_floats()[w * kWarp + lane];
  sums[column] += sum;
}

// Whether rows fit into the registers of one block, as many threads as that takes; else 0.
int register_threads(const Norm& norm, int64_t columns, std::initializer_list<Matrix> matrices) {
  constexpr int64_t kMostThreads = 1024;
  bool is_fitting = columns <= kMostThreads * kRegisterWidth &&
                    is_wide<kRegisterWidth>(norm.weight) && is_wide<kRegisterWidth>(norm.bias);
  for (const Matrix& m : matrices) is_fitting = is_fitting && is_wide<kRegisterWidth>(m, columns);
  if (!is_fitting) return 0;
  return static_cast<int>(ceil_div(ceil_div(columns, kRegisterWidth), kWarp) * kWarp);
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
  constexpr int kSumThreads = 512;
  launch(add_partial_kernel, {ceil_div(columns, kWarp), 1, kSumThreads, kSumThreads * 4}, stream,
         partial.data, partial.shares, partial.stride, columns, sums);
}

void norm_forward(const Matrix& x, int64_t rows, int64_t columns, const Norm& norm, const Matrix& y,
                  Stream stream) {
  const bool wide = is_wide<4>(x, columns) && is_wide<4>(y, columns) && is_norm_wide(columns);
  const int threads = register_threads(norm, columns, {x, y});
  with_storage(x.is_bf16, [&](auto from) {
    with_storage(y.is_bf16, [&](auto to) {
      using T = decltype(from);
      using U = decltype(to);
      if (threads > 0)
        return launch(norm_forward_registers_kernel<T, U>, {rows, 1, threads}, stream, typed<T>(x),
                      columns, norm, typed<U>(y));
      launch(wide ? norm_forward_kernel<T, U, 4> : norm_forward_kernel<T, U, 1>,
             {rows, 1, kThreads}, stream, typed<T>(x), columns, norm, typed<U>(y));
    });
  });
}

void norm_backward(const Matrix& d_y, const Matrix& x, int64_t rows, int64_t columns,
                   const Norm& norm, const float* residual, float* d_x, const NormSums& sums,
                   float* partial, Stream stream) {
  const bool wide = is_wide<4>(x, columns) && is_wide<4>(d_y, columns) && is_norm_wide(columns);
  const int threads = register_threads(norm, columns,
                                       {x,
                                        d_y,
                                        {const_cast<float*>(residual), columns, false},
                                        {d_x, columns, false},
                                        {partial, columns, false}});
  // Enough threads to fill the device, and no more sums than that takes.
  constexpr int kManyThreads = 512;
  const int64_t most = threads > 0 && threads < kManyThreads ? kShares : kShares / 2,
                shares = rows < most ? rows : most;
  const Grid grid{shares, 1, kThreads, (norm.bias != nullptr ? 2 : 1) * columns * 4};
  with_storage(x.is_bf16, [&](auto from) {
    with_storage(d_y.is_bf16, [&](auto to) {
      using T = decltype(from);
      using U = decltype(to);
      if (threads > 0)
        return launch(norm_backward_registers_kernel<T, U>, {shares, 1, threads}, stream,
                      typed<U>(d_y), typed<T>(x), rows, columns, norm, residual, d_x, partial);
      launch(wide ? norm_backward_kernel<T, U, 4> : norm_backward_kernel<T, U, 1>, grid, stream,
             typed<U>(d_y), typed<T>(x), rows, columns, norm, residual, d_x, partial);
    });
  });
  add_partial({partial, shares, 2 * columns}, columns, sums.weight, stream);
  add_partial({partial + columns, shares, 2 * columns}, columns, sums.bias, stream);
}

}  // namespace vit22b::cuda
