#pragma once
#include <set>
#include <string>
#include <vector>

#include "transfer/feature_extractor.h"

namespace vit22b {

/// Which outputs are kept.
struct OutputNames {
  std::vector<int64_t> layers;    ///< blocks whose raw output is, as "block.N"
  std::vector<std::string> only;  ///< of tokens, pooled, logits; empty for all
};

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
  int64_t bytes_of_image() const;
  /// What bringing the model's weights in has cost so far, for people.
  std::string transfers_text() const { return model_.predictor->transfers_text(); }

 private:
  bool is_wanted(const std::string& name) const { return only_.empty() || only_.count(name) != 0; }

  LoadedModel& model_;
  std::string place_, fingerprint_;
  Transforms transforms_;
  std::set<int64_t> taps_;
  std::set<std::string> only_;
};

}  // namespace vit22b
