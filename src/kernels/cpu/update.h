#pragma once
#include <cstdint>

#include "kernels/cpu/rows.h"

/// Optimizer updates: each reads and writes every value once. One core; no allocation.
namespace vit22b::cpu {

/// Weights that an update overwrites: float32, or bfloat16 that is rounded stochastically.
struct WeightValues {
  void* data = nullptr;
  Storage storage = Storage::kFloat32;
  const uint32_t* random = nullptr;  ///< a word for each value; the low 16 bits are used
};

/// The numbers of one AdamW update.
struct AdamWStep {
  float gradient_scale = 1;
  float beta1 = 0.9F, beta2 = 0.999F;
  float root_scale = 1;  ///< 1 / sqrt(1 - beta2^t)
  float eps = 1e-8F;
  float step_size = 0;  ///< lr / (1 - beta1^t)
  float decay = 1;      ///< 1 - lr * weight_decay
};
/// Overwrites n weights and their two moments.
void adamw_update(int64_t n, const AdamWStep& step, const float* gradient,
                  const WeightValues& weight, float* momentum, float* second_moment);

/// The sum of n squares, in float64.
double sum_of_squares(int64_t n, const float* values);

/// Adds, for rows x columns of a gradient times `scale`, the squares by row and by column.
void add_square_sums(const float* gradient, int64_t rows, int64_t columns, float scale,
                     float* row_sums, float* column_sums);

/// The numbers of one Adafactor update, after the second moments.
struct AdafactorStep {
  float gradient_scale = 1;
  float beta1 = 0.9F;
  float learning_rate = 0;
  float weight_decay = 0;
};
/// Some rows of a matrix, and what is read and written for them.
struct AdafactorRows {
  int64_t rows = 0, columns = 0;
  const float* gradient = nullptr;
  const float* row_factors = nullptr;     ///< one a row
  const float* column_factors = nullptr;  ///< one a column
  WeightValues weight;
  uint16_t* momentum = nullptr;  ///< bfloat16
};
/// weight -= lr (m + weight_decay weight) with m = beta1 m + (1 - beta1) g row_factor
/// column_factor; the weight is updated by the rounded momentum.
void adafactor_update(const AdafactorRows& matrix, const AdafactorStep& step);

}  // namespace vit22b::cpu
