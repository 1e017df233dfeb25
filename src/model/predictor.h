#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <set>

#include "core/error.h"
#include "model/vit.h"

namespace vit22b {

/// A model as evaluators see it: images in, features and logits out. A capability not offered is an
/// error by name.
class Predictor {
 public:
  virtual ~Predictor() = default;
  /// Tokens, pooled features, logits and the block outputs asked for.
  virtual VitOutputs features(const at::Tensor& images_BCHW, const std::set<int64_t>& taps) = 0;
  /// [B, C] float32.
  virtual at::Tensor logits(const at::Tensor& images_BCHW) = 0;
  /// Takes part in the forward pass of the data axis's other ranks without images of its own, as
  /// all ranks of its model axis do.
  virtual void attend() {}
  /// Gradient of sum(logits * dlogits) with respect to the images, [B, C, H, W]; first order.
  virtual at::Tensor input_gradient(const at::Tensor& images_BCHW,
                                    const at::Tensor& dlogits_BC) = 0;
  /// Attention weights of one block, [B, H, T, T] float32.
  virtual at::Tensor attention(const at::Tensor& images_BCHW, int64_t block) = 0;
  /// Shows every block of a forward pass, one at a time.
  virtual void observe(const at::Tensor& /*images_BCHW*/,
                       const std::function<void(const ObservedBlock&)>& /*see*/) {
    throw InternalError("this predictor shows no blocks");
  }
  /// Attention of the MAP head's query over the patches, [B, H, N] float32.
  ///
  /// throws  UsageError for a model that pools otherwise
  virtual at::Tensor pool_attention(const at::Tensor& images_BCHW) = 0;
  /// What bringing its weights in has cost so far, for people; "" where they stay in memory.
  virtual std::string transfers_text() const { return ""; }
};

}  // namespace vit22b
