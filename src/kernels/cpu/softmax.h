#pragma once
#include <cstdint>

#include "kernels/cpu/rows.h"

/// Softmax over blocks of scores, and its derivative, on one core.
namespace vit22b::cpu {

/// One step of a softmax over blocks of keys: scores become exp(score - new maximum); `maxima` and
/// `sums` are brought up to date, and `corrections` receives exp(old maximum - new maximum).
void online_softmax(const Tile& scores, float* maxima, float* sums, float* corrections);
/// Scores become softmax weights by their saved log-sum-exp.
void softmax_by_lse(const Tile& scores, const float* lse);
/// weights = weights * (weight_gradients - delta[row]): softmax's derivative.
void softmax_backward(const Tile& weights, const Tile& weight_gradients, const float* delta);
/// tile[row] *= factors[row]
void scale_rows(const Tile& tile, const float* factors);
/// result[row] = a[row] . b[row]
void row_dots(const Tile& a, const Rows& b, float* result);

}  // namespace vit22b::cpu
