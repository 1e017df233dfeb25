#include "kernels/cpu/update.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/update.cpp"
#include <hwy/foreach_target.h>

#include "kernels/cpu/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace vit22b::cpu::HWY_NAMESPACE {

// Weights as they are written back.
struct PlainWeights {
  float* data;
  HWY_INLINE V get(int64_t i, int64_t n) const { return load(data + i, n); }
  HWY_INLINE void set(V v, int64_t i, int64_t n) const { store(v, data + i, n); }
};

// Up with the probability of what truncation would lose; infinities and NaN are kept.
struct HalfWeights {
  uint16_t* data;
  const uint32_t* random;
  HWY_INLINE V get(int64_t i, int64_t n) const { return load(data + i, n); }
  HWY_INLINE void set(V v, int64_t i, int64_t n) const {
    const Int di;
    const auto bits = hn::BitCast(di, v);
    const auto low = hn::And(hn::BitCast(di, load(reinterpret_cast<const float*>(random) + i, n)),
                             hn::Set(di, 0xffff));
    const auto exponent = hn::Set(di, 0x7f800000);
    const auto sum = hn::BitCast(Float(), hn::Add(bits, low));
    const auto is_kept =
        hn::BitCast(Float(), hn::VecFromMask(di, hn::Eq(hn::And(bits, exponent), exponent)));
    const V rounded = hn::Or(hn::AndNot(is_kept, sum), hn::And(is_kept, v));
    const hn::Rebind<uint16_t, Int> half;
    const auto packed = hn::DemoteTo(
        half, hn::And(hn::ShiftRight<16>(hn::BitCast(di, rounded)), hn::Set(di, 0xffff)));
    if (n >= lanes()) return hn::StoreU(packed, half, data + i);
    HWY_ALIGN uint16_t padded[hn::MaxLanes(di)];
    hn::StoreU(packed, half, padded);
    std::copy(padded, padded + n, data + i);
  }
};

template <class F>
HWY_INLINE void with_weights(const WeightValues& weight, const F& f) {
  if (weight.storage == Storage::kFloat32)
    f(PlainWeights{static_cast<float*>(weight.data)});
  else
    f(HalfWeights{static_cast<uint16_t*>(weight.data), weight.random});
}

template <class Weights>
HWY_INLINE void adamw_values(int64_t count, const AdamWStep& step, const float* gradient,
                             const Weights& weights, float* momentum, float* second_moment) {
  const V scale = constant(step.gradient_scale), rest1 = constant(1 - step.beta1),
          beta2 = constant(step.beta2), rest2 = constant(1 - step.beta2),
          root_scale = constant(step.root_scale), eps = constant(step.eps),
          step_size = constant(step.step_size), decay = constant(step.decay);
  for (int64_t i = 0; i < count; i += lanes()) {
    const int64_t n = count - i;
    const V g = hn::Mul(load(gradient + i, n), scale);
    V m = load(momentum + i, n);
    m = hn::MulAdd(hn::Sub(g, m), rest1, m);
    const V v = hn::MulAdd(hn::Mul(g, g), rest2, hn::Mul(load(second_moment + i, n), beta2));
    const V root = hn::MulAdd(hn::Sqrt(v), root_scale, eps);
    const V w = hn::Mul(weights.get(i, n), decay);
    store(m, momentum + i, n);
    store(v, second_moment + i, n);
    weights.set(hn::NegMulAdd(step_size, hn::Div(m, root), w), i, n);
  }
}

void adamw_update_impl(int64_t count, const AdamWStep& step, const float* gradient,
                       const WeightValues& weight, float* momentum, float* second_moment) {
  with_weights(weight, [&](const auto& weights) {
    adamw_values(count, step, gradient, weights, momentum, second_moment);
  });
}

void add_square_sums_impl(const float* gradient, int64_t rows, int64_t columns, float scale,
                          float* row_sums, float* column_sums) {
  const Float d;
  const V factor = constant(scale);
  for (int64_t i = 0; i < rows; ++i) {
    const float* row = gradient + i * columns;
    V sum = hn::Zero(d);
    for (int64_t j = 0; j < columns; j += lanes()) {
      const int64_t n = columns - j;
      const V g = hn::Mul(load(row + j, n), factor);
      const V square = hn::Mul(g, g);
      sum = hn::Add(sum, square);
      store(hn::Add(load(column_sums + j, n), square), column_sums + j, n);
    }
    row_sums[i] += hn::GetLane(hn::SumOfLanes(d, sum));
  }
}

template <class Weights>
HWY_INLINE void adafactor_values(const AdafactorRows& matrix, const AdafactorStep& step,
                                 const Weights& weights) {
  const V beta1 = constant(step.beta1), rest1 = constant(1 - step.beta1),
          rate = constant(step.learning_rate), decay = constant(step.weight_decay);
  for (int64_t i = 0; i < matrix.rows; ++i) {
    const V row_factor = constant(step.gradient_scale * matrix.row_factors[i]);
    for (int64_t j = 0; j < matrix.columns; j += lanes()) {
      const int64_t n = matrix.columns - j, at = i * matrix.columns + j;
      const V update = hn::Mul(hn::Mul(load(matrix.gradient + at, n), row_factor),
                               load(matrix.column_factors + j, n));
      const V m =
          rounded_to_half(hn::MulAdd(update, rest1, hn::Mul(load(matrix.momentum + at, n), beta1)));
      store(m, matrix.momentum + at, n);
      const V w = weights.get(at, n);
      weights.set(hn::NegMulAdd(hn::MulAdd(w, decay, m), rate, w), at, n);
    }
  }
}

void adafactor_update_impl(const AdafactorRows& matrix, const AdafactorStep& step) {
  with_weights(matrix.weight,
               [&](const auto& weights) { adafactor_values(matrix, step, weights); });
}

double sum_of_squares_impl(int64_t n, const float* values) {
  const hn::Repartition<double, Float> d;
  const hn::Rebind<float, decltype(d)> half;
  constexpr auto kStep = static_cast<int64_t>(hn::MaxLanes(d));
  auto sum0 = hn::Zero(d), sum1 = hn::Zero(d);
  int64_t i = 0;
  for (; i + 2 * kStep <= n; i += 2 * kStep) {
    const auto a = hn::PromoteTo(d, hn::LoadU(half, values + i)),
               b = hn::PromoteTo(d, hn::LoadU(half, values + i + kStep));
    sum0 = hn::MulAdd(a, a, sum0);
    sum1 = hn::MulAdd(b, b, sum1);
  }
  double sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(sum0, sum1)));
  for (; i < n; ++i) sum += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  return sum;
}

}  // namespace vit22b::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace vit22b::cpu {
namespace {
HWY_EXPORT(adamw_update_impl);
HWY_EXPORT(sum_of_squares_impl);
HWY_EXPORT(add_square_sums_impl);
HWY_EXPORT(adafactor_update_impl);
}  // namespace

void adamw_update(int64_t n, const AdamWStep& step, const float* gradient,
                  const WeightValues& weight, float* momentum, float* second_moment) {
  HWY_DYNAMIC_DISPATCH(adamw_update_impl)(n, step, gradient, weight, momentum, second_moment);
}
double sum_of_squares(int64_t n, const float* values) {
  return HWY_DYNAMIC_DISPATCH(sum_of_squares_impl)(n, values);
}

void add_square_sums(const float* gradient, int64_t rows, int64_t columns, float scale,
                     float* row_sums, float* column_sums) {
  HWY_DYNAMIC_DISPATCH(add_square_sums_impl)(gradient, rows, columns, scale, row_sums, column_sums);
}
void adafactor_update(const AdafactorRows& matrix, const AdafactorStep& step) {
  HWY_DYNAMIC_DISPATCH(adafactor_update_impl)(matrix, step);
}

}  // namespace vit22b::cpu
#endif
