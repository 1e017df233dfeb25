#include "kernels/cpu/softmax.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/softmax.cpp"
#include <hwy/foreach_target.h>

#include <cmath>
#include <limits>

#include "kernels/cpu/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace vit22b::cpu::HWY_NAMESPACE {

HWY_INLINE float row_maximum(const float* row, int64_t columns) {
  const Float d;
  const V lowest = hn::Set(d, -std::numeric_limits<float>::infinity());
  V largest = lowest;
  int64_t j = 0;
  for (; j + lanes() <= columns; j += lanes()) largest = hn::Max(largest, hn::LoadU(d, row + j));
  if (j < columns) {
    const auto mask = hn::FirstN(d, static_cast<size_t>(columns - j));
    largest = hn::Max(largest, hn::IfThenElse(mask, load(row + j, columns - j), lowest));
  }
  return hn::GetLane(hn::MaxOfLanes(d, largest));
}

// out = exp(row - maximum), which may lie over the row; returns the sum.
template <class T>
HWY_INLINE float exponentials(const float* row, int64_t columns, float maximum, T* out) {
  const Float d;
  const V centre = hn::Set(d, maximum);
  V sum = hn::Zero(d);
  int64_t j = 0;
  for (; j + lanes() <= columns; j += lanes()) {
    const V e = exponential(hn::Sub(hn::LoadU(d, row + j), centre));
    store(e, out + j, lanes());
    sum = hn::Add(sum, e);
  }
  if (j < columns) {
    const auto mask = hn::FirstN(d, static_cast<size_t>(columns - j));
    const V e = hn::IfThenElseZero(mask, exponential(hn::Sub(load(row + j, columns - j), centre)));
    store(e, out + j, columns - j);
    sum = hn::Add(sum, e);
  }
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

void online_softmax_impl(const Tile& t, const Rows& weights, float* maxima, float* sums,
                         float* corrections) {
  typed_out(weights, [&](auto* out) {
    for (int64_t i = 0; i < t.rows; ++i) {
      const float* row = t.data + i * t.stride;
      const float maximum = std::max(maxima[i], row_maximum(row, t.columns));
      const float sum = exponentials(row, t.columns, maximum, out + i * weights.stride);
      // The first block has no old maximum: e^-inf is 0.
      corrections[i] = std::exp(maxima[i] - maximum);
      sums[i] = sums[i] * corrections[i] + sum;
      maxima[i] = maximum;
    }
  });
}

void softmax_by_lse_impl(const Tile& t, const float* lse, const Rows& weights) {
  const Float d;
  typed_out(weights, [&](auto* out) {
    for (int64_t i = 0; i < t.rows; ++i) {
      const float* row = t.data + i * t.stride;
      const V centre = hn::Set(d, lse[i]);
      for (int64_t j = 0; j < t.columns; j += lanes()) {
        const int64_t n = t.columns - j;
        store(exponential(hn::Sub(load(row + j, n), centre)), out + i * weights.stride + j, n);
      }
    }
  });
}

void softmax_backward_impl(const Rows& weights, const Tile& gradients, const float* delta) {
  const Float d;
  typed_out(weights, [&](auto* first) {
    for (int64_t i = 0; i < gradients.rows; ++i) {
      auto* p = first + i * weights.stride;
      const float* g = gradients.data + i * gradients.stride;
      const V mean = hn::Set(d, delta[i]);
      for (int64_t j = 0; j < gradients.columns; j += lanes()) {
        const int64_t n = gradients.columns - j;
        store(hn::Mul(load(p + j, n), hn::Sub(load(g + j, n), mean)), p + j, n);
      }
    }
  });
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

void row_dots_impl(const Rows& a, const Rows& b, int64_t rows, int64_t columns, float* result) {
  const Float d;
  typed(a, [&](const auto* one) {
    typed(b, [&](const auto* other) {
      for (int64_t i = 0; i < rows; ++i) {
        V sum = hn::Zero(d);
        for (int64_t j = 0; j < columns; j += lanes()) {
          const int64_t n = columns - j;
          sum = hn::MulAdd(load(one + i * a.stride + j, n), load(other + i * b.stride + j, n), sum);
        }
        result[i] = hn::GetLane(hn::SumOfLanes(d, sum));
      }
    });
  });
}

void add_weighted_rows_impl(const Rows& a, const float* factors, int64_t rows, int64_t columns,
                            float* sum) {
  const Float d;
  typed(a, [&](const auto* in) {
    for (int64_t j = 0; j < columns; j += lanes()) {
      const int64_t n = columns - j;
      V total = load(sum + j, n);
      for (int64_t i = 0; i < rows; ++i)
        total = hn::MulAdd(load(in + i * a.stride + j, n), hn::Set(d, factors[i]), total);
      store(total, sum + j, n);
    }
  });
}

void outer_product_impl(const float* factors, const float* a, int64_t rows, int64_t columns,
                        const Rows& to) {
  const Float d;
  typed_out(to, [&](auto* out) {
    for (int64_t i = 0; i < rows; ++i) {
      const V factor = hn::Set(d, factors[i]);
      for (int64_t j = 0; j < columns; j += lanes())
        store(hn::Mul(factor, load(a + j, columns - j)), out + i * to.stride + j, columns - j);
    }
  });
}

}  // namespace vit22b::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace vit22b::cpu {
namespace {
HWY_EXPORT(online_softmax_impl);
HWY_EXPORT(softmax_by_lse_impl);
HWY_EXPORT(softmax_backward_impl);
HWY_EXPORT(scale_rows_impl);
HWY_EXPORT(row_dots_impl);
HWY_EXPORT(add_weighted_rows_impl);
HWY_EXPORT(outer_product_impl);
}  // namespace

void online_softmax(const Tile& scores, const Rows& weights, float* maxima, float* sums,
                    float* corrections) {
  HWY_DYNAMIC_DISPATCH(online_softmax_impl)(scores, weights, maxima, sums, corrections);
}

void softmax_by_lse(const Tile& scores, const float* lse, const Rows& weights) {
  HWY_DYNAMIC_DISPATCH(softmax_by_lse_impl)(scores, lse, weights);
}

void softmax_backward(const Rows& weights, const Tile& weight_gradients, const float* delta) {
  HWY_DYNAMIC_DISPATCH(softmax_backward_impl)(weights, weight_gradients, delta);
}

void scale_rows(const Tile& tile, const float* factors) {
  HWY_DYNAMIC_DISPATCH(scale_rows_impl)(tile, factors);
}

void row_dots(const Rows& a, const Rows& b, int64_t rows, int64_t columns, float* result) {
  HWY_DYNAMIC_DISPATCH(row_dots_impl)(a, b, rows, columns, result);
}

void add_weighted_rows(const Rows& a, const float* factors, int64_t rows, int64_t columns,
                       float* sum) {
  HWY_DYNAMIC_DISPATCH(add_weighted_rows_impl)(a, factors, rows, columns, sum);
}

void outer_product(const float* factors, const float* a, int64_t rows, int64_t columns,
                   const Rows& out) {
  HWY_DYNAMIC_DISPATCH(outer_product_impl)(factors, a, rows, columns, out);
}

}  // namespace vit22b::cpu
#endif
