#pragma once
#include "model/config.h"

namespace vit22b {

/// Floating-point operations of one image's forward pass, 2 a multiply-add: patch embedding, block
/// products, attention.
double forward_flops(const ViTConfig& config);
/// Shares of blocks whose input's gradient, and whose matrices' gradients, a step computes.
struct BackwardShare {
  double inputs = 1, weights = 1;
};
/// A forward pass, and a backward pass, whose two gradients cost as much each where it computes
/// them; recomputation and adapters do not count.
double train_flops(const ViTConfig& config, const BackwardShare& share = {});

}  // namespace vit22b
