#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "kernels/attention.h"
#include "model/vit.h"

namespace vit22b {

/// The paper's instability signals of every block on a few images (at most 8 of the batch), in
/// block order.
std::vector<AttentionSignals> attention_monitor(const ModelContext& context, WeightStore& store,
                                                const at::Tensor& images_BCHW);

}  // namespace vit22b
