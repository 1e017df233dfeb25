#pragma once
#include <ATen/core/Tensor.h>

#include <string>

#include "dist/mesh.h"

namespace vit22b {

/// A contrastive loss over all ranks' pairs, and its gradients for this rank's rows.
struct ContrastiveLoss {
  at::Tensor loss;  ///< scalar; the mean over the ranks of the data axis is the batch's
  at::Tensor image_gradient_BE;  ///< of the mean over the ranks times their number
  at::Tensor text_gradient_BF;
};

/// "sigmoid" (SigLIP): the sum over all pairs of -log s(z y) over the images, y = 1 where image and
/// text belong together, else -1. "softmax" (CLIP): the mean of both directions' cross-entropies.
///
/// No matrix of all pairs exists: images come in chunks, the softmax twice. Texts are gathered over
/// the data axis, images stay where they are; this rank's images and texts belong together row by
/// row.
/// images_BE  of length 1, float32
/// texts_BF   F = E + 1: scaled by the temperature, then the bias; float32
/// chunk      images at a time; 0 for as many as 16 MiB of logits hold
/// source     open_clip loss.py ClipLoss (local loss, gather with gradient), SigLipLoss
ContrastiveLoss contrastive_loss(const std::string& kind, const at::Tensor& images_BE,
                                 const at::Tensor& texts_BF, const Mesh& mesh, int64_t chunk = 0);

}  // namespace vit22b
