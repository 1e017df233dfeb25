#pragma once
#include <optional>
#include <string>
#include <vector>

#include "model/config.h"

namespace vit22b {

struct TrainConfig;

/// The models of a training run beside the one that its config is of.
struct OtherModels {
  std::optional<ViTConfig> trained_image;  ///< an image tower that trains beside a text tower
  double trained_share = 1;                ///< of its blocks
  /// Those that look at every batch: a locked image tower with live images, live teachers.
  std::vector<ViTConfig> looking;
  /// Those that look at all the data before the first step: with cached images, cached logits.
  std::vector<ViTConfig> looked_once;
  std::optional<ViTConfig> image;  ///< whatever sees a text tower's images

  /// Operations of one sample's step beside the model's own.
  double flops() const;
};

/// The model of a checkpoint.
///
/// throws  CheckpointError naming one that is not there
ViTConfig config_at(const std::string& checkpoint);

/// Reads their configs, and completes the config's own model by them.
///
/// throws  CheckpointError, UsageError naming a tower or a teacher that is not there
OtherModels other_models(TrainConfig& config);

}  // namespace vit22b
