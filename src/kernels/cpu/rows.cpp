#include "kernels/cpu/rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/rows.cpp"
#include <hwy/foreach_target.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace vit22b::cpu::HWY_NAMESPACE {

// Calls f with a typed pointer: float* or uint16_t* (bfloat16).
template <class F>
HWY_INLINE void typed(const Rows& rows, const F& f) {
  if (rows.storage == Storage::kFloat32)
    f(static_cast<float*>(rows.data));
  else
    f(static_cast<uint16_t*>(rows.data));
}

// e^x for x <= 88, 2 ulp; 0 below -87.3. Range reduction by ln 2 in two parts, then the series of
// e^r to the sixth power on |r| <= ln 2 / 2, its coefficients minimax (Cephes' expf).
HWY_INLINE V exponential(V x) {
  const Float d;
  const Int di;
  const V low = constant(-87.336544);
  const auto is_tiny = hn::Lt(x, low);
  x = hn::Min(hn::Max(x, low), constant(88.0));
  const V n = hn::Round(hn::Mul(x, constant(1.44269504088896341)));
  V r = hn::NegMulAdd(n, constant(0.693359375), x);
  r = hn::NegMulAdd(n, constant(-2.12194440e-4), r);
  V p = constant(1.9875691500e-4);
  p = hn::MulAdd(p, r, constant(1.3981999507e-3));
  p = hn::MulAdd(p, r, constant(8.3334519073e-3));
  p = hn::MulAdd(p, r, constant(4.1665795894e-2));
  p = hn::MulAdd(p, r, constant(1.6666665459e-1));
  p = hn::MulAdd(p, r, constant(5.0000001201e-1));
  p = hn::MulAdd(p, hn::Mul(r, r), hn::Add(r, constant(1)));
  const auto power = hn::ShiftLeft<23>(hn::Add(hn::ConvertTo(di, n), hn::Set(di, 127)));
  return hn::IfThenZeroElse(is_tiny, hn::Mul(p, hn::BitCast(d, power)));
}

// 1 / x by the hardware's estimate and two Newton steps: 1 ulp for normal x.
HWY_INLINE V reciprocal(V x) {
  V y = hn::ApproximateReciprocal(x);
  y = hn::Mul(y, hn::NegMulAdd(x, y, constant(2)));
  return hn::Mul(y, hn::NegMulAdd(x, y, constant(2)));
}

struct GeluParts {
  V value, slope;
};

// tanh form: x s(2z) with z = sqrt(2/pi) (x + 0.044715 x^3), since (1 + tanh z) / 2 = s(2z).
template <bool kSlope>
HWY_INLINE GeluParts gelu_tanh(V x) {
  const V square = hn::Mul(x, x);
  const V two_z = hn::Mul(x, hn::MulAdd(square, constant(2 * 0.79788456080286536 * 0.044715),
                                        constant(2 * 0.79788456080286536)));
  const V e = exponential(hn::Min(hn::Neg(two_z), constant(80)));
  const V s = reciprocal(hn::Add(constant(1), e));
  GeluParts g{hn::Mul(x, s), s};
  if (kSlope) {
    const V two_z_slope = hn::MulAdd(square, constant(6 * 0.79788456080286536 * 0.044715),
                                     constant(2 * 0.79788456080286536));
    // s'(2z) = s (1 - s), and 1 - s = e s without cancellation.
    g.slope = hn::MulAdd(hn::Mul(g.value, hn::Mul(hn::Mul(e, s), two_z_slope)), constant(1), s);
  }
  return g;
}

// erf form, by Abramowitz and Stegun 7.1.26: |error| <= 1.5e-7.
template <bool kSlope>
HWY_INLINE GeluParts gelu_erf(V x) {
  const V a = hn::Mul(hn::Abs(x), constant(0.70710678118654752));
  const V t = reciprocal(hn::MulAdd(a, constant(0.3275911), constant(1)));
  const V density = exponential(hn::Neg(hn::Mul(a, a)));
  V p = constant(1.061405429);
  p = hn::MulAdd(p, t, constant(-1.453152027));
  p = hn::MulAdd(p, t, constant(1.421413741));
  p = hn::MulAdd(p, t, constant(-0.284496736));
  p = hn::MulAdd(p, t, constant(0.254829592));
  const V half_tail = hn::Mul(constant(0.5), hn::Mul(hn::Mul(p, t), density));
  const V phi =
      hn::IfThenElse(hn::Lt(x, hn::Zero(Float())), half_tail, hn::Sub(constant(1), half_tail));
  GeluParts g{hn::Mul(x, phi), phi};
  if (kSlope) g.slope = hn::MulAdd(hn::Mul(x, constant(0.39894228040143268)), density, phi);
  return g;
}

template <bool kSlope>
HWY_INLINE GeluParts gelu(V x, Gelu form) {
  return form == Gelu::kTanh ? gelu_tanh<kSlope>(x) : gelu_erf<kSlope>(x);
}

void load_rows_impl(const Rows& from, const Tile& to) {
  typed(from, [&](const auto* in) {
    for (int64_t i = 0; i < to.rows; ++i)
      for (int64_t j = 0; j < to.columns; j += lanes()) {
        const int64_t n = to.columns - j;
        store(load(in + i * from.stride + j, n), to.data + i * to.stride + j, n);
      }
  });
}

void bias_store_impl(const Tile& t, const float* bias, const Rows& to) {
  typed(to, [&](auto* out) {
    for (int64_t i = 0; i < t.rows; ++i)
      for (int64_t j = 0; j < t.columns; j += lanes()) {
        const int64_t n = t.columns - j;
        V v = load(t.data + i * t.stride + j, n);
        if (bias != nullptr) v = hn::Add(v, load(bias + j, n));
        store(v, out + i * to.stride + j, n);
      }
  });
}

void bias_gelu_impl(const Tile& t, const float* bias, Gelu form, const Rows& pre,
                    const Rows& activation) {
  typed(activation, [&](auto* out) {
    using T = std::remove_pointer_t<decltype(out)>;
    auto* kept = static_cast<T*>(pre.data);
    for (int64_t i = 0; i < t.rows; ++i)
      for (int64_t j = 0; j < t.columns; j += lanes()) {
        const int64_t n = t.columns - j;
        V x = load(t.data + i * t.stride + j, n);
        if (bias != nullptr) x = hn::Add(x, load(bias + j, n));
        if (kept != nullptr) store(x, kept + i * pre.stride + j, n);
        store(gelu<false>(x, form).value, out + i * activation.stride + j, n);
      }
  });
}

void gelu_backward_impl(const Tile& t, const Rows& pre, Gelu form, const Rows& activation,
                        const Tile& to, float* column_sums) {
  typed(activation, [&](auto* recomputed) {
    using T = std::remove_pointer_t<decltype(recomputed)>;
    const auto* kept = static_cast<const T*>(pre.data);
    for (int64_t i = 0; i < t.rows; ++i)
      for (int64_t j = 0; j < t.columns; j += lanes()) {
        const int64_t n = t.columns - j;
        const GeluParts g = gelu<true>(load(kept + i * pre.stride + j, n), form);
        const V product = hn::Mul(load(t.data + i * t.stride + j, n), g.slope);
        store(product, to.data + i * to.stride + j, n);
        store(g.value, recomputed + i * activation.stride + j, n);
        if (column_sums != nullptr)
          store(hn::Add(load(column_sums + j, n), product), column_sums + j, n);
      }
  });
}

void bias_scale_residual_impl(const Tile& t, const float* bias, const float* scale,
                              const Rows& residual, const Rows& branch, const Rows& to) {
  typed(to, [&](auto* out) {
    using T = std::remove_pointer_t<decltype(out)>;
    const auto* base = static_cast<const T*>(residual.data);
    auto* kept = static_cast<T*>(branch.data);
    for (int64_t i = 0; i < t.rows; ++i)
      for (int64_t j = 0; j < t.columns; j += lanes()) {
        const int64_t n = t.columns - j;
        V v = load(t.data + i * t.stride + j, n);
        if (bias != nullptr) v = hn::Add(v, load(bias + j, n));
        if (kept != nullptr) store(v, kept + i * branch.stride + j, n);
        const V r = load(base + i * residual.stride + j, n);
        v = scale != nullptr ? hn::MulAdd(v, load(scale + j, n), r) : hn::Add(v, r);
        store(v, out + i * to.stride + j, n);
      }
  });
}

void add_column_sums_impl(const Tile& t, float* sums) {
  for (int64_t i = 0; i < t.rows; ++i)
    for (int64_t j = 0; j < t.columns; j += lanes()) {
      const int64_t n = t.columns - j;
      store(hn::Add(load(sums + j, n), load(t.data + i * t.stride + j, n)), sums + j, n);
    }
}

void scale_backward_impl(const Tile& t, const float* scale, const Rows& other, float* sums) {
  typed(other, [&](const auto* branch) {
    for (int64_t i = 0; i < t.rows; ++i)
      for (int64_t j = 0; j < t.columns; j += lanes()) {
        const int64_t n = t.columns - j;
        float* p = t.data + i * t.stride + j;
        const V g = load(p, n);
        store(hn::MulAdd(g, load(branch + i * other.stride + j, n), load(sums + j, n)), sums + j,
              n);
        store(hn::Mul(g, load(scale + j, n)), p, n);
      }
  });
}

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

void norm_forward_impl(const Rows& from, int64_t rows, int64_t columns, const NormWeights& norm,
                       float factor, const Tile& to) {
  const Float d;
  typed(from, [&](const auto* in) {
    for (int64_t i = 0; i < rows; ++i) {
      const auto* x = in + i * from.stride;
      float* y = to.data + i * to.stride;
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

void online_softmax_impl(const Tile& t, float* maxima, float* sums, float* corrections) {
  const Float d;
  const V lowest = hn::Set(d, -std::numeric_limits<float>::infinity());
  for (int64_t i = 0; i < t.rows; ++i) {
    float* row = t.data + i * t.stride;
    V largest = lowest;
    int64_t j = 0;
    for (; j + lanes() <= t.columns; j += lanes())
      largest = hn::Max(largest, hn::LoadU(d, row + j));
    if (j < t.columns) {
      const auto mask = hn::FirstN(d, static_cast<size_t>(t.columns - j));
      largest = hn::Max(largest, hn::IfThenElse(mask, load(row + j, t.columns - j), lowest));
    }
    const float maximum = std::max(maxima[i], hn::GetLane(hn::MaxOfLanes(d, largest)));
    const V centre = hn::Set(d, maximum);
    V sum = hn::Zero(d);
    for (j = 0; j + lanes() <= t.columns; j += lanes()) {
      const V e = exponential(hn::Sub(hn::LoadU(d, row + j), centre));
      hn::StoreU(e, d, row + j);
      sum = hn::Add(sum, e);
    }
    if (j < t.columns) {
      const auto mask = hn::FirstN(d, static_cast<size_t>(t.columns - j));
      const V e =
          hn::IfThenElseZero(mask, exponential(hn::Sub(load(row + j, t.columns - j), centre)));
      store(e, row + j, t.columns - j);
      sum = hn::Add(sum, e);
    }
    // The first block has no old maximum: e^-inf is 0.
    corrections[i] = std::exp(maxima[i] - maximum);
    sums[i] = sums[i] * corrections[i] + hn::GetLane(hn::SumOfLanes(d, sum));
    maxima[i] = maximum;
  }
}

void softmax_by_lse_impl(const Tile& t, const float* lse) {
  const Float d;
  for (int64_t i = 0; i < t.rows; ++i) {
    float* row = t.data + i * t.stride;
    const V centre = hn::Set(d, lse[i]);
    for (int64_t j = 0; j < t.columns; j += lanes()) {
      const int64_t n = t.columns - j;
      store(exponential(hn::Sub(load(row + j, n), centre)), row + j, n);
    }
  }
}

void softmax_backward_impl(const Tile& weights, const Tile& gradients, const float* delta) {
  const Float d;
  for (int64_t i = 0; i < weights.rows; ++i) {
    float* p = weights.data + i * weights.stride;
    const float* g = gradients.data + i * gradients.stride;
    const V mean = hn::Set(d, delta[i]);
    for (int64_t j = 0; j < weights.columns; j += lanes()) {
      const int64_t n = weights.columns - j;
      store(hn::Mul(load(p + j, n), hn::Sub(load(g + j, n), mean)), p + j, n);
    }
  }
}

void scale_rows_impl(const Tile& t, const float* factors) {
  const Float d;
  for (int64_t i = 0; i < t.rows; ++i) {
    const V factor = hn::Set(d, factors[i]);
    float* row = t.data + i * t.stride;
    for (int64_t j = 0; j < t.columns; j += lanes())
      store(hn::Mul(load(row + j, t.columns - j), factor), row + j, t.columns - j);
  }
}

void row_dots_impl(const Tile& a, const Rows& b, float* result) {
  const Float d;
  typed(b, [&](const auto* other) {
    for (int64_t i = 0; i < a.rows; ++i) {
      V sum = hn::Zero(d);
      for (int64_t j = 0; j < a.columns; j += lanes()) {
        const int64_t n = a.columns - j;
        sum =
            hn::MulAdd(load(a.data + i * a.stride + j, n), load(other + i * b.stride + j, n), sum);
      }
      result[i] = hn::GetLane(hn::SumOfLanes(d, sum));
    }
  });
}

}  // namespace vit22b::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace vit22b::cpu {
namespace {
HWY_EXPORT(load_rows_impl);
HWY_EXPORT(bias_store_impl);
HWY_EXPORT(bias_gelu_impl);
HWY_EXPORT(gelu_backward_impl);
HWY_EXPORT(bias_scale_residual_impl);
HWY_EXPORT(add_column_sums_impl);
HWY_EXPORT(scale_backward_impl);
HWY_EXPORT(norm_forward_impl);
HWY_EXPORT(norm_backward_impl);
HWY_EXPORT(online_softmax_impl);
HWY_EXPORT(softmax_by_lse_impl);
HWY_EXPORT(softmax_backward_impl);
HWY_EXPORT(scale_rows_impl);
HWY_EXPORT(row_dots_impl);
}  // namespace

void load_rows(const Rows& from, const Tile& to) {
  HWY_DYNAMIC_DISPATCH(load_rows_impl)(from, to);
}
void store_rows(const Tile& from, const Rows& to) {
  bias_store(from, nullptr, to);
}
void bias_store(const Tile& tile, const float* bias, const Rows& out) {
  HWY_DYNAMIC_DISPATCH(bias_store_impl)(tile, bias, out);
}
void bias_gelu(const Tile& tile, const float* bias, Gelu form, const Rows& pre_activation,
               const Rows& activation) {
  HWY_DYNAMIC_DISPATCH(bias_gelu_impl)(tile, bias, form, pre_activation, activation);
}
void gelu_backward(const Tile& tile, const Rows& pre_activation, Gelu form, const Rows& activation,
                   const Tile& out, float* column_sums) {
  HWY_DYNAMIC_DISPATCH(gelu_backward_impl)
  (tile, pre_activation, form, activation, out, column_sums);
}
void bias_scale_residual(const Tile& tile, const float* bias, const float* scale,
                         const Rows& residual, const Rows& branch, const Rows& out) {
  HWY_DYNAMIC_DISPATCH(bias_scale_residual_impl)(tile, bias, scale, residual, branch, out);
}
void add_column_sums(const Tile& tile, float* sums) {
  HWY_DYNAMIC_DISPATCH(add_column_sums_impl)(tile, sums);
}
void scale_backward(const Tile& tile, const float* scale, const Rows& other, float* sums) {
  HWY_DYNAMIC_DISPATCH(scale_backward_impl)(tile, scale, other, sums);
}
void norm_forward(const Rows& x, int64_t rows, int64_t columns, const NormWeights& norm,
                  float factor, const Tile& out) {
  HWY_DYNAMIC_DISPATCH(norm_forward_impl)(x, rows, columns, norm, factor, out);
}
void norm_backward(const Rows& x, const Tile& gradient, const NormWeights& norm, float factor,
                   float* weight_sums, float* bias_sums) {
  HWY_DYNAMIC_DISPATCH(norm_backward_impl)(x, gradient, norm, factor, weight_sums, bias_sums);
}
void online_softmax(const Tile& scores, float* maxima, float* sums, float* corrections) {
  HWY_DYNAMIC_DISPATCH(online_softmax_impl)(scores, maxima, sums, corrections);
}
void softmax_by_lse(const Tile& scores, const float* lse) {
  HWY_DYNAMIC_DISPATCH(softmax_by_lse_impl)(scores, lse);
}
void softmax_backward(const Tile& weights, const Tile& weight_gradients, const float* delta) {
  HWY_DYNAMIC_DISPATCH(softmax_backward_impl)(weights, weight_gradients, delta);
}
void scale_rows(const Tile& tile, const float* factors) {
  HWY_DYNAMIC_DISPATCH(scale_rows_impl)(tile, factors);
}
void row_dots(const Tile& a, const Rows& b, float* result) {
  HWY_DYNAMIC_DISPATCH(row_dots_impl)(a, b, result);
}

}  // namespace vit22b::cpu
#endif
