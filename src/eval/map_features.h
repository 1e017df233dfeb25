#pragma once
#include <memory>
#include <string>

#include "eval/feature_cache.h"
#include "eval/feature_extractor.h"
#include "model/dense/head_config.h"

namespace vit22b {

/// The maps that a dense head sees of a checkpoint's pictures, for a cache: "map.0", … each
/// [B, h w D] bfloat16.
///
/// transform  of images, with a fixed size
/// throws     UsageError as PatchMaps, CheckpointError as load_predictor does
std::unique_ptr<FeatureExtractor> make_map_extractor(const std::filesystem::path& checkpoint,
                                                     const PredictorOptions& options,
                                                     const DenseHeadConfig& head,
                                                     const std::string& transform);

/// What cached maps are of.
struct MapShape {
  int64_t num_maps, height, width, channels;  ///< of a map: [h, w, D]
};

/// A source whose samples have maps ("map.0", …: [h, w, D]) in the image's place, and their masks.
/// Samples that were bad when the maps were made are left out.
std::unique_ptr<DataSource> make_mapped_source(std::shared_ptr<const DataSource> source,
                                               FeatureTable table, const MapShape& shape);

/// "map.3"
std::string map_field(int64_t index);

}  // namespace vit22b
