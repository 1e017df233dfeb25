#pragma once
#include <ATen/core/Tensor.h>

#include "model/layers.h"
#include "model/sequence.h"

namespace vit22b {

/// Pools tokens into one vector an image: the MAP head's learned query, the mean of the patches,
/// the class token, both of these side by side, or a word.
///
/// tokens_BTD  after the encoder's final norm, prefix tokens first; MAP and the mean leave those
///             out unless pool_include_prefix; on a model axis this rank's features, as in the
///             result
/// returns     [B, D], of "cls_avg" [B, 2 D]; dtype of the input; no residual around MAP's
/// attention, no final tanh source      Zhai et al. 2022 (arXiv 2106.04560) 3.2; timm
/// AttentionPoolLatent
at::Tensor pool_tokens(const ViTConfig& config, const Layers& layers, const Sequence& sequence,
                       const at::Tensor& tokens_BTD);

/// Where the MAP head's query looks: its attention over the patches, [B, H, N] float32; less than 1
/// in sum where it sees the prefix tokens too.
at::Tensor map_attention(const ViTConfig& config, const Layers& layers,
                         const at::Tensor& tokens_BTD);

}  // namespace vit22b
