#pragma once
#include <ATen/core/Tensor.h>

#include <string>

#include "dist/mesh.h"

namespace vit22b {

/// A classification loss, and its gradient with respect to this rank's logits.
struct ClassLoss {
  at::Tensor loss;  ///< scalar, mean over the images and, on a model axis, the same everywhere
  at::Tensor gradient_BC;  ///< float32, of the mean
};

/// The sigmoid or softmax loss of integer labels whose classes are shared out over the model axis;
/// logits are never gathered: a sum, for softmax also a maximum, an image goes over the ranks.
///
/// kind         "sigmoid" or "softmax"
/// logits_BC    this rank's share of the classes
/// num_classes  of all ranks
ClassLoss class_loss(const std::string& kind, const at::Tensor& logits_BC,
                     const at::Tensor& labels_B, int64_t num_classes, const Mesh& mesh);

}  // namespace vit22b
