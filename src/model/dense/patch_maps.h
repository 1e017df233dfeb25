#pragma once
#include <ATen/core/Tensor.h>

#include <set>
#include <string>
#include <vector>

#include "dist/mesh.h"
#include "model/config.h"
#include "model/dense/head_config.h"
#include "model/vit.h"

namespace vit22b {

/// Which outputs of a model a dense head sees, and how they become maps of its patches.
class PatchMaps {
 public:
  /// throws  UsageError as DenseHeadConfig::blocks; for a model of words; for a readout of a class
  ///         token that the model has not
  PatchMaps(const ViTConfig& model, const DenseHeadConfig& head);

  /// The blocks whose outputs a pass has to give.
  std::set<int64_t> taps() const;
  /// Whether a block's map is of the tokens behind the final norm, not of its own output.
  bool is_from_tokens(int64_t block) const;
  const std::vector<int64_t>& blocks() const { return blocks_; }
  int64_t count() const { return static_cast<int64_t>(blocks_.size()); }
  int64_t width() const { return map_width_; }

  /// A map a block, of the patches: [B, h, w, width] float32, whole on every rank of a model
  /// axis; the class token is added to each or stands behind each, as the head's readout has it.
  /// Blocks below the last pass a norm without scale of its own, of the final norm's kind;
  /// the last one the final norm itself.
  ///
  /// height, width  of the images, in pixels
  std::vector<at::Tensor> of(const VitOutputs& outputs, int64_t height, int64_t width,
                             const Mesh& mesh) const;
  /// What `of` would see of those outputs, as one that autograd can follow: the outputs' gradients
  /// of maps' gradients. Undefined gradients have no part.
  ///
  /// outputs  that the maps were made of
  VitOutputGrads gradients(const VitOutputs& outputs, int64_t height, int64_t width,
                           const std::vector<at::Tensor>& map_gradients, const Mesh& mesh) const;

 private:
  /// The output that a block's map is made of.
  const at::Tensor& source(const VitOutputs& outputs, int64_t block) const;
  at::Tensor normed(const at::Tensor& tokens_BTD, int64_t block) const;
  at::Tensor map_of(const at::Tensor& whole_BTD, int64_t block, int64_t height,
                    int64_t width) const;

  ViTConfig model_;
  bool is_normed_;
  std::string readout_;
  int64_t map_width_;
  std::vector<int64_t> blocks_;
};

}  // namespace vit22b
