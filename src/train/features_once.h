#pragma once
#include <memory>
#include <string>

#include "eval/feature_cache.h"
#include "train/data_setup.h"

namespace vit22b {

/// A model that looks at a run's images once, before the first step.
struct OnlookingModel {
  std::filesystem::path checkpoint;
  std::string feature;  ///< see make_model_extractor
  CacheOptions cache;   ///< where its answers are kept
};

/// What that model says of a source's images, from its cache; what is not cached yet the
/// ranks make together.
///
/// throws  as cached_features
FeatureTable features_once(const TrainConfig& config, const OnlookingModel& model,
                           const DataSource& source, const Device& device, const Mesh& mesh);
/// The same of an extractor.
FeatureTable features_once(const TrainConfig& config, FeatureExtractor& extractor,
                           const CacheOptions& cache, const DataSource& source, const Mesh& mesh);

}  // namespace vit22b
