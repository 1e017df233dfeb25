#pragma once
#include "model/config.h"

namespace vit22b {

/// Floating-point operations of one image's forward pass, 2 a multiply-add: patch embedding, block
/// products, attention.
double forward_flops(const ViTConfig& config);
/// Three forward passes; recomputation does not count.
double train_flops(const ViTConfig& config);

}  // namespace vit22b
