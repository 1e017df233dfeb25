#pragma once
#include <string>

#include "model/config.h"

namespace vit22b {

/// What a config.json says of a timm model, as JSON texts in timm's argument names.
struct TimmArgs {
  std::string architecture;
  std::string model_args;  ///< written for this checkpoint; an object
  /// What timm takes from pretrained_cfg where neither model_args nor the architecture says it:
  /// num_classes, global_pool, in_chans, img_size.
  std::string pretrained;
  std::string place;  ///< the file, for errors
};

/// Pixels at the edges that fill no patch are left out, as a convolution does.
inline void take_edge(ViTConfig& c) {
  for (const int64_t side : {c.img_size.height, c.img_size.width})
    if (c.patch_size > 0 && side % c.patch_size != 0) c.tokens.drop_edge = true;
}

/// The model that timm builds from these arguments, but for its depth, which the weights tell.
///
/// throws  CheckpointError for an unknown architecture, an argument that timm has not, and whatever
///         our blocks do not compute, all of it in one text that names the architecture
ViTConfig model_of_timm_args(const TimmArgs& args);

}  // namespace vit22b
