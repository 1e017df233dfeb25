#include "kernels/cuda/simt.cuh"

namespace vit22b::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;

struct Moments {
  float mean, scale;
};

// A warp takes a head: lanes read kWidth values each, side by side.
template <typename T, int kWidth>
__device__ Moments head_moments(const T* head, int64_t size, const Norm& norm, int lane) {
  float values[kWidth];
  float mean = 0, sum = 0;
  if (norm.is_centred) {
    for (int64_t j = lane * kWidth; j < size; j += kWarp * kWidth) {
      load<kWidth>(head + j, values);
      for (int i = 0; i < kWidth; ++i) sum += values[i];
    }
    mean = warp_sum(sum) / static_cast<float>(size);
    sum = 0;
  }
  for (int64_t j = lane * kWidth; j < size; j += kWarp * kWidth) {
    load<kWidth>(head + j, values);
    for (int i = 0; i < kWidth; ++i) sum += (values[i] - mean) * (values[i] - mean);
  }
  return {mean, rsqrtf(warp_sum(sum) / static_cast<float>(size) + norm.eps)};
}

template <typename T>
struct QkArguments {
  Typed<T> qkv, q, k, v;  // the forward pass has no v
  Typed<T> d_qkv;         // of the backward pass
  Heads heads;
  Norm q_norm, k_norm;
  float* partial;
};

// Warps walk over (row, head, part): part 0 are queries, 1 keys.
template <typename T, int kWidth>
__global__ void qk_forward_kernel(QkArguments<T> p) {
  const int lane = static_cast<int>(threadIdx.x % kWarp);
  const int64_t size = p.heads.head_size, each = p.heads.heads;
  const int64_t item = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  if (item >= 2 * p.heads.rows * each) return;
  const int64_t row = item / (2 * each), part = item / each % 2, head = item % each;
  const Norm& norm = part == 0 ? p.q_norm : p.k_norm;
  const T* from = p.qkv.at(row, part * each * size + head * size);
  T* to = (part == 0 ? p.q : p.k).at(row, head * size);
  const Moments m = norm.weight == nullptr ? Moments{0.0F, 1.0F}
                                           : head_moments<T, kWidth>(from, size, norm, lane);
  for (int64_t j = lane * kWidth; j < size; j += kWarp * kWidth) {
    float values[kWidth];
    load<kWidth>(from + j, values);
    for (int i = 0; i < kWidth; ++i) {
      const float weight = norm.weight == nullptr ? 1.0F : norm.weight[j + i];
      const float bias = norm.bias == nullptr ? 0.0F : norm.bias[j + i];
      values[i] = (values[i] - m.mean) * m.scale * weight + bias;
    }
    store<kWidth>(values, to + j);
  }
}

// Part 2, the values, is copied. Each warp keeps sums of its lanes' columns in shared memory:
// [kWarps, part, weight or bias, head size].
template <typename T, int kWidth>
__global__ void qk_backward_kernel(QkArguments<T> p) {
  const int lane = static_cast<int>(threadIdx.x % kWarp);
  const int64_t size = p.heads.head_size, each = p.heads.heads, warp = threadIdx.x / kWarp;
  float* sums = shared_floats() + warp * 4 * size;
  for (int64_t j = lane * kWidth; j < size; j += kWarp * kWidth)
    for (int i = 0; i < kWidth; ++i)
      for (int64_t s = 0; s < 4; ++s) sums[s * size + j + i] = 0;
  const int64_t items = 3 * p.heads.rows * each, step = static_cast<int64_t>(gridDim.x) * kWarps;
  for (int64_t item = static_cast<int64_t>(blockIdx.x) * kWarps + warp; item < items;
       item += step) {
    const int64_t row = item / (3 * each), part = item / each % 3, head = item % each;
    const Norm norm = part == 0 ? p.q_norm : part == 1 ? p.k_norm : Norm{};
    const T* gradient = (part == 0 ? p.q : part == 1 ? p.k : p.v).at(row, head * size);
    const T* from = p.qkv.at(row, part * each * size + head * size);
    T* to = p.d_qkv.at(row, part * each * size + head * size);
    float d[kWidth], values[kWidth];
    if (norm.weight == nullptr) {
      for (int64_t j = lane * kWidth; j < size; j += kWarp * kWidth) {
        load<kWidth>(gradient + j, d);
        store<kWidth>(d, to + j);
      }
      continue;
    }
    const Moments m = head_moments<T, kWidth>(from, size, norm, lane);
    float *weight_sums = sums + part * 2 * size, *bias_sums = weight_sums + size;
    float dot = 0, sum = 0;
    for (int64_t j = lane * kWidth; j < size; j += kWarp * kWidth) {
      load<kWidth>(gradient + j, d);
      load<kWidth>(from + j, values);
      for (int i = 0; i < kWidth; ++i) {
        const float unit = (values[i] - m.mean) * m.scale;
        weight_sums[j + i] += d[i] * unit;
        bias_sums[j + i] += d[i];
        dot += d[i] * norm.weight[j + i] * unit;
        sum += d[i] * norm.weight[j + i];
      }
    }
    dot = warp_sum(dot) / static_cast<float>(size);
    sum = norm.is_centred ? warp_sum(sum) / static_cast<float>(size) : 0.0F;
    for (int64_t j = lane * kWidth; j < size; j += kWarp * kWidth) {
      load<kWidth>(gradient + j, d);
      load<kWidth>(from + j, values);
      for (int i = 0; i < kWidth; ++i) {
        const float unit = (values[i] - m.mean) * m.scale;
        d[i] = m.scale * (d[i] * norm.weight[j + i] - sum - unit * dot);
      }
      store<kWidth>(d, to + j);
    }
  }
  __syncthreads();
  for (int64_t j = threadIdx.x; j < 4 * size; j += blockDim.x) {
    float sum = 0;
    for (int64_t w = 0; w < kWarps; ++w) sum += shared_floats()[w * 4 * size + j];
    p.partial[blockIdx.x * 4 * size + j] = sum;
  }
}

template <int kWidth>
bool are_heads_wide(const Heads& heads, std::initializer_list<Matrix> matrices) {
  for (const Matrix& m : matrices)
    if (!is_wide<kWidth>(m, heads.head_size)) return false;
  return true;
}

}  // namespace

void qk_norm_forward(const Matrix& qkv, const Heads& heads, const Norm& q_norm, const Norm& k_norm,
                     const Matrix& q, const Matrix& k, Stream stream) {
  const int64_t items = 2 * heads.rows * heads.heads;
  with_storage(qkv.is_bf16, [&](auto storage) {
    using T = decltype(storage);
    const QkArguments<T> arguments{typed<T>(qkv), typed<T>(q), typed<T>(k), {},     {},
                                   heads,         q_norm,      k_norm,      nullptr};
    launch(
        are_heads_wide<2>(heads, {qkv, q, k}) ? qk_forward_kernel<T, 2> : qk_forward_kernel<T, 1>,
        {ceil_div(items, kWarps), 1, kThreads}, stream, arguments);
  });
}

void qk_norm_backward(const QkvGradients& gradients, const Matrix& qkv, const Heads& heads,
                      const Norm& q_norm, const Norm& k_norm, const Matrix& d_qkv,
                      const NormSums& q_sums, const NormSums& k_sums, float* partial,
                      Stream stream) {
  const int64_t size = heads.head_size, items = 3 * heads.rows * heads.heads;
  const int64_t blocks = ceil_div(items, kWarps), shares = blocks < kShares ? blocks : kShares;
  with_storage(qkv.is_bf16, [&](auto storage) {
    using T = decltype(storage);
    const QkArguments<T> arguments{typed<T>(qkv),
                                   typed<T>(gradients.q),
                                   typed<T>(gradients.k),
                                   typed<T>(gradients.v),
                                   typed<T>(d_qkv),
                                   heads,
                                   q_norm,
                                   k_norm,
                                   partial};
    launch(are_heads_wide<2>(heads, {qkv, gradients.q, gradients.k, gradients.v, d_qkv})
               ? qk_backward_kernel<T, 2>
               : qk_backward_kernel<T, 1>,
           {shares, 1, kThreads, kWarps * 4 * size * 4}, stream, arguments);
  });
  float* const sums[] = {q_sums.weight, q_sums.bias, k_sums.weight, k_sums.bias};
  for (int64_t i = 0; i < 4; ++i)
    add_partial({partial + i * size, shares, 4 * size}, size, sums[i], stream);
}

}  // namespace vit22b::cuda
