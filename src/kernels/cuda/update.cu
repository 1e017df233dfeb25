#include "kernels/cuda/simt.cuh"

namespace vit22b::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWidth = 4;  // values that one block of Philox serves
constexpr int64_t kTileColumns = kThreads * kWidth;
constexpr int64_t kTileRows = 64;

// Philox4x32-10 as core/rng.h has it: Salmon et al. 2011, "Parallel random numbers: as easy as
// 1, 2, 3", table 2.
struct Words {
  uint32_t w[4];
};
__device__ inline Words philox(const Rounding& rounding, uint64_t counter_low) {
  uint32_t x[4] = {static_cast<uint32_t>(counter_low), static_cast<uint32_t>(counter_low >> 32),
                   static_cast<uint32_t>(rounding.counter_high),
                   static_cast<uint32_t>(rounding.counter_high >> 32)};
  auto key0 = static_cast<uint32_t>(rounding.seed),
       key1 = static_cast<uint32_t>(rounding.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53U} * x[0], b = uint64_t{0xCD9E8D57U} * x[2];
    const uint32_t y[4] = {static_cast<uint32_t>(b >> 32) ^ x[1] ^ key0, static_cast<uint32_t>(b),
                           static_cast<uint32_t>(a >> 32) ^ x[3] ^ key1, static_cast<uint32_t>(a)};
    for (int i = 0; i < 4; ++i) x[i] = y[i];
    key0 += 0x9E3779B9U;
    key1 += 0xBB67AE85U;
  }
  return {{x[0], x[1], x[2], x[3]}};
}

// The index in the whole tensor of a value of this part.
__device__ inline int64_t whole_index(const PartLayout& layout, int64_t index) {
  if (layout.num_ranges == 0) return index;
  const int64_t row = index / layout.columns;
  int range = 0;
  while (range + 1 < layout.num_ranges && layout.rows[range + 1].first <= row) ++range;
  return (row + layout.rows[range].shift) * layout.whole_columns + layout.first_column +
         index % layout.columns;
}

// The words of kCount values of this part.
template <int kCount>
__device__ inline Words words_of(const Rounding& rounding, int64_t index) {
  const PartLayout& l = rounding.layout;
  if (kCount == kWidth &&
      (l.num_ranges == 0 ||
       (l.columns % kWidth == 0 && l.whole_columns % kWidth == 0 && l.first_column % kWidth == 0)))
    return philox(rounding, static_cast<uint64_t>(whole_index(l, index)) / kWidth);
  Words words{};
  for (int i = 0; i < kCount; ++i) {
    const auto whole = static_cast<uint64_t>(whole_index(l, index + i));
    words.w[i] = philox(rounding, whole / kWidth).w[whole % kWidth];
  }
  return words;
}

// One weight, or four that begin at a multiple of 4.
template <int kCount>
__device__ inline void store_weights(const float (&from)[kCount], int64_t, const Rounding&,
                                     float* to) {
  store<kCount>(from, to);
}
// Stochastic rounding: up with the probability of what truncation would lose.
template <int kCount>
__device__ inline void store_weights(const float (&from)[kCount], int64_t index,
                                     const Rounding& rounding, BFloat16* to) {
  const Words random = words_of<kCount>(rounding, index);
  Pack<BFloat16, kCount> pack;
  for (int i = 0; i < kCount; ++i) {
    const uint32_t bits = __float_as_uint(from[i]);
    const uint32_t low = random.w[i] & 0xffffU;
    if ((bits & 0x7f800000U) != 0x7f800000U)
      pack.values[i].bits = static_cast<uint16_t>((bits + low) >> 16);
    else
      from_float(from[i], pack.values[i]);  // no carry into infinity or out of NaN
  }
  *reinterpret_cast<Pack<BFloat16, kCount>*>(to) = pack;
}

template <typename T, int kCount>
__device__ void adamw_values(int64_t at, const AdamWNumbers& p, float factor, const float* gradient,
                             T* weight, float* momentum, float* second_moment,
                             const Rounding& rounding) {
  float g[kCount], w[kCount], m[kCount], v[kCount];
  load<kCount>(gradient + at, g);
  load<kCount>(weight + at, w);
  load<kCount>(momentum + at, m);
  load<kCount>(second_moment + at, v);
  for (int i = 0; i < kCount; ++i) {
    g[i] *= factor;
    m[i] += (1.0F - p.beta1) * (g[i] - m[i]);
    v[i] = p.beta2 * v[i] + (1.0F - p.beta2) * g[i] * g[i];
    w[i] = w[i] * p.decay - p.step_size * m[i] / (sqrtf(v[i]) * p.root_scale + p.eps);
  }
  store<kCount>(m, momentum + at);
  store<kCount>(v, second_moment + at);
  store_weights(w, at, rounding, weight + at);
}

template <typename T>
__global__ void adamw_kernel(int64_t n, AdamWNumbers p, const float* scale, const float* gradient,
                             T* weight, float* momentum, float* second_moment, Rounding rounding) {
  const float factor = *scale;
  if (!isfinite(factor)) return;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x * kWidth;
  for (int64_t at = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * kWidth; at < n;
       at += step) {
    if (n - at >= kWidth) {
      adamw_values<T, kWidth>(at, p, factor, gradient, weight, momentum, second_moment, rounding);
    } else {
      for (int64_t i = at; i < n; ++i)
        adamw_values<T, 1>(i, p, factor, gradient, weight, momentum, second_moment, rounding);
    }
  }
}

// A block takes a tile; a thread kWidth columns of it.
__global__ void square_sums_kernel(const float* gradient, const float* scale, int64_t rows,
                                   int64_t columns, float* row_sums, float* column_sums) {
  __shared__ float by_warp[kTileRows][kThreads / kWarp];
  const int64_t column = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * kWidth;
  const int64_t first = static_cast<int64_t>(blockIdx.y) * kTileRows;
  const int64_t count = rows - first < kTileRows ? rows - first : kTileRows;
  const float factor = *scale;
  float sums[kWidth] = {};
  for (int64_t row = 0; row < count; ++row) {
    float sum = 0;
    for (int64_t i = 0; i < kWidth && column + i < columns; ++i) {
      const float g = gradient[(first + row) * columns + column + i] * factor;
      sums[i] += g * g;
      sum += g * g;
    }
    sum = warp_sum(sum);
    if (threadIdx.x % kWarp == 0) by_warp[row][threadIdx.x / kWarp] = sum;
  }
  for (int64_t i = 0; i < kWidth && column + i < columns; ++i)
    column_sums[blockIdx.y * columns + column + i] = sums[i];
  __syncthreads();
  const int64_t row = threadIdx.x;
  if (row >= count) return;
  float sum = 0;
  for (int w = 0; w < kThreads / kWarp; ++w) sum += by_warp[row][w];
  row_sums[(first + row) * gridDim.x + blockIdx.x] = sum;
}

// A thread has kWidth columns and every gridDim.y-th row.
template <typename T, int kColumns>
__global__ void adafactor_kernel(int64_t rows, int64_t columns, AdafactorNumbers p,
                                 const float* scale, const float* gradient,
                                 const float* row_factors, const float* column_factors, T* weight,
                                 BFloat16* momentum, Rounding rounding) {
  const float factor = *scale;
  const int64_t column = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * kColumns;
  if (!isfinite(factor) || column >= columns) return;
  float by_column[kColumns];
  for (int i = 0; i < kColumns; ++i) by_column[i] = factor;
  if (column_factors != nullptr)
    for (int i = 0; i < kColumns; ++i) by_column[i] *= column_factors[column + i];
  for (int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
    const int64_t at = row * columns + column;
    const float by_row = row_factors == nullptr ? 1.0F : row_factors[row];
    float g[kColumns], m[kColumns], w[kColumns];
    load<kColumns>(gradient + at, g);
    load<kColumns>(momentum + at, m);
    load<kColumns>(weight + at, w);
    BFloat16 rounded;
    for (int i = 0; i < kColumns; ++i) {
      from_float(p.beta1 * m[i] + (1.0F - p.beta1) * g[i] * by_row * by_column[i], rounded);
      m[i] = to_float(rounded);
      w[i] -= p.learning_rate * (m[i] + p.weight_decay * w[i]);
    }
    store<kColumns>(m, momentum + at);
    store_weights(w, at, rounding, weight + at);
  }
}

// Enough blocks to fill any device, each with several turns.
Grid walk(int64_t n) {
  constexpr int64_t kMostBlocks = 4096;
  const int64_t blocks = ceil_div(n, kThreads * kWidth);
  return {blocks < kMostBlocks ? blocks : kMostBlocks, 1, kThreads};
}

}  // namespace

void adamw_update(int64_t n, const AdamWNumbers& numbers, const float* scale, const float* gradient,
                  const Matrix& weight, float* momentum, float* second_moment,
                  const Rounding& rounding, Stream stream) {
  with_storage(weight.is_bf16, [&](auto storage) {
    using T = decltype(storage);
    launch(adamw_kernel<T>, walk(n), stream, n, numbers, scale, gradient,
           static_cast<T*>(weight.data), momentum, second_moment, rounding);
  });
}

SquareSums square_sums_shape(int64_t rows, int64_t columns) {
  return {ceil_div(columns, kTileColumns), ceil_div(rows, kTileRows)};
}

void square_sums(const float* gradient, const float* scale, int64_t rows, int64_t columns,
                 float* row_sums, float* column_sums, Stream stream) {
  const SquareSums shape = square_sums_shape(rows, columns);
  launch(square_sums_kernel, {shape.row_parts, shape.column_parts, kThreads}, stream, gradient,
         scale, rows, columns, row_sums, column_sums);
}

void adafactor_update(int64_t rows, int64_t columns, const AdafactorNumbers& numbers,
                      const float* scale, const float* gradient, const float* row_factors,
                      const float* column_factors, const Matrix& weight, void* momentum_bf16,
                      const Rounding& rounding, Stream stream) {
  constexpr int64_t kMostShares = 1024;
  const bool wide = columns % kWidth == 0;
  const Grid grid{ceil_div(columns, (wide ? kWidth : 1) * kThreads),
                  rows < kMostShares ? rows : kMostShares, kThreads};
  with_storage(weight.is_bf16, [&](auto storage) {
    using T = decltype(storage);
    launch(wide ? adafactor_kernel<T, kWidth> : adafactor_kernel<T, 1>, grid, stream, rows, columns,
           numbers, scale, gradient, row_factors, column_factors, static_cast<T*>(weight.data),
           static_cast<BFloat16*>(momentum_bf16), rounding);
  });
}

}  // namespace vit22b::cuda
