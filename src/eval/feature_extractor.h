#pragma once
#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data/transforms.h"
#include "eval/load_predictor.h"
#include "eval/pixel_changes.h"

namespace vit22b {

/// Turns images into named rows of features, [B, D] float32 or bfloat16 each.
class FeatureExtractor {
 public:
  virtual ~FeatureExtractor() = default;
  /// For messages.
  virtual std::string place() const = 0;
  /// What decides the features besides the images: weights, arithmetic, transform, names.
  virtual std::string fingerprint() const = 0;
  virtual const Transforms& transforms() const = 0;
  virtual std::map<std::string, at::Tensor> extract(const at::Tensor& images_BCHW) = 0;
};

/// A checkpoint's features by name.
///
/// "pooled"    the model's own vector an image
/// "mean"      the mean of the patch tokens after the final norm
/// "block.N"   a summary of block N's output: its class token, or the mean of its patch tokens
///             where the model has none, divided by its root mean square
/// "logits"    what the classifier says
/// throws  UsageError for another name and as apply_pixel_changes does, CheckpointError as
///         load_predictor does
std::unique_ptr<FeatureExtractor> make_model_extractor(const std::filesystem::path& checkpoint,
                                                       const PredictorOptions& options,
                                                       std::vector<std::string> names,
                                                       const PixelChanges& changes = {});

/// The transformed images themselves as "pooled", for comparison.
std::unique_ptr<FeatureExtractor> make_pixel_extractor(const std::string& transforms);

}  // namespace vit22b
