#include "kernels/cuda/simt.cuh"

namespace vit22b::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int64_t kForwardShares = 1024;  // blocks of rows where nothing is summed

constexpr float kRootTwoOverPi = 0.7978845608028654F;
constexpr float kCubic = 0.044715F;
constexpr float kRootHalf = 0.7071067811865476F;
constexpr float kRootTwoPiInverse = 0.3989422804014327F;
constexpr float kQuickSlope = logistic_slope(Activation::kQuickGelu);

// x's share of itself in gelu(x), Phi(x) or its tanh form, and that share's derivative.
struct Gate {
  float value, slope;
};
__device__ inline Gate gate(float x, Activation form) {
  if (form == Activation::kGeluTanh) {
    // (1 + tanh u) / 2 = 1 / (1 + exp(-2u)), which is exact at both ends.
    const float u = kRootTwoOverPi * (x + kCubic * x * x * x);
    const float value = 1.0F / (1.0F + __expf(-2.0F * u));
    return {value, 2.0F * value * (1.0F - value) * kRootTwoOverPi * (1.0F + 3.0F * kCubic * x * x)};
  }
  if (form == Activation::kGelu)
    return {0.5F * (1.0F + erff(x * kRootHalf)), kRootTwoPiInverse * __expf(-0.5F * x * x)};
  const float a = form == Activation::kQuickGelu ? kQuickSlope : 1.0F,
              value = 1.0F / (1.0F + __expf(-a * x));
  return {value, a * value * (1.0F - value)};
}

// A thread has kWidth columns and every gridDim.y-th row.
template <typename T, int kWidth>
__global__ void bias_activation_kernel(Typed<T> pre, const float* bias, Activation form,
                                       int64_t rows, int64_t columns, Typed<T> activation) {
  const int64_t column = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * kWidth;
  if (column >= columns) return;
  float own_bias[kWidth] = {};
  if (bias != nullptr) load<kWidth>(bias + column, own_bias);
  for (int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
    float x[kWidth];
    load<kWidth>(pre.at(row, column), x);
    for (int i = 0; i < kWidth; ++i) {
      x[i] += own_bias[i];
      x[i] *= gate(x[i], form).value;
    }
    store<kWidth>(x, activation.at(row, column));
  }
}

template <typename T, int kWidth>
__global__ void activation_backward_kernel(Typed<T> d_activation, Typed<T> pre, const float* bias,
                                           Activation form, int64_t rows, int64_t columns,
                                           Typed<T> d_pre, Typed<T> activation, float* partial) {
  const int64_t column = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * kWidth;
  if (column >= columns) return;
  float own_bias[kWidth] = {}, sums[kWidth] = {};
  if (bias != nullptr) load<kWidth>(bias + column, own_bias);
  for (int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
    float x[kWidth], d[kWidth];
    load<kWidth>(pre.at(row, column), x);
    load<kWidth>(d_activation.at(row, column), d);
    for (int i = 0; i < kWidth; ++i) {
      x[i] += own_bias[i];
      const Gate g = gate(x[i], form);
      d[i] *= g.value + x[i] * g.slope;
      x[i] *= g.value;
      sums[i] += d[i];
    }
    store<kWidth>(d, d_pre.at(row, column));
    store<kWidth>(x, activation.at(row, column));
  }
  store<kWidth>(sums, partial + blockIdx.y * columns + column);
}

template <typename T, int kWidth>
__global__ void gated_activation_kernel(Typed<T> pre, const float* bias, Typed<T> gates,
                                        Activation form, int64_t rows, int64_t columns,
                                        Typed<T> hidden) {
  const int64_t column = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * kWidth;
  if (column >= columns) return;
  float own_bias[kWidth] = {};
  if (bias != nullptr) load<kWidth>(bias + column, own_bias);
  for (int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
    float x[kWidth], y[kWidth];
    load<kWidth>(pre.at(row, column), x);
    load<kWidth>(gates.at(row, column), y);
    for (int i = 0; i < kWidth; ++i) x[i] = (x[i] + own_bias[i]) * y[i] * gate(y[i], form).value;
    store<kWidth>(x, hidden.at(row, column));
  }
}

// partial: [share, pre or gates, columns]
template <typename T, int kWidth>
__global__ void gated_backward_kernel(Typed<T> d_hidden, Typed<T> pre, const float* bias,
                                      Typed<T> gates, Activation form, int64_t rows,
                                      int64_t columns, Typed<T> d_pre, Typed<T> d_gates,
                                      Typed<T> hidden, float* partial) {
  const int64_t column = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * kWidth;
  if (column >= columns) return;
  float own_bias[kWidth] = {}, sums[kWidth] = {}, gate_sums[kWidth] = {};
  if (bias != nullptr) load<kWidth>(bias + column, own_bias);
  for (int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
    float x[kWidth], y[kWidth], d[kWidth];
    load<kWidth>(pre.at(row, column), x);
    load<kWidth>(gates.at(row, column), y);
    load<kWidth>(d_hidden.at(row, column), d);
    for (int i = 0; i < kWidth; ++i) {
      x[i] += own_bias[i];
      const Gate g = gate(y[i], form);
      const float factor = y[i] * g.value, slope = g.value + y[i] * g.slope;
      y[i] = d[i] * x[i] * slope;
      d[i] *= factor;
      x[i] *= factor;
      sums[i] += d[i];
      gate_sums[i] += y[i];
    }
    store<kWidth>(d, d_pre.at(row, column));
    store<kWidth>(y, d_gates.at(row, column));
    store<kWidth>(x, hidden.at(row, column));
  }
  float* own = partial + blockIdx.y * 2 * columns + column;
  store<kWidth>(sums, own);
  store<kWidth>(gate_sums, own + columns);
}

template <typename T, typename U, int kWidth>
__global__ void add_branch_kernel(Typed<T> residual, Typed<U> branch, const float* scale,
                                  int64_t rows, int64_t columns, Typed<T> out) {
  const int64_t column = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * kWidth;
  if (column >= columns) return;
  float own_scale[kWidth];
  for (int i = 0; i < kWidth; ++i) own_scale[i] = 1;
  if (scale != nullptr) load<kWidth>(scale + column, own_scale);
  for (int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
    float x[kWidth], y[kWidth];
    load<kWidth>(residual.at(row, column), x);
    load<kWidth>(branch.at(row, column), y);
    for (int i = 0; i < kWidth; ++i) x[i] += own_scale[i] * y[i];
    store<kWidth>(x, out.at(row, column));
  }
}

// partial: [share, bias or scale, columns]
template <typename T, int kWidth>
__global__ void branch_backward_kernel(const float* gradient, Typed<T> branch, const float* scale,
                                       int64_t rows, int64_t columns, Typed<T> d_branch,
                                       float* partial) {
  const int64_t column = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * kWidth;
  if (column >= columns) return;
  float own_scale[kWidth], bias_sums[kWidth] = {}, scale_sums[kWidth] = {};
  for (int i = 0; i < kWidth; ++i) own_scale[i] = 1;
  if (scale != nullptr) load<kWidth>(scale + column, own_scale);
  for (int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
    float g[kWidth], y[kWidth] = {};
    load<kWidth>(gradient + row * columns + column, g);
    if (branch.data != nullptr) load<kWidth>(branch.at(row, column), y);
    for (int i = 0; i < kWidth; ++i) {
      scale_sums[i] += g[i] * y[i];
      g[i] *= own_scale[i];
      bias_sums[i] += g[i];
    }
    store<kWidth>(g, d_branch.at(row, column));
  }
  float* own = partial + blockIdx.y * 2 * columns + column;
  store<kWidth>(bias_sums, own);
  store<kWidth>(scale_sums, own + columns);
}

template <int kWidth>
Grid rows_grid(int64_t rows, int64_t columns, int64_t most_shares) {
  return {ceil_div(columns, kWidth * kThreads), rows < most_shares ? rows : most_shares, kThreads};
}

// Runs f<storage, width>(grid) with the widest loads that all matrices allow.
template <typename F>
void with_width(std::initializer_list<Matrix> matrices, int64_t columns, F&& f) {
  bool wide = true;
  for (const Matrix& m : matrices) wide = wide && is_wide<4>(m, columns);
  with_storage(matrices.begin()->is_bf16, [&](auto storage) {
    wide ? f(storage, std::integral_constant<int, 4>())
         : f(storage, std::integral_constant<int, 1>());
  });
}

}  // namespace

void bias_activation(const Matrix& pre, const float* bias, Activation form, int64_t rows,
                     int64_t columns, const Matrix& activation, Stream stream) {
  with_width({pre, activation}, columns, [&](auto storage, auto width) {
    using T = decltype(storage);
    constexpr int kWidth = decltype(width)::value;
    launch(bias_activation_kernel<T, kWidth>, rows_grid<kWidth>(rows, columns, kForwardShares),
           stream, typed<T>(pre), bias, form, rows, columns, typed<T>(activation));
  });
}

void activation_backward(const Matrix& d_activation, const Matrix& pre, const float* bias,
                         Activation form, int64_t rows, int64_t columns, const Matrix& d_pre,
                         const Matrix& activation, float* bias_sums, float* partial,
                         Stream stream) {
  const int64_t shares = rows < kShares ? rows : kShares;
  with_width({d_activation, pre, d_pre, activation}, columns, [&](auto storage, auto width) {
    using T = decltype(storage);
    constexpr int kWidth = decltype(width)::value;
    launch(activation_backward_kernel<T, kWidth>, rows_grid<kWidth>(rows, columns, kShares), stream,
           typed<T>(d_activation), typed<T>(pre), bias, form, rows, columns, typed<T>(d_pre),
           typed<T>(activation), partial);
  });
  add_partial({partial, shares, columns}, columns, bias_sums, stream);
}

void gated_activation(const GatedUnits& units, int64_t rows, int64_t columns, const Matrix& hidden,
                      Stream stream) {
  with_width({units.pre, units.gates, hidden}, columns, [&](auto storage, auto width) {
    using T = decltype(storage);
    constexpr int kWidth = decltype(width)::value;
    launch(gated_activation_kernel<T, kWidth>, rows_grid<kWidth>(rows, columns, kForwardShares),
           stream, typed<T>(units.pre), units.bias, typed<T>(units.gates), units.form, rows,
           columns, typed<T>(hidden));
  });
}

void gated_backward(const Matrix& d_hidden, const GatedUnits& units, int64_t rows, int64_t columns,
                    const GatedGradients& gradients, const Matrix& hidden, float* partial,
                    Stream stream) {
  const int64_t shares = rows < kShares ? rows : kShares;
  with_width({d_hidden, units.pre, units.gates, gradients.pre, gradients.gates, hidden}, columns,
             [&](auto storage, auto width) {
               using T = decltype(storage);
               constexpr int kWidth = decltype(width)::value;
               launch(gated_backward_kernel<T, kWidth>, rows_grid<kWidth>(rows, columns, kShares),
                      stream, typed<T>(d_hidden), typed<T>(units.pre), units.bias,
                      typed<T>(units.gates), units.form, rows, columns, typed<T>(gradients.pre),
                      typed<T>(gradients.gates), typed<T>(hidden), partial);
             });
  add_partial({partial, shares, 2 * columns}, columns, gradients.bias_sums, stream);
  add_partial({partial + columns, shares, 2 * columns}, columns, gradients.gate_sums, stream);
}

void add_branch(const Matrix& residual, const Matrix& branch, const float* scale, int64_t rows,
                int64_t columns, const Matrix& out, Stream stream) {
  with_width({residual, branch, out}, columns, [&](auto storage, auto width) {
    using T = decltype(storage);
    constexpr int kWidth = decltype(width)::value;
    with_storage(branch.is_bf16, [&](auto of_branch) {
      using U = decltype(of_branch);
      launch(add_branch_kernel<T, U, kWidth>, rows_grid<kWidth>(rows, columns, kForwardShares),
             stream, typed<T>(residual), typed<U>(branch), scale, rows, columns, typed<T>(out));
    });
  });
}

void branch_backward(const float* gradient, const Matrix& branch, const float* scale, int64_t rows,
                     int64_t columns, const Matrix& d_branch, float* bias_sums, float* scale_sums,
                     float* partial, Stream stream) {
  const int64_t shares = rows < kShares ? rows : kShares;
  with_width({d_branch, branch}, columns, [&](auto storage, auto width) {
    using T = decltype(storage);
    constexpr int kWidth = decltype(width)::value;
    launch(branch_backward_kernel<T, kWidth>, rows_grid<kWidth>(rows, columns, kShares), stream,
           gradient, typed<T>(branch), scale, rows, columns, typed<T>(d_branch), partial);
  });
  add_partial({partial, shares, 2 * columns}, columns, bias_sums, stream);
  add_partial({partial + columns, shares, 2 * columns}, columns, scale_sums, stream);
}

}  // namespace vit22b::cuda
