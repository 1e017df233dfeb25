#pragma once
#include <ATen/core/Tensor.h>

namespace vit22b {

/// The kernel of a patch embedding for patches of another size: its product with a patch that was
/// resized is, as nearly as can be, what it was with the patch as it stood.
///
/// kernel_DCPP  float32
/// returns      [D, C, patch, patch]: the pseudo-inverse of the bicubic, antialiased resize applied
/// source       Beyer et al. 2022 (FlexiViT, arXiv 2212.08013) 3.4; timm resample_patch_embed
at::Tensor kernel_for_patch(const at::Tensor& kernel_DCPP, int64_t patch);

/// The kernel for images of another number of channels: summed for one channel, else repeated in
/// order and scaled, so that equal channels give what they gave.
///
/// returns  [D, channels, P, P]
/// source   timm adapt_input_conv
at::Tensor kernel_for_channels(const at::Tensor& kernel_DCPP, int64_t channels);

}  // namespace vit22b
