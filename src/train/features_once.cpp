#include "train/features_once.h"

#include "core/log.h"
#include "core/progress.h"
#include "core/watch.h"

namespace vit22b {

FeatureTable features_once(const TrainConfig& config, const OnlookingModel& model,
                           const DataSource& source, const Device& device, const Mesh& mesh) {
  const auto extractor = make_model_extractor(
      model.checkpoint, {device, config.precision, config.engine}, {model.feature});
  CacheOptions options = model.cache;
  options.shards = {.num_workers = config.data.workers,
                    .max_bad_fraction = config.data.max_bad_fraction,
                    .max_pixels = config.data.max_pixels,
                    // A terminal is the run's: there its own line is drawn.
                    .watch = watch_with_progress("features", source.size(),
                                                 /*is_quiet=*/stderr_is_terminal())};
  log_info(concat(model.checkpoint.string(), " looks at ", source.size(), " images once"));
  FileOps ops;
  if (mesh.size(MeshAxis::kAll) > 1) share_features(*extractor, source, options, ops, mesh);
  FeatureTable table = cached_features(*extractor, source, options, ops);
  log_info(concat(table.size(), " features in ", table.folder().string()));
  return table;
}

}  // namespace vit22b
