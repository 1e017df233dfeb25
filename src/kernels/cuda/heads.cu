#include <initializer_list>
#include <type_traits>

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

constexpr int kRegisterWidth = 8;  // values of a head that a lane keeps in registers

// A norm's vectors at a lane's columns.
struct OwnNorm {
  float weight[kRegisterWidth], bias[kRegisterWidth];
};
__device__ inline OwnNorm own_norm(const Norm& norm, int64_t column, bool is_inside) {
  OwnNorm own;
  for (int i = 0; i < kRegisterWidth; ++i) {
    own.weight[i] = 1;
    own.bias[i] = 0;
  }
  if (is_inside && norm.weight != nullptr) load<kRegisterWidth>(norm.weight + column, own.weight);
  if (is_inside && norm.bias != nullptr) load<kRegisterWidth>(norm.bias + column, own.bias);
  return own;
}

// Of values in the registers of kLanes lanes, zeros where a lane has no columns.
template <int kLanes>
__device__ inline Moments register_moments(const float (&values)[kRegisterWidth], bool is_inside,
                                           int64_t size, const Norm& norm) {
  float mean = 0, sum = 0;
  if (norm.is_centred) {
    for (int i = 0; i < kRegisterWidth; ++i) sum += values[i];
    mean = lanes_sum<kLanes>(sum) / static_cast<float>(size);
    sum = 0;
  }
  if (is_inside)
    for (int i = 0; i < kRegisterWidth; ++i) sum += (values[i] - mean) * (values[i] - mean);
  return {mean, rsqrtf(lanes_sum<kLanes>(sum) / static_cast<float>(size) + norm.eps)};
}

// A block takes a row, kLanes lanes a head of up to kLanes * kRegisterWidth values. Lanes without
// work take part in the sums: a warp shuffles as one.
template <typename T, int kLanes>
__global__ void qk_forward_registers_kernel(QkArguments<T> p) {
  const int64_t size = p.heads.head_size, each = p.heads.heads, row = blockIdx.x;
  const int64_t column = threadIdx.x % kLanes * kRegisterWidth, group = threadIdx.x / kLanes,
                groups = blockDim.x / kLanes;
  const bool is_inside = column < size;
  for (int part = 0; part < 2; ++part) {
    const Norm& norm = part == 0 ? p.q_norm : p.k_norm;
    const OwnNorm own = own_norm(norm, column, is_inside);
    for (int64_t first = 0; first < each; first += groups) {
      const int64_t head = first + group;
      const bool has_work = is_inside && head < each;
      float values[kRegisterWidth] = {};
      if (has_work)
        load<kRegisterWidth>(p.qkv.at(row, (part * each + head) * size + column), values);
      if (norm.weight != nullptr) {
        const Moments m = register_moments<kLanes>(values, has_work, size, norm);
        for (int i = 0; i < kRegisterWidth; ++i)
          values[i] = (values[i] - m.mean) * m.scale * own.weight[i] + own.bias[i];
      }
      if (has_work)
        store<kRegisterWidth>(values, (part == 0 ? p.q : p.k).at(row, head * size + column));
    }
  }
}

// Adds to the sums of a lane's columns, and turns the normalised values' gradient into the
// values'.
template <int kLanes>
__device__ inline void register_backward(const float (&values)[kRegisterWidth], bool has_work,
                                         int64_t size, const Norm& norm, const OwnNorm& own,
                                         float (&d)[kRegisterWidth],
                                         float (&weight_sums)[kRegisterWidth],
                                         float (&bias_sums)[kRegisterWidth]) {
  const Moments m = register_moments<kLanes>(values, has_work, size, norm);
  float dot = 0, sum = 0;
  for (int i = 0; i < kRegisterWidth; ++i) {
    const float unit = (values[i] - m.mean) * m.scale;
    weight_sums[i] += d[i] * unit;
    bias_sums[i] += d[i];
    dot += d[i] * own.weight[i] * unit;
    sum += d[i] * own.weight[i];
  }
  dot = lanes_sum<kLanes>(dot) / static_cast<float>(size);
  sum = norm.is_centred ? lanes_sum<kLanes>(sum) / static_cast<float>(size) : 0.0F;
  for (int i = 0; i < kRegisterWidth; ++i)
    d[i] = m.scale * (d[i] * own.weight[i] - sum - (values[i] - m.mean) * m.scale * dot);
}

// Blocks take rows in turn, with sums of each lane's columns in registers; at the end they meet in
// shared memory: [lane groups, part, weight or bias, head size].
template <typename T, int kLanes>
__global__ void qk_backward_registers_kernel(QkArguments<T> p) {
  const int64_t size = p.heads.head_size, each = p.heads.heads;
  const int64_t column = threadIdx.x % kLanes * kRegisterWidth, group = threadIdx.x / kLanes,
                groups = blockDim.x / kLanes;
  const bool is_inside = column < size;
  const OwnNorm own_q = own_norm(p.q_norm, column, is_inside),
                own_k = own_norm(p.k_norm, column, is_inside);
  float sums[4][kRegisterWidth] = {};
  for (int64_t row = blockIdx.x; row < p.heads.rows; row += gridDim.x)
    for (int64_t first = 0; first < each; first += groups) {
      const int64_t head = first + group, at = head * size + column;
      const bool has_work = is_inside && head < each;
      float d_q[kRegisterWidth] = {}, d_k[kRegisterWidth] = {}, d_v[kRegisterWidth] = {},
            q[kRegisterWidth] = {}, k[kRegisterWidth] = {};
      if (has_work) {
        load<kRegisterWidth>(p.q.at(row, at), d_q);
        load<kRegisterWidth>(p.k.at(row, at), d_k);
        load<kRegisterWidth>(p.v.at(row, at), d_v);
        load<kRegisterWidth>(p.qkv.at(row, at), q);
        load<kRegisterWidth>(p.qkv.at(row, each * size + at), k);
      }
      if (p.q_norm.weight != nullptr)
        register_backward<kLanes>(q, has_work, size, p.q_norm, own_q, d_q, sums[0], sums[1]);
      if (p.k_norm.weight != nullptr)
        register_backward<kLanes>(k, has_work, size, p.k_norm, own_k, d_k, sums[2], sums[3]);
      if (has_work) {
        store<kRegisterWidth>(d_q, p.d_qkv.at(row, at));
        store<kRegisterWidth>(d_k, p.d_qkv.at(row, each * size + at));
        store<kRegisterWidth>(d_v, p.d_qkv.at(row, 2 * each * size + at));
      }
    }
  for (int64_t s = 0; s < 4; ++s)
    for (int i = 0; i < kRegisterWidth; ++i)
      if (is_inside) shared_floats()[(group * 4 + s) * size + column + i] = sums[s][i];
  __syncthreads();
  for (int64_t j = threadIdx.x; j < 4 * size; j += blockDim.x) {
    float sum = 0;
    for (int64_t g = 0; g < groups; ++g) sum += shared_floats()[g * 4 * size + j];
    p.partial[blockIdx.x * 4 * size + j] = sum;
  }
}

template <int kWidth>
bool are_heads_wide(const Heads& heads, std::initializer_list<Matrix> matrices) {
  for (const Matrix& m : matrices)
    if (!is_wide<kWidth>(m, heads.head_size)) return false;
  return true;
}

// Whether heads fit into the registers of one warp's lanes.
bool fit_registers(const Heads& heads, std::initializer_list<Matrix> matrices,
                   std::initializer_list<const float*> vectors) {
  for (const float* vector : vectors)
    if (!is_wide<kRegisterWidth>(vector)) return false;
  return heads.head_size <= kWarp * kRegisterWidth &&
         are_heads_wide<kRegisterWidth>(heads, matrices);
}

// Calls f with the lanes that a head takes: f(std::integral_constant<int, 8>()).
template <typename F>
void with_lanes(int64_t head_size, F&& f) {
  const int64_t lanes = ceil_div(head_size, kRegisterWidth);
  if (lanes <= 1) return f(std::integral_constant<int, 1>());
  if (lanes <= 2) return f(std::integral_constant<int, 2>());
  if (lanes <= 4) return f(std::integral_constant<int, 4>());
  if (lanes <= 8) return f(std::integral_constant<int, 8>());
  if (lanes <= 16) return f(std::integral_constant<int, 16>());
  return f(std::integral_constant<int, 32>());
}

// Whole warps for all heads of a row, up to kThreads.
int row_threads(const Heads& heads, int lanes) {
  const int64_t wanted = ceil_div(heads.heads * lanes, kWarp) * kWarp;
  return static_cast<int>(wanted < kThreads ? wanted : kThreads);
}

}  // namespace

void qk_norm_forward(const Matrix& qkv, const Heads& heads, const Norm& q_norm, const Norm& k_norm,
                     const Matrix& q, const Matrix& k, Stream stream) {
  const int64_t items = 2 * heads.rows * heads.heads;
  with_storage(qkv.is_bf16, [&](auto storage) {
    using T = decltype(storage);
    const QkArguments<T> arguments{typed<T>(qkv), typed<T>(q), typed<T>(k), {},     {},
                                   heads,         q_norm,      k_norm,      nullptr};
    if (fit_registers(heads, {qkv, q, k}, {q_norm.weight, q_norm.bias, k_norm.weight, k_norm.bias}))
      return with_lanes(heads.head_size, [&](auto lanes) {
        launch(qk_forward_registers_kernel<T, lanes.value>,
               {heads.rows, 1, row_threads(heads, lanes.value)}, stream, arguments);
      });
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
  const bool is_in_registers =
      fit_registers(heads, {qkv, gradients.q, gradients.k, gradients.v, d_qkv},
                    {q_norm.weight, q_norm.bias, k_norm.weight, k_norm.bias});
  const int64_t blocks = is_in_registers ? heads.rows : ceil_div(items, kWarps),
                shares = blocks < kShares ? blocks : kShares;
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
    if (is_in_registers)
      return with_lanes(size, [&](auto lanes) {
        const int threads = row_threads(heads, lanes.value);
        launch(qk_backward_registers_kernel<T, lanes.value>,
               {shares, 1, threads, threads / lanes.value * 4 * size * 4}, stream, arguments);
      });
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
