#pragma once
#include <set>
#include <string>
#include <vector>

#include "eval/feature_extractor.h"

namespace vit22b {

/// Which outputs are kept.
struct OutputNames {
  std::vector<int64_t> layers;    ///< blocks whose raw output is, as "block.N"
  std::vector<std::string> only;  ///< of tokens, pooled, logits; empty for all
};

/// Bytes of the outputs of an image, as float32.
int64_t output_bytes(const ViTConfig& config, const OutputNames& names);

/// A model's outputs as they are, float32, by their names in a file of features.
class ModelOutputs : public FeatureExtractor {
 public:
  /// model     outlives this
  /// identity  what decides the outputs besides the images, the transform and the names
  /// throws    UsageError for another name
  ModelOutputs(LoadedModel& model, std::string place, const std::string& identity,
               const OutputNames& names);

  std::string place() const override { return place_; }
  std::string fingerprint() const override { return fingerprint_; }
  const Transforms& transforms() const override { return transforms_; }
  std::map<std::string, at::Tensor> extract(const at::Tensor& images_BCHW) override;
  int64_t bytes_of_image() const { return output_bytes(model_.info.config, names_); }
  /// What the logits are called; empty where none are kept, or they have no names.
  std::vector<std::string> logit_names() const;
  /// What bringing the model's weights in has cost so far, for people.
  std::string transfers_text() const { return model_.predictor->transfers_text(); }

 private:
  LoadedModel& model_;
  OutputNames names_;
  std::string place_, fingerprint_;
  Transforms transforms_;
  std::set<int64_t> taps_;
};

}  // namespace vit22b
