#pragma once
#include <optional>
#include <string>

#include "checkpoint/model_info.h"
#include "eval/vit_predictor.h"

namespace vit22b {

/// What a user says otherwise of how pictures become a model's input.
struct PixelChanges {
  std::string pp;                  ///< a whole transform; "" for the checkpoint's
  std::optional<ImageSize> size;   ///< of the input; positions are resampled to it
  std::optional<double> crop_pct;  ///< timm's: the side over what is resized to
  std::string interpolation;       ///< bilinear or bicubic; "" for the checkpoint's

  bool is_any() const { return !pp.empty() || size || crop_pct || !interpolation.empty(); }
};

/// Changes an opened model's transform and the size of its input; its weights stay as they are.
///
/// throws  UsageError for a size that the patches do not divide, for `pp` beside a crop or an
///         interpolation or of another size, and where the transform is no plain one
void apply_pixel_changes(const PixelChanges& changes, ModelInfo& info);

/// How a predictor is to compute with the changes: one of another size takes images of that.
PredictorOptions for_changed_pixels(const PixelChanges& changes, PredictorOptions options);

}  // namespace vit22b
