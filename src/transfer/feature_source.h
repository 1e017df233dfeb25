#pragma once
#include <memory>

#include "data/source.h"
#include "transfer/feature_cache.h"

namespace vit22b {

/// A source whose images are embedded already: samples have "image_embedding", a row of cached
/// features brought to length 1, in the image's place, and the source's captions.
std::unique_ptr<DataSource> make_feature_source(std::shared_ptr<const DataSource> source,
                                                FeatureTable table, const std::string& feature);

/// The name of that field.
constexpr const char* kImageEmbedding = "image_embedding";

}  // namespace vit22b
