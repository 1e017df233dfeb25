#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

namespace vit22b {

/// Squared L2 norm of some gradients together, summed in float64 on their device.
///
/// returns  [1] float64, so that ranks can add it before the host reads it
at::Tensor squared_norm(const std::vector<at::Tensor>& gradients);

/// The factor that brings a norm down to `clip_norm`; 1 when it is smaller or clipping is off (0).
/// Not finite where the norm is not.
///
/// norm     [1] float64
/// returns  [1] float64 on its device
at::Tensor clip_scale(const at::Tensor& norm, double clip_norm);

}  // namespace vit22b
