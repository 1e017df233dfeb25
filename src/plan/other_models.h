#pragma once
#include <optional>
#include <vector>

#include "train/config.h"

namespace vit22b {

/// The models of a training run beside the one that its config is of.
struct OtherModels {
  std::optional<ViTConfig> trained_image;  ///< LiT's image tower, where it trains
  double trained_share = 1;                ///< of its blocks
  /// Those that look at every batch: a locked image tower with live images, live teachers.
  std::vector<ViTConfig> looking;
  /// Those that look at all the data before the first step: with cached images, cached logits.
  std::vector<ViTConfig> looked_once;
  std::optional<ViTConfig> image;  ///< whatever sees LiT's images

  /// Operations of one sample's step beside the model's own.
  double flops() const;
};

/// Reads their configs, and completes a LiT's text tower by them and its tokenizer.
///
/// throws  CheckpointError, UsageError naming a tower or a teacher that is not there
OtherModels other_models(TrainConfig& config);

}  // namespace vit22b
