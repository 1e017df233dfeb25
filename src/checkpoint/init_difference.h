#pragma once
#include <string>
#include <vector>

#include "checkpoint/init_weights.h"

namespace vit22b {

/// True when a name matches one of the patterns.
bool matches_any(const std::string& name, const std::vector<std::string>& patterns);

/// Names as a person reads them: those of all blocks as one, "blocks.*.ls1.gamma", and how many
/// tensors there are.
std::string grouped_names(const std::vector<std::string>& names);

/// The fields by which two models compute different functions, as sentences ("act_layer is "gelu",
/// here "silu""): all but image and patch size, channels and classes.
std::vector<std::string> different_functions(const ViTConfig& checkpoint, const ViTConfig& model);

/// Checks that a model computes what the checkpoint that it starts from does, but for its image and
/// patch size, channels and classes.
///
/// A difference is named by a pattern of its field, or by patterns of every parameter that it adds
/// or takes away.
/// place   the checkpoint, for the error
/// throws  CheckpointError naming every difference that no pattern of `choice` names, and how to
///         name them
void check_init_difference(const ViTConfig& checkpoint, const ViTConfig& model,
                           const InitChoice& choice, const std::string& place);

}  // namespace vit22b
