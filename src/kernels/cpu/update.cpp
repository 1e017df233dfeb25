#include "kernels/cpu/update.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/update.cpp"
#include <hwy/foreach_target.h>

#include "kernels/cpu/vector-inl.h"

HWY_BEFORE_NAMESPACE();
namespace vit22b::cpu::HWY_NAMESPACE {

void adamw_update_impl(int64_t count, const AdamWStep& step, const float* gradient, float* weight,
                       float* momentum, float* second_moment) {
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
    const V w = hn::Mul(load(weight + i, n), decay);
    store(m, momentum + i, n);
    store(v, second_moment + i, n);
    store(hn::NegMulAdd(step_size, hn::Div(m, root), w), weight + i, n);
  }
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

void adafactor_update_impl(const AdafactorRows& matrix, const AdafactorStep& step) {
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
      const V w = load(matrix.weight + at, n);
      store(hn::NegMulAdd(hn::MulAdd(w, decay, m), rate, w), matrix.weight + at, n);
    }
  }
}

}  // namespace vit22b::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace vit22b::cpu {
namespace {
HWY_EXPORT(adamw_update_impl);
HWY_EXPORT(add_square_sums_impl);
HWY_EXPORT(adafactor_update_impl);
}  // namespace

void adamw_update(int64_t n, const AdamWStep& step, const float* gradient, float* weight,
                  float* momentum, float* second_moment) {
  HWY_DYNAMIC_DISPATCH(adamw_update_impl)(n, step, gradient, weight, momentum, second_moment);
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
