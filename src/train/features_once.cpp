#include "train/features_once.h"

#include "core/log.h"
#include "core/progress.h"
#include "core/watch.h"

namespace vit22b {

FeatureTable features_once(const TrainConfig& config, FeatureExtractor& extractor,
                           const CacheOptions& cache, const DataSource& source, const Mesh& mesh) {
  CacheOptions options = cache;
  options.shards.num_workers = config.data.workers;
  options.shards.max_bad_fraction = config.data.max_bad_fraction;
  options.shards.max_pixels = config.data.max_pixels;
  // A terminal is the run's: there its own line is drawn.
  options.shards.watch =
      watch_with_progress("features", source.size(), /*is_quiet=*/stderr_is_terminal());
  log_info(concat(extractor.place(), " looks at ", source.size(), " images once"));
  FileOps ops;
  if (mesh.size(MeshAxis::kAll) > 1) share_features(extractor, source, options, ops, mesh);
  FeatureTable table = cached_features(extractor, source, options, ops);
  log_info(concat(table.size(), " features in ", table.folder().string()));
  return table;
}

FeatureTable features_once(const TrainConfig& config, const OnlookingModel& model,
                           const DataSource& source, const Device& device, const Mesh& mesh) {
  const auto extractor = make_model_extractor(
      model.checkpoint, {device, config.precision, config.engine}, {model.feature});
  return features_once(config, *extractor, model.cache, source, mesh);
}

}  // namespace vit22b
