#pragma once
#include <cstdint>

#include "kernels/cpu/rows.h"

/// Softmax over blocks of scores, and its derivative, on one core.
namespace vit22b::cpu {

/// One step of a softmax over blocks of keys: weights = exp(score - new maximum); `maxima` and
/// `sums` are brought up to date, and `corrections` receives exp(old maximum - new maximum).
/// `weights` may lie over the scores, row over row.
void online_softmax(const Tile& scores, const Rows& weights, float* maxima, float* sums,
                    float* corrections);
/// Softmax weights by their saved log-sum-exp; `weights` may lie over the scores.
void softmax_by_lse(const Tile& scores, const float* lse, const Rows& weights);
/// weights = weights * (weight_gradients - delta[row]): softmax's derivative.
void softmax_backward(const Rows& weights, const Tile& weight_gradients, const float* delta);
/// tile[row] *= factors[row]
void scale_rows(const Tile& tile, const float* factors);
/// result[row] = a[row] . b[row]; a stride of 0 stands for the same row each time.
void row_dots(const Rows& a, const Rows& b, int64_t rows, int64_t columns, float* result);
/// sum[column] += factors[row] * a[row][column]
void add_weighted_rows(const Rows& a, const float* factors, int64_t rows, int64_t columns,
                       float* sum);
/// out[row][column] = factors[row] * a[column]
void outer_product(const float* factors, const float* a, int64_t rows, int64_t columns,
                   const Rows& out);

}  // namespace vit22b::cpu
