#pragma once
#include "model/config.h"

namespace vit22b {

/// Floating-point operations of one image's forward pass, 2 a multiply-add: patch embedding, block
/// products, attention.
double forward_flops(const ViTConfig& config);
/// A forward pass, and backward passes of twice its cost through the share of blocks that train;
/// recomputation does not count.
double train_flops(const ViTConfig& config, double trained_share = 1);

}  // namespace vit22b
