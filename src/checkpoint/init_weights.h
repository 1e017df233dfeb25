#pragma once
#include <string>
#include <vector>

#include "checkpoint/model_folder.h"

namespace vit22b {

/// What may differ between a model and the checkpoint that it starts from, as name patterns.
struct InitChoice {
  std::vector<std::string> skip;   ///< parameters that keep their fresh values
  std::vector<std::string> allow;  ///< fields of the model, such as act_layer, or parameters
};

/// What init_weights did that a person should know, a sentence each.
struct InitReport {
  std::vector<std::string> notes;
};

/// Starts a model from another one's weights. A head of other classes and the skipped names keep
/// their fresh values; the position table moves to the new grid; the patch kernel is made for other
/// patch sizes and channels by timm's rules.
///
/// model    the config, and the names of the classes where they are known
/// weights  fresh values by full name; overwritten where the checkpoint has them
/// throws   CheckpointError where the checkpoint computes another function (heads, norms, scales,
///          activation, depth, pooling ...) and no pattern names the difference, or where the files
///          are not what they say
InitReport init_weights(const CheckpointPath& checkpoint, const ModelInfo& model,
                        const InitChoice& choice, NamedTensors& weights);

}  // namespace vit22b
