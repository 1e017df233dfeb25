#include "kernels/cpu/norms.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/norms.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>

#include <cmath>
#include <type_traits>

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

struct Extent {
  int64_t rows, columns;
};

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

// Rows of kN whole vectors, such as heads: they stay in registers, as do the norm's weights.
template <int kN>
struct WholeRows {
  V weight[kN], bias[kN];
  const NormWeights& norm;
  const V outer;

  WholeRows(const NormWeights& n, float factor) : norm(n), outer(hn::Set(Float(), factor)) {
#pragma GCC unroll 8
    for (int j = 0; j < kN; ++j) {
      weight[j] = hn::Mul(hn::LoadU(Float(), n.weight + j * lanes()), outer);
      bias[j] = n.bias == nullptr ? hn::Zero(Float())
                                  : hn::Mul(hn::LoadU(Float(), n.bias + j * lanes()), outer);
    }
  }

  static float sum_of(const V (&x)[kN]) {
    V sum = x[0];
#pragma GCC unroll 8
    for (int j = 1; j < kN; ++j) sum = hn::Add(sum, x[j]);
    return hn::GetLane(hn::SumOfLanes(Float(), sum));
  }
  static float mean_of(const V (&x)[kN]) {
    return sum_of(x) / static_cast<float>(kN * lanes());
  }

  // The row, centred where the norm is, and 1 / its deviation.
  template <class T>
  float load_row(const T* from, V (&x)[kN]) const {
#pragma GCC unroll 8
    for (int j = 0; j < kN; ++j) x[j] = load(from + j * lanes(), lanes());
    if (norm.is_centred) {
      const V mean = hn::Set(Float(), mean_of(x));
#pragma GCC unroll 8
      for (int j = 0; j < kN; ++j) x[j] = hn::Sub(x[j], mean);
    }
    V square[kN];
#pragma GCC unroll 8
    for (int j = 0; j < kN; ++j) square[j] = hn::Mul(x[j], x[j]);
    return 1 / std::sqrt(mean_of(square) + norm.eps);
  }

  template <class In, class Out>
  void forward(const In* from, Out* to) const {
    V x[kN];
    const V rstd = hn::Set(Float(), load_row(from, x));
#pragma GCC unroll 8
    for (int j = 0; j < kN; ++j)
      store(hn::MulAdd(hn::Mul(x[j], rstd), weight[j], bias[j]), to + j * lanes(), lanes());
  }

  // The gradient g becomes that of the row; those of weight and bias are added to the sums.
  template <class In>
  void backward(const In* from, float* g, V (&weight_sum)[kN], V (&bias_sum)[kN]) const {
    V x[kN], product[kN], d_x[kN];
    const V rstd = hn::Set(Float(), load_row(from, x));
#pragma GCC unroll 8
    for (int j = 0; j < kN; ++j) {
      const V d_y = hn::LoadU(Float(), g + j * lanes());
      x[j] = hn::Mul(x[j], rstd);
      weight_sum[j] = hn::MulAdd(d_y, x[j], weight_sum[j]);
      bias_sum[j] = hn::Add(bias_sum[j], d_y);
      d_x[j] = hn::Mul(d_y, weight[j]);
      product[j] = hn::Mul(d_x[j], x[j]);
    }
    const V mean_dot = hn::Set(Float(), mean_of(product)),
            mean_sum = hn::Set(Float(), norm.is_centred ? mean_of(d_x) : 0.0F);
#pragma GCC unroll 8
    for (int j = 0; j < kN; ++j)
      hn::StoreU(hn::Mul(rstd, hn::Sub(hn::NegMulAdd(x[j], mean_dot, d_x[j]), mean_sum)), Float(),
                 g + j * lanes());
  }

  // sums += factor * sum, where they are wanted.
  void add_sums(const V (&sum)[kN], float* sums) const {
    if (sums == nullptr) return;
    for (int j = 0; j < kN; ++j)
      hn::StoreU(hn::MulAdd(sum[j], outer, hn::LoadU(Float(), sums + j * lanes())), Float(),
                 sums + j * lanes());
  }
};

// Calls f(std::integral_constant<int, vectors>) where rows of so many columns are few whole
// vectors; whether it did.
template <class F>
HWY_INLINE bool if_whole_rows(int64_t columns, const F& f) {
  if (columns % lanes() != 0) return false;
  switch (columns / lanes()) {
    case 2:
      return f(std::integral_constant<int, 2>()), true;
    case 4:
      return f(std::integral_constant<int, 4>()), true;
    case 6:
      return f(std::integral_constant<int, 6>()), true;
    case 8:
      return f(std::integral_constant<int, 8>()), true;
    default:
      return false;
  }
}

// Calls row(i) for each row of `from`, the rows that follow asked for: a head's are far apart, so
// that the hardware does not see the next one coming.
template <class T, class F>
HWY_INLINE void each_row(const T* from, int64_t stride, Extent extent, const F& row) {
  for (int64_t i = 0; i < extent.rows; ++i) {
    if (i + kRowsAhead < extent.rows) prefetch(from + (i + kRowsAhead) * stride, extent.columns);
    row(i);
  }
}

void norm_forward_impl(const Rows& from, int64_t rows, int64_t columns, const NormWeights& norm,
                       float factor, const Rows& to) {
  typed(from, [&](const auto* in) {
    typed_out(to, [&](auto* out) {
      const bool is_done = if_whole_rows(columns, [&](auto vectors) {
        const WholeRows<vectors> whole(norm, factor);
        each_row(in, from.stride, {rows, columns},
                 [&](int64_t i) { whole.forward(in + i * from.stride, out + i * to.stride); });
      });
      if (is_done) return;
      each_row(in, from.stride, {rows, columns}, [&](int64_t i) {
        norm_row(in + i * from.stride, columns, norm, factor, out + i * to.stride);
      });
    });
  });
}

// Where gradients of weight and bias are added; null for not at all.
struct Sums {
  float *weight, *bias;
};

template <class T>
HWY_INLINE void norm_row_backward(const T* x, float* g, int64_t columns, const NormWeights& norm,
                                  float factor, Sums sums) {
  const Float d;
  const RowStatistics s = row_statistics(x, columns, norm);
  const V rstd = hn::Set(d, s.rstd), centre = hn::Set(d, s.mean), outer = hn::Set(d, factor);
  V dot = hn::Zero(d), sum = hn::Zero(d);
  for (int64_t j = 0; j < columns; j += lanes()) {
    const int64_t n = columns - j;
    const V xhat = hn::Mul(hn::Sub(load(x + j, n), centre), rstd);
    const V dy = hn::Mul(load(g + j, n), outer);
    if (sums.weight != nullptr)
      store(hn::MulAdd(dy, xhat, load(sums.weight + j, n)), sums.weight + j, n);
    if (sums.bias != nullptr) store(hn::Add(dy, load(sums.bias + j, n)), sums.bias + j, n);
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

void norm_backward_impl(const Rows& from, const Tile& gradient, const NormWeights& norm,
                        float factor, float* weight_sums, float* bias_sums) {
  const Extent extent{gradient.rows, gradient.columns};
  const auto row_of_gradient = [&](int64_t i) { return gradient.data + i * gradient.stride; };
  typed(from, [&](const auto* in) {
    const bool is_done = if_whole_rows(extent.columns, [&](auto vectors) {
      const WholeRows<vectors> whole(norm, factor);
      V weight_sum[vectors], bias_sum[vectors];
      for (int j = 0; j < vectors; ++j) weight_sum[j] = bias_sum[j] = hn::Zero(Float());
      each_row(in, from.stride, extent, [&](int64_t i) {
        whole.backward(in + i * from.stride, row_of_gradient(i), weight_sum, bias_sum);
      });
      whole.add_sums(weight_sum, weight_sums);
      whole.add_sums(bias_sum, bias_sums);
    });
    if (is_done) return;
    each_row(in, from.stride, extent, [&](int64_t i) {
      norm_row_backward(in + i * from.stride, row_of_gradient(i), extent.columns, norm, factor,
                        {weight_sums, bias_sums});
    });
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
