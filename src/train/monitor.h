#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "kernels/attention.h"
#include "model/vit.h"

namespace vit22b {

/// The paper's instability signals of every block on the first images (at most 8) of the batch over
/// all ranks, in block order; the same on every rank.
///
/// images_BCHW  this rank's share of the batch of `batch_size`
std::vector<AttentionSignals> attention_monitor(const ModelContext& context, WeightStore& store,
                                                const at::Tensor& images_BCHW, int64_t batch_size);

}  // namespace vit22b
