#include "kernels/cpu/norms.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/norms.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>

#include <cmath>

#include "kernels/cpu/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace vit22b::cpu::HWY_NAMESPACE {

struct RowStatistics {
  float mean, rstd;
};

// Two passes over the row for LayerNorm: the difference of squares would cancel.
template <class T>
HWY_INLINE RowStatistics row_statistics(const T* x, int64_t columns, const NormWeights& norm) {
  const Float d;
  const auto count = static_cast<float>(columns);
  float mean = 0;
  if (norm.is_centred) {
    V sum = hn::Zero(d);
    for (int64_t j = 0; j < columns; j += lanes()) sum = hn::Add(sum, load(x + j, columns - j));
    mean = hn::GetLane(hn::SumOfLanes(d, sum)) / count;
  }
  const V centre = hn::Set(d, mean);
  V square0 = hn::Zero(d), square1 = hn::Zero(d);
  int64_t j = 0;
  for (; j + 2 * lanes() <= columns; j += 2 * lanes()) {
    const V a = hn::Sub(load(x + j, lanes()), centre);
    const V b = hn::Sub(load(x + j + lanes(), lanes()), centre);
    square0 = hn::MulAdd(a, a, square0);
    square1 = hn::MulAdd(b, b, square1);
  }
  for (; j < columns; j += lanes()) {
    const auto mask = hn::FirstN(d, static_cast<size_t>(columns - j));
    const V a = hn::IfThenElseZero(mask, hn::Sub(load(x + j, columns - j), centre));
    square0 = hn::MulAdd(a, a, square0);
  }
  const float square = hn::GetLane(hn::SumOfLanes(d, hn::Add(square0, square1)));
  return {mean, 1 / std::sqrt(square / count + norm.eps)};
}

constexpr int64_t kRowsAhead = 8;
constexpr int64_t kLineBytes = 64;

template <class T>
HWY_INLINE void prefetch(const T* row, int64_t columns) {
  for (int64_t j = 0; j < columns; j += kLineBytes / static_cast<int64_t>(sizeof(T)))
    hwy::Prefetch(row + j);
}

template <class In, class Out>
HWY_INLINE void norm_row(const In* x, int64_t columns, const NormWeights& norm, float factor,
                         Out* y) {
  const Float d;
  const RowStatistics s = row_statistics(x, columns, norm);
  const V scale = hn::Set(d, s.rstd * factor), centre = hn::Set(d, s.mean),
          outer = hn::Set(d, factor);
  for (int64_t j = 0; j < columns; j += lanes()) {
    const int64_t n = columns - j;
    V v = hn::Mul(hn::Mul(hn::Sub(load(x + j, n), centre), scale), load(norm.weight + j, n));
    if (norm.bias != nullptr) v = hn::MulAdd(load(norm.bias + j, n), outer, v);
    store(v, y + j, n);
  }
}

void norm_forward_impl(const Rows& from, int64_t rows, int64_t columns, const NormWeights& norm,
                       float factor, const Rows& to) {
  typed(from, [&](const auto* in) {
    typed_out(to, [&](auto* out) {
      for (int64_t i = 0; i < rows; ++i) {
        // A head's rows are far apart: the hardware does not see the next one coming.
        if (i + kRowsAhead < rows) prefetch(in + (i + kRowsAhead) * from.stride, columns);
        norm_row(in + i * from.stride, columns, norm, factor, out + i * to.stride);
      }
    });
  });
}

void norm_backward_impl(const Rows& from, const Tile& gradient, const NormWeights& norm,
                        float factor, float* weight_sums, float* bias_sums) {
  const Float d;
  const int64_t columns = gradient.columns;
  typed(from, [&](const auto* in) {
    for (int64_t i = 0; i < gradient.rows; ++i) {
      const auto* x = in + i * from.stride;
      float* g = gradient.data + i * gradient.stride;
      const RowStatistics s = row_statistics(x, columns, norm);
      const V rstd = hn::Set(d, s.rstd), centre = hn::Set(d, s.mean), outer = hn::Set(d, factor);
      V dot = hn::Zero(d), sum = hn::Zero(d);
      for (int64_t j = 0; j < columns; j += lanes()) {
        const int64_t n = columns - j;
        const V xhat = hn::Mul(hn::Sub(load(x + j, n), centre), rstd);
        const V dy = hn::Mul(load(g + j, n), outer);
        if (weight_sums != nullptr)
          store(hn::MulAdd(dy, xhat, load(weight_sums + j, n)), weight_sums + j, n);
        if (bias_sums != nullptr) store(hn::Add(dy, load(bias_sums + j, n)), bias_sums + j, n);
        const V dxhat = hn::Mul(dy, load(norm.weight + j, n));
        dot = hn::MulAdd(dxhat, xhat, dot);  // lanes beyond n: dxhat is 0
        sum = hn::Add(sum, dxhat);
      }
      const auto count = static_cast<float>(columns);
      const V mean_dot = hn::Set(d, hn::GetLane(hn::SumOfLanes(d, dot)) / count);
      const V mean_sum =
          hn::Set(d, norm.is_centred ? hn::GetLane(hn::SumOfLanes(d, sum)) / count : 0.0F);
      for (int64_t j = 0; j < columns; j += lanes()) {
        const int64_t n = columns - j;
        const V xhat = hn::Mul(hn::Sub(load(x + j, n), centre), rstd);
        const V dxhat = hn::Mul(hn::Mul(load(g + j, n), outer), load(norm.weight + j, n));
        store(hn::Mul(rstd, hn::Sub(hn::NegMulAdd(xhat, mean_dot, dxhat), mean_sum)), g + j, n);
      }
    }
  });
}

}  // namespace vit22b::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace vit22b::cpu {
namespace {
HWY_EXPORT(norm_forward_impl);
HWY_EXPORT(norm_backward_impl);
}  // namespace

void norm_forward(const Rows& x, int64_t rows, int64_t columns, const NormWeights& norm,
                  float factor, const Rows& out) {
  HWY_DYNAMIC_DISPATCH(norm_forward_impl)(x, rows, columns, norm, factor, out);
}

void norm_backward(const Rows& x, const Tile& gradient, const NormWeights& norm, float factor,
                   float* weight_sums, float* bias_sums) {
  HWY_DYNAMIC_DISPATCH(norm_backward_impl)(x, gradient, norm, factor, weight_sums, bias_sums);
}

}  // namespace vit22b::cpu
#endif
