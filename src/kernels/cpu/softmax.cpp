#include "kernels/cpu/softmax.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/softmax.cpp"
#include <hwy/foreach_target.h>

#include <cmath>
#include <limits>

#include "kernels/cpu/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace vit22b::cpu::HWY_NAMESPACE {

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
HWY_EXPORT(online_softmax_impl);
HWY_EXPORT(softmax_by_lse_impl);
HWY_EXPORT(softmax_backward_impl);
HWY_EXPORT(scale_rows_impl);
HWY_EXPORT(row_dots_impl);
}  // namespace

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
